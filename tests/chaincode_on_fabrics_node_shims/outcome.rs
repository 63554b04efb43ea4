//! What a call came to, in one line that says all of it and nothing of where it ran.

use std::fmt::Write;

use selvedge_proto::Message;
use selvedge_proto::kvrwset::range_query_info::ReadsInfo;
use selvedge_proto::kvrwset::{HashedRwSet, KvWrite, KvrwSet, RangeQueryInfo};
use selvedge_proto::protos::{ChaincodeAction, ChaincodeEvent, ProposalResponse, ProposalResponsePayload};
use selvedge_proto::rwset::{NsReadWriteSet, TxReadWriteSet};

/// Keys of which all are named.
const FEW: usize = 6;
/// Bytes of a value that is shown.
const SHORT: usize = 40;

/// `payload`, or `! message`; then the status where it is neither 200 nor 500, the event, and what was read and written in
/// these namespaces.
pub(crate) fn outcome(answer: &ProposalResponse, namespaces: &[&str]) -> anyhow::Result<String> {
    let response = answer.response.clone().unwrap_or_default();
    let payload = String::from_utf8_lossy(&response.payload);
    let mut line = if response.status < 400 { payload.into_owned() } else { format!("! {}", response.message) };
    if ![200, 500].contains(&response.status) {
        write!(line, " | status {} {}", response.status, response.message)?;
    }
    if answer.endorsement.is_none() {
        return Ok(line);
    }
    let action = ChaincodeAction::decode(ProposalResponsePayload::decode(answer.payload.clone())?.extension)?;
    let event = ChaincodeEvent::decode(action.events)?;
    if !event.event_name.is_empty() {
        let payload = String::from_utf8_lossy(&event.payload);
        write!(line, " | event {}.{}={payload} in {}", event.chaincode_id, event.event_name, event.tx_id)?;
    }
    let sets = TxReadWriteSet::decode(action.results)?.ns_rwset;
    for (index, namespace) in namespaces.iter().enumerate() {
        let set = sets.iter().find(|set| set.namespace == *namespace);
        match (set, index) {
            (Some(set), 0) => write!(line, " |{}", results(set)?)?,
            (None, 0) => line += " | nothing",
            (Some(set), _) => write!(line, " | {namespace}:{}", results(set)?)?,
            (None, _) => {}
        }
    }
    Ok(line)
}

fn results(set: &NsReadWriteSet) -> anyhow::Result<String> {
    let public = KvrwSet::decode(set.rwset.clone())?;
    let mut parts = String::new();
    let list = |name: &str, entries: Vec<String>| match entries.len() {
        0 => String::new(),
        1..=FEW => format!(" {name}[{}]", entries.join(" ")),
        count => format!(" {name}[{count}: {}..{}]", entries[0], entries[count - 1]),
    };
    parts += &list("r", public.reads.iter().map(|read| shown(&read.key)).collect());
    parts += &list("q", public.range_queries_info.iter().map(range).collect());
    parts += &list("w", public.writes.iter().map(write_of).collect());
    parts += &list("m", public.metadata_writes.iter().map(|write| shown(&write.key)).collect());
    for collection in &set.collection_hashed_rwset {
        let hashed = HashedRwSet::decode(collection.hashed_rwset.clone())?;
        let counts = [hashed.hashed_reads.len(), hashed.hashed_writes.len(), hashed.metadata_writes.len()];
        write!(parts, " {}(r{} w{} m{})", collection.collection_name, counts[0], counts[1], counts[2])?;
    }
    Ok(parts)
}

fn write_of(write: &KvWrite) -> String {
    let key = shown(&write.key);
    match write.value.len() {
        _ if write.is_delete => format!("{key} deleted"),
        length @ SHORT.. => format!("{key}={length} bytes"),
        _ => format!("{key}={}", String::from_utf8_lossy(&write.value)),
    }
}

/// Whether the rows are listed or hashed, and whether the query was read to its end: what phantoms are found by.
fn range(query: &RangeQueryInfo) -> String {
    let rows = match &query.reads_info {
        None => "none".to_owned(),
        Some(ReadsInfo::RawReads(reads)) => format!("{} listed", reads.kv_reads.len()),
        Some(ReadsInfo::ReadsMerkleHashes(summary)) => {
            format!("{}x{} hashed", summary.max_level, summary.max_level_hashes.len())
        }
    };
    let end = if query.itr_exhausted { "all" } else { "part" };
    format!("{}..{} {rows} {end}", shown(&query.start_key), shown(&query.end_key))
}

/// A composite key with its separators visible.
fn shown(key: &str) -> String {
    key.replace('\0', "~").replace(char::MAX, "^")
}
