//! What tests of this crate, and of chaincode that runs on it, build upon.

mod recorder;

pub use recorder::{Direction, Recorded, Recorder, transcript};
