//! Compiles `fabric/*.proto` and `selvedge/*.proto` with protox, so that no `protoc` is needed.

use std::path::{Path, PathBuf};

const FILES: [&str; 16] = [
    "chaincode.proto",
    "chaincode_package.proto",
    "chaincode_shim.proto",
    "collection.proto",
    "common.proto",
    "config.proto",
    "containers.proto",
    "etcdraft.proto",
    "events.proto",
    "kvrwset.proto",
    "msp.proto",
    "orderer.proto",
    "proposal.proto",
    "queryresult.proto",
    "rwset.proto",
    "transientstore.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=fabric");
    println!("cargo::rerun-if-changed=selvedge");
    let mut compiler = protox::Compiler::new([Path::new("fabric"), Path::new("selvedge")])?;
    compiler.include_imports(true).open_files(FILES)?;
    // For whoever reads messages by their definitions and not by types of ours.
    let place = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(place.join("fabric.descriptors"), compiler.encode_file_descriptor_set())?;
    let descriptors = compiler.file_descriptor_set();
    // Without `connect`, whose name is also that of a method of the Chaincode service; clients are made of a channel.
    // `Bytes` lets a value travel from the wire to the store without a copy.
    let mut names = prost_build::Config::new();
    // By its name a type finds its definition: see `go.rs`.
    names.enable_type_names();
    let builder = tonic_prost_build::configure().build_transport(false).bytes(".").btree_map(".");
    builder.compile_fds_with_config(descriptors, names)?;
    Ok(())
}
