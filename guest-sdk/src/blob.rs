//! A large value that stays on the peer's side: an argument, a block, a package.

/// A handle to bytes that the host holds for this transaction. It can be a response's payload without ever entering the
/// chaincode's memory.
#[derive(Debug)]
pub struct Blob {
    #[cfg(target_family = "wasm")]
    pub(crate) handle: crate::guest::bindings::Blob,
    #[cfg(not(target_family = "wasm"))]
    pub(crate) bytes: std::rc::Rc<[u8]>,
}

#[cfg(target_family = "wasm")]
impl Blob {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.handle.size()
    }

    /// Up to `length` bytes from `offset` on; fewer at the end.
    pub fn read(&self, offset: u64, length: u32) -> Vec<u8> {
        self.handle.read(offset, length)
    }
}

#[cfg(not(target_family = "wasm"))]
impl Blob {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Up to `length` bytes from `offset` on; fewer at the end.
    pub fn read(&self, offset: u64, length: u32) -> Vec<u8> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let end = start.saturating_add(length as usize).min(self.bytes.len());
        self.bytes[start..end].to_vec()
    }
}

#[cfg(not(target_family = "wasm"))]
impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into() }
    }
}
