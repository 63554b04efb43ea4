//! Keeps a damaged database from taking the node down.
//!
//! redb believes its pages: of their checksums it looks only at those that a repair needs, and a page of nonsense makes it
//! panic. Invariant: what runs in [`guarded`] ends with an error then, and that error is a fault, which halts the channel.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::Database;

use super::LedgerError;

/// Runs what works on a database. A panic of it is [`LedgerError::Corrupted`]; the caller does not go on with what `work`
/// has changed.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let panicked = format!("working on it panicked ({})", text(&*panic));
        Err(LedgerError::Corrupted(panicked))
    })
}

/// A database that may be damaged. Closing one after a panic may panic again, and in the middle of the first panic that
/// would end the process.
pub(super) struct GuardedDatabase(Option<Database>);

impl GuardedDatabase {
    pub(super) fn new(database: Database) -> Self {
        Self(Some(database))
    }
}

impl Deref for GuardedDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is taken out by drop alone")
    }
}

impl Drop for GuardedDatabase {
    fn drop(&mut self) {
        let database = self.0.take();
        if std::thread::panicking() {
            std::mem::forget(database);
            return;
        }
        if let Err(error) = guarded(|| Ok(drop(database))) {
            tracing::error!(%error, "a database could not be closed");
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
