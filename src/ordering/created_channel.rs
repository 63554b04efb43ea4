//! What Deliver says of a channel that was made here and is not joined yet: its block 0, to its readers.
//!
//! Differs from Fabric, where the orderer of such a channel has a ledger and a stream waits for block 1: here the stream
//! ends with SERVICE_UNAVAILABLE instead, which clients answer by asking again.

use std::time::SystemTime;

use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::seek_info::SeekBehavior;
use tokio::sync::mpsc;

use super::CreatedChannel;
use super::deliver::{End, Form, Sent};
use super::processor::evaluate;
use super::seek::{self, Refusal, Span};
use crate::decode::envelope_creator;
use crate::ledger::transaction::BlockTransaction;
use crate::msp;

const READERS: &str = "/Channel/Readers";

pub(super) async fn answer<F: Form>(
    block: F::Response,
    created: &CreatedChannel,
    envelope: &Envelope,
    request: &BlockTransaction,
    responses: &mpsc::Sender<Sent<F::Response>>,
) -> Result<(), End> {
    let channel = request.header.channel_id.as_str();
    let info = seek::info(request)?;
    let Some(bundle) = &created.bundle else {
        return Err(Refusal::new(Status::ServiceUnavailable, format!("block 0 of channel {channel} is damaged")).into());
    };
    let creator = envelope_creator(envelope).or(Err(Refusal::bad("its signature header does not decode")))?;
    if msp::expires_at(&creator).is_some_and(|expiry| expiry <= SystemTime::now()) {
        return Err(Refusal::new(Status::Forbidden, "client identity expired").into());
    }
    evaluate(bundle, READERS, &creator, envelope).map_err(|refusal| Refusal::new(Status::Forbidden, refusal.info))?;
    let Span { first, last, behavior } = seek::span(&info, 1)?;
    if first == 0 {
        responses.send(Ok(block)).await.map_err(|_| End::Gone)?;
    }
    if last == 0 {
        return Ok(());
    }
    Err(match behavior {
        SeekBehavior::FailIfNotReady => Refusal::new(Status::NotFound, "block 1 does not exist yet"),
        _ => Refusal::new(Status::ServiceUnavailable, format!("channel {channel} has block 0 only until it is joined")),
    }
    .into())
}
