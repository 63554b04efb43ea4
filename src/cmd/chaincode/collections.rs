//! The file of `--collections-config` (Fabric: `peer/chaincode.getCollectionConfigFromFile`).
//!
//! Keys are compared without case, as Go's decoder does; keys that Fabric 1.4 does not know are ignored, as there. Of Fabric
//! 2.x's, `memberOnlyWrite` counts.

use std::path::Path;

use anyhow::{Context, anyhow};
use selvedge_proto::protos::{
    CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig, StaticCollectionConfig, collection_config,
    collection_policy_config,
};
use serde::Deserialize;
use serde_json::Value;

use crate::policies;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Collection {
    name: String,
    policy: String,
    #[serde(rename = "requiredpeercount")]
    required_peer_count: i32,
    #[serde(rename = "maxpeercount")]
    max_peer_count: i32,
    #[serde(rename = "blocktolive")]
    block_to_live: u64,
    #[serde(rename = "memberonlyread")]
    member_only_read: bool,
    #[serde(rename = "memberonlywrite")]
    member_only_write: bool,
}

pub(super) fn read(file: &Path) -> anyhow::Result<CollectionConfigPackage> {
    let text = std::fs::read_to_string(file).with_context(|| format!("could not read file '{}'", file.display()));
    let parsed = text.and_then(|text| parse(&text));
    parsed.with_context(|| format!("invalid collection configuration in file {}", file.display()))
}

fn parse(text: &str) -> anyhow::Result<CollectionConfigPackage> {
    let unparsable = || "could not parse the collection configuration";
    let collections: Vec<Value> = serde_json::from_str(text).with_context(unparsable)?;
    let collections = collections.into_iter().map(|collection| {
        let collection = lowercase_keys(collection);
        Collection::deserialize(collection).with_context(unparsable)?.into_config()
    });
    Ok(CollectionConfigPackage { config: collections.collect::<anyhow::Result<_>>()? })
}

fn lowercase_keys(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect(),
        other => other,
    }
}

impl Collection {
    fn into_config(self) -> anyhow::Result<CollectionConfig> {
        let policy =
            policies::parse(&self.policy).map_err(|cause| anyhow!("invalid policy {}: {cause}", self.policy))?;
        let payload = collection_policy_config::Payload::SignaturePolicy(policy);
        let collection = StaticCollectionConfig {
            name: self.name,
            member_orgs_policy: Some(CollectionPolicyConfig { payload: Some(payload) }),
            required_peer_count: self.required_peer_count,
            maximum_peer_count: self.max_peer_count,
            block_to_live: self.block_to_live,
            member_only_read: self.member_only_read,
            member_only_write: self.member_only_write,
            ..StaticCollectionConfig::default()
        };
        let payload = collection_config::Payload::StaticCollectionConfig(collection);
        Ok(CollectionConfig { payload: Some(payload) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_fabrics_is_read() {
        let text = r#"[{"name":"collA","policy":"OR('AlphaMSP.member','BetaMSP.member')","requiredPeerCount":1,
            "maxPeerCount":3,"blockToLive":1000000,"memberOnlyRead":true},{"NAME":"b","Policy":"OR('B.member')","x":1}]"#;
        let package = parse(text).unwrap();
        let collections: Vec<_> = package
            .config
            .into_iter()
            .map(|config| match config.payload {
                Some(collection_config::Payload::StaticCollectionConfig(collection)) => collection,
                other => panic!("{other:?}"),
            })
            .collect();
        let [first, second] = collections.as_slice() else { panic!("there are two") };
        assert_eq!((first.name.as_str(), first.required_peer_count, first.maximum_peer_count), ("collA", 1, 3));
        assert_eq!((first.block_to_live, first.member_only_read, first.member_only_write), (1_000_000, true, false));
        let policy = first.member_orgs_policy.clone().and_then(|policy| policy.payload);
        let expected = policies::parse("OR('AlphaMSP.member','BetaMSP.member')").unwrap();
        assert_eq!(policy, Some(collection_policy_config::Payload::SignaturePolicy(expected)));
        assert_eq!((second.name.as_str(), second.maximum_peer_count), ("b", 0));
    }

    #[test]
    fn what_is_wrong_is_said_in_fabrics_words() {
        let refused = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert!(refused("{").starts_with("could not parse the collection configuration: "));
        assert!(refused(r#"[{"name":1}]"#).starts_with("could not parse the collection configuration: "));
        assert!(refused(r#"[{"name":"a","policy":"OR("}]"#).starts_with("invalid policy OR(: "));
        let missing = format!("{:#}", read(Path::new("/nowhere/c.json")).unwrap_err());
        let expected =
            "invalid collection configuration in file /nowhere/c.json: could not read file '/nowhere/c.json': ";
        assert!(missing.starts_with(expected), "{missing}");
    }
}
