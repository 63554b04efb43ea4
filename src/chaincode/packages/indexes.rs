//! The index files in a package's code (Fabric: `ccmetadata.TargzMetadataProvider`, `ValidateMetadataFile`).
//!
//! Code is a tar, gzipped, whatever its language. Invariant: a hostile package costs a bounded time and little memory:
//! it is unpacked as a stream, and only index files are kept, none of them large.

use std::ops::ControlFlow;

use tracing::{error, warn};

use super::{ChaincodePackage, InstallListener, PackageStore};
use crate::ledger::LedgerProvider;
use crate::ledger::rich_query::limits::MAX_INDEXES;
use crate::ledger::rich_query::{DeployedIndexes, IndexFile, PackagedIndex};
use crate::platforms::{PlatformError, read_content, walk};

/// Where a package has what is for the state database.
const FOLDER: &str = "META-INF/statedb/couchdb/";
/// Bytes of one file; a definition is a few lines.
const MAX_FILE: u64 = 1 << 16;
/// Files in the folder that are none of ours and get a line in the log.
const MAX_WARNINGS: usize = 10;
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

/// Channels that have agreed on a package before it was installed here get its indexes then.
impl InstallListener for LedgerProvider {
    fn installed(&self, package: &ChaincodePackage) {
        let (name, version) = (package.name(), package.version());
        if self.has_instantiated(name, version) {
            self.define_installed(name, version, &package.fingerprint().id, &package.index_files());
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

    fn find_index_files(&self, found: &mut Vec<PackagedIndex>) -> Result<(), PlatformError> {
        if self.code().is_empty() {
            return Ok(());
        }
        let mut warnings = 0;
        walk(self.code(), |head, content| {
            let name = &head.name;
            let Some(rest) = name.strip_prefix(FOLDER).filter(|_| head.regular) else {
                return Ok(ControlFlow::Continue(()));
            };
            let Some(collection) = collection(rest) else {
                warnings += 1;
                if warnings <= MAX_WARNINGS {
                    warn!("metadata file path or name is not supported: {name}");
                }
                return Ok(ControlFlow::Continue(()));
            };
            if found.len() == MAX_FILES {
                error!("the package has more than {MAX_FILES} index files; {name} and what follows it are left out");
                return Ok(ControlFlow::Break(()));
            }
            if head.size > MAX_FILE {
                error!("index file {name} has {} bytes, the limit is {MAX_FILE}; it is left out", head.size);
                return Ok(ControlFlow::Continue(()));
            }
            let text = read_content(head, content, MAX_FILE)?;
            // What is not UTF-8 is no JSON either; the ledger says so, with the file's name.
            let definition = String::from_utf8_lossy(&text).into_owned();
            let collection = collection.map(str::to_owned);
            found.push(PackagedIndex { collection, file: IndexFile { file: name.clone(), definition } });
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// What an index file is for, by its name below [`FOLDER`]: the outer none for what is no index file, the inner one for
/// the public state.
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
    use flate2::Compression;
    use flate2::write::GzEncoder;
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
    fn a_long_name_is_read_in_either_form_and_one_of_no_reasonable_length_is_not() {
        let name = |length: usize| format!("META-INF/statedb/couchdb/indexes/{}.json", "n".repeat(length));
        let (long, longer, endless) = (name(150), name(151), name(1 << 16));
        let archive = GzEncoder::new(Vec::new(), Compression::fast());
        let mut archive = tar::Builder::new(archive);
        let mut add = |name: &str, text: &str| {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            if name == longer {
                archive.append_pax_extensions([("path", name.as_bytes())]).unwrap();
                header.set_path("shortened").unwrap();
                header.set_cksum();
                archive.append(&header, text.as_bytes()).unwrap();
            } else {
                header = tar::Header::new_gnu();
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, name, text.as_bytes()).unwrap();
            }
        };
        add(&long, "{1}");
        add(&endless, "{2}");
        add(&longer, "{3}");
        add("META-INF/statedb/couchdb/indexes/short.json", "{4}");
        let found = package(archive.into_inner().unwrap().finish().unwrap()).index_files();
        let told: Vec<_> = found.iter().map(|index| (&*index.file.file, &*index.file.definition)).collect();
        assert_eq!(told, [(&*long, "{1}"), (&*longer, "{3}"), ("META-INF/statedb/couchdb/indexes/short.json", "{4}")]);
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
