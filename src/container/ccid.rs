//! The name under which a chaincode's container runs (Fabric 1.4: `container/ccintf.CCID`).

use std::fmt;

/// A chaincode's name and version. Displayed as `name:version`, the id that chaincode registers with; the name alone
/// where the version is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ccid {
    /// The chaincode's name, which is also the namespace of its state.
    pub name: String,
    /// The version; empty for chaincode that has none.
    pub version: String,
}

impl Ccid {
    /// An id of its two parts.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into() }
    }

    /// The name of the container and of its lock: `name-version`, or the name alone where the version is empty.
    pub fn container_name(&self) -> String {
        if self.version.is_empty() { self.name.clone() } else { format!("{}-{}", self.name, self.version) }
    }
}

impl fmt::Display for Ccid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version.as_str() {
            "" => f.write_str(&self.name),
            version => write!(f, "{}:{version}", self.name),
        }
    }
}
