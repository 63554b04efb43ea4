//! Chaincode packages, as `peer chaincode package` makes them.

use std::io;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::{ChaincodeDeploymentSpec, ChaincodeId, ChaincodeSpec};

/// A gzipped tar of these files.
///
/// # Errors
/// None, as long as names are shorter than 100 bytes.
pub fn targz(files: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

/// A package of a Node chaincode with these files.
///
/// # Errors
/// As [`targz`].
pub fn chaincode_package(name: &str, version: &str, files: &[(&str, &str)]) -> io::Result<Bytes> {
    let id = ChaincodeId { path: name.into(), name: name.into(), version: version.into() };
    let chaincode = ChaincodeSpec { r#type: Type::Node as i32, chaincode_id: Some(id), ..ChaincodeSpec::default() };
    let spec = ChaincodeDeploymentSpec {
        chaincode_spec: Some(chaincode),
        code_package: targz(files)?.into(),
        ..ChaincodeDeploymentSpec::default()
    };
    Ok(spec.encode_to_vec().into())
}
