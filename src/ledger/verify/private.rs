//! Private data against the hashes that everybody has. What a peer has of it no block says, so nothing is replayed.
//!
//! Invariant: each write of a valid transaction to a collection is kept, among the missing, or expired.

use std::collections::BTreeMap;

use redb::{ReadableTable, ReadableTableMetadata};
use selvedge_proto::DecodeAsGo;
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::TxValidationCode;

use super::VerifyReport;
use super::replay::Replay;
use crate::ledger::LedgerError;
use crate::ledger::collections::expiring_block;
use crate::ledger::private_commit::{CollectionsBefore, written_collections};
use crate::ledger::private_expiry::{KEYS, KeyEnd, SetEnd};
use crate::ledger::private_rwset::digest;
use crate::ledger::private_store::private_key;
use crate::ledger::state::{CommittedState, Space, StateRow, Version};
use crate::ledger::store::Snapshot;
use crate::ledger::transaction::BlockTransaction;

/// Compares the sets of a block with what its transactions say. `before` is the state before the block.
pub(super) fn verify_sets(
    snapshot: &Snapshot,
    number: u64,
    envelopes: &[bytes::Bytes],
    codes: &[TxValidationCode],
    before: &Replay<'_>,
    report: &mut VerifyReport,
) -> Result<(), LedgerError> {
    let mut collections = CollectionsBefore::default();
    for (tx, (envelope, code)) in (0..).zip(envelopes.iter().zip(codes)) {
        let Some(transaction) = BlockTransaction::decode(envelope) else { continue };
        for written in written_collections(&transaction) {
            let (chaincode, collection) = (written.chaincode.as_str(), written.collection.as_str());
            let place = (number, tx, chaincode, collection);
            let mut differs = |what: &str| {
                report.differs(|| {
                    format!("block {number}: transaction {tx}'s private data of {chaincode}/{collection} {what}")
                });
            };
            let kept = snapshot.private_sets.get(place)?;
            if kept.as_ref().is_some_and(|set| digest(set.value()) != written.hash) {
                differs("is not what the block has the hash of");
            } else if let Some(set) = &kept
                && lacks_a_value(snapshot, (number, tx), (chaincode, collection), set.value())?
            {
                differs("is kept, and a value of it that is the newest of its key is not");
            }
            collections.look_up(chaincode, before)?;
            let Some(config) = collections.get(chaincode, collection) else { continue };
            let known = kept.is_some() || snapshot.missing_sets.get(place)?.is_some();
            let end = expiring_block(config, number);
            let expired = end.is_some_and(|end| end < snapshot.tip.height);
            if *code == TxValidationCode::Valid && !expired && !known {
                differs("is neither kept nor among the missing");
            }
            let scheduled = |end| snapshot.set_expiry.get((end, number, tx, chaincode, collection));
            if let Some(end) = end
                && known
                && (expired || scheduled(end)?.is_none())
            {
                differs("has no end, or is there after it");
            }
        }
    }
    Ok(())
}

/// Whether the private state lacks a value of a kept set whose hash nobody has written since.
fn lacks_a_value(
    snapshot: &Snapshot,
    (block, tx): (u64, u64),
    (chaincode, collection): (&str, &str),
    set: &[u8],
) -> Result<bool, LedgerError> {
    // The commit takes up no value of a set that does not decode.
    let set = KvrwSet::decode_as_go(bytes::Bytes::copy_from_slice(set)).unwrap_or_default();
    let writes = set.writes.into_iter().map(|write| (write.key, !(write.is_delete || write.value.is_empty())));
    // Of two writes of a key the last one counts.
    for (key, is_there) in writes.collect::<BTreeMap<_, _>>() {
        let hash = Space { namespace: chaincode, collection }.table_key(&digest(key.as_bytes()));
        if is_there && snapshot.version(&hash)? == Some(Version { block, tx }) {
            let value = snapshot.private_value(&private_key(chaincode, collection, &key))?;
            if value.is_none_or(|value| value.version != Version { block, tx }) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Compares each value with the hash of its key, where both are of one transaction. An older value is one whose successor
/// never came.
pub(super) fn verify_values(snapshot: &Snapshot, report: &mut VerifyReport) -> Result<(), LedgerError> {
    for row in snapshot.private_state.range::<&[u8]>(..)? {
        let (key, row) = row?;
        let hashed = snapshot.get(&hash_of(key.value()))?;
        // The key is private too.
        let mut names = key.value().splitn(3, |byte| *byte == 0).map(|name| name.escape_ascii().to_string());
        let (chaincode, collection) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let Ok(value) = StateRow::decode(row.value()) else {
            report.differs(|| format!("a private value of {chaincode}/{collection} is none"));
            continue;
        };
        if hashed.is_some_and(|hashed| hashed.version == value.version && hashed.value != digest(value.value)) {
            let version = value.version;
            report.differs(|| {
                let (block, tx) = (version.block, version.tx);
                format!("a private value of {chaincode}/{collection}, version {block}.{tx}, is not what its hash says")
            });
        }
    }
    Ok(())
}

/// Compares when hashes end. Plain keys are not in the blocks; those that are here have to be of their hashes.
pub(super) fn verify_schedule(
    snapshot: &Snapshot,
    blocks: &Replay<'_>,
    report: &mut VerifyReport,
) -> Result<(), LedgerError> {
    let theirs = blocks.transaction.open_table(KEYS)?;
    let (ours, expected) = (snapshot.key_expiry.len()?, theirs.len()?);
    if ours != expected {
        report.differs(|| format!("{ours} hashes of private data have an end in the ledger, {expected} by the blocks"));
    }
    for row in snapshot.key_expiry.range::<KeyEnd>(..)? {
        let (end, plain) = row?;
        let (block, committed, hash) = end.value();
        let plain = plain.value();
        if theirs.get(end.value())?.is_none() || !(plain.is_empty() || hash_of(plain) == hash) {
            report.differs(|| format!("a hash of block {committed} does not end with block {block} by the blocks"));
        }
    }
    for row in snapshot.set_expiry.range::<SetEnd>(..)? {
        let (key, ()) = (row?.0, ());
        let (block, committed, tx, chaincode, collection) = key.value();
        let place = (committed, tx, chaincode, collection);
        if snapshot.private_sets.get(place)?.is_none() && snapshot.missing_sets.get(place)?.is_none() {
            report.differs(|| {
                format!(
                    "private data of transaction {tx} of block {committed} ends with block {block} and is not there"
                )
            });
        }
    }
    Ok(())
}

/// The key of the state for a key of the private state.
fn hash_of(plain: &[u8]) -> Vec<u8> {
    let mut parts = plain.splitn(3, |byte| *byte == 0);
    let name = |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).into_owned();
    let (chaincode, collection) = (name(parts.next()), name(parts.next()));
    let space = Space { namespace: &chaincode, collection: &collection };
    space.table_key(&digest(parts.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use crate::ledger::VerifyReport;
    use crate::ledger::private_store::{MISSING_SETS, PRIVATE_SETS, PRIVATE_STATE, private_key};
    use crate::ledger::private_testing::{CHAINCODE, PrivateChannel, collection};
    use crate::ledger::state::{StateValue, Version};

    fn verify(channel: &PrivateChannel) -> VerifyReport {
        channel.channel.ledger.verify(&std::env::temp_dir(), |_| ()).unwrap()
    }

    /// Block 2 has `k` in `a`, and `e` in `short`, which is gone; block 3 misses `m`.
    fn channel() -> PrivateChannel {
        let channel = PrivateChannel::new(vec![collection("a", 0), collection("short", 1)]);
        channel.commit(vec![channel.put("t", "a", "k", "v"), channel.put("u", "short", "e", "v")]);
        let lost = channel.put("l", "a", "m", "v");
        channel.transient.purge_by_txids("testchannel", &["l".to_owned()]).unwrap();
        channel.commit(vec![lost]);
        channel.commit(vec![channel.put("w", "short", "e", "later")]);
        channel
    }

    #[test]
    fn a_ledger_with_private_data_expired_and_missing_is_good() {
        let channel = channel();
        assert_eq!(verify(&channel).differences, [""; 0]);
        channel.commit(vec![]);
        channel.commit(vec![]);
        assert!(!channel.has_hash("short", "e"));
        assert_eq!(verify(&channel).differences, [""; 0]);
    }

    #[test]
    fn a_private_value_that_is_gone_or_old_is_found() {
        let channel = channel();
        let old = StateValue { version: Version { block: 1, tx: 0 }, metadata: "".into(), value: "v".into() }.encode();
        for row in [Some(old), None] {
            let damage = channel.channel.ledger.database.begin_write().unwrap();
            {
                let key = private_key(CHAINCODE, "a", "k");
                let mut values = damage.open_table(PRIVATE_STATE).unwrap();
                match row {
                    Some(row) => drop(values.insert(&key[..], &row[..]).unwrap()),
                    None => drop(values.remove(&key[..]).unwrap()),
                }
            }
            damage.commit().unwrap();
            // The next block's snapshot sees it.
            channel.commit(vec![]);
            assert_eq!(
                verify(&channel).differences,
                [
                    "block 2: transaction 0's private data of cc/a is kept, and a value of it that is the newest of its key is not"
                ]
            );
        }
    }

    #[test]
    fn private_data_that_is_not_what_the_blocks_say_is_found() {
        let channel = channel();
        let ledger = &channel.channel.ledger;
        let damage = ledger.database.begin_write().unwrap();
        {
            let forged = StateValue { version: Version { block: 2, tx: 0 }, metadata: "".into(), value: "x".into() };
            let mut values = damage.open_table(PRIVATE_STATE).unwrap();
            values.insert(&private_key(CHAINCODE, "a", "k")[..], &forged.encode()[..]).unwrap();
            damage.open_table(PRIVATE_SETS).unwrap().insert((2, 0, CHAINCODE, "a"), &b"x"[..]).unwrap();
            damage.open_table(MISSING_SETS).unwrap().remove((3, 0, CHAINCODE, "a")).unwrap();
        }
        damage.commit().unwrap();
        // The next block's snapshot sees it.
        channel.commit(vec![]);
        assert_eq!(
            verify(&channel).differences,
            [
                "block 2: transaction 0's private data of cc/a is not what the block has the hash of",
                "block 3: transaction 0's private data of cc/a is neither kept nor among the missing",
                "a private value of cc/a, version 2.0, is not what its hash says",
            ]
        );
    }
}
