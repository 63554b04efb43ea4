//! A mark in statics and in the heap that no other transaction may ever see.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

/// Large enough to cover pages that a small transaction never touches.
const HEAP: usize = 256 << 10;
const STATIC: usize = 64 << 10;

/// What a mark in memory starts with; 64 digits of a transaction id follow.
const START: &[u8] = b"canary of transaction ";
const TXID: usize = 64;

static MARK: Mutex<String> = Mutex::new(String::new());
static AREA: Mutex<[u8; STATIC]> = Mutex::new([0; STATIC]);

/// `clean`, or what another transaction left; leaves the mark of `txid`.
pub(crate) fn report(txid: &str) -> String {
    let mut seen = Vec::new();
    let mut left = MARK.lock().unwrap_or_else(PoisonError::into_inner);
    if !left.is_empty() && *left != txid {
        seen.push(format!("a static holds {left}"));
    }
    txid.clone_into(&mut left);

    let mut area = AREA.lock().unwrap_or_else(PoisonError::into_inner);
    seen.extend(foreign_mark(&area[..], txid).map(|mark| format!("a static area holds {mark}")));
    fill(&mut area[..], txid);

    let mut heap = fresh_heap();
    seen.extend(foreign_mark(&heap, txid).map(|mark| format!("the heap holds {mark}")));
    fill(&mut heap, txid);
    black_box(&heap);

    if seen.is_empty() { "clean".to_owned() } else { seen.join(", ") }
}

/// Heap as the allocator hands it out, not cleared: it may hold what this transaction freed, and must hold nothing of
/// another one.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
fn fresh_heap() -> Vec<u8> {
    let mut heap: Vec<u8> = Vec::with_capacity(HEAP);
    let start = heap.as_mut_ptr();
    for place in 0..HEAP {
        // SAFETY: within the capacity. Memory of a sandbox always holds some value, and volatile accesses keep the
        // compiler from concluding anything from its never having been written.
        unsafe { start.add(place).write_volatile(start.add(place).read_volatile()) };
    }
    // SAFETY: every byte has just been written.
    unsafe { heap.set_len(HEAP) };
    heap
}

#[cfg(not(target_family = "wasm"))]
fn fresh_heap() -> Vec<u8> {
    vec![0; HEAP]
}

fn foreign_mark(area: &[u8], own: &str) -> Option<String> {
    let marks = area.windows(START.len() + TXID).filter(|window| window.starts_with(START));
    let mut txids = marks.map(|mark| String::from_utf8_lossy(&mark[START.len()..]).into_owned());
    txids.find(|txid| txid != own)
}

fn fill(area: &mut [u8], txid: &str) {
    for (place, byte) in area.iter_mut().zip(START.iter().copied().chain(txid.bytes()).cycle()) {
        *place = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_by_others_only() {
        let (one, two) = ("1".repeat(TXID), "2".repeat(TXID));
        let mut area = vec![0; 1000];
        assert_eq!(foreign_mark(&area, &one), None);
        fill(&mut area[100..], &one);
        assert_eq!(foreign_mark(&area, &one), None);
        assert_eq!(foreign_mark(&area, &two), Some(one));
    }
}
