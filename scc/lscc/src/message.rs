//! The messages that lscc reads and writes (`protos/peer`, `core/common/ccprovider`).
//!
//! Policies stay bytes, as in Fabric's own `ChaincodeData`: lscc shows them and never looks into them.

use std::collections::BTreeMap;

use prost::Message;

/// Decodes what others wrote. The error is in the words of Fabric's decoder, which says `unexpected EOF` wherever a length
/// or a varint runs past the end.
pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
    M::decode(bytes).map_err(|error| in_fabrics_words(&error))
}

fn in_fabrics_words(error: &prost::DecodeError) -> String {
    let text = error.to_string();
    let ran_out = ["buffer underflow", "invalid varint", "delimited length exceeded", "exceeds maximum usize value"];
    if ran_out.iter().any(|ending| text.ends_with(ending)) {
        return "unexpected EOF".to_owned();
    }
    format!("proto: {}", text.strip_prefix("failed to decode Protobuf message: ").unwrap_or(&text))
}

/// An entry of lscc's state.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeData {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    #[prost(string, tag = "3")]
    pub(crate) escc: String,
    #[prost(string, tag = "4")]
    pub(crate) vscc: String,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) policy: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) data: Vec<u8>,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", tag = "8")]
    pub(crate) instantiation_policy: Vec<u8>,
}

/// What a deploy or upgrade is asked for, as far as lscc looks at it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeDeploymentSpec {
    #[prost(message, optional, tag = "1")]
    pub(crate) chaincode_spec: Option<ChaincodeSpec>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeSpec {
    #[prost(message, optional, tag = "2")]
    pub(crate) chaincode_id: Option<ChaincodeId>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeId {
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, tag = "3")]
    pub(crate) version: String,
}

/// The payload of an upgrade's event.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct LifecycleEvent {
    #[prost(string, tag = "1")]
    pub(crate) chaincode_name: String,
}

/// `ChaincodeData.data`: `CDSData`, or `SignedCDSData` which alone has the third hash.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct PackageHashes {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) code: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) metadata: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) signature: Vec<u8>,
}

/// What a package gives to the chaincode's Init.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeInput {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) args: Vec<Vec<u8>>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    pub(crate) decorations: BTreeMap<String, Vec<u8>>,
    #[prost(bool, tag = "3")]
    pub(crate) is_init: bool,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeQueryResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) chaincodes: Vec<ChaincodeInfo>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChaincodeInfo {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    #[prost(string, tag = "3")]
    pub(crate) path: String,
    #[prost(string, tag = "4")]
    pub(crate) input: String,
    #[prost(string, tag = "5")]
    pub(crate) escc: String,
    #[prost(string, tag = "6")]
    pub(crate) vscc: String,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) id: Vec<u8>,
}
