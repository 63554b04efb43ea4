//! What each fault of a transaction is called, with real keys; the state is in memory, so that it can fail. The order of
//! the files is that of the checks.

mod commit;
mod fixture;
mod hostile;
mod key_level;
mod lscc;
mod model;
mod policies;
mod transaction;
