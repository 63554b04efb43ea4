//! Who signs in the tables: real keys, real certificates, real signatures.
//!
//! A signer is written `A.user`: organisation (A to E, of which E is not in the channel) and folder (user, peer, admin,
//! orderer). Alpha and Beta are recorded organisations, and Beta has node OUs. A mark behind it says what is odd: `!` a signature that is none, `?` one over other data, `~` and `^` other
//! bytes for the same certificate. `Z.user` is of an authority that calls itself A. `recorded:<name>` is the creator of
//! a proposal that Fabric recorded, with its signature over that proposal; `garbage` is nobody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use prost::Message;
use prost::bytes::Bytes;
use selvedge_proto::common::{Header, SerializedIdentity, SignatureHeader};
use selvedge_proto::protos::{Proposal, SignedProposal};

use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{Identity, Msp, MspManager, Signer, SigningIdentity};
use crate::policies::{SignedData, signers};

const MESSAGE: &[u8] = b"what everybody signs";

/// The organisations and their members, made once for all tests.
pub(super) struct Cast {
    pub(super) msps: Arc<MspManager>,
    members: BTreeMap<String, SigningIdentity>,
}

/// A signature with what it is over.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    pub(super) data: Bytes,
    pub(super) identity: Bytes,
    pub(super) signature: Bytes,
}

pub(super) static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a directory");
    let mut members = BTreeMap::new();
    let mut msps = Vec::new();
    for (name, mspid) in [("alpha", "AlphaMSP"), ("beta", "BetaMSP"), ("orderer", "OrdererMSP")] {
        let folder = golden(&format!("msp/{name}-org"));
        msps.push(Arc::new(Msp::load(&folder, mspid).expect("a recorded MSP")));
    }
    for (name, folder, mspid) in [
        ("Alpha.user", "alpha-user1", "AlphaMSP"),
        ("Alpha.revoked", "alpha-user2-revoked", "AlphaMSP"),
        ("Beta.user", "beta-user1", "BetaMSP"),
        ("Beta.peer", "beta-peer0", "BetaMSP"),
        ("Beta.admin", "beta-admin", "BetaMSP"),
    ] {
        let signer = SigningIdentity::load(&golden("msp").join(folder), mspid).expect("a recorded key");
        members.insert(name.to_owned(), signer);
    }
    for (letter, mspid) in [("A", "A"), ("B", "B"), ("C", "C"), ("D", "D"), ("E", "E"), ("Z", "A")] {
        let made = development::ensure(&place.path().join(letter), mspid).expect("an MSP");
        if !matches!(letter, "E" | "Z") {
            msps.push(Arc::new(Msp::load(&made.organisation, mspid).expect("its definition")));
        }
        let DevelopmentMsp { peer, admin, user, orderer, .. } = &made;
        for (name, folder) in [("peer", peer), ("admin", admin), ("user", user), ("orderer", orderer)] {
            members.insert(format!("{letter}.{name}"), SigningIdentity::load(folder, mspid).expect("a key"));
        }
    }
    Cast { msps: Arc::new(MspManager::new(msps)), members }
});

pub(super) fn golden(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path)
}

impl Cast {
    /// The signatures of those who are named, in that order.
    pub(super) fn sign(&self, names: &str) -> Vec<Signature> {
        names.split_whitespace().map(|name| self.signature(name)).collect()
    }

    /// Those of them who count.
    pub(super) fn signers(&self, names: &str) -> Vec<Identity> {
        let signed = self.sign(names);
        let data: Vec<_> = signed
            .iter()
            .map(|item| SignedData { data: &item.data, identity: &item.identity, signature: &item.signature })
            .collect();
        signers(&data, &self.msps)
    }

    /// The bytes of somebody's identity.
    pub(super) fn identity(&self, name: &str) -> Bytes {
        self.signature(name).identity
    }

    fn signature(&self, name: &str) -> Signature {
        if let Some(name) = name.strip_prefix("recorded:") {
            return recorded(name);
        }
        let data = Bytes::from_static(MESSAGE);
        if name == "garbage" {
            return Signature { data, identity: Bytes::from_static(b"\xff"), signature: Bytes::new() };
        }
        let plain = name.trim_end_matches(['!', '?', '~', '^']);
        let signer = self.members.get(plain).unwrap_or_else(|| panic!("nobody is called {plain}"));
        let identity = signer.serialize();
        let sign = |data: &[u8]| signer.sign(data).expect("it signs");
        match &name[plain.len()..] {
            "" => Signature { identity, signature: sign(&data), data },
            "!" => {
                let mut signature = sign(&data).to_vec();
                *signature.last_mut().expect("not empty") ^= 1;
                Signature { data, identity, signature: signature.into() }
            }
            "?" => Signature { data, identity, signature: sign(b"something else") },
            "~" => {
                let mut parsed = SerializedIdentity::decode(identity).expect("an identity");
                parsed.id_bytes = [parsed.id_bytes.as_ref(), b"\n"].concat().into();
                Signature { identity: parsed.encode_to_vec().into(), signature: sign(&data), data }
            }
            "^" => {
                let mut parsed = SerializedIdentity::decode(identity).expect("an identity");
                let text = String::from_utf8(parsed.id_bytes.to_vec()).expect("PEM");
                parsed.id_bytes = text.replace('\n', "\r\n").into();
                Signature { identity: parsed.encode_to_vec().into(), signature: sign(&data), data }
            }
            mark => panic!("no mark {mark}"),
        }
    }
}

/// The creator of a proposal that a Fabric peer refused, or answered.
fn recorded(name: &str) -> Signature {
    let file = std::fs::read(golden("proposals/rejected.json")).expect("the recorded proposals");
    let list: Vec<serde_json::Value> = serde_json::from_slice(&file).expect("a list");
    let entry = list.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no proposal {name}"));
    let request = entry["request_base64"].as_str().expect("a request");
    let request = base64::engine::general_purpose::STANDARD.decode(request).expect("base64");
    let signed = SignedProposal::decode(request.as_slice()).expect("a signed proposal");
    let proposal = Proposal::decode(signed.proposal_bytes.clone()).expect("a proposal");
    let header = Header::decode(proposal.header).expect("a header");
    let creator = SignatureHeader::decode(header.signature_header).expect("a signature header").creator;
    Signature { data: signed.proposal_bytes, identity: creator, signature: signed.signature }
}
