//! Stand-in: the descriptor only.
mod descriptor;
pub use descriptor::{SystemChaincode, is_enabling};
