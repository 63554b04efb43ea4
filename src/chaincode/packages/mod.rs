//! The packages that lscc installs on this peer (Fabric: `core/common/ccprovider`).
//!
//! [`PackageStore`] is a folder of Fabric's own layout; [`ChaincodePackage`] is what a file in it says. The fingerprint of a
//! package is what the ledger's definition of a chaincode holds, so it decides whether this peer has the code that a channel
//! agreed on. What a package says of indexes goes to the ledger.

mod error;
mod indexes;
mod package;
mod store;
#[cfg(test)]
mod tests;

pub use error::PackageError;
pub use package::{ChaincodePackage, Fingerprint, PackageForm};
pub use store::{Installed, MAX_PACKAGE_SIZE, PackageStore};
