//! The module's memory: dlmalloc over an arena in the module's own image first, then over grown memory.
//!
//! Growing a sandbox's memory changes the protection of its pages: three system calls for each transaction, and twice
//! the cost of an empty one. An arena that is there from the start costs nothing until a page of it is written.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;

use dlmalloc::{Allocator, Dlmalloc};

/// Enough for ordinary transactions; untouched pages of it are never backed by memory.
const ARENA_SIZE: usize = 1 << 20;
const PAGE_SIZE: usize = 64 << 10;

/// Aligned so that dlmalloc loses nothing at its start.
#[repr(align(16))]
struct Arena(UnsafeCell<MaybeUninit<[u8; ARENA_SIZE]>>);

// SAFETY: the module has one thread (the host runs it without shared memory), and only `Pages::alloc` takes from it.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new(MaybeUninit::zeroed()));

/// Where dlmalloc gets its memory.
struct Pages {
    /// How much of the arena is given out.
    used: UnsafeCell<usize>,
}

// SAFETY: as for `Arena`.
unsafe impl Send for Pages {}

// SAFETY: each piece is given out once: `used` only grows, within the arena, and `memory.grow` returns new pages. Pieces
// are zero, since an instance's memory starts as the module's image and nothing is ever given back.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        // SAFETY: one thread, and no other reference lives during the call.
        let used = unsafe { &mut *self.used.get() };
        if size <= ARENA_SIZE - *used {
            // SAFETY: `used + size` is within the arena.
            let piece = unsafe { ARENA.0.get().cast::<u8>().add(*used) };
            *used += size;
            return (piece, size, 0);
        }
        let pages = size.div_ceil(PAGE_SIZE);
        match core::arch::wasm32::memory_grow::<0>(pages) {
            usize::MAX => (ptr::null_mut(), 0, 0),
            before => ((before * PAGE_SIZE) as *mut u8, pages * PAGE_SIZE, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE_SIZE
    }
}

struct Heap(UnsafeCell<Dlmalloc<Pages>>);

// SAFETY: as for `Arena`.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages { used: UnsafeCell::new(0) })));

// SAFETY: dlmalloc keeps the contract of `GlobalAlloc`; with one thread, and no allocation within an allocation, the
// reference made in each method is the only one.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { (*self.0.get()).free(pointer, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { (*self.0.get()).realloc(pointer, layout.size(), layout.align(), size) }
    }
}
