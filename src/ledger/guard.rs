//! Keeps a damaged database from taking the node down.
//!
//! redb believes its pages: of their checksums it looks only at those that a repair needs, and a page of nonsense makes it
//! panic. Invariant: what runs in [`guarded`] ends with an error then, and that error is a fault, which halts the channel.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, Key, Table, TableDefinition, Value, WriteTransaction};

use super::LedgerError;

/// Runs what works on a database. A panic of it is [`LedgerError::Corrupted`]; the caller does not go on with what `work`
/// has changed.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let panicked = format!("working on it panicked ({})", text(&*panic));
        Err(LedgerError::Corrupted(panicked))
    })
}

/// Something of a database that may be damaged. Closing it after a panic may panic again, and in the middle of the first
/// panic that would end the process: then it is forgotten. Nobody works on the database afterwards.
pub(super) struct Guarded<T>(Option<T>);

pub(super) type GuardedDatabase = Guarded<Database>;
pub(super) type GuardedTable<'t, K, V> = Guarded<Table<'t, K, V>>;

impl<T> Guarded<T> {
    pub(super) fn new(inner: T) -> Self {
        Self(Some(inner))
    }

    fn into_inner(mut self) -> T {
        self.0.take().expect("it is taken out once")
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken out at the end alone")
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is taken out at the end alone")
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        if std::thread::panicking() {
            std::mem::forget(inner);
            return;
        }
        let close = || {
            drop(inner);
            Ok(())
        };
        if let Err(error) = guarded(close) {
            tracing::error!(%error, "a database could not be closed");
        }
    }
}

/// A write transaction whose tables are guarded, too.
pub(super) struct GuardedWrite(Guarded<WriteTransaction>);

impl GuardedWrite {
    pub(super) fn begin(database: &Database) -> Result<Self, LedgerError> {
        Ok(Self(Guarded::new(database.begin_write()?)))
    }

    pub(super) fn open_table<'t, K: Key + 'static, V: Value + 'static>(
        &'t self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<GuardedTable<'t, K, V>, redb::TableError> {
        Ok(Guarded::new(self.0.open_table(definition)?))
    }

    pub(super) fn commit(self) -> Result<(), redb::CommitError> {
        self.0.into_inner().commit()
    }
}

impl Deref for GuardedWrite {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        &self.0
    }
}

impl DerefMut for GuardedWrite {
    fn deref_mut(&mut self) -> &mut WriteTransaction {
        &mut self.0
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
