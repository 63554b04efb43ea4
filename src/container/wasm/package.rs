//! The module in a code package of the platform WASM: a gzipped tar whose file `src/chaincode.wasm` is a component or a core
//! module; what else it holds (`META-INF/`) is not for running it.
//!
//! Invariant: a hostile package costs a bounded time and little memory: it is unpacked as a stream, and only the module is
//! kept, if it is not too large to be one.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};
use thiserror::Error;

use super::MAX_MODULE_SIZE;

/// Where the module is.
pub const MODULE_FILE: &str = "src/chaincode.wasm";

/// What is unpacked of a package in search of it.
const MAX_UNPACKED: u64 = 1 << 30;

/// Why there is no module in a package.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackagedModuleError {
    /// It is no gzipped tar, or a damaged one.
    #[error("its code package cannot be unpacked: {0}")]
    Unpack(#[from] io::Error),
    /// The file is not there.
    #[error(
        "its code package has no file {MODULE_FILE}: package it with `selvedge chaincode package -l wasm -p FILE.wasm`"
    )]
    Missing,
    /// The file is larger than any module that is looked at.
    #[error("{MODULE_FILE} of its code package has {size} bytes, the limit is {MAX_MODULE_SIZE}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
}

/// Takes the module out of a code package. Unpacking takes time: call it where a thread may block.
///
/// # Errors
/// [`PackagedModuleError`] when there is none.
pub fn packaged_module(code: &[u8]) -> Result<Vec<u8>, PackagedModuleError> {
    // Raw, because a name of a gigabyte would be read as willingly as one of a hundred bytes.
    for entry in Archive::new(GzDecoder::new(code).take(MAX_UNPACKED)).entries()?.raw(true) {
        let mut entry = entry?;
        let name = entry.path_bytes();
        let is_module = entry.header().entry_type() == EntryType::Regular
            && name.strip_prefix(b"/").unwrap_or(&name) == MODULE_FILE.as_bytes();
        if !is_module {
            continue;
        }
        let size = entry.size();
        if size > MAX_MODULE_SIZE as u64 {
            return Err(PackagedModuleError::TooLarge { size });
        }
        let mut module = Vec::new();
        entry.read_to_end(&mut module)?;
        if (module.len() as u64) < size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within the module").into());
        }
        return Ok(module);
    }
    Err(PackagedModuleError::Missing)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::testing::targz;

    fn refused(code: &[u8]) -> String {
        packaged_module(code).unwrap_err().to_string()
    }

    #[test]
    fn the_module_is_found_among_other_files() {
        let files =
            [("META-INF/statedb/couchdb/indexes/i.json", "{}"), ("src/other.wasm", "no"), (MODULE_FILE, "module")];
        assert_eq!(packaged_module(&targz(&files).unwrap()).unwrap(), b"module");
    }

    #[test]
    fn a_package_without_a_module_says_what_is_missing() {
        assert!(refused(&targz(&[("src/main.wasm", "module")]).unwrap()).contains("has no file src/chaincode.wasm"));
        assert!(refused(b"").contains("cannot be unpacked"));
        assert!(refused(b"no archive").contains("cannot be unpacked"));
        let whole = targz(&[(MODULE_FILE, &"module ".repeat(1000))]).unwrap();
        assert!(refused(&whole[..whole.len() / 2]).contains("cannot be unpacked"));
    }

    #[test]
    fn a_module_of_no_reasonable_size_is_not_read() {
        let mut header = tar::Header::new_gnu();
        header.set_path(MODULE_FILE).unwrap();
        header.set_size(MAX_MODULE_SIZE as u64 + 1);
        header.set_mode(0o644);
        header.set_cksum();
        let mut archive = GzEncoder::new(Vec::new(), Compression::fast());
        io::Write::write_all(&mut archive, header.as_bytes()).unwrap();
        assert!(refused(&archive.finish().unwrap()).contains("has 67108865 bytes, the limit is 67108864"));
    }
}
