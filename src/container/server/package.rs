//! The `connection.json` in the code of a package.
//!
//! Invariant: whatever the package holds, no more than [`MAX_UNPACKED`] is unpacked and [`MAX_FILE`] kept.

use std::io::Read;

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

/// What is looked through. A package of a service holds a small file, and indexes.
const MAX_UNPACKED: u64 = 64 << 20;
/// An address, a key and two chains of certificates are a few KiB.
const MAX_FILE: u64 = 1 << 20;

/// Where the stock builder looks for it, and where packages of Fabric 1.4 have what the peer does not unpack itself.
const NAMES: [&str; 2] = ["connection.json", "src/connection.json"];

/// Finds the file in a gzipped tar.
///
/// # Errors
/// A text, when it is not there or the archive is damaged or too large.
pub(super) fn connection_json(code: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |error: std::io::Error| format!("the code of the chaincode package is no gzipped tar: {error}");
    let mut unpacked = GzDecoder::new(code).take(MAX_UNPACKED);
    // Raw, because a name of a gigabyte would be read as willingly as one of a hundred bytes.
    for entry in Archive::new(&mut unpacked).entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !NAMES.contains(&name.trim_start_matches("./").trim_start_matches('/')) {
            continue;
        }
        let mut text = Vec::new();
        entry.by_ref().take(MAX_FILE + 1).read_to_end(&mut text).map_err(damaged)?;
        if text.len() as u64 > MAX_FILE {
            return Err(format!("{name} in the chaincode package has {} bytes, the limit is {MAX_FILE}", entry.size()));
        }
        return Ok(text);
    }
    if unpacked.limit() == 0 {
        return Err(format!(
            "connection.json is not among the first {} MiB of the chaincode package; put it first",
            MAX_UNPACKED >> 20
        ));
    }
    Err("connection.json not found in source folder: the code of a ccaas package is a gzipped tar with that file"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::testing::targz;

    #[test]
    fn the_file_is_found_at_the_top_or_in_src() {
        for name in ["connection.json", "./connection.json", "src/connection.json"] {
            let code = targz(&[("META-INF/x.json", "no"), (name, "yes")]).unwrap();
            assert_eq!(connection_json(&code).unwrap(), b"yes", "{name}");
        }
        let error = connection_json(&targz(&[("a/connection.json", "")]).unwrap()).unwrap_err();
        assert!(error.starts_with("connection.json not found in source folder"), "{error}");
    }

    #[test]
    fn what_is_no_archive_or_a_bomb_is_refused_in_bounded_memory() {
        assert!(connection_json(b"no gzip").unwrap_err().contains("no gzipped tar"));
        let cut = targz(&[("connection.json", &"x".repeat(100_000))]).unwrap();
        assert!(connection_json(&cut[..cut.len() / 2]).is_err());
        let large = "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
        let error = connection_json(&targz(&[("connection.json", &large)]).unwrap()).unwrap_err();
        assert_eq!(error, "connection.json in the chaincode package has 1048577 bytes, the limit is 1048576");

        let mut header = tar::Header::new_gnu();
        header.set_size(MAX_UNPACKED * 2);
        header.set_path("bomb").unwrap();
        header.set_cksum();
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(header.as_bytes()).unwrap();
        for _ in 0..MAX_UNPACKED >> 19 {
            bomb.write_all(&[0; 1 << 20]).unwrap();
        }
        let error = connection_json(&bomb.finish().unwrap()).unwrap_err();
        assert!(error.contains("64 MiB") || error.contains("no gzipped tar"), "{error}");
    }
}
