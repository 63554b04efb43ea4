//! What a panic says: `panicked at <file>:<line>:<column>: <message>`, one write to standard error, which the host puts
//! into the answer to the client. (The standard library's own hook writes a blank line, a thread's name and a hint at an
//! environment variable that can't be set here.)

use std::io::Write;
use std::panic::{self, PanicHookInfo};

/// What of a panic's text is kept, in bytes. On the stack, so that a panic for want of memory is reported too.
const TEXT_LIMIT: usize = 2048;

pub(super) fn report_in_one_line() {
    panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let mut text = [0; TEXT_LIMIT];
    let mut rest = &mut text[..];
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    // A text that is too long is cut; there is nobody to tell of a failed write.
    let _ = match info.location() {
        Some(location) => write!(rest, "panicked at {location}: {message}"),
        None => write!(rest, "panicked: {message}"),
    };
    let length = TEXT_LIMIT - rest.len();
    let _ = std::io::stderr().write_all(&text[..length]);
}
