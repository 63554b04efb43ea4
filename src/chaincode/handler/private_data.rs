//! The rules of every request that names a collection (Fabric: `errorIfCreatorHasNoReadAccess` and its like).

use super::super::environment::{Access, Permission};
use super::super::transaction_context::{Execution, TransactionContext};
use super::super::{ChaincodeSupport, RequestError};

/// Private data is out of reach in an INIT.
pub(super) fn outside_init(context: &TransactionContext) -> Result<(), RequestError> {
    match context.execution {
        Execution::Init => Err(RequestError::PrivateDataInInit),
        Execution::Invoke => Ok(()),
    }
}

/// Whether the transaction may use the collection at all, and in this way.
pub(super) fn allowed(
    support: &ChaincodeSupport,
    context: &TransactionContext,
    access: Access,
    collection: &str,
) -> Result<(), RequestError> {
    outside_init(context)?;
    let simulator = context.shared_simulator()?;
    let signed = context.params.signed_proposal.as_deref();
    let permission = context.permission(access, collection, || {
        let (channel, chaincode) = (context.channel_id(), &context.namespace);
        support.environment().collections.permission(access, channel, chaincode, collection, signed, simulator)
    })?;
    match permission {
        Permission::Granted => Ok(()),
        Permission::Refused => Err(RequestError::NoCollectionAccess {
            access: match access {
                Access::Read => "read",
                Access::Write => "write",
            },
            chaincode: context.namespace.clone(),
            collection: collection.to_owned(),
        }),
    }
}
