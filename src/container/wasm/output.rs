//! What a guest writes: log lines under the chaincode's name, and the text of a panic.

use tracing::Level;

use super::config::Limits;

/// Bytes of standard error kept to explain a trap.
const LAST_WORDS: usize = 4 << 10;

/// One transaction's output.
#[derive(Default)]
pub(super) struct Output {
    lines: u32,
    last_words: Vec<u8>,
}

impl Output {
    /// One line into the peer's log. Past the limits the rest is dropped, which is said once.
    pub(super) fn log(&mut self, chaincode: &str, txid: &str, limits: &Limits, level: Level, message: &str) {
        self.lines += 1;
        if self.lines > limits.log_lines {
            if self.lines == limits.log_lines + 1 {
                tracing::warn!(
                    target: "chaincode", chaincode, txid,
                    "more than {} log lines in one transaction, the rest is dropped (chaincode.wasm.limits.logLines)",
                    limits.log_lines
                );
            }
            self.lines = limits.log_lines + 1;
            return;
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
    }

    /// Standard error: kept, up to a limit, as the guest's last words.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let room = LAST_WORDS - self.last_words.len();
        self.last_words.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What the guest wrote to standard error, trimmed; none if nothing.
    pub(super) fn last_words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.last_words).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}
