//! Reads what a chaincode in another process sends (Fabric: `Handler.ProcessStream`).
//!
//! It never waits for what it reads to be answered: a request that takes time runs beside it and ends with the stream. It
//! waits only for a chaincode that does not take its answers, or that has more requests in work than any peer has
//! transactions. Invariant: however a stream ends, the Handler is told, once.

use std::sync::Arc;

use prost::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic::{Status, Streaming};
use tracing::{debug, error};

use super::super::PeerEnd;
use super::Outbox;

/// Requests of one stream in work at a time. A transaction has one, so nobody honest meets it.
const IN_WORK: usize = 16_384;

/// Who may register on one stream. The Handler is asked after it, and refuses in its own way.
pub(crate) trait Admission: Send {
    /// Why the chaincode must not send this, if so: the stream ends with it. It sees every message, before the Handler does.
    fn refusal(&mut self, message: &ChaincodeMessage) -> Option<Status>;
}

/// The id that a message registers; none where it is another message, or cannot be read, which is the Handler's to refuse.
pub(crate) fn registers(message: &ChaincodeMessage) -> Option<String> {
    if message.r#type() != Type::Register {
        return None;
    }
    Some(ChaincodeId::decode(message.payload.clone()).ok()?.name)
}

/// The peer's end of a stream that is being read.
pub(crate) struct Reader<A> {
    peer: Arc<dyn PeerEnd>,
    admission: A,
}

impl<A: Admission> Reader<A> {
    /// Of a stream whose peer's end this is.
    pub(crate) fn new(peer: Arc<dyn PeerEnd>, admission: A) -> Self {
        Self { peer, admission }
    }

    /// Reads until the stream ends, and has requests worked on at `work`. Returns why the stream ended, or what the chaincode
    /// is to be told about it; none where the chaincode ended it. Dropping the future ends the stream.
    pub(crate) async fn read(
        mut self,
        mut messages: Streaming<ChaincodeMessage>,
        outbox: &Outbox,
        work: &Handle,
    ) -> Option<Status> {
        let mut requests = JoinSet::new();
        loop {
            // Only so that the set does not grow; a request answers for itself, and its end need not wake this task.
            while requests.try_join_next().is_some() {}
            if requests.len() >= IN_WORK {
                requests.join_next().await;
                continue;
            }
            // What the peer does at once it does here, beside what else this thread serves.
            tokio::task::coop::consume_budget().await;
            outbox.room().await;
            let message = messages.message().await;
            if let Ok(Some(message)) = &message
                && let Some(refusal) = self.admission.refusal(message)
            {
                return Some(refusal);
            }
            match message.map(|message| message.map(|message| self.peer.receive(message))) {
                Ok(Some(Ok(Some(request)))) => drop(requests.spawn_on(request, work)),
                Ok(Some(Ok(None))) => {}
                Ok(Some(Err(end))) => {
                    error!("{end}");
                    return Some(Status::unknown(end.to_string()));
                }
                Ok(None) => {
                    debug!("received EOF, ending chaincode support stream");
                    return None;
                }
                Err(failure) => {
                    let failure = format!("receive failed: {}", reason(&failure));
                    error!("handling chaincode support stream: {failure}");
                    return Some(Status::unknown(failure));
                }
            }
        }
    }
}

impl<A> Drop for Reader<A> {
    fn drop(&mut self) {
        self.peer.closed();
    }
}

/// What became of a stream, in one line: the transport's reasons stand behind the status, each behind the one before. A
/// status that is one of them shows all of its parts and has nothing to add.
fn reason(status: &Status) -> String {
    let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    let mut text = status.message().to_owned();
    for cause in causes.map(ToString::to_string).filter(|cause| !cause.starts_with("code: ")) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_stream_is_told_in_a_line() {
        let lost = Status::from_error(Box::new(std::io::Error::other("stream closed because of a broken pipe")));
        assert_eq!(reason(&lost), "stream closed because of a broken pipe");
        let told = Status::from_error(Box::new(lost));
        assert_eq!(reason(&told), "stream closed because of a broken pipe");
        assert_eq!(reason(&Status::cancelled("operation was canceled")), "operation was canceled");
    }
}
