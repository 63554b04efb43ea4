//! Stand-in.
#![allow(missing_docs)]
use bytes::Bytes;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
#[error("stand-in")]
pub struct MspError;

pub trait Signer: Send + Sync {
    fn serialize(&self) -> Bytes;
    fn sign(&self, message: &[u8]) -> Result<Bytes, MspError>;
}

pub struct SigningIdentity;

impl SigningIdentity {
    pub fn load(_dir: &Path, _mspid: &str) -> Result<Self, MspError> {
        Err(MspError)
    }
}

impl Signer for SigningIdentity {
    fn serialize(&self) -> Bytes {
        Bytes::new()
    }
    fn sign(&self, _message: &[u8]) -> Result<Bytes, MspError> {
        Err(MspError)
    }
}

pub mod development {
    use super::MspError;
    use std::path::{Path, PathBuf};
    pub struct DevelopmentMsp {
        pub admin: PathBuf,
    }
    pub fn ensure(_dir: &Path, _mspid: &str) -> Result<DevelopmentMsp, MspError> {
        Err(MspError)
    }
}
