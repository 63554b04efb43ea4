//! What a crash or a failing disk leaves of a channel: the store under the ledger is replaced by one that loses, tears and
//! refuses writes at a chosen operation.
//!
//! One script of blocks is committed over and over. Invariants, wherever it is interrupted: what was acknowledged is there,
//! once; the chain verifies against a replay; and going on from there ends at the same rows as a run without a crash.

mod crashes;
mod damage;
mod disk;
mod faults;
mod script;
