//! What a transaction that calls lscc may do (Fabric 1.4: `builtin/v13.ValidateLSCCInvocation`).
//!
//! Of lscc's functions only `deploy` and `upgrade` change anything, and only they can be committed. Their endorsement policy
//! is that of any system chaincode, so these rules are what keeps a definition from being forged: it must be what the
//! arguments say, and whoever sent the transaction must satisfy the chaincode's instantiation policy.
//!
//! Clients send no code in the arguments; where there is some, it must be a code package of its platform, as in Fabric.
//! Where Fabric's peer would stop on a nil pointer, the transaction is invalid.

use bytes::Bytes;
use selvedge_proto::DecodeAsGo;
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::{
    ChaincodeData, ChaincodeDeploymentSpec, ChaincodeInvocationSpec, ChaincodeProposalPayload,
};

use super::Fault;
use super::action::{Action, LSCC};
use super::collections;
use super::judge::Policies;
use super::state::State;
use super::transaction::Rules;
use super::verdict::{Invalid, Objection};
use crate::chaincode::{is_chaincode_name, is_chaincode_version};
use crate::platforms::{Platform, validate_code_package};

/// Names that no chaincode of users may have, whatever system chaincodes this node runs.
const RESERVED: [&str; 5] = ["cscc", "escc", "lscc", "qscc", "vscc"];

/// What `deploy` and `upgrade` may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Deploy,
    Upgrade,
}

/// A chaincode that a transaction defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deployed {
    pub(super) name: String,
    /// Whether Fabric counts it as an upgrade when it looks for conflicts within the block. There it knows chaincodes in Go
    /// only, and a recorded peer let calls pass that came with the upgrade of one in another language.
    pub(super) is_upgrade: bool,
}

/// A call of `deploy` or `upgrade`.
struct Call {
    function: Function,
    /// What follows the function: channel, deployment spec, endorsement policy, escc, vscc, collections.
    args: Vec<Bytes>,
    name: String,
    version: String,
    kind: Type,
}

/// Checks a transaction that called lscc.
pub(super) fn check(
    action: &Action,
    rules: &Rules<'_>,
    state: &dyn State,
    policies: &mut Policies<'_>,
) -> Result<Deployed, Objection> {
    let call = Call::read(&action.proposal_payload, rules)?;
    let name = call.name.as_str();
    let existing = read::<ChaincodeData>(state, name)?;
    let (set, defined) = call.definition(action)?;
    let (v1_1, v1_2) = (rules.capabilities.v1_1_validation(), rules.capabilities.v1_2_validation());
    let creator = std::slice::from_ref(&action.creator);
    let mut instantiation = |policy: &Bytes| {
        if policy.is_empty() {
            return Err(Invalid::policy("no instantiation policy was specified"));
        }
        let violated = |cause| Invalid::policy(format!("chaincode instantiation policy violated, error {cause}"));
        policies.evaluate(policy, creator).map_err(violated)
    };
    let with_collections = match call.function {
        Function::Deploy => rules.capabilities.private_channel_data(),
        Function::Upgrade => v1_2,
    };
    match (call.function, &existing) {
        (Function::Deploy, Some(_)) => return refuse(format!("Chaincode {name} is already instantiated")),
        (Function::Upgrade, None) => return refuse(format!("Upgrading non-existent chaincode {name}")),
        (Function::Upgrade, Some(existing)) if existing.version == call.version => {
            let version = &call.version;
            return refuse(format!(
                "Existing version of the cc on the ledger ({version}) should be different from the upgraded one"
            ));
        }
        _ => {}
    }
    if with_collections {
        let argument = call.args.get(5);
        collections::check(call.function, name, set, argument, v1_2, state)?;
    } else if set.writes.len() != 1 {
        return refuse("LSCC can only issue a single putState upon deploy or upgrade".into());
    }
    if let Some(existing) = &existing {
        instantiation(&existing.instantiation_policy)?;
    }
    if existing.is_none() || v1_1 {
        instantiation(&defined.instantiation_policy)?;
    }
    let is_upgrade = call.function == Function::Upgrade && call.kind == Type::Golang;
    Ok(Deployed { name: call.name, is_upgrade })
}

fn refuse<T>(reason: String) -> Result<T, Objection> {
    Err(Invalid::policy(reason).into())
}

/// An entry of lscc; one that does not decode is nothing that another peer has.
pub(super) fn read<M: DecodeAsGo>(state: &dyn State, key: &str) -> Result<Option<M>, Objection> {
    let decode = |entry| M::decode_as_go(entry).map_err(|source| Fault::Definition { key: key.to_owned(), source });
    Ok(state.value(LSCC, key)?.map(decode).transpose()?)
}

impl Call {
    fn read(proposal_payload: &Bytes, rules: &Rules<'_>) -> Result<Self, Invalid> {
        let undecodable = |what: &'static str| {
            move |cause: prost::DecodeError| Invalid::policy(format!("{what} does not decode: {cause}"))
        };
        let payload = ChaincodeProposalPayload::decode_as_go(proposal_payload.clone())
            .map_err(undecodable("the proposal payload"))?;
        let invocation =
            ChaincodeInvocationSpec::decode_as_go(payload.input).map_err(undecodable("the invocation spec"))?;
        let mut args = invocation.chaincode_spec.and_then(|spec| spec.input).unwrap_or_default().args;
        if args.is_empty() {
            return Err(Invalid::policy("malformed chaincode invocation spec"));
        }
        let function = args.remove(0);
        let function = match &function[..] {
            b"deploy" => Function::Deploy,
            b"upgrade" => Function::Upgrade,
            other => {
                let other = String::from_utf8_lossy(other);
                let reason = format!("committing an invocation of function {other} of lscc is invalid");
                return Err(Invalid::policy(reason));
            }
        };
        let most = if rules.capabilities.private_channel_data() { 6 } else { 5 };
        let count = args.len();
        let spec = match args.get(1) {
            Some(spec) if count <= most => spec.clone(),
            _ => return Err(Invalid::policy(format!("Wrong number of arguments for lscc: received {count}"))),
        };
        let spec = ChaincodeDeploymentSpec::decode_as_go(spec).map_err(undecodable("the deployment spec"))?;
        let (spec, code) = (spec.chaincode_spec.unwrap_or_default(), spec.code_package);
        let kind = match Type::try_from(spec.r#type) {
            Ok(Type::Undefined) | Err(_) => {
                return Err(Invalid::policy(format!("Unknown chaincodeType: {}", spec.r#type)));
            }
            Ok(kind) => kind,
        };
        // Of CAR, Fabric looks at nothing.
        if let Ok(platform) = Platform::of_spec(spec.r#type) {
            validate_code_package(platform, &code)
                .map_err(|cause| Invalid::policy(format!("GetChaincodeDeploymentSpec error {cause}")))?;
        }
        let id = spec.chaincode_id.ok_or_else(|| Invalid::policy("the deployment spec names no chaincode"))?;
        if !is_chaincode_name(&id.name) || RESERVED.contains(&id.name.as_str()) {
            return Err(Invalid::policy(format!("invalid chaincode name '{}'", id.name)));
        }
        if !is_chaincode_version(&id.version) {
            return Err(Invalid::policy(format!("invalid chaincode version '{}'", id.version)));
        }
        Ok(Self { function, args, name: id.name, version: id.version, kind })
    }

    /// What is written to lscc, and the definition in it, if it is the one that was asked for and nothing else is written
    /// but by the chaincode itself.
    fn definition<'a>(&self, action: &'a Action) -> Result<(&'a KvrwSet, ChaincodeData), Invalid> {
        let (name, version) = (&self.name, &self.version);
        let set = action.set(LSCC).ok_or_else(|| Invalid::policy("No read write set for lscc was found"))?;
        let write = set
            .public
            .writes
            .first()
            .ok_or_else(|| Invalid::policy("LSCC must issue at least one single putState upon deploy/upgrade"))?;
        if write.key != *name {
            return Err(Invalid::policy(format!("expected key {name}, found {}", write.key)));
        }
        let defined = ChaincodeData::decode_as_go(write.value.clone())
            .map_err(|cause| Invalid::policy(format!("the chaincode's definition does not decode: {cause}")))?;
        if defined.name != *name {
            return Err(Invalid::policy(format!("expected cc name {name}, found {}", defined.name)));
        }
        if defined.version != *version {
            return Err(Invalid::policy(format!("expected cc version {version}, found {}", defined.version)));
        }
        let elsewhere = |set: &&crate::ledger::transaction::NamespaceRwSet| {
            set.namespace != LSCC && set.namespace != *name && !set.public.writes.is_empty()
        };
        if let Some(set) = action.sets.iter().find(elsewhere) {
            let reason = format!("LSCC invocation is attempting to write to namespace {}", set.namespace);
            return Err(Invalid::policy(reason));
        }
        Ok((&set.public, defined))
    }
}
