//! What containers write: line by line into the log, and the end of it into errors (Fabric: `dockercontroller.streamOutput`).
//!
//! Invariant: whatever a container writes, it takes bounded memory here and adds bounded lines to the log; and a line of it
//! cannot pass for one of the peer's, or steer the terminal of whoever reads it.

use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use tracing::Level;

/// A longer line is cut; as for wasm chaincode (`chaincode.wasm.limits.logLine`).
const MAX_LINE: usize = 8 << 10;
/// Lines that one container may log in [`WINDOW`]; the rest of them is counted and dropped.
const MAX_LINES: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(1);

/// How much of a container's output an error may hold: what fits into a screen.
pub(super) const TAIL: usize = 4 << 10;
/// The same in lines.
pub(super) const TAIL_LINES: usize = 20;

/// The log of one container, under `peer.chaincode.<container>`.
pub(super) struct ContainerLog {
    container: String,
    level: Level,
    lines: Lines,
    window: Instant,
    logged: u32,
    dropped: u64,
}

impl ContainerLog {
    /// Logs at `level`, which is INFO or DEBUG.
    pub(super) fn new(container: &str, level: Level) -> Self {
        let container = container.to_owned();
        Self { container, level, lines: Lines::default(), window: Instant::now(), logged: 0, dropped: 0 }
    }

    /// Takes a piece of output and logs the lines that it ends.
    pub(super) fn write(&mut self, from: Stream, bytes: &[u8]) {
        for line in self.lines.split(from, bytes) {
            self.log(&line);
        }
    }

    /// The container writes no more: logs what has no end of line.
    pub(super) fn close(mut self) {
        for rest in std::mem::take(&mut self.lines).rest() {
            self.log(&rest);
        }
        self.tell_dropped();
    }

    fn log(&mut self, line: &[u8]) {
        if self.window.elapsed() >= WINDOW {
            self.tell_dropped();
            (self.window, self.logged) = (Instant::now(), 0);
        }
        if self.logged == MAX_LINES {
            self.dropped += 1;
            return;
        }
        self.logged += 1;
        let (container, line) = (self.container.as_str(), plain(&String::from_utf8_lossy(line)));
        match self.level {
            Level::INFO => tracing::info!(target: "peer::chaincode", container, "{line}"),
            _ => tracing::debug!(target: "peer::chaincode", container, "{line}"),
        }
    }

    fn tell_dropped(&mut self) {
        let (container, dropped) = (self.container.as_str(), std::mem::take(&mut self.dropped));
        if dropped > 0 {
            let seconds = WINDOW.as_secs();
            tracing::warn!(
                target: "peer::chaincode", container,
                "{dropped} lines dropped: it wrote more than {MAX_LINES} in {seconds} s"
            );
        }
    }
}

/// Where a piece of output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    pub(super) fn of(piece: &LogOutput) -> Self {
        if matches!(piece, LogOutput::StdErr { .. }) { Self::Err } else { Self::Out }
    }
}

/// Output that becomes lines. A line is of one stream, however the pieces of the two come.
#[derive(Default)]
pub(super) struct Lines {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Lines {
    /// The lines that this piece ends, each with at most [`MAX_LINE`] bytes.
    pub(super) fn split(&mut self, from: Stream, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let begun = if from == Stream::Err { &mut self.err } else { &mut self.out };
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            keep(begun, &bytes[..end]);
            lines.push(std::mem::take(begun));
            bytes = &bytes[end + 1..];
        }
        keep(begun, bytes);
        lines
    }

    /// What has no end of line.
    pub(super) fn rest(self) -> impl Iterator<Item = Vec<u8>> {
        [self.out, self.err].into_iter().filter(|rest| !rest.is_empty())
    }
}

fn keep(begun: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX_LINE - begun.len();
    begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// The last of what a container wrote.
#[derive(Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let excess = (self.0.len() + bytes.len()).saturating_sub(TAIL);
        self.0.drain(..excess);
        self.0.extend_from_slice(bytes);
    }

    /// As text, without what steers a terminal; no more than [`TAIL_LINES`].
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<_> = text.trim_matches('\n').lines().map(plain).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

/// A line without colours; any other control character becomes a question mark.
pub(super) fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.trim_end_matches('\r');
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\u{1b}[")
            && let Some(end) = after.find(|c: char| !c.is_ascii_digit() && c != ';')
            && after[end..].starts_with('m')
        {
            rest = &after[end + 1..];
            continue;
        }
        plain.push(if c.is_control() && c != '\t' { '?' } else { c });
        rest = &rest[c.len_utf8()..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            struct Message(String);
            impl Visit for Message {
                fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                    if field.name() == "message" {
                        self.0 = format!("{value:?}");
                    }
                }
            }
            let mut message = Message(String::new());
            event.record(&mut message);
            self.0.lock().unwrap().push(message.0);
        }
    }

    fn logged(pieces: &[&[u8]]) -> Vec<String> {
        let lines = Lines::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.clone()), || {
            let mut log = ContainerLog::new("dev-peer0-mycc-1.0", Level::INFO);
            pieces.iter().for_each(|piece| log.write(Stream::Out, piece));
            log.close();
        });
        let lines = lines.0.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn output_is_logged_line_by_line_however_it_comes() {
        assert_eq!(logged(&[b"one\ntw", b"o\r\n", b"\n", b"three"]), ["one", "two", "", "three"]);
        assert_eq!(logged(&[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn a_line_is_of_one_stream() {
        let mut lines = Lines::default();
        assert!(lines.split(Stream::Out, b"begun").is_empty());
        assert_eq!(lines.split(Stream::Err, b"error\n"), [b"error"]);
        assert_eq!(lines.split(Stream::Out, b" and ended\nrest"), [b"begun and ended"]);
        assert_eq!(lines.rest().collect::<Vec<_>>(), [b"rest"]);
    }

    #[test]
    fn a_line_is_cut_and_a_flood_is_counted() {
        let long = vec![b'x'; 3 * MAX_LINE];
        let lines = logged(&[&long, b"y\nnext\n"]);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 4]);

        let flood = b"line\n".repeat(MAX_LINES as usize + 7);
        let lines = logged(&[&flood]);
        assert_eq!(lines.len(), MAX_LINES as usize + 1);
        assert!(lines.last().is_some_and(|last| last.starts_with("7 lines dropped")), "{:?}", lines.last());
    }

    #[test]
    fn no_output_steers_a_terminal() {
        let table = [
            ("\u{1b}[36m2026 [shim] start\u{1b}[0m it", "2026 [shim] start it"),
            ("\u{1b}]0;title\u{7}", "?]0;title?"),
            ("a\tb \u{1b}[2J", "a\tb ?[2J"),
            ("\u{1b}[", "?["),
        ];
        for (written, shown) in table {
            assert_eq!(plain(written), shown);
        }
    }

    #[test]
    fn a_tail_holds_the_end() {
        let mut tail = Tail::default();
        (0..1000).for_each(|n| tail.write(format!("line {n}\n").as_bytes()));
        let text = tail.text();
        assert_eq!(text.lines().count(), TAIL_LINES);
        assert!(text.starts_with("line 980\n") && text.ends_with("line 999"), "{text}");
        tail.write(&[b'x'; 2 * TAIL]);
        assert_eq!(tail.text().len(), TAIL);
        assert_eq!(Tail::default().text(), "");
    }
}
