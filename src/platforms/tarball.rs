//! Writing a code package, so that the same files make the same bytes wherever they are packaged (Fabric:
//! `core/container/util.WriteFileToPackage`).
//!
//! The tar is byte for byte the one that Fabric 1.4's tool writes as root: no times, mode 0100644, owner 500, headers in the
//! form that Go's `archive/tar` chooses. What gzip makes of it differs from Go's in its bytes, and so does the package's id:
//! owners who have to agree on an id exchange the package, and do not each make their own.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

const BLOCK: usize = 512;
/// `name` and `prefix` of a header.
const NAME: usize = 100;
const PREFIX: usize = 155;
/// Who owns everything. Go writes the name of the packager's account too; in Fabric's image of tools that is root.
const OWNER: (u64, &str) = (500, "root");
const MODE: u64 = 0o100_644;

/// A gzipped tar that grows.
pub(super) struct Tarball(GzEncoder<Vec<u8>>);

impl Tarball {
    pub(super) fn new() -> Self {
        // As Go's: no time, no name, no system.
        Self(GzBuilder::new().operating_system(255).write(Vec::new(), Compression::default()))
    }

    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        match place(name) {
            Some((prefix, rest)) => self.header(rest, prefix, b'0', content.len(), MODE, OWNER)?,
            None => {
                let record = pax_record("path", name);
                let (folder, file) = name.rfind('/').map_or(("", name), |slash| name.split_at(slash + 1));
                let header = ascii(&format!("{folder}PaxHeaders.0/{file}"));
                self.header(cut(&header).trim_end_matches('/'), "", b'x', record.len(), 0, (0, ""))?;
                self.content(record.as_bytes())?;
                self.header(cut(&ascii(name)), "", b'0', content.len(), MODE, OWNER)?;
            }
        }
        self.content(content)
    }

    /// Bytes so far, but for what the compressor holds back.
    pub(super) fn size(&self) -> u64 {
        self.0.get_ref().len() as u64
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.0.write_all(&[0; 2 * BLOCK])?;
        self.0.finish()
    }

    fn content(&mut self, content: &[u8]) -> io::Result<()> {
        self.0.write_all(content)?;
        self.0.write_all(&[0; BLOCK][..content.len().next_multiple_of(BLOCK) - content.len()])
    }

    fn header(
        &mut self,
        name: &str,
        prefix: &str,
        kind: u8,
        size: usize,
        mode: u64,
        (id, account): (u64, &str),
    ) -> io::Result<()> {
        let mut block = [0; BLOCK];
        let mut put = |offset: usize, bytes: &[u8]| block[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, format!("{mode:07o}").as_bytes());
        put(108, format!("{id:07o}").as_bytes());
        put(116, format!("{id:07o}").as_bytes());
        put(124, format!("{size:011o}").as_bytes());
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, &[kind]);
        put(257, b"ustar\x0000");
        // Go leaves these empty in the header of a name.
        if kind == b'0' {
            put(265, account.as_bytes());
            put(297, account.as_bytes());
            put(329, b"0000000");
            put(337, b"0000000");
        }
        put(345, prefix.as_bytes());
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.write_all(&block)
    }
}

/// Where a name goes in a header: prefix and rest, or nowhere.
fn place(name: &str) -> Option<(&str, &str)> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME {
        return Some(("", name));
    }
    let slash = name[..name.len().min(PREFIX + 1)].rfind('/').filter(|&slash| slash > 0)?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (!rest.is_empty() && rest.len() <= NAME).then_some((prefix, rest))
}

/// A record with its own length in front.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut size = rest + rest.to_string().len();
    // One digit more may be needed to say so.
    size = rest + size.to_string().len();
    format!("{size} {key}={value}\n")
}

fn ascii(name: &str) -> String {
    name.chars().filter(char::is_ascii).collect()
}

fn cut(name: &str) -> &str {
    &name[..name.len().min(NAME)]
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn names_of_every_length_are_read_back() {
        let deep = format!("src/{}/{}", "d".repeat(140), "f".repeat(90));
        let pax = format!("src/{}", "n".repeat(200));
        let names = ["src/a", "src/schöne Datei.js", &"x".repeat(100), &deep, &pax];
        let mut tarball = Tarball::new();
        for name in names {
            tarball.add(name, name.as_bytes()).unwrap();
        }
        let packed = tarball.finish().unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(&packed[..]));
        let read: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                assert_eq!(name, content);
                assert_eq!(entry.header().mode().unwrap(), 0o100_644);
                name
            })
            .collect();
        assert_eq!(read, names);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [1, 80, 85, 86, 87, 88, 89, 90, 91, 92, 980, 985, 990, 995] {
            let record = pax_record("path", &"v".repeat(length));
            assert_eq!(record.split_once(' ').unwrap().0, record.len().to_string(), "{length}");
        }
    }
}
