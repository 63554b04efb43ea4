//! What a client of Deliver asks for (Fabric: `common/deliver`, `Handler.deliverBlocks`).
//!
//! Invariant: a request is judged in Fabric's order, because clients tell the statuses apart.

use std::time::{Duration, SystemTime};

use prost::Message;
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::SeekInfo;
use selvedge_proto::orderer::seek_info::SeekBehavior;
use selvedge_proto::orderer::seek_position::Type as Position;
use tracing::Level;

use crate::decode::is_fresh;
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

/// What a request asks for; whether it makes sense, [`span`] says.
pub(super) fn info(request: &BlockTransaction) -> Result<SeekInfo, Refusal> {
    SeekInfo::decode(request.data.clone()).map_err(|_| Refusal::bad("it holds no seek info"))
}

/// Works out the span over a chain of `height` blocks.
pub(super) fn span(seek: &SeekInfo, height: u64) -> Result<Span, Refusal> {
    let behavior = seek.behavior();
    let (Some(start), Some(stop)) = (&seek.start, &seek.stop) else {
        return Err(Refusal::bad("it has no start or no stop"));
    };
    let nowhere = |reason: String| Refusal::new(Status::NotFound, reason);
    let newest = height.saturating_sub(1);
    let first = match &start.r#type {
        Some(Position::Oldest(_)) => 0,
        Some(Position::Newest(_)) => newest,
        // Fabric waits for the next block, but for none after that.
        Some(Position::Specified(at)) if at.number > height => {
            return Err(nowhere(format!("it starts at block {}, the next one is {height}", at.number)));
        }
        Some(Position::Specified(at)) => at.number,
        // Fabric 2.x; to 1.4 a start of no kind.
        Some(Position::NextCommit(_)) => height,
        None => return Err(nowhere("it has a start of no kind".into())),
    };
    let last = match &stop.r#type {
        // Newest to newest is one block, even when another comes in between.
        _ if stop == start => first,
        Some(Position::Oldest(_)) => first,
        // Fabric looks for an end before the start only where that has a number, and else never comes to an end.
        Some(Position::Newest(_)) if newest < first => u64::MAX,
        Some(Position::Newest(_)) => newest,
        Some(Position::Specified(at)) if at.number < first => {
            return Err(Refusal::bad(format!("start number {first} greater than stop number {}", at.number)));
        }
        Some(Position::Specified(at)) => at.number,
        Some(Position::NextCommit(_)) => height,
        None => return Err(Refusal::bad("it has a stop of no kind")),
    };
    Ok(Span { first, last, behavior })
}

/// Letters of a reason that the log shows. Names and hashes in it are the client's, and nobody has looked at the client's
/// signature yet; a request has up to 4 MiB of them.
pub(super) const LONGEST_REASON: usize = 1000;

/// A status that ends the stream, and the reason for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: Status,
    pub reason: String,
    /// Clients ask for a channel again and again until it is there: as in Fabric, that is not worth a line.
    level: Level,
}

impl Refusal {
    pub(super) fn new(status: Status, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(LONGEST_REASON) {
            reason.truncate(end);
            reason.push_str(" ...");
        }
        Self { status, reason, level: Level::WARN }
    }

    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(Status::BadRequest, reason)
    }

    pub(super) fn no_channel(channel: &str) -> Self {
        Self { level: Level::DEBUG, ..Self::new(Status::NotFound, format!("channel {channel:?} is not served here")) }
    }

    pub(super) fn halted(channel: &str) -> Self {
        Self::new(Status::ServiceUnavailable, format!("the orderer of channel {channel} has stopped"))
    }

    pub(super) fn log(&self, resource: &str) {
        let Self { status, reason, .. } = self;
        match self.level {
            Level::DEBUG => tracing::debug!(resource, ?status, "{reason}"),
            _ => tracing::warn!(resource, ?status, "{reason}"),
        }
    }
}
