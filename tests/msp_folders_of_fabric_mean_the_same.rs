//! MSP folders that `cryptogen` made: their definition has the bytes that `configtxgen` put into the recorded channel,
//! and everybody in them is what Fabric says they are.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use selvedge::msp::{Identity, Msp, MspError, MspVersion, Role, Signer, SigningIdentity, folder};
use selvedge_proto::common::msp_identity_anonymity::MspIdentityAnonymityType;
use selvedge_proto::common::msp_principal::Classification;
use selvedge_proto::common::{
    Block, CombinedPrincipal, ConfigEnvelope, ConfigGroup, Envelope, FabricMspConfig, MspConfig, MspIdentityAnonymity,
    MspPrincipal, MspRole, OrganizationUnit, Payload, SerializedIdentity,
};

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path)
}

fn msp_folder(name: &str) -> PathBuf {
    golden("msp").join(name)
}

/// The groups of the organisations in a recorded network's channel.
fn organisations(network: &Path) -> Vec<(String, ConfigGroup)> {
    let block = std::fs::read(network.join("channel/channel-block0.block")).expect("the recorded block");
    let block = Block::decode(&block[..]).expect("a block");
    let envelope = Envelope::decode(block.data.expect("data").data[0].clone()).expect("an envelope");
    let payload = Payload::decode(envelope.payload).expect("a payload");
    let config = ConfigEnvelope::decode(payload.data).expect("a configuration").config.expect("a configuration");
    let root = config.channel_group.expect("a group");
    root.groups.into_values().flat_map(|group| group.groups).collect()
}

fn recorded_config(network: &Path, mspid: &str) -> MspConfig {
    let values = organisations(network).into_iter().map(|(_, group)| group.values["MSP"].value.clone());
    let configs = values.map(|value| MspConfig::decode(value).expect("an MSP value"));
    let named =
        |config: &MspConfig| FabricMspConfig::decode(config.config.clone()).expect("a definition").name == mspid;
    configs.into_iter().find(named).unwrap_or_else(|| panic!("{mspid} is in the block"))
}

#[test]
fn a_folder_becomes_the_bytes_that_configtxgen_wrote() {
    let networks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for network in ["v1.4", "v2.5"].map(|version| networks.join(version)) {
        for (name, mspid) in [("alpha-org", "AlphaMSP"), ("beta-org", "BetaMSP"), ("orderer-org", "OrdererMSP")] {
            let folder = network.join("msp").join(name);
            let config = folder::verifying_config(&folder, mspid).expect("a definition");
            let recorded = recorded_config(&network, mspid);
            assert!(config.encode_to_vec() == recorded.config, "{} has other bytes", folder.display());
            Msp::from_config_value(&recorded, MspVersion::V1_4_3).expect("an MSP");
        }
    }
}

fn serialized(folder: &str, mspid: &str) -> Bytes {
    SigningIdentity::load(&msp_folder(folder), mspid).expect("a signer").serialize()
}

fn identity(msp: &Msp, folder: &str) -> Identity {
    msp.deserialize(&serialized(folder, msp.id())).unwrap_or_else(|error| panic!("{folder}: {error}"))
}

fn extra(file: &str) -> Bytes {
    let id_bytes = std::fs::read(msp_folder("extra").join(file)).expect("recorded").into();
    SerializedIdentity { mspid: "AlphaMSP".into(), id_bytes }.encode_to_vec().into()
}

#[test]
fn everybody_has_the_roles_that_fabric_gives_them() {
    use Role::{Admin, Client, Member, Orderer, Peer};
    let load = |folder: &str, mspid: &str| Msp::load(&msp_folder(folder), mspid).expect("an MSP");
    let alpha = load("alpha-org", "AlphaMSP");
    let beta = load("beta-org", "BetaMSP");
    let orderer = load("orderer-org", "OrdererMSP");
    let expected: [(&Msp, &str, &[Role]); 9] = [
        (&alpha, "alpha-admin", &[Member, Admin]),
        (&alpha, "alpha-user1", &[Member]),
        (&alpha, "alpha-user3", &[Member]),
        (&alpha, "alpha-peer0", &[Member]),
        (&beta, "beta-admin", &[Member, Admin]),
        (&beta, "beta-user1", &[Member, Client]),
        (&beta, "beta-peer0", &[Member, Peer]),
        (&orderer, "orderer-admin", &[Member, Admin]),
        (&orderer, "orderer0", &[Member]),
    ];
    for (msp, folder, roles) in expected {
        let identity = identity(msp, folder);
        assert_eq!(identity.roles().collect::<Vec<_>>(), roles, "{folder}");
        for role in [Member, Admin, Client, Peer, Orderer] {
            assert_eq!(identity.check_role(role).is_ok(), roles.contains(&role), "{folder} as {role:?}");
        }
    }
}

#[test]
fn revoked_and_foreign_certificates_are_refused_and_an_expired_one_is_not() {
    let alpha = Msp::load(&msp_folder("alpha-org"), "AlphaMSP").expect("an MSP");
    let revoked = alpha.deserialize(&serialized("alpha-user2-revoked", "AlphaMSP"));
    assert!(matches!(revoked, Err(MspError::Revoked)), "{revoked:?}");
    let rogue = alpha.deserialize(&extra("rogue.pem"));
    assert!(matches!(rogue, Err(MspError::NoChain { .. })), "{rogue:?}");
    let authority = alpha.deserialize(&extra("rogueca.pem"));
    assert!(matches!(authority, Err(MspError::CertificateAuthority)), "{authority:?}");
    let expired = alpha.deserialize(&extra("expired.pem")).expect("a peer comes to the same verdict at any time");
    assert!(expired.expires_at() < std::time::SystemTime::now());

    let mut config = folder::verifying_config(&msp_folder("alpha-org"), "AlphaMSP").expect("a definition");
    config.revocation_list.clear();
    let without_list = Msp::new(&config, MspVersion::V1_4_3).expect("an MSP");
    without_list.deserialize(&serialized("alpha-user2-revoked", "AlphaMSP")).expect("nothing else is wrong with it");
}

#[test]
fn missing_roles_are_refused_with_fabrics_texts() {
    let text = |msp: &Msp, folder: &str, role| identity(msp, folder).check_role(role).expect_err(folder).to_string();
    let alpha = Msp::load(&msp_folder("alpha-org"), "AlphaMSP").expect("an MSP");
    assert_eq!(text(&alpha, "alpha-user1", Role::Admin), "This identity is not an admin");
    assert_eq!(
        text(&alpha, "alpha-peer0", Role::Peer),
        "The identity is not a [PEER] under this MSP [AlphaMSP]: NodeOUs not activated. Cannot tell apart identities."
    );
    let beta = Msp::load(&msp_folder("beta-org"), "BetaMSP").expect("an MSP");
    assert_eq!(
        text(&beta, "beta-user1", Role::Admin),
        "The identity is not an admin under this MSP [BetaMSP]: \
         The identity does not contain OU [ADMIN], MSP: [BetaMSP]"
    );
    assert_eq!(
        text(&beta, "beta-peer0", Role::Client),
        "The identity is not a [CLIENT] under this MSP [BetaMSP]: \
         The identity does not contain OU [CLIENT], MSP: [BetaMSP]"
    );
}

/// `BetaMSP` with the administrator listed, as MSPs before admin units had it.
fn beta(version: MspVersion, listed: &str) -> Result<Msp, MspError> {
    let mut config = folder::verifying_config(&msp_folder("beta-org"), "BetaMSP").expect("a definition");
    let certificate = SerializedIdentity::decode(serialized(listed, "BetaMSP")).expect("an identity").id_bytes;
    config.admins.push(certificate);
    Msp::new(&config, version)
}

#[test]
fn the_channels_capabilities_decide_what_node_ous_mean() {
    let newest = beta(MspVersion::V1_4_3, "beta-user1").expect("an MSP");
    let listed: Vec<Role> = identity(&newest, "beta-user1").roles().collect();
    assert_eq!(listed, [Role::Member, Role::Admin, Role::Client]);
    let as_peer = beta(MspVersion::V1_4_3, "beta-peer0").expect_err("a peer is no administrator").to_string();
    assert!(as_peer.contains("admin 0 ") && as_peer.contains("does not contain OU [CLIENT]"), "{as_peer}");

    for version in [MspVersion::V1_1, MspVersion::V1_3] {
        let older = beta(version, "beta-user1").expect("an MSP");
        assert_eq!(identity(&older, "beta-user1").role(), Role::Admin);
        assert_eq!(identity(&older, "beta-peer0").role(), Role::Peer);
        let admin = older.deserialize(&serialized("beta-admin", "BetaMSP")).expect_err("no such unit yet").to_string();
        let expected =
            "the identity must be a client or a peer identity to be valid, not a combination of them. OUs: [admin(";
        assert!(admin.contains(expected) && admin.ends_with("], MSP: [BetaMSP]"), "{admin}");
        let orderer = identity(&older, "beta-peer0").check_role(Role::Orderer).expect_err("no such role yet");
        assert_eq!(orderer.to_string(), "invalid MSP role type 4");
        beta(version, "beta-peer0").expect_err("an administrator is a client");
    }

    let oldest = beta(MspVersion::V1_0, "beta-peer0").expect("units are not looked at");
    assert_eq!(identity(&oldest, "beta-peer0").role(), Role::Admin);
    assert_eq!(identity(&oldest, "beta-admin").role(), Role::Member);

    let mut config = folder::verifying_config(&msp_folder("alpha-org"), "AlphaMSP").expect("a definition");
    config.admins.clear();
    let refused = Msp::new(&config, MspVersion::V1_4_3).expect_err("nobody can be its administrator").to_string();
    assert!(refused.contains("administrators must be declared"), "{refused}");
    Msp::new(&config, MspVersion::V1_3).expect("earlier MSPs may do without");
}

fn principal(classification: Classification, content: &impl Message) -> MspPrincipal {
    MspPrincipal { principal_classification: classification.into(), principal: content.encode_to_vec().into() }
}

fn role(mspid: &str, role: i32) -> MspPrincipal {
    principal(Classification::Role, &MspRole { msp_identifier: mspid.into(), role })
}

fn anonymity(kind: MspIdentityAnonymityType) -> MspPrincipal {
    principal(Classification::Anonymity, &MspIdentityAnonymity { anonymity_type: kind.into() })
}

fn combined(principals: &[MspPrincipal]) -> MspPrincipal {
    principal(Classification::Combined, &CombinedPrincipal { principals: principals.to_vec() })
}

#[test]
fn principals_of_all_classes_match_as_in_fabric() {
    let beta = Msp::load(&msp_folder("beta-org"), "BetaMSP").expect("an MSP");
    let peer = identity(&beta, "beta-peer0");
    let unit = |mspid: &str, unit: &str, certifiers: &[u8]| {
        let content = OrganizationUnit {
            msp_identifier: mspid.into(),
            organizational_unit_identifier: unit.into(),
            certifiers_identifier: certifiers.to_vec().into(),
        };
        principal(Classification::OrganizationUnit, &content)
    };
    let of_identity = |folder: &str| MspPrincipal {
        principal_classification: Classification::Identity.into(),
        principal: serialized(folder, "BetaMSP"),
    };
    let chain = peer.certifiers_identifier();
    let nominal = anonymity(MspIdentityAnonymityType::Nominal);
    for (number, good) in [
        role("BetaMSP", 0),
        role("BetaMSP", 3),
        unit("BetaMSP", "peer", chain),
        of_identity("beta-peer0"),
        nominal.clone(),
        combined(&[role("BetaMSP", 3), combined(&[nominal.clone(), of_identity("beta-peer0")])]),
    ]
    .iter()
    .enumerate()
    {
        beta.satisfies(&peer, good).unwrap_or_else(|error| panic!("principal {number}: {error}"));
    }

    let other_msp = "the identity is a member of a different MSP (expected AlphaMSP, got BetaMSP)";
    let not_admin = "The identity is not an admin under this MSP [BetaMSP]: \
                     The identity does not contain OU [ADMIN], MSP: [BetaMSP]";
    for (bad, expected) in [
        (role("AlphaMSP", 0), other_msp),
        (role("BetaMSP", 1), not_admin),
        (role("BetaMSP", 9), "invalid MSP role type 9"),
        (unit("AlphaMSP", "peer", chain), other_msp),
        (unit("BetaMSP", "client", chain), "The identities do not match"),
        (unit("BetaMSP", "peer", b"another chain"), "The identities do not match"),
        (of_identity("beta-admin"), "The identities do not match"),
        (
            anonymity(MspIdentityAnonymityType::Anonymous),
            "Principal is anonymous, but X.509 MSP does not support anonymous identities",
        ),
        (combined(&[]), "No principals in CombinedPrincipal"),
        (combined(&[nominal.clone(), role("BetaMSP", 1)]), not_admin),
        (MspPrincipal { principal_classification: 7, ..MspPrincipal::default() }, "invalid principal type 7"),
    ] {
        let refused = beta.satisfies(&peer, &bad).expect_err(expected);
        assert_eq!(refused.to_string(), expected);
    }

    let older = self::beta(MspVersion::V1_1, "beta-user1").expect("an MSP");
    let peer = identity(&older, "beta-peer0");
    for (unknown, class) in [(nominal.clone(), 3), (combined(&[nominal]), 4)] {
        let refused = older.satisfies(&peer, &unknown).expect_err("not before 1.3");
        assert_eq!(refused.to_string(), format!("invalid principal type {class}"));
    }
}

#[test]
fn a_combined_principal_nested_without_end_is_an_answer_not_a_crash() {
    let beta = Msp::load(&msp_folder("beta-org"), "BetaMSP").expect("an MSP");
    let mut nested = role("BetaMSP", 3);
    for _ in 0..2000 {
        nested = combined(&[nested]);
    }
    beta.satisfies(&identity(&beta, "beta-peer0"), &nested).expect("a peer all the same");
}
