//! The index files in a package's code (Fabric: `ccmetadata.TargzMetadataProvider`, `ValidateMetadataFile`).
//!
//! Code is a tar, gzipped, whatever its language. Invariant: a hostile package costs a bounded time and little memory: it is
//! unpacked as a stream, and only index files are kept.

use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};
use tracing::{error, warn};

use super::{ChaincodePackage, PackageStore};
use crate::ledger::rich_query::limits::MAX_INDEXES;
use crate::ledger::rich_query::{DeployedIndexes, IndexFile, PackagedIndex};

/// Where a package has what is for the state database.
const FOLDER: &str = "META-INF/statedb/couchdb/";
/// What is unpacked of a package in search of them. Packages of 100 MiB can be installed, and hold source code.
const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes of one file; a definition is a few lines.
const MAX_FILE: u64 = 1 << 20;
/// Files that are kept: more than any ledger takes for one collection.
const MAX_FILES: usize = 16 * MAX_INDEXES;

impl DeployedIndexes for PackageStore {
    fn index_files(&self, chaincode: &str, version: &str) -> Option<Vec<PackagedIndex>> {
        match self.get(chaincode, version) {
            Ok(package) => Some(package.index_files()),
            Err(cause) => {
                // Fabric takes it for not installed, too.
                tracing::info!(
                    "Error while loading installation package for ccname={chaincode}, ccversion={version}. Err={cause}"
                );
                None
            }
        }
    }
}

impl ChaincodePackage {
    /// The index files in the package. Of code that cannot be unpacked, those before the damage; the log says so.
    pub fn index_files(&self) -> Vec<PackagedIndex> {
        let mut found = Vec::new();
        if let Err(cause) = self.find_index_files(&mut found) {
            let (name, version) = (self.name(), self.version());
            warn!("the code of chaincode {name}:{version} cannot be searched for indexes any further: {cause}");
        }
        found
    }

    fn find_index_files(&self, found: &mut Vec<PackagedIndex>) -> io::Result<()> {
        if self.code().is_empty() {
            return Ok(());
        }
        let unpacked = GzDecoder::new(&self.code()[..]).take(MAX_UNPACKED);
        for entry in Archive::new(unpacked).entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let Some(rest) = name.strip_prefix(FOLDER) else { continue };
            if entry.header().entry_type() != EntryType::Regular {
                continue;
            }
            let Some(collection) = collection(rest) else {
                warn!("metadata file path or name is not supported: {name}");
                continue;
            };
            if found.len() == MAX_FILES {
                error!("the package has more than {MAX_FILES} index files; {name} and what follows it are left out");
                return Ok(());
            }
            let mut text = Vec::new();
            entry.by_ref().take(MAX_FILE + 1).read_to_end(&mut text)?;
            if text.len() as u64 > MAX_FILE {
                error!("index file {name} has {} bytes, the limit is {MAX_FILE}; it is left out", entry.size());
                continue;
            }
            // What is not UTF-8 is no JSON either; the ledger says so, with the file's name.
            let definition = String::from_utf8_lossy(&text).into_owned();
            let collection = collection.map(str::to_owned);
            found.push(PackagedIndex { collection, file: IndexFile { file: name, definition } });
        }
        Ok(())
    }
}

/// What an index file is for, by its name below [`FOLDER`]: the outer none for what is no index file, the inner one for the
/// public state.
fn collection(name: &str) -> Option<Option<&str>> {
    let is_file = |name: &str| name.contains(".json") && !name.ends_with('/');
    if let Some(file) = name.strip_prefix("indexes/") {
        return is_file(file).then_some(None);
    }
    let (collection, file) = name.strip_prefix("collections/")?.split_once("/indexes/")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (is_file(file) && !collection.is_empty() && collection.chars().all(is_name)).then_some(Some(collection))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use selvedge_proto::protos::ChaincodeDeploymentSpec;

    use super::*;
    use crate::testing::{chaincode_package, targz};

    fn package(code: Vec<u8>) -> ChaincodePackage {
        let mut spec = ChaincodeDeploymentSpec::decode(chaincode_package("cc", "1", &[]).unwrap()).unwrap();
        spec.code_package = code.into();
        ChaincodePackage::parse(&Bytes::from(spec.encode_to_vec())).unwrap()
    }

    #[test]
    fn index_files_are_found_where_fabric_looks_for_them() {
        let files = [
            ("src/index.js", "code"),
            ("META-INF/statedb/couchdb/indexes/owner.json", "{1}"),
            ("META-INF/statedb/couchdb/collections/collA/indexes/price.json", "{2}"),
            ("META-INF/statedb/couchdb/collections/coll A/indexes/price.json", "{3}"),
            ("META-INF/statedb/couchdb/indexes/README.md", "{4}"),
            ("META-INF/statedb/leveldb/indexes/owner.json", "{5}"),
            ("src/META-INF/statedb/couchdb/indexes/owner.json", "{6}"),
        ];
        let found = package(targz(&files).unwrap()).index_files();
        let told: Vec<_> = found.iter().map(|i| (i.collection.as_deref(), i.file.definition.as_str())).collect();
        assert_eq!(told, [(None, "{1}"), (Some("collA"), "{2}")]);
        assert_eq!(found[0].file.file, "META-INF/statedb/couchdb/indexes/owner.json");
    }

    #[test]
    fn code_that_cannot_be_unpacked_has_no_indexes() {
        let mut broken = targz(&[("META-INF/statedb/couchdb/indexes/owner.json", "{}")]).unwrap();
        broken.truncate(40);
        for code in [Vec::new(), b"no gzip".to_vec(), broken] {
            assert!(package(code).index_files().is_empty());
        }
    }

    #[test]
    fn a_file_of_no_reasonable_size_is_left_out() {
        let large = " ".repeat(MAX_FILE as usize + 1);
        let folder = "META-INF/statedb/couchdb/indexes";
        let files = [(format!("{folder}/large.json"), large.as_str()), (format!("{folder}/small.json"), "{}")];
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let found = package(targz(&files).unwrap()).index_files();
        assert_eq!(found.iter().map(|index| index.file.definition.as_str()).collect::<Vec<_>>(), ["{}"]);
    }
}
