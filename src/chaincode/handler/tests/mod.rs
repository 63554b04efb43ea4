//! Tests of the Handler: a chaincode that is played by the test, on a peer with real ledgers.

mod calls;
mod execution;
mod queries;
mod registration;
mod requests;
