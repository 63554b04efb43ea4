//! What a client of Deliver asks for (Fabric: `common/deliver`, `Handler.deliverBlocks`).
//!
//! Invariant: a request is judged in Fabric's order, because clients tell the statuses apart.

use std::time::{Duration, SystemTime};

use prost::Message;
use selvedge_proto::common::{ChannelHeader, Envelope, Status};
use selvedge_proto::orderer::seek_info::SeekBehavior;
use selvedge_proto::orderer::seek_position::Type as Position;
use selvedge_proto::orderer::{SeekInfo, SeekPosition};

use crate::ledger::transaction::BlockTransaction;

/// The blocks that a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub first: u64,
    /// `u64::MAX` never comes.
    pub last: u64,
    pub behavior: SeekBehavior,
}

/// The channel header and the data of a request, if it was made within `window` of now.
pub(super) fn open(envelope: &Envelope, window: Duration, now: SystemTime) -> Result<BlockTransaction, Refusal> {
    let request = BlockTransaction::from_envelope(envelope).ok_or(Refusal::bad("it is not an envelope"))?;
    if !is_fresh(&request.header, window, now) {
        return Err(Refusal::bad("its timestamp is missing or too far from the node's time"));
    }
    Ok(request)
}

fn is_fresh(header: &ChannelHeader, window: Duration, now: SystemTime) -> bool {
    let Some(timestamp) = header.timestamp else { return false };
    let Ok(then) = SystemTime::try_from(timestamp) else { return false };
    let apart = match now.duration_since(then) {
        Ok(apart) => apart,
        Err(ahead) => ahead.duration(),
    };
    apart <= window
}

/// What a request asks for; whether it makes sense, [`span`] says.
pub(super) fn info(request: &BlockTransaction) -> Result<SeekInfo, Refusal> {
    SeekInfo::decode(request.data.clone()).map_err(|_| Refusal::bad("it holds no seek info"))
}

/// Works out the span over a chain of `height` blocks.
pub(super) fn span(seek: &SeekInfo, height: u64) -> Result<Span, Refusal> {
    let behavior = seek.behavior();
    let (Some(start), Some(stop)) = (position(seek.start.as_ref()), position(seek.stop.as_ref())) else {
        return Err(Refusal::bad("it has no start or no stop"));
    };
    let newest = height.saturating_sub(1);
    let first = match &start {
        Position::Oldest(_) => 0,
        Position::Newest(_) => newest,
        // Fabric waits for the next block, but for none after that.
        Position::Specified(at) if at.number > height => {
            let reason = format!("it starts at block {}, the next one is {height}", at.number);
            return Err(Refusal::new(Status::NotFound, reason));
        }
        Position::Specified(at) => at.number,
        Position::NextCommit(_) => height,
    };
    let last = match &stop {
        // Newest to newest is one block, even when another comes in between.
        stop if *stop == start => first,
        Position::Oldest(_) => first,
        Position::Newest(_) => newest,
        Position::Specified(at) => at.number,
        Position::NextCommit(_) => height,
    };
    if last < first {
        return Err(Refusal::bad("its stop is before its start"));
    }
    Ok(Span { first, last, behavior })
}

fn position(position: Option<&SeekPosition>) -> Option<Position> {
    position?.r#type
}

/// Letters of a reason that the log shows. Names and hashes in it are the client's, and nobody has looked at the client's
/// signature yet; a request has up to 4 MiB of them.
pub(super) const LONGEST_REASON: usize = 1000;

/// A status that ends the stream, and the reason for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: Status,
    pub reason: String,
}

impl Refusal {
    pub(super) fn new(status: Status, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(LONGEST_REASON) {
            reason.truncate(end);
            reason.push_str(" ...");
        }
        Self { status, reason }
    }

    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(Status::BadRequest, reason)
    }
}
