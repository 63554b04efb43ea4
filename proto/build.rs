//! Compiles `fabric/*.proto` with protox, so that no `protoc` is needed.

use std::path::Path;

const FILES: [&str; 14] = [
    "chaincode.proto",
    "chaincode_package.proto",
    "chaincode_shim.proto",
    "collection.proto",
    "common.proto",
    "config.proto",
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
    let descriptors = protox::compile(FILES, [Path::new("fabric")])?;
    // Without `connect`, whose name is also that of a method of the Chaincode service; clients are made of a channel.
    // `Bytes` lets a value travel from the wire to the store without a copy.
    tonic_prost_build::configure().build_transport(false).bytes(".").btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
