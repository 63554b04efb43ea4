//! What an author implements: Fabric's interface `Chaincode`.

use crate::{Response, Stub};

/// A chaincode. Every call gets an instance of its own; what it remembers goes into the state.
pub trait Chaincode {
    /// INIT: on instantiation, on upgrade, and for a system chaincode when the peer starts and when it joins a channel
    /// (then there is no proposal: no creator, no timestamp). The default does nothing and succeeds.
    fn init(&self, stub: &Stub) -> Response {
        let _ = stub;
        Response::success(())
    }

    /// TRANSACTION. A status of 400 or more is not endorsed.
    fn invoke(&self, stub: &Stub) -> Response;
}
