//! Compiles `fabric/*.proto` with protox, so that no `protoc` is needed.

use std::path::Path;

const FILES: [&str; 11] = [
    "chaincode.proto",
    "chaincode_shim.proto",
    "common.proto",
    "config.proto",
    "events.proto",
    "kvrwset.proto",
    "msp.proto",
    "orderer.proto",
    "proposal.proto",
    "queryresult.proto",
    "rwset.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=fabric");
    let descriptors = protox::compile(FILES, [Path::new("fabric")])?;
    // `Bytes` lets a value travel from the wire to the store without a copy.
    // Without transport: a generated `connect` would collide with Fabric's `Chaincode/Connect`.
    tonic_prost_build::configure().bytes(".").btree_map(".").build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
