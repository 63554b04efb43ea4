//! Which indexes a channel's chaincodes bring (Fabric: `cceventmgmt`, `CommonStorageDB.HandleChaincodeDeploy`).
//!
//! A deployment is a definition in lscc's namespace; the indexes are in the package, if it is installed. Invariant: the
//! indexes of a block's deployments are there once the block is, and a file that is no definition stops nothing.

use std::collections::BTreeSet;

use selvedge_proto::Message;
use selvedge_proto::protos::ChaincodeData;

use super::IndexFile;

/// An index file of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagedIndex {
    /// The collection that it is for; none for the public state.
    pub collection: Option<String>,
    /// The file.
    pub file: IndexFile,
}

/// The packages that are installed, as far as indexes go.
pub trait DeployedIndexes: Send + Sync {
    /// The index files of a chaincode; none if it is not installed. Reads a package from disk.
    fn index_files(&self, chaincode: &str, version: &str) -> Option<Vec<PackagedIndex>>;
}

/// Name and version, if an entry of lscc's namespace defines a chaincode.
pub(in crate::ledger) fn definition(key: &str, value: &[u8]) -> Option<(String, String)> {
    if key.contains('~') {
        return None;
    }
    let data = ChaincodeData::decode(value).ok()?;
    (data.name == key).then_some((data.name, data.version))
}

/// The files by what they are for: the public state first, then each collection, those that had indexes `before` too.
pub(in crate::ledger) fn by_collection<'a>(
    packaged: &'a [PackagedIndex],
    before: &'a [String],
) -> Vec<(Option<&'a str>, Vec<IndexFile>)> {
    let before = before.iter().map(|collection| Some(collection.as_str()));
    let packaged_for = packaged.iter().map(|index| index.collection.as_deref());
    let collections: BTreeSet<_> = packaged_for.chain(before).chain([None]).collect();
    let files = |of: Option<&str>| {
        let files = packaged.iter().filter(move |index| index.collection.as_deref() == of);
        files.map(|index| index.file.clone()).collect()
    };
    collections.into_iter().map(|collection| (collection, files(collection))).collect()
}
