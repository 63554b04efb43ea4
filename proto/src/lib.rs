//! Hyperledger Fabric's protobuf messages and services.
//!
//! The modules carry the names of Fabric's protobuf packages, but for [`containers`]. The definitions are our own; their field
//! numbers and the names of services are what existing clients, shims and orderers put on the wire.

#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::doc_markdown, clippy::large_enum_variant)]

/// Envelopes, headers, blocks, channel configuration and identities (Fabric: `protos/common`, `protos/msp`).
pub mod common {
    tonic::include_proto!("common");
}
/// Chaincode messages, proposals, transactions and the peer's services (Fabric: `protos/peer`).
pub mod protos {
    tonic::include_proto!("protos");
}
/// The ordering service (Fabric: `protos/orderer`).
pub mod orderer {
    tonic::include_proto!("orderer");
}
/// Read-write sets (Fabric: `protos/ledger/rwset`).
pub mod rwset {
    tonic::include_proto!("rwset");
}
/// Read-write sets of one namespace (Fabric: `protos/ledger/rwset/kvrwset`).
pub mod kvrwset {
    tonic::include_proto!("kvrwset");
}
/// Private data before its commit (Fabric: `protos/transientstore`).
pub mod transientstore {
    tonic::include_proto!("transientstore");
}
/// What the raft ordering service configures (Fabric: `protos/orderer/etcdraft`).
pub mod etcdraft {
    tonic::include_proto!("etcdraft");
}
/// Rows of queries (Fabric: `protos/ledger/queryresult`).
pub mod queryresult {
    tonic::include_proto!("queryresult");
}

/// What runs on a peer, for its administrators. Not of Fabric.
pub mod containers {
    tonic::include_proto!("selvedge");
}

mod go;

pub use go::{DecodeAsGo, EncodeAsGo, holds_field};
pub use prost::Message;
pub use prost_types::Timestamp;

/// A marshalled `google.protobuf.FileDescriptorSet` with the definitions of all of these, and of what they import.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fabric.descriptors"));

/// The largest message on any stream, in both directions: 100 MiB, as in Fabric's peers and shims.
pub const MAX_MESSAGE_SIZE: usize = 100 * 1024 * 1024;
