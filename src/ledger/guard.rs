//! Keeps a damaged database from taking the node down.
//!
//! redb believes its pages: of their checksums it looks only at those that a repair needs, and a page of nonsense makes it
//! panic. Invariant: what runs in [`guarded`] ends with an error then, and that error is a fault, which halts the channel.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
/// panic that would end the process: then it is forgotten.
pub(super) struct Guarded<T>(Option<T>);

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

/// A database that is guarded as a whole. After a panic in a write transaction nobody writes to it any more.
pub(super) struct GuardedDatabase {
    database: Guarded<Database>,
    abandoned: Abandoned,
}

/// Whether a panic has ended a write transaction. The database goes on believing in one that was forgotten, and whoever
/// began another would wait for its end.
#[derive(Clone, Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

impl GuardedDatabase {
    pub(super) fn new(database: Database) -> Self {
        Self { database: Guarded::new(database), abandoned: Abandoned::default() }
    }
}

impl Deref for GuardedDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

/// A write transaction whose tables are guarded, too.
pub(super) struct GuardedWrite {
    transaction: Guarded<WriteTransaction>,
    /// Told of a panic when it is dropped.
    _abandoned: Abandoned,
}

impl GuardedWrite {
    /// Begins the only write transaction. Callers take turns by a lock of their own: who waited in here while another one
    /// panicked would wait for ever.
    pub(super) fn begin(database: &GuardedDatabase) -> Result<Self, LedgerError> {
        if database.abandoned.0.load(Ordering::Acquire) {
            return Err(LedgerError::Corrupted("working on it panicked before; the log says how".into()));
        }
        let transaction = Guarded::new(database.begin_write()?);
        Ok(Self { transaction, _abandoned: database.abandoned.clone() })
    }

    pub(super) fn open_table<'t, K: Key + 'static, V: Value + 'static>(
        &'t self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<GuardedTable<'t, K, V>, redb::TableError> {
        Ok(Guarded::new(self.transaction.open_table(definition)?))
    }

    pub(super) fn commit(self) -> Result<(), redb::CommitError> {
        self.transaction.into_inner().commit()
    }
}

impl Deref for GuardedWrite {
    type Target = WriteTransaction;

    fn deref(&self) -> &WriteTransaction {
        &self.transaction
    }
}

impl DerefMut for GuardedWrite {
    fn deref_mut(&mut self) -> &mut WriteTransaction {
        &mut self.transaction
    }
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
