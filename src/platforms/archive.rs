//! Reading a code package, which is a gzipped tar that anybody may have made.
//!
//! Invariant: a hostile package costs a bounded time and little memory. It is unpacked as a stream, up to [`MAX_UNPACKED`]
//! bytes and [`MAX_FILES`] files, and what is kept of it has a limit that the caller names.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::rc::Rc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType, Header};

use super::PlatformError;

/// Bytes that are unpacked of a package: ten times the largest that can be installed, and more than sources have.
pub const MAX_UNPACKED: u64 = 1 << 30;
/// Files in a package. A large tree of vendored Node modules has some ten thousand.
pub const MAX_FILES: u64 = 200_000;
/// Bytes of a name that stands before its file, and of what else stands there.
const MAX_NAME: u64 = 1 << 16;

/// What stands before a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The name, as it is written.
    pub(crate) name: String,
    /// The mode, as it is written.
    pub(crate) mode: u32,
    /// How many bytes follow.
    pub(crate) size: u64,
    /// Whether it is a plain file.
    pub(crate) regular: bool,
    /// Whether it is a directory.
    pub(crate) directory: bool,
}

/// Calls `visit` for everything in `code`, until it breaks.
///
/// # Errors
/// When the code is no gzipped tar, or exceeds a limit; those of `visit`.
pub(crate) fn walk(
    code: &[u8],
    mut visit: impl FnMut(&Head, &mut dyn Read) -> Result<ControlFlow<()>, PlatformError>,
) -> Result<(), PlatformError> {
    check_gzip(code)?;
    let exhausted = Rc::new(Cell::new(false));
    let unpacked = Limited { inner: MultiGzDecoder::new(code), left: MAX_UNPACKED, exhausted: exhausted.clone() };
    let damaged = |cause| match exhausted.get() {
        true => PlatformError::TooLarge { what: "bytes", limit: MAX_UNPACKED },
        false => PlatformError::Damaged(cause),
    };
    let (mut named, mut files) = (None, 0);
    // Raw, because a name of a gigabyte would be read as willingly as one of a hundred bytes.
    for entry in Archive::new(unpacked).entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        files += 1;
        if files > MAX_FILES {
            return Err(PlatformError::TooLarge { what: "files", limit: MAX_FILES });
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName | EntryType::XHeader => {
                named = long_name(&mut entry).map_err(damaged)?.or(named);
                continue;
            }
            EntryType::GNULongLink => continue,
            _ => {}
        }
        let own_name = || String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let head = Head {
            name: named.take().unwrap_or_else(own_name),
            mode: mode(entry.header()).map_err(damaged)?,
            size: entry.size(),
            regular: matches!(kind, EntryType::Regular | EntryType::Continuous),
            directory: kind == EntryType::Directory,
        };
        if visit(&head, &mut entry)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// The mode in a header. As in Go, a field that nobody wrote is 0.
fn mode(header: &Header) -> io::Result<u32> {
    let field = &header.as_old().mode;
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { header.mode() }
}

/// One plain file of `code`, or none where there is no such file. Blocks the thread.
///
/// # Errors
/// When the code is no gzipped tar, or the file has more than `limit` bytes.
pub fn read_file(code: &[u8], name: &str, limit: u64) -> Result<Option<Bytes>, PlatformError> {
    let mut found = None;
    walk(code, |head, content| {
        if !head.regular || head.name.trim_start_matches("./") != name {
            return Ok(ControlFlow::Continue(()));
        }
        found = Some(read_content(head, content, limit)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// The bytes of the file that a walk is at.
pub(crate) fn read_content(head: &Head, content: &mut dyn Read, limit: u64) -> Result<Bytes, PlatformError> {
    if head.size > limit {
        return Err(PlatformError::FileTooLarge { name: head.name.clone(), size: head.size, limit });
    }
    // Once: what grows is there twice for a while.
    let mut bytes = Vec::with_capacity(usize::try_from(head.size).unwrap_or_default());
    content.read_to_end(&mut bytes).map_err(PlatformError::Damaged)?;
    Ok(bytes.into())
}

/// Go's verdict on the first ten bytes, which is the one that Fabric reports.
fn check_gzip(code: &[u8]) -> Result<(), PlatformError> {
    match code {
        [] => Err(PlatformError::Gzip("EOF")),
        _ if code.len() < 10 => Err(PlatformError::Gzip("unexpected EOF")),
        [0x1f, 0x8b, 8, ..] => Ok(()),
        _ => Err(PlatformError::Gzip("gzip: invalid header")),
    }
}

/// The name of the next file, where what stands before it says one. A name that is too long is that of no file.
fn long_name(entry: &mut Entry<'_, impl Read>) -> io::Result<Option<String>> {
    if entry.size() > MAX_NAME {
        return Ok(Some(String::new()));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if entry.header().entry_type() == EntryType::GNULongName {
        let mut name = Vec::new();
        entry.read_to_end(&mut name)?;
        return Ok(Some(text(name.split(|&byte| byte == 0).next().unwrap_or_default())));
    }
    let records = entry.pax_extensions()?.into_iter().flatten().flatten();
    Ok(records.filter(|record| record.key_bytes() == b"path").last().map(|record| text(record.value_bytes())))
}

/// Fails, where another reader would say that it is at its end.
struct Limited<R> {
    inner: R,
    left: u64,
    exhausted: Rc<Cell<bool>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            self.exhausted.set(true);
            io::Error::other("unpacks to too much")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::testing::targz;

    fn names(code: &[u8]) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        let walked = walk(code, |head, _| {
            names.push(head.name.clone());
            Ok(ControlFlow::Continue(()))
        });
        walked.map(|()| names).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_gzipped_tar_is_said_in_gos_words() {
        let gzip = "failure opening codepackage gzip stream: ";
        assert_eq!(names(b""), Err(format!("{gzip}EOF")));
        assert_eq!(names(&[0x1f, 0x8b, 8]), Err(format!("{gzip}unexpected EOF")));
        assert_eq!(names(b"no gzip at all"), Err(format!("{gzip}gzip: invalid header")));
        let mut cut = targz(&[("src/a", "1"), ("src/b", "2")]).unwrap();
        cut.truncate(cut.len() / 2);
        assert!(names(&cut).unwrap_err().starts_with("the code package is damaged: "));
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        let mut header = tar::Header::new_gnu();
        header.set_path("src/zeros").unwrap();
        header.set_size(2 * MAX_UNPACKED);
        header.set_mode(0o644);
        header.set_cksum();
        bomb.write_all(header.as_bytes()).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..=(MAX_UNPACKED >> 20) {
            bomb.write_all(&zeros).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        let expected =
            format!("the code package holds more than {MAX_UNPACKED} bytes; take out what the build does not need");
        assert_eq!(names(&bomb), Err(expected));
        let refused = read_file(&bomb, "src/zeros", 1 << 20).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("src/zeros in the code package has {} bytes, the limit is 1048576", 2 * MAX_UNPACKED)
        );
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let code = targz(&[("src/a", "1"), ("src/b", "22")]).unwrap();
        assert_eq!(read_file(&code, "src/b", 2).unwrap(), Some(Bytes::from_static(b"22")));
        assert_eq!(read_file(&code, "src/c", 2).unwrap(), None);
        assert!(read_file(&code, "src/b", 1).is_err());
    }
}
