//! Chains, lists and units that no recorded network has, made for the test.

use bytes::Bytes;
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA256, RevokedCertParams, SerialNumber, SignatureAlgorithm,
};
use selvedge_proto::common::{
    FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, SerializedIdentity,
};
use time::{Duration, OffsetDateTime};

use super::certificate::Certificate;
use super::ecdsa::{Curve, Scalars};
use super::{Identity, Msp, MspError, MspVersion, Role, Signer, SigningIdentity};

const MSPID: &str = "TestMSP";

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str, units: &[&str], serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    // rcgen keeps one value of a type; spelling the type differently makes room for a second.
    let types = [DnType::OrganizationalUnitName, DnType::CustomDnType(vec![2, 5, 4, 11])];
    assert!(units.len() <= types.len(), "two units are the most that a test certificate can have");
    for (unit, dn_type) in units.iter().zip(types) {
        params.distinguished_name.push(dn_type, *unit);
    }
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = params.not_before + Duration::days(1);
    params
}

fn ca_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, &[], serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("a key")
}

impl Ca {
    fn root(name: &str) -> Self {
        let (params, key) = (ca_params(name, 1), key(&PKCS_ECDSA_P256_SHA256));
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn below(&self, name: &str, serial: u64) -> Self {
        let (params, key) = (ca_params(name, serial), key(&PKCS_ECDSA_P384_SHA384));
        let pem = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> String {
        params.signed_by(&key(&PKCS_ECDSA_P256_SHA256), &self.issuer).expect("signed").pem()
    }

    fn issue(&self, name: &str, units: &[&str]) -> String {
        self.sign(&params(name, units, 77))
    }

    fn revoke(&self, serial: u64) -> Bytes {
        let list = CertificateRevocationListParams {
            this_update: OffsetDateTime::now_utc(),
            next_update: OffsetDateTime::now_utc() + Duration::days(1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: OffsetDateTime::now_utc(),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("signed").pem().expect("PEM").into()
    }
}

/// A definition without administrators, which MSPs before 1.4.3 may lack.
fn config(roots: &[&Ca], intermediates: &[&Ca]) -> FabricMspConfig {
    let pems = |all: &[&Ca]| all.iter().map(|ca| ca.pem.clone().into()).collect();
    FabricMspConfig {
        name: MSPID.into(),
        root_certs: pems(roots),
        intermediate_certs: pems(intermediates),
        ..FabricMspConfig::default()
    }
}

fn msp(config: &FabricMspConfig) -> Result<Msp, MspError> {
    Msp::new(config, MspVersion::V1_3)
}

fn identify(msp: &Msp, pem: &str) -> Result<Identity, MspError> {
    let identity = SerializedIdentity { mspid: MSPID.into(), id_bytes: pem.to_owned().into() };
    msp.deserialize(&identity.encode_to_vec())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, MspError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn only_the_lowest_authorities_issue_identities() {
    let root = Ca::root("root");
    let middle = root.below("middle", 2);
    let low = middle.below("low", 3);
    let leaf = "Parent certificate should be a leaf of the certification tree";

    let one = msp(&config(&[&root], &[&middle])).expect("an MSP");
    identify(&one, &middle.issue("user", &[])).expect("below one intermediate");
    assert!(refusal(identify(&one, &root.issue("user", &[]))).contains(leaf));
    assert!(matches!(identify(&one, &low.issue("user", &[])), Err(MspError::NoChain { .. })));
    assert!(matches!(identify(&one, &low.pem), Err(MspError::CertificateAuthority)));

    let two = msp(&config(&[&root], &[&low, &middle])).expect("an MSP");
    identify(&two, &low.issue("user", &[])).expect("below two intermediates");
    assert!(refusal(identify(&two, &middle.issue("user", &[]))).contains(leaf));
    assert!(refusal(identify(&two, &root.issue("user", &[]))).contains(leaf));

    let gap = refusal(msp(&config(&[&root], &[&low])));
    assert!(gap.contains("CN=low") && gap.contains("CN=middle"), "{gap}");
    let twice = msp(&config(&[&root, &root], &[&middle, &middle, &root])).expect("a repeated certificate is one");
    identify(&twice, &middle.issue("user", &[])).expect("below one intermediate");
}

#[test]
fn two_chains_for_one_certificate_are_one_too_many() {
    let root = Ca::root("root");
    let renewed = ca_params("root", 9).self_signed(root.issuer.key()).expect("signed").pem();
    let mut definition = config(&[&root], &[]);
    definition.root_certs.push(renewed.into());
    let msp = msp(&definition).expect("an MSP");
    let refused = refusal(identify(&msp, &root.issue("user", &[])));
    assert!(refused.contains("this MSP only supports a single validation chain, got 2"), "{refused}");
}

#[test]
fn lists_of_the_issuer_revoke_and_others_do_not() {
    let root = Ca::root("root");
    let middle = root.below("middle", 77);
    let user = middle.issue("user", &[]);
    let with_list = |list: Bytes| {
        let mut definition = config(&[&root], &[&middle]);
        definition.revocation_list.push(list);
        msp(&definition)
    };
    let revoked = with_list(middle.revoke(77)).expect("the list is about a leaf");
    assert!(matches!(identify(&revoked, &user), Err(MspError::Revoked)));
    let other = with_list(middle.revoke(78)).expect("the list is about another leaf");
    identify(&other, &user).expect("not revoked");
    let stranger = with_list(Ca::root("middle").revoke(77)).expect("nobody of the MSP signed the list");
    identify(&stranger, &user).expect("not revoked");
    let refused = refusal(with_list(root.revoke(77)));
    assert!(refused.contains("CN=middle") && refused.contains("The certificate has been revoked"), "{refused}");
}

#[test]
fn a_signature_in_its_other_form_is_the_same_certificate() {
    let root = Ca::root("root");
    let user = root.issue("user", &[]);
    let certificate = Certificate::from_pem(user.as_bytes()).expect("a certificate");
    let scalars = Scalars::from_der(&certificate.signature).expect("DER");
    let pem = |scalars: Scalars| {
        let other = certificate.with_signature(&scalars.to_der().expect("DER")).expect("a certificate");
        super::pem::encode_certificate(&other.der).expect("PEM")
    };
    let (low, high) = (pem(scalars.clone().into_low(Curve::P256)), pem(scalars.into_high(Curve::P256)));
    assert_ne!(low, high);
    let mut definition = config(&[&root], &[]);
    definition.admins.push(high.clone().into());
    let msp = msp(&definition).expect("an MSP");
    let (low, high) = (identify(&msp, &low).expect("valid"), identify(&msp, &high).expect("valid"));
    assert!(low.is_same_as(&high) && high.is_same_as(&low));
    assert_eq!((low.role(), high.role()), (Role::Admin, Role::Admin));
    let same_name = identify(&msp, &root.issue("user", &[])).expect("valid");
    assert!(!same_name.is_same_as(&low) && same_name.role() == Role::Member);
}

#[test]
fn a_certificate_for_tls_clients_alone_is_refused_as_by_go() {
    let root = Ca::root("root");
    let msp = msp(&config(&[&root], &[])).expect("an MSP");
    let mut params = params("user", &[], 5);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert!(refusal(identify(&msp, &root.sign(&params))).contains("extended key usage"));
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    identify(&msp, &root.sign(&params)).expect("valid");
}

#[test]
fn a_restricted_msp_takes_members_with_a_unit_that_the_right_authority_vouches_for() {
    let root = Ca::root("root");
    let (sales, stock) = (root.below("sales-ca", 2), root.below("stock-ca", 3));
    let mut definition = config(&[&root], &[&sales, &stock]);
    definition.organizational_unit_identifiers = vec![FabricOuIdentifier {
        certificate: sales.pem.clone().into(),
        organizational_unit_identifier: "sales".into(),
    }];
    let restricted = msp(&definition).expect("an MSP");
    identify(&restricted, &sales.issue("user", &["other", "sales"])).expect("has the unit");
    let text = refusal(identify(&restricted, &sales.issue("user", &[])));
    assert!(text.ends_with("the identity certificate does not contain an Organizational Unit (OU)"), "{text}");
    for elsewhere in [sales.issue("user", &["stock"]), stock.issue("user", &["sales"])] {
        let text = refusal(identify(&restricted, &elsewhere));
        assert!(text.contains("none of the identity's organizational units [") && text.contains("TestMSP"), "{text}");
    }
    definition.organizational_unit_identifiers[0].certificate = Ca::root("stranger").pem.into();
    refusal(msp(&definition));
    definition.organizational_unit_identifiers[0].certificate = root.pem.clone().into();
    msp(&definition).expect("a root may vouch, though it issues nobody");
}

#[test]
fn a_role_has_one_unit_and_its_certifier() {
    let (first, second) = (Ca::root("first"), Ca::root("second"));
    let mut definition = config(&[&first, &second], &[]);
    let unit = |name: &str, certifier: Option<&Ca>| {
        let certificate = certifier.map_or_else(Bytes::new, |ca| ca.pem.clone().into());
        Some(FabricOuIdentifier { certificate, organizational_unit_identifier: name.into() })
    };
    definition.fabric_node_ous = Some(FabricNodeOUs {
        enable: true,
        client_ou_identifier: unit("client", Some(&first)),
        peer_ou_identifier: unit("peer", None),
        admin_ou_identifier: unit("boss", None),
        orderer_ou_identifier: None,
    });
    let msp = Msp::new(&definition, MspVersion::V1_4_3).expect("an MSP");
    let role = |pem: &str| identify(&msp, pem).map(|identity| identity.role());
    assert_eq!(role(&first.issue("a", &["client", "anything"])).expect("valid"), Role::Client);
    assert_eq!(role(&second.issue("b", &["peer"])).expect("valid"), Role::Peer);
    assert_eq!(role(&second.issue("c", &["boss"])).expect("valid"), Role::Admin);
    assert!(refusal(role(&second.issue("d", &["client"]))).contains("certifiersIdentifier does not match: [client("));
    for (units, listed) in [(&["client", "peer"][..], "[client("), (&[], "[]"), (&["admin"], "[admin(")] {
        let text = refusal(role(&first.issue("e", units)));
        let expected = "the identity must be a client, a peer, an orderer or an admin identity to be valid, \
                        not a combination of them. OUs: ";
        assert!(text.contains(&format!("{expected}{listed}")), "{text}");
    }
    let peer = identify(&msp, &second.issue("b", &["peer"])).expect("valid");
    let orderer = refusal(peer.check_role(Role::Orderer));
    assert!(orderer.contains("node ou for type [ORDERER], not defined, msp: [TestMSP]"), "{orderer}");

    definition.fabric_node_ous.as_mut().expect("set").peer_ou_identifier = None;
    let older = refusal(Msp::new(&definition, MspVersion::V1_1));
    assert!(older.contains("PeerOU must be different from nil"), "{older}");
}

#[test]
fn a_unit_in_an_old_kind_of_string_counts_like_any_other() {
    let root = Ca::root("root");
    let mut definition = config(&[&root], &[]);
    let unit = |name: &str| {
        Some(FabricOuIdentifier { organizational_unit_identifier: name.into(), ..FabricOuIdentifier::default() })
    };
    definition.fabric_node_ous = Some(FabricNodeOUs {
        enable: true,
        client_ou_identifier: unit("client"),
        peer_ou_identifier: unit("peer"),
        ..FabricNodeOUs::default()
    });
    let msp = msp(&definition).expect("an MSP");
    let mut params = params("user", &["client"], 5);
    identify(&msp, &root.sign(&params)).expect("a client");
    let peer = DnValue::TeletexString("peer".try_into().expect("ASCII"));
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), peer);
    let text = refusal(identify(&msp, &root.sign(&params)));
    assert!(text.contains("not a combination of them. OUs: [client(") && text.contains(" peer("), "{text}");
}

#[test]
fn an_identity_wrapped_in_much_text_is_valid_and_is_not_kept() {
    let root = Ca::root("root");
    let msp = msp(&config(&[&root], &[])).expect("an MSP");
    let pem = root.issue("user", &[]);
    for (text, kept) in [(String::new(), true), ("x".repeat(1 << 20), false)] {
        let id_bytes = format!("{text}\n{pem}").into();
        let serialized = SerializedIdentity { mspid: MSPID.into(), id_bytes }.encode_to_vec();
        msp.deserialize(&serialized).expect("valid");
        assert_eq!(msp.keeps(&serialized), kept, "{} bytes", serialized.len());
    }
}

#[test]
fn no_byte_of_a_certificate_can_be_changed() {
    let root = Ca::root("root");
    let msp = msp(&config(&[&root], &[])).expect("an MSP");
    let certificate = Certificate::from_pem(root.issue("user", &["client"]).as_bytes()).expect("a certificate");
    for position in 0..certificate.der.len() {
        for change in [1, 0x80] {
            let mut der = certificate.der.clone();
            der[position] ^= change;
            let pem = super::pem::encode_certificate(&der).expect("PEM");
            assert!(identify(&msp, &pem).is_err(), "byte {position} changed by {change:#x}");
        }
    }
}

#[test]
fn an_authority_may_have_an_rsa_key() {
    let mut definition = config(&[], &[]);
    definition.root_certs.push(include_str!("testdata/rsa-ca.pem").into());
    let user = include_str!("testdata/rsa-user.pem");
    identify(&msp(&definition).expect("an MSP"), user).expect("its own key is ECDSA");
    definition.root_certs[0] = Ca::root("rsa-ca").pem.into();
    assert!(matches!(identify(&msp(&definition).expect("an MSP"), user), Err(MspError::NoChain { .. })));
}

#[test]
fn a_definition_that_fabric_refuses_is_refused_with_the_reason() {
    let root = Ca::root("root");
    let good = config(&[&root], &[]);
    let bad = |change: &dyn Fn(&mut FabricMspConfig)| {
        let mut definition = good.clone();
        change(&mut definition);
        refusal(msp(&definition))
    };
    let user: Bytes = root.issue("user", &[]).into();
    let stranger = Ca::root("stranger");
    let without_key_id = include_str!("testdata/without-subject-key-id.pem");
    let text = bad(&|definition| definition.root_certs.clear());
    assert!(text.contains("expected at least one CA certificate"), "{text}");
    let text = bad(&|definition| definition.root_certs.push(user.clone()));
    assert!(text.contains("did not have the CA attribute"), "{text}");
    let text = bad(&|definition| definition.root_certs.push(without_key_id.into()));
    assert!(text.contains("Subject Key Identifier"), "{text}");
    let text = bad(&|definition| definition.tls_root_certs.push(user.clone()));
    assert!(text.contains("did not have the CA attribute"), "{text}");
    let text = bad(&|definition| {
        definition.tls_root_certs.push(root.pem.clone().into());
        definition.tls_intermediate_certs.push(stranger.pem.clone().into());
    });
    assert!(text.contains("(TLS)") && text.contains("CN=stranger"), "{text}");
    let text = bad(&|definition| definition.admins.push(stranger.issue("admin", &[]).into()));
    assert!(text.contains("admin 0 ") && text.contains("CN=admin"), "{text}");
    let text = bad(&|definition| definition.revocation_list.push(user.clone()));
    assert!(text.contains("X509 CRL"), "{text}");
    let text = bad(&|definition| {
        definition.crypto_config =
            Some(FabricCryptoConfig { signature_hash_family: "SHA3".into(), ..FabricCryptoConfig::default() });
    });
    assert!(text.contains("SHA-3") && text.contains("SHA2"), "{text}");
}

#[test]
fn identities_sign_with_keys_on_three_curves_in_both_forms() {
    let root = Ca::root("root");
    let msp = msp(&config(&[&root], &[])).expect("an MSP");
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA256] {
        let key = key(algorithm);
        let certificate = params("user", &[], 5).signed_by(&key, &root.issuer).expect("signed").pem();
        let pkcs8 = key.serialize_pem();
        for key_pem in [sec1(&pkcs8), pkcs8] {
            let dir = tempfile::tempdir().expect("a directory");
            for (folder, text) in [("signcerts", &certificate), ("keystore", &key_pem)] {
                std::fs::create_dir(dir.path().join(folder)).expect("made");
                std::fs::write(dir.path().join(folder).join("a_sk"), text).expect("written");
            }
            let signer = SigningIdentity::load(dir.path(), MSPID).expect("a key in a form that Fabric writes");
            let identity = msp.deserialize(&signer.serialize()).expect("valid");
            identity.verify(b"message", &signer.sign(b"message").expect("signs")).expect("its signature");

            let ed25519 = self::key(&rcgen::PKCS_ED25519).serialize_pem();
            std::fs::write(dir.path().join("keystore/a_sk"), ed25519).expect("written");
            let refused = refusal(SigningIdentity::load(dir.path(), MSPID));
            assert!(refused.contains("a_sk: ") && refused.contains("Ed25519"), "{refused}");
        }
    }
    let ed25519 = params("user", &[], 5).signed_by(&key(&rcgen::PKCS_ED25519), &root.issuer).expect("signed").pem();
    let refused = refusal(identify(&msp, &ed25519));
    assert!(refused.contains("Ed25519") && refused.contains("P-384"), "{refused}");
}

/// The SEC 1 form of a PKCS#8 key, which stands in it as an octet string behind two algorithm identifiers.
fn sec1(pkcs8: &str) -> String {
    use x509_cert::der::asn1::{AnyRef, OctetStringRef, UintRef};
    use x509_cert::der::pem::{self, LineEnding};
    use x509_cert::der::{Decode, Reader, SliceReader};
    let (_, der) = pem::decode_vec(pkcs8.as_bytes()).expect("PEM");
    let key = SliceReader::new(&der).expect("DER").sequence(|body| {
        UintRef::decode(body)?;
        AnyRef::decode(body)?;
        let key = <&OctetStringRef>::decode(body)?.as_bytes().to_vec();
        body.drain(body.remaining_len())?;
        Ok::<_, x509_cert::der::Error>(key)
    });
    pem::encode_string("EC PRIVATE KEY", LineEnding::LF, &key.expect("PKCS#8")).expect("PEM")
}
