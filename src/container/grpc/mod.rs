//! A stream of `ChaincodeMessage`s over gRPC, whichever side opened it: the listener's (`ChaincodeSupport/Register`), one
//! that this peer dialled (`Chaincode/Connect`), or, in [`crate::ccaas`], one of a peer elsewhere.

mod outbox;
mod reader;

pub(crate) use outbox::{Messages, Outbox, outbox};
pub(crate) use reader::{Admission, Reader, registers};
