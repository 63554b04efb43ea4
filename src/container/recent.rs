//! The last lines that a chaincode wrote to its log, for whoever asks for them: the peer's own log, where it has them, has them
//! among everything else.
//!
//! Invariant: bounded memory, and a reader who is slow holds nobody up: it misses lines, and is told how many.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::container::{LogLines, LogRequest, VmError};

/// Bytes that are kept of one chaincode's log.
const KEPT: usize = 64 << 10;

/// Lines that wait for a reader.
const WAITING: usize = 256;

/// The end of one chaincode's log.
pub(super) struct RecentLines(Mutex<Recent>);

struct Recent {
    lines: VecDeque<String>,
    bytes: usize,
    /// Made for the first reader: most chaincodes never have one.
    readers: Option<broadcast::Sender<String>>,
}

impl Default for RecentLines {
    fn default() -> Self {
        Self(Mutex::new(Recent { lines: VecDeque::new(), bytes: 0, readers: None }))
    }
}

impl RecentLines {
    pub(super) fn push(&self, line: String) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(readers) = &recent.readers {
            // Nobody reads now.
            let _ = readers.send(line.clone());
        }
        recent.bytes += line.len();
        recent.lines.push_back(line);
        while recent.bytes > KEPT {
            let Some(first) = recent.lines.pop_front() else { break };
            recent.bytes -= first.len();
        }
    }

    /// Lines as they are asked for; those to come end when this is dropped.
    pub(super) fn read(&self, request: LogRequest) -> LogLines {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = recent.lines.len().saturating_sub(request.tail);
        let last: Vec<_> = recent.lines.iter().skip(skipped).cloned().map(Ok).collect();
        let last = tokio_stream::iter(last);
        if !request.follow {
            return Box::pin(last);
        }
        let reader = recent.readers.get_or_insert_with(|| broadcast::channel(WAITING).0).subscribe();
        let (sender, coming) = mpsc::channel(1);
        tokio::spawn(forward(reader, sender));
        Box::pin(last.chain(ReceiverStream::new(coming)))
    }
}

async fn forward(mut reader: broadcast::Receiver<String>, sender: mpsc::Sender<Result<String, VmError>>) {
    loop {
        let line = tokio::select! {
            line = reader.recv() => line,
            () = sender.closed() => return,
        };
        let line = match line {
            Ok(line) => line,
            Err(RecvError::Lagged(missed)) => {
                format!("({missed} lines are left out: they came faster than they were read)")
            }
            Err(RecvError::Closed) => return,
        };
        if sender.send(Ok(line)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_those_to_come_follow() {
        let log = RecentLines::default();
        for n in 0..10_000 {
            log.push(format!("line {n}"));
        }
        let kept: Vec<_> = log.read(LogRequest { tail: usize::MAX, follow: false, previous: false }).collect().await;
        assert!(kept.len() > 1_000 && kept.len() < 10_000, "{}", kept.len());
        assert_eq!(kept.last().unwrap().as_ref().unwrap(), "line 9999");

        let mut lines = log.read(LogRequest { tail: 2, follow: true, previous: false });
        log.push("new".into());
        for expected in ["line 9998", "line 9999", "new"] {
            assert_eq!(lines.next().await.unwrap().unwrap(), expected);
        }
        for n in 0..2 * WAITING {
            log.push(format!("{n}"));
        }
        let missed = lines.next().await.unwrap().unwrap();
        assert!(missed.contains("lines are left out"), "{missed}");
        drop(log);
        let rest = tokio::time::timeout(Duration::from_secs(10), lines.collect::<Vec<_>>()).await;
        assert_eq!(rest.expect("ends with the chaincode").len(), WAITING);
    }
}
