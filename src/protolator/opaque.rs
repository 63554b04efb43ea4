//! Which byte field holds which message (Fabric: the methods `StaticallyOpaqueFields` and `VariablyOpaqueFieldProto` in
//! `protos/`), and where 1.4's definitions are others than this project's.

use prost::Message as _;
use selvedge_proto::common::{ChannelHeader, Header, HeaderType};

use super::render::Wire;

/// The type of the message inside the field `name` of a message of type `message`, whose content is `wire`. `key` is that
/// under which the message stands in a map: a configuration value's name says what the value is.
pub(super) fn message_in(message: &str, name: &str, wire: &Wire, key: &str) -> Option<&'static str> {
    Some(match (message, name) {
        ("common.Envelope", "payload") => "common.Payload",
        ("common.Payload", "data") => return payload_data(wire),
        ("common.Header", "channel_header") => "common.ChannelHeader",
        ("common.Header" | "common.ConfigSignature", "signature_header") => "common.SignatureHeader",
        ("common.SignatureHeader", "creator") => "common.SerializedIdentity",
        ("common.BlockData", "data") => "common.Envelope",
        ("common.ConfigUpdateEnvelope", "config_update") => "common.ConfigUpdate",
        ("common.ConfigValue", "value") => return config_value(key),
        ("common.Policy", "value") => match wire.number(1) {
            1 => "common.SignaturePolicyEnvelope",
            3 => "common.ImplicitMetaPolicy",
            _ => return None,
        },
        // Idemix has other fields, which nothing here defines.
        ("common.MSPConfig", "config") if wire.number(1) == 0 => "common.FabricMSPConfig",
        ("common.MSPPrincipal", "principal") => match wire.number(1) {
            0 => "common.MSPRole",
            1 => "common.OrganizationUnit",
            2 => "common.SerializedIdentity",
            _ => return None,
        },
        ("common.ConsensusType", "metadata") if wire.bytes(1) == "etcdraft" => "etcdraft.ConfigMetadata",
        ("protos.TransactionAction", "header") => "common.SignatureHeader",
        ("protos.TransactionAction", "payload") => "protos.ChaincodeActionPayload",
        ("protos.ChaincodeActionPayload", "chaincode_proposal_payload") => "protos.ChaincodeProposalPayload",
        ("protos.ChaincodeProposalPayload", "input") => "protos.ChaincodeInvocationSpec",
        ("protos.ChaincodeEndorsedAction", "proposal_response_payload") => "protos.ProposalResponsePayload",
        ("protos.ProposalResponsePayload", "extension") => "protos.ChaincodeAction",
        ("protos.ChaincodeAction", "results") => "rwset.TxReadWriteSet",
        ("protos.ChaincodeAction", "events") => "protos.ChaincodeEvent",
        ("rwset.NsReadWriteSet", "rwset") => "kvrwset.KVRWSet",
        // Fabric's table has the name of this field wrong, so that its tool shows it in base64; so does this.
        // ("rwset.CollectionHashedReadWriteSet", "hashed_rwset") => "kvrwset.HashedRWSet"
        _ => return None,
    })
}

/// By the type in the channel header.
fn payload_data(wire: &Wire) -> Option<&'static str> {
    let header = Header::decode(wire.bytes(1)).ok()?;
    let header = ChannelHeader::decode(header.channel_header).ok()?;
    Some(match HeaderType::try_from(header.r#type).ok()? {
        HeaderType::Config => "common.ConfigEnvelope",
        HeaderType::ConfigUpdate => "common.ConfigUpdateEnvelope",
        HeaderType::EndorserTransaction => "protos.Transaction",
        HeaderType::OrdererTransaction => "common.Envelope",
        _ => return None,
    })
}

fn config_value(name: &str) -> Option<&'static str> {
    Some(match name {
        "ACLs" => "common.ACLs",
        "AnchorPeers" => "common.AnchorPeers",
        "BatchSize" => "common.BatchSize",
        "BatchTimeout" => "common.BatchTimeout",
        "BlockDataHashingStructure" => "common.BlockDataHashingStructure",
        "Capabilities" => "common.Capabilities",
        "ChannelCreationPolicy" => "common.Policy",
        "ChannelRestrictions" => "common.ChannelRestrictions",
        "ConsensusType" => "common.ConsensusType",
        "Consortium" => "common.Consortium",
        "Endpoints" | "OrdererAddresses" => "common.OrdererAddresses",
        "HashingAlgorithm" => "common.HashingAlgorithm",
        "KafkaBrokers" => "common.KafkaBrokers",
        "MSP" => "common.MSPConfig",
        _ => return None,
    })
}

/// Fields of later releases, which are shown where they are set only.
pub(super) fn is_later(message: &str, name: &str) -> bool {
    matches!((message, name), ("protos.ChaincodeInput", "is_init") | ("kvrwset.KVWriteHash", "is_purge"))
}

/// Fields of 1.4 that nothing here defines, because they are never set.
pub(super) fn never_set(message: &str) -> &'static [&'static str] {
    match message {
        "protos.ChaincodeAction" => &["token_expectation"],
        _ => &[],
    }
}
