//! A channel configuration as `configtxlator proto_decode` prints it: values and policies decoded by their names, bytes
//! in base64, 64-bit numbers as text, everything that is absent written out.

use std::collections::BTreeMap;

use prost::Message;
use selvedge_proto::common::{
    AcLs, AnchorPeers, BatchSize, BatchTimeout, BlockDataHashingStructure, Capabilities, ChannelRestrictions, Config,
    ConfigGroup, ConfigPolicy, ConfigUpdate, ConfigValue, ConsensusType, Consortium, FabricMspConfig,
    FabricOuIdentifier, HashingAlgorithm, ImplicitMetaPolicy, MspConfig, MspPrincipal, MspRole, OrdererAddresses,
    SignaturePolicy, SignaturePolicyEnvelope, implicit_meta_policy, msp_principal, msp_role, signature_policy,
};
use serde_json::{Map, Value, json};

pub(super) fn config(config: &Config) -> Value {
    json!({
        "sequence": config.sequence.to_string(),
        "channel_group": group(config.channel_group.as_ref().expect("a root")),
    })
}

pub(super) fn update(update: &ConfigUpdate) -> Value {
    assert!(update.isolated_data.is_empty(), "no recorded update has any");
    json!({
        "channel_id": update.channel_id,
        "isolated_data": {},
        "read_set": update.read_set.as_ref().map(group),
        "write_set": update.write_set.as_ref().map(group),
    })
}

fn each<T>(items: &BTreeMap<String, T>, render: impl Fn(&str, &T) -> Value) -> Value {
    Value::Object(items.iter().map(|(name, item)| (name.clone(), render(name, item))).collect::<Map<_, _>>())
}

fn group(it: &ConfigGroup) -> Value {
    json!({
        "version": it.version.to_string(),
        "mod_policy": it.mod_policy,
        "groups": each(&it.groups, |_, below| group(below)),
        "values": each(&it.values, value),
        "policies": each(&it.policies, |_, item| policy(item)),
    })
}

fn decode<M: Message + Default>(bytes: &[u8]) -> M {
    M::decode(bytes).expect("what its name says")
}

fn value(name: &str, item: &ConfigValue) -> Value {
    let content = if item.value.is_empty() { Value::Null } else { content(name, &item.value) };
    json!({ "version": item.version.to_string(), "mod_policy": item.mod_policy, "value": content })
}

fn content(name: &str, bytes: &[u8]) -> Value {
    match name {
        "ACLs" => {
            let acls = each(&decode::<AcLs>(bytes).acls, |_, acl| json!({ "policy_ref": acl.policy_ref }));
            json!({ "acls": acls })
        }
        "AnchorPeers" => {
            let peers = decode::<AnchorPeers>(bytes).anchor_peers;
            let peers: Vec<_> = peers.iter().map(|peer| json!({ "host": peer.host, "port": peer.port })).collect();
            json!({ "anchor_peers": peers })
        }
        "BatchSize" => {
            let size: BatchSize = decode(bytes);
            json!({
                "max_message_count": size.max_message_count,
                "absolute_max_bytes": size.absolute_max_bytes,
                "preferred_max_bytes": size.preferred_max_bytes,
            })
        }
        "BatchTimeout" => json!({ "timeout": decode::<BatchTimeout>(bytes).timeout }),
        "BlockDataHashingStructure" => json!({ "width": decode::<BlockDataHashingStructure>(bytes).width }),
        "Capabilities" => {
            json!({ "capabilities": each(&decode::<Capabilities>(bytes).capabilities, |_, _| json!({})) })
        }
        "ChannelRestrictions" => json!({ "max_count": decode::<ChannelRestrictions>(bytes).max_count.to_string() }),
        "ConsensusType" => {
            let consensus: ConsensusType = decode(bytes);
            let metadata = match &consensus.metadata {
                metadata if metadata.is_empty() => Value::Null,
                metadata => raft::metadata(metadata),
            };
            json!({ "type": consensus.r#type, "state": consensus.state().as_str_name(), "metadata": metadata })
        }
        "Consortium" => json!({ "name": decode::<Consortium>(bytes).name }),
        "HashingAlgorithm" => json!({ "name": decode::<HashingAlgorithm>(bytes).name }),
        "MSP" => {
            let config: MspConfig = decode(bytes);
            json!({ "type": config.r#type, "config": msp(&decode(&config.config)) })
        }
        "OrdererAddresses" | "Endpoints" => json!({ "addresses": decode::<OrdererAddresses>(bytes).addresses }),
        other => panic!("no recorded configuration has a value {other}"),
    }
}

fn msp(config: &FabricMspConfig) -> Value {
    assert!(config.signing_identity.is_none(), "a channel's MSP has no key");
    let all = |items: &[prost::bytes::Bytes]| items.iter().map(|item| base64(item)).collect::<Vec<_>>();
    let unit = |unit: &FabricOuIdentifier| {
        json!({
            "certificate": base64(&unit.certificate),
            "organizational_unit_identifier": unit.organizational_unit_identifier,
        })
    };
    let ous = config.fabric_node_ous.as_ref().map(|ous| {
        json!({
            "enable": ous.enable,
            "client_ou_identifier": ous.client_ou_identifier.as_ref().map(unit),
            "peer_ou_identifier": ous.peer_ou_identifier.as_ref().map(unit),
            "admin_ou_identifier": ous.admin_ou_identifier.as_ref().map(unit),
            "orderer_ou_identifier": ous.orderer_ou_identifier.as_ref().map(unit),
        })
    });
    let crypto = config.crypto_config.as_ref().map(|crypto| {
        json!({
            "signature_hash_family": crypto.signature_hash_family,
            "identity_identifier_hash_function": crypto.identity_identifier_hash_function,
        })
    });
    json!({
        "name": config.name,
        "root_certs": all(&config.root_certs),
        "intermediate_certs": all(&config.intermediate_certs),
        "admins": all(&config.admins),
        "revocation_list": all(&config.revocation_list),
        "signing_identity": null,
        "organizational_unit_identifiers": config.organizational_unit_identifiers.iter().map(unit).collect::<Vec<_>>(),
        "crypto_config": crypto,
        "tls_root_certs": all(&config.tls_root_certs),
        "tls_intermediate_certs": all(&config.tls_intermediate_certs),
        "fabric_node_ous": ous,
    })
}

fn policy(item: &ConfigPolicy) -> Value {
    let policy = item.policy.as_ref().map(|policy| {
        let value = match policy.r#type {
            1 => signature_policy(&decode(&policy.value)),
            3 => {
                let meta: ImplicitMetaPolicy = decode(&policy.value);
                let rule = implicit_meta_policy::Rule::try_from(meta.rule).expect("a rule");
                json!({ "rule": rule.as_str_name(), "sub_policy": meta.sub_policy })
            }
            other => panic!("no recorded configuration has a policy of type {other}"),
        };
        json!({ "type": policy.r#type, "value": value })
    });
    json!({ "version": item.version.to_string(), "mod_policy": item.mod_policy, "policy": policy })
}

fn signature_policy(envelope: &SignaturePolicyEnvelope) -> Value {
    json!({
        "version": envelope.version,
        "rule": envelope.rule.as_ref().map(rule),
        "identities": envelope.identities.iter().map(principal).collect::<Vec<_>>(),
    })
}

fn rule(policy: &SignaturePolicy) -> Value {
    match policy.r#type.as_ref().expect("a rule") {
        signature_policy::Type::SignedBy(index) => json!({ "signed_by": index }),
        signature_policy::Type::NOutOf(gate) => {
            json!({ "n_out_of": { "n": gate.n, "rules": gate.rules.iter().map(rule).collect::<Vec<_>>() } })
        }
    }
}

fn principal(principal: &MspPrincipal) -> Value {
    assert_eq!(principal.principal_classification, msp_principal::Classification::Role as i32);
    let role: MspRole = decode(&principal.principal);
    let name = msp_role::MspRoleType::try_from(role.role).expect("a role").as_str_name();
    json!({
        "principal_classification": "ROLE",
        "principal": { "msp_identifier": role.msp_identifier, "role": name },
    })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = bits >> (18 - 6 * place) & 63;
            text.push(if place > group.len() { '=' } else { char::from(DIGITS[digit as usize]) });
        }
    }
    text
}

/// What etcdraft keeps in `ConsensusType`.
mod raft {
    use prost::Message;
    use serde_json::{Value, json};

    #[derive(Clone, PartialEq, Message)]
    struct Consenter {
        #[prost(string, tag = "1")]
        host: String,
        #[prost(uint32, tag = "2")]
        port: u32,
        #[prost(bytes = "vec", tag = "3")]
        client_tls_cert: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        server_tls_cert: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Options {
        #[prost(string, tag = "1")]
        tick_interval: String,
        #[prost(uint32, tag = "2")]
        election_tick: u32,
        #[prost(uint32, tag = "3")]
        heartbeat_tick: u32,
        #[prost(uint32, tag = "4")]
        max_inflight_blocks: u32,
        #[prost(uint32, tag = "5")]
        snapshot_interval_size: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Metadata {
        #[prost(message, repeated, tag = "1")]
        consenters: Vec<Consenter>,
        #[prost(message, optional, tag = "2")]
        options: Option<Options>,
    }

    pub(super) fn metadata(bytes: &[u8]) -> Value {
        let metadata = Metadata::decode(bytes).expect("metadata of etcdraft");
        let consenter = |it: &Consenter| {
            json!({
                "host": it.host,
                "port": it.port,
                "client_tls_cert": super::base64(&it.client_tls_cert),
                "server_tls_cert": super::base64(&it.server_tls_cert),
            })
        };
        let options = metadata.options.as_ref().map(|it| {
            json!({
                "tick_interval": it.tick_interval,
                "election_tick": it.election_tick,
                "heartbeat_tick": it.heartbeat_tick,
                "max_inflight_blocks": it.max_inflight_blocks,
                "snapshot_interval_size": it.snapshot_interval_size,
            })
        });
        json!({ "consenters": metadata.consenters.iter().map(consenter).collect::<Vec<_>>(), "options": options })
    }
}
