//! Chaincode packages, as `peer chaincode package` makes them.

use std::io;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::{ChaincodeDeploymentSpec, ChaincodeId, ChaincodeSpec};

use crate::platforms::{CONNECTION, WASM_MODULE};

/// A gzipped tar of these files.
///
/// # Errors
/// None, as long as names are shorter than 100 bytes.
pub fn targz(files: &[(&str, impl AsRef<[u8]>)]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, content)?;
    }
    archive.into_inner()?.finish()
}

/// A package of a Node chaincode with these files.
///
/// # Errors
/// As [`targz`].
pub fn chaincode_package(name: &str, version: &str, files: &[(&str, &str)]) -> io::Result<Bytes> {
    package_of(name, version, Type::Node, targz(files)?)
}

/// A package of a chaincode in WebAssembly, with further files beside the module.
///
/// # Errors
/// As [`targz`].
pub fn wasm_package(name: &str, version: &str, module: &[u8], files: &[(&str, &str)]) -> io::Result<Bytes> {
    let files = files.iter().map(|(name, text)| (*name, text.as_bytes())).chain([(WASM_MODULE, module)]);
    package_of(name, version, Type::Wasm, targz(&files.collect::<Vec<_>>())?)
}

/// A package of a chaincode that runs as a service, with this `connection.json`, and these files beside it.
///
/// # Errors
/// As [`targz`].
pub fn service_package(name: &str, version: &str, connection: &str, files: &[(&str, &str)]) -> io::Result<Bytes> {
    let files = [&[(CONNECTION, connection)], files].concat();
    package_of(name, version, Type::Ccaas, targz(&files)?)
}

fn package_of(name: &str, version: &str, kind: Type, code: Vec<u8>) -> io::Result<Bytes> {
    let id = ChaincodeId { path: name.into(), name: name.into(), version: version.into() };
    let chaincode = ChaincodeSpec { r#type: kind as i32, chaincode_id: Some(id), ..ChaincodeSpec::default() };
    let spec = ChaincodeDeploymentSpec {
        chaincode_spec: Some(chaincode),
        code_package: code.into(),
        ..ChaincodeDeploymentSpec::default()
    };
    Ok(spec.encode_to_vec().into())
}
