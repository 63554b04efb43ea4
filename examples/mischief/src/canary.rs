//! A mark in statics and in the heap that no other transaction may ever see.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

/// Large enough to cover pages that a small transaction never touches.
const HEAP: usize = 256 << 10;
const STATIC: usize = 64 << 10;

static MARK: Mutex<String> = Mutex::new(String::new());
static AREA: Mutex<[u8; STATIC]> = Mutex::new([0; STATIC]);

/// `clean`, or what was found; leaves `mark` behind. In one instance twice, it finds its own mark.
pub(crate) fn report(mark: &str) -> String {
    let mut seen = Vec::new();
    let mut left = MARK.lock().unwrap_or_else(PoisonError::into_inner);
    if !left.is_empty() {
        seen.push(format!("static holds {left}"));
    }
    mark.clone_into(&mut left);

    let mut area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = first_mark(&area[..]) {
        seen.push(format!("static area holds {found}"));
    }
    fill(&mut area[..], mark);

    // Fresh memory comes zeroed from the sandbox and the allocator relies on it, so what is not zero is someone else's.
    let mut heap = vec![0; HEAP];
    if let Some(found) = first_mark(black_box(&heap)) {
        seen.push(format!("heap holds {found}"));
    }
    fill(&mut heap, mark);
    black_box(&heap);

    if seen.is_empty() { "clean".to_owned() } else { seen.join(", ") }
}

fn first_mark(area: &[u8]) -> Option<String> {
    let start = area.iter().position(|byte| *byte != 0)?;
    Some(String::from_utf8_lossy(&area[start..area.len().min(start + 64)]).into_owned())
}

fn fill(area: &mut [u8], mark: &str) {
    for (place, byte) in area.iter_mut().zip(mark.bytes().cycle()) {
        *place = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_report_in_one_process_sees_the_first_mark() {
        report("tx1");
        let second = report("tx2");
        assert!(second.contains("static holds") && second.contains("static area holds"), "{second}");
    }
}
