//! The tars that go to an engine (Fabric: `container/util.WriteBytesToPackage`).
//!
//! Invariant: the same content makes the same bytes; no time and no owner of this machine is in them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

/// Files for a container that is about to start: absolute path to content. A gzipped tar to be unpacked in `/`.
pub(super) fn upload(files: &BTreeMap<String, Vec<u8>>) -> io::Result<Bytes> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        tar.append_data(
            &mut header(content.len() as u64, 0o100_644),
            path.trim_start_matches('/'),
            content.as_slice(),
        )?;
    }
    Ok(tar.into_inner()?.finish()?.into())
}

/// The two folders of a builder.
pub(super) fn builder_folders() -> io::Result<Bytes> {
    let mut tar = Builder::new(Vec::new());
    for folder in ["chaincode/", "chaincode/input/", "chaincode/output/"] {
        let mut header = header(0, 0o777);
        header.set_entry_type(EntryType::Directory);
        tar.append_data(&mut header, folder, io::empty())?;
    }
    Ok(tar.into_inner()?.into())
}

/// What stands before and behind `binpackage.tar`, of `length` bytes, in the tar that an image is built from: the
/// `Dockerfile`, and what ends a tar.
pub(super) fn build_context(dockerfile: &str, length: u64) -> io::Result<(Bytes, Bytes)> {
    let mut start = Builder::new(Vec::new());
    start.append_data(&mut header(dockerfile.len() as u64, 0o100_644), "Dockerfile", dockerfile.as_bytes())?;
    let mut start = std::mem::take(start.get_mut());
    let mut entry = header(length, 0o100_644);
    entry.set_path("binpackage.tar")?;
    entry.set_cksum();
    start.write_all(entry.as_bytes())?;
    // The padding to a whole block, and the two empty blocks at the end of a tar.
    let padding = (BLOCK - (length % BLOCK as u64) as usize) % BLOCK;
    Ok((start.into(), vec![0; padding + 2 * BLOCK].into()))
}

/// What a tar is counted in.
const BLOCK: usize = 512;

fn header(size: u64, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use tar::Archive;

    use super::*;

    fn entries(tar: impl Read) -> Vec<(String, String)> {
        let mut archive = Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            (entry.path().unwrap().to_string_lossy().into_owned(), content)
        });
        entries.collect()
    }

    #[test]
    fn a_build_context_holds_the_dockerfile_and_the_package() {
        for length in [0, 3, 511, 512, 513] {
            let content = "x".repeat(length);
            let (start, end) = build_context("FROM scratch", length as u64).unwrap();
            let context = [start.as_ref(), content.as_bytes(), end.as_ref()].concat();
            assert_eq!(context.len() % BLOCK, 0);
            let expected = [("Dockerfile", "FROM scratch"), ("binpackage.tar", content.as_str())];
            assert_eq!(entries(context.as_slice()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        }
    }

    #[test]
    fn files_are_uploaded_to_where_they_belong() {
        let files = BTreeMap::from([("/etc/hyperledger/fabric/peer.crt".to_owned(), b"PEM".to_vec())]);
        let tar = upload(&files).unwrap();
        assert_eq!(upload(&files).unwrap(), tar, "the same files make the same tar");
        assert_eq!(entries(GzDecoder::new(&tar[..])), [("etc/hyperledger/fabric/peer.crt".into(), "PEM".into())]);
    }
}
