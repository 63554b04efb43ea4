//! Whether what a transaction read still holds (Fabric: `validator/valimpl/statebasedval`).
//!
//! Invariant: the verdict depends on the committed state and on the valid transactions before it in the block alone, so
//! every peer comes to the same.

use std::cmp::Ordering;
use std::ops::Bound;

use selvedge_proto::kvrwset::range_query_info::ReadsInfo;
use selvedge_proto::kvrwset::{self, KvRead, RangeQueryInfo};
use selvedge_proto::protos::TxValidationCode;

use super::LedgerError;
use super::range_query::RangeQueryReads;
use super::state::{CommittedState, Space, Version, public_key, public_range_end};
use super::transaction::NamespaceRwSet;
use super::updates::{Update, UpdateBatch};

/// Judges a transaction against the committed state and the updates of the block so far.
///
/// # Errors
/// When the state cannot be read; that says nothing about the transaction.
pub(super) fn check(
    sets: &[NamespaceRwSet],
    committed: &impl CommittedState,
    updates: &UpdateBatch,
) -> Result<TxValidationCode, LedgerError> {
    for set in sets {
        if !may_exist(set) {
            return Ok(TxValidationCode::IllegalWriteset);
        }
        let space = Space::public(&set.namespace);
        for read in &set.public.reads {
            if !still_holds(space, read.key.as_bytes(), read.version.as_ref(), committed, updates)? {
                return Ok(TxValidationCode::MvccReadConflict);
            }
        }
        for query in &set.public.range_queries_info {
            if !same_rows(&set.namespace, query, committed, updates)? {
                return Ok(TxValidationCode::PhantomReadConflict);
            }
        }
        for (collection, hashed) in &set.collections {
            let space = Space { namespace: &set.namespace, collection };
            for read in &hashed.hashed_reads {
                if !still_holds(space, &read.key_hash, read.version.as_ref(), committed, updates)? {
                    return Ok(TxValidationCode::MvccReadConflict);
                }
            }
        }
    }
    Ok(TxValidationCode::Valid)
}

/// A forged set could otherwise write where the configuration is (the empty namespace), or, with a NUL in a name, into
/// another chaincode's keys.
fn may_exist(set: &NamespaceRwSet) -> bool {
    let name = |name: &str| !name.is_empty() && !name.contains('\0');
    let writes = !set.public.writes.is_empty() || !set.public.metadata_writes.is_empty() || !set.collections.is_empty();
    (name(&set.namespace) || !writes) && set.collections.iter().all(|(collection, _)| name(collection))
}

fn still_holds(
    space: Space<'_>,
    key: &[u8],
    version: Option<&kvrwset::Version>,
    committed: &impl CommittedState,
    updates: &UpdateBatch,
) -> Result<bool, LedgerError> {
    if updates.get(space, key).is_some() {
        return Ok(false);
    }
    Ok(committed.version(&space.table_key(key))? == version.map(Version::from))
}

fn same_rows(
    namespace: &str,
    query: &RangeQueryInfo,
    committed: &impl CommittedState,
    updates: &UpdateBatch,
) -> Result<bool, LedgerError> {
    match &query.reads_info {
        Some(ReadsInfo::ReadsMerkleHashes(summary)) => {
            // A degree below 2 is forged: no tree has it, and re-running with it would never end.
            if summary.max_degree < 2 {
                return Ok(false);
            }
            let mut reads = RangeQueryReads::new(summary.max_degree);
            for_each_row(namespace, query, committed, updates, |read| {
                reads.add(read);
                true
            })?;
            Ok(reads.finish().as_ref() == query.reads_info.as_ref())
        }
        raw => {
            let reads = match raw {
                Some(ReadsInfo::RawReads(raw)) => raw.kv_reads.as_slice(),
                _ => &[],
            };
            let mut expected = reads.iter();
            let complete = for_each_row(namespace, query, committed, updates, |read| expected.next() == Some(&read))?;
            Ok(complete && expected.next().is_none())
        }
    }
}

/// Walks over the rows that the query would have now. Ends early, with false, when `visit` says so.
fn for_each_row(
    namespace: &str,
    query: &RangeQueryInfo,
    committed: &impl CommittedState,
    updates: &UpdateBatch,
    mut visit: impl FnMut(KvRead) -> bool,
) -> Result<bool, LedgerError> {
    let (start, end) = (query.start_key.as_bytes(), query.end_key.as_bytes());
    let from = public_key(namespace, start);
    let to = public_range_end(namespace, &query.end_key);
    let prefix = namespace.len() + 1;
    let mut old = committed.range(&from, Bound::Excluded(&to))?;
    let mut new = updates.range(namespace, start, end);
    let (mut next_old, mut next_new) = (old.next().transpose()?, new.next());
    loop {
        let order = match (&next_old, &next_new) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old[prefix..].cmp(new),
        };
        let row = if order.is_lt() {
            next_old.take().map(|(key, version)| (key[prefix..].to_vec(), version))
        } else {
            match next_new.take() {
                Some((key, Update::Put(value))) => Some((key.to_vec(), value.version)),
                _ => None,
            }
        };
        if let Some((key, version)) = row {
            let key = String::from_utf8(key).map_err(|_| LedgerError::Corrupted("a key that is not UTF-8".into()))?;
            if !visit(KvRead { key, version: Some(version.into()) }) {
                return Ok(false);
            }
        }
        if order.is_le() {
            next_old = old.next().transpose()?;
        }
        if order.is_ge() {
            next_new = new.next();
        }
    }
    if query.itr_exhausted {
        return Ok(true);
    }
    // Where the chaincode stopped early, the end is the last row that it saw. As in Fabric it comes last, wherever a
    // forged query has it.
    let version = match updates.get(Space::public(namespace), end) {
        Some(Update::Put(value)) => Some(value.version),
        Some(Update::Delete(_)) => None,
        None => committed.version(&public_key(namespace, end))?,
    };
    let row = version.map(|version| KvRead { key: query.end_key.clone(), version: Some(version.into()) });
    Ok(row.is_none_or(visit))
}

#[cfg(test)]
mod tests;
