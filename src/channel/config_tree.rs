//! Pieces of a configuration tree (Fabric: `common/channelconfig/util.go`, `common/policies/util.go`).
//!
//! Every item is changed by whoever satisfies its `mod_policy`; like configtxgen we put `Admins` of the group it is in.

use prost::Message;
use prost::bytes::Bytes;
use selvedge_proto::EncodeAsGo;
use selvedge_proto::common::{
    Capabilities, Capability, ConfigGroup, ConfigPolicy, ConfigValue, ImplicitMetaPolicy, MspPrincipal, MspRole,
    Policy, SignaturePolicy, SignaturePolicyEnvelope, implicit_meta_policy, msp_principal, msp_role, policy,
    signature_policy,
};

pub(super) const ADMINS: &str = "Admins";
pub(super) const READERS: &str = "Readers";
pub(super) const WRITERS: &str = "Writers";

/// A group of nothing yet.
pub(super) fn group() -> ConfigGroup {
    ConfigGroup { mod_policy: ADMINS.into(), ..ConfigGroup::default() }
}

/// A value with the mod policy `Admins`.
pub(super) fn value(message: &impl Message) -> ConfigValue {
    ConfigValue { value: message.encode_to_vec().into(), mod_policy: ADMINS.into(), version: 0 }
}

/// A `Capabilities` value that requires one level.
pub(super) fn capability(level: &str) -> ConfigValue {
    let capabilities = Capabilities { capabilities: [(level.to_owned(), Capability {})].into() };
    ConfigValue { value: capabilities.encode_as_go().into(), mod_policy: ADMINS.into(), version: 0 }
}

/// Readers, Writers and Admins as configtxgen's default profile has them: any reader, any writer, most administrators
/// of the groups below.
pub(super) fn implicit_policies(group: &mut ConfigGroup) {
    use implicit_meta_policy::Rule;
    for (name, rule) in [(READERS, Rule::Any), (WRITERS, Rule::Any), (ADMINS, Rule::Majority)] {
        group.policies.insert(name.into(), implicit(rule, name));
    }
}

/// A policy that counts a policy of the groups below.
pub(super) fn implicit(rule: implicit_meta_policy::Rule, sub_policy: &str) -> ConfigPolicy {
    let meta = ImplicitMetaPolicy { sub_policy: sub_policy.into(), rule: rule as i32 };
    policy_of(policy::PolicyType::ImplicitMeta, meta.encode_to_vec().into())
}

/// A policy that one signature of the given role satisfies.
pub(super) fn signed_by_role(mspid: &str, role: msp_role::MspRoleType) -> ConfigPolicy {
    use signature_policy::{NOutOf, Type};
    let principal = MspRole { msp_identifier: mspid.into(), role: role as i32 };
    let first = SignaturePolicy { r#type: Some(Type::SignedBy(0)) };
    let envelope = SignaturePolicyEnvelope {
        version: 0,
        rule: Some(SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n: 1, rules: vec![first] })) }),
        identities: vec![MspPrincipal {
            principal_classification: msp_principal::Classification::Role as i32,
            principal: principal.encode_to_vec().into(),
        }],
    };
    policy_of(policy::PolicyType::Signature, envelope.encode_to_vec().into())
}

fn policy_of(kind: policy::PolicyType, value: Bytes) -> ConfigPolicy {
    ConfigPolicy { policy: Some(Policy { r#type: kind as i32, value }), mod_policy: ADMINS.into(), version: 0 }
}
