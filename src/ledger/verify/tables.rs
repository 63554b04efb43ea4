//! Two databases, table by table and row by row.
//!
//! Invariant: every row of either is looked at once, in the order of the table.

use std::cmp::Ordering;

use redb::{Key, ReadOnlyTable, ReadableTable, ReadableTableMetadata, Value};

use super::replay::Replay;
use super::{VerifyProgress, VerifyReport};
use crate::ledger::LedgerError;
use crate::ledger::state::StateRow;
use crate::ledger::store::Snapshot;

/// Rows between two reports of progress.
const STRIDE: u64 = 1 << 12;

/// Compares what the ledger holds with what the blocks come to.
pub(super) fn compare(
    ledger: &Snapshot,
    blocks: &Replay<'_>,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<(), LedgerError> {
    report.keys = ledger.state.len()?;
    report.modifications = ledger.history.len()?;
    let of = report.keys + report.modifications + ledger.transactions.len()?;
    let mut rows = Rows { done: 0, of, report, progress };
    rows.compare(&ledger.transactions, &*blocks.transactions, transaction, place)?;
    rows.compare(&ledger.state, &*blocks.state, state_key, state_row)?;
    rows.compare(&ledger.history, &*blocks.history, modification, |()| "there".into())?;
    (rows.progress)(VerifyProgress::Rows { done: of, of });
    Ok(())
}

fn transaction(txid: &str) -> String {
    format!("the index of transaction {txid}")
}

fn place((block, index, code): (u64, u32, u8)) -> String {
    format!("block {block}, transaction {index}, code {code}")
}

fn state_key(key: &[u8]) -> String {
    let namespace = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    let (namespace, key) = key.split_at(namespace);
    let key = key.get(1..).unwrap_or_default();
    format!("the state of {} key {:?}", namespace.escape_ascii(), String::from_utf8_lossy(key))
}

fn state_row(row: &[u8]) -> String {
    match StateRow::decode(row) {
        Ok(row) => {
            let (version, value, metadata) = (row.version, row.value.len(), row.metadata.len());
            format!("version {}.{}, {value} bytes and {metadata} of metadata", version.block, version.tx)
        }
        Err(_) => format!("{} bytes that are no value", row.len()),
    }
}

fn modification((namespace, key, block, tx): (&str, &str, u64, u64)) -> String {
    format!("the history of {namespace} key {key:?} in transaction {tx} of block {block}")
}

struct Rows<'a> {
    done: u64,
    of: u64,
    report: &'a mut VerifyReport,
    progress: &'a mut dyn FnMut(VerifyProgress),
}

impl Rows<'_> {
    fn compare<K: Key + 'static, V: Value + 'static>(
        &mut self,
        ledger: &ReadOnlyTable<K, V>,
        blocks: &impl ReadableTable<K, V>,
        key: impl for<'k> Fn(K::SelfType<'k>) -> String,
        value: impl for<'v> Fn(V::SelfType<'v>) -> String,
    ) -> Result<(), LedgerError> {
        let (mut ours, mut theirs) = (ledger.iter()?, blocks.iter()?);
        let (mut our, mut their) = (ours.next().transpose()?, theirs.next().transpose()?);
        loop {
            let order = match (&our, &their) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((our, _)), Some((their, _))) => {
                    let (our, their) = (our.value(), their.value());
                    K::compare(K::as_bytes(&our).as_ref(), K::as_bytes(&their).as_ref())
                }
            };
            match (order, &our, &their) {
                (Ordering::Less, Some((name, row)), _) => {
                    let (name, row) = (key(name.value()), value(row.value()));
                    self.report.differs(|| format!("{name}: the ledger has {row}, the blocks give none"));
                }
                (Ordering::Greater, _, Some((name, row))) => {
                    let (name, row) = (key(name.value()), value(row.value()));
                    self.report.differs(|| format!("{name}: the ledger has none, the blocks give {row}"));
                }
                (Ordering::Equal, Some((name, our)), Some((_, their))) => {
                    let (our, their) = (our.value(), their.value());
                    let same = V::as_bytes(&our).as_ref() == V::as_bytes(&their).as_ref();
                    if !same {
                        let (our, their) = (value(our), value(their));
                        let alike = if our == their { ", of other content" } else { "" };
                        let name = key(name.value());
                        self.report.differs(|| format!("{name}: the ledger has {our}, the blocks give {their}{alike}"));
                    }
                }
                _ => {}
            }
            if order.is_le() {
                our = ours.next().transpose()?;
                self.count();
            }
            if order.is_ge() {
                their = theirs.next().transpose()?;
            }
        }
    }

    fn count(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(STRIDE) {
            (self.progress)(VerifyProgress::Rows { done: self.done.min(self.of), of: self.of });
        }
    }
}
