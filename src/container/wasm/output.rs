//! What a guest writes: log lines under the chaincode's name, and the text of a panic.

use tracing::Level;

use super::config::Limits;
use crate::container::Budget;

/// Bytes of standard error kept to explain a trap: the last ones.
const LAST_WORDS: usize = 4 << 10;

/// One transaction's output.
#[derive(Default)]
pub(super) struct Output {
    last_words: Vec<u8>,
}

impl Output {
    /// One line into the peer's log; returns what went there. Past the limits the rest is dropped, which is said once.
    pub(super) fn log<'a>(
        &self,
        chaincode: &str,
        txid: &str,
        budget: &Budget,
        limits: &Limits,
        level: Level,
        message: &'a str,
    ) -> Option<&'a str> {
        let before = budget.log_line();
        if before >= limits.log_lines {
            if before == limits.log_lines {
                tracing::warn!(
                    target: "chaincode", chaincode, txid,
                    "more than {} log lines in one transaction, the rest is dropped (chaincode.wasm.limits.logLines)",
                    limits.log_lines
                );
            }
            return None;
        }
        let mut end = message.len().min(limits.log_line);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let line = &message[..end];
        match level {
            Level::ERROR => tracing::error!(target: "chaincode", chaincode, txid, "{line}"),
            Level::WARN => tracing::warn!(target: "chaincode", chaincode, txid, "{line}"),
            Level::INFO => tracing::info!(target: "chaincode", chaincode, txid, "{line}"),
            Level::DEBUG => tracing::debug!(target: "chaincode", chaincode, txid, "{line}"),
            Level::TRACE => tracing::trace!(target: "chaincode", chaincode, txid, "{line}"),
        }
        Some(line)
    }

    /// Standard error: its end is kept as the guest's last words.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
        let excess = (self.last_words.len() + bytes.len()).saturating_sub(LAST_WORDS);
        self.last_words.drain(..excess);
        self.last_words.extend_from_slice(bytes);
    }

    /// What the guest wrote to standard error, trimmed; none if nothing.
    pub(super) fn last_words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.last_words).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What stands in the log after these lines.
    fn logged(limits: &Limits, budget: &Budget, lines: &[&str]) -> Vec<String> {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            for line in lines {
                let _ = Output::default().log("cc", "tx", budget, limits, Level::INFO, line);
            }
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let limits = Limits { log_line: 4, ..Limits::default() };
        let lines = logged(&limits, &Budget::root(Instant::now(), None), &["abc\u{e9}", "abcdef"]);
        assert!(lines[0].contains(": abc "), "{lines:?}");
        assert!(lines[1].contains(": abcd "), "{lines:?}");
    }

    #[test]
    fn the_lines_of_all_executions_count_and_the_first_too_many_says_so() {
        let limits = Limits { log_lines: 3, ..Limits::default() };
        let budget = Budget::root(Instant::now(), None);
        assert_eq!(logged(&limits, &budget, &["1", "2"]).len(), 2);
        let rest = logged(&limits, &budget.nested(), &["3", "4", "5", "6"]);
        assert_eq!(rest.len(), 2, "{rest:?}");
        assert!(rest[1].contains("chaincode.wasm.limits.logLines"), "{rest:?}");
    }

    #[test]
    fn the_last_words_are_the_last() {
        let mut output = Output::default();
        assert_eq!(output.last_words(), None);
        output.keep(&[b'a'; 3 * LAST_WORDS]);
        output.keep(b"the end");
        let words = output.last_words().unwrap();
        assert!(words.len() == LAST_WORDS && words.ends_with("aaathe end"));
    }
}
