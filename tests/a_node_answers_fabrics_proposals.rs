//! Nodes with the identities and the chain of a recorded Fabric 1.4 network answer the proposals that were signed for it:
//! the same bytes but for the signature of an endorsement, which verifies; refusals with the same code and text.
//!
//! The user chaincode runs on npm's fabric-shim, the release that was recorded, over gRPC.

use std::path::{Path, PathBuf};

use prost::Message;
use selvedge::chaincode::packages::PackageStore;
use selvedge::ledger::LedgerProvider;
use selvedge::msp::Msp;
use selvedge::testing::{Golden, NodeChaincode, TestPeer, base64_at, text_at};
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeDeploymentSpec, ConfigTree, ProposalResponse, ProposalResponsePayload, SignedProposal,
};
use serde_json::Value;
use tonic::transport::Channel;

const GOLDEN: Golden = Golden::V1_4;

/// Where the recorded peer kept its packages: a refusal to install says so.
const RECORDED_PACKAGES: &str = "/srv/fabric/golden14/peerA/chaincodes";
/// The height at which the recorded packages were installed.
const INSTALLING: u64 = 5;
/// The fingerprints that they have on the recorded peer.
const RECORDED_IDS: [(&str, &str); 2] = [
    ("kv", "a1f1e95fc6720634c0aca27be8a94ce67140300feb3bcb58053ffbd056a78432"),
    ("signedcc", "36ebe3bec62fc57da8618aab0f0a9043742fdf86cbac09a2a640718e0332eebc"),
];
/// The height at which ex02 was upgraded, by a call that runs the new version's Init.
const UPGRADING: u64 = 39;
/// Fabric writes the maps of a configuration in any order, so the answer has the same content and not the same bytes.
const UNORDERED: &str = "17-cscc-GetConfigTree";
/// The answer holds the recorded process's id.
const PROCESS_ID: &str = "55-isinit-flag";

/// A peer of the recorded network and its chaincodes.
struct Peer {
    node: TestPeer,
    endorser: EndorserClient<Channel>,
    msp: Msp,
    packages: PathBuf,
    _chaincodes: Vec<NodeChaincode>,
}

impl Peer {
    /// Peer 0 of `organisation`, when the channel was `height` blocks long.
    async fn start(folder: &Path, organisation: &str, mspid: &str, height: u64) -> anyhow::Result<Self> {
        let data = folder.join("data");
        GOLDEN.replay(&LedgerProvider::open(&data.join("ledgers"))?, height)?;
        let packages = data.join("chaincodes");
        if height > INSTALLING {
            install_packages(&packages)?;
        }
        let folder_of_msp = GOLDEN.path(&format!("msp/{organisation}-peer0"));
        let settings = [
            ("PEER_MSPCONFIGPATH", folder_of_msp.to_str().unwrap_or_default()),
            ("PEER_LOCALMSPID", mspid),
            ("CHAINCODE_MODE", "dev"),
            ("CHAINCODE_WASM_SYSTEMVERSION", "1.4.12"),
        ];
        let node = TestPeer::start(folder, &[], &settings).await?;
        let listener = node.node().chaincode_address().to_string();
        let ex02 = if height < UPGRADING { "ex02:1" } else { "ex02:2" };
        let chaincodes = ["kv:1", "kvand:1", ex02].map(|id| {
            let listener = listener.clone();
            tokio::task::spawn_blocking(move || NodeChaincode::start("kv", id, &listener))
        });
        let mut running = Vec::new();
        for chaincode in chaincodes {
            running.push(chaincode.await??);
        }
        let endorser = EndorserClient::new(node.connection().await?).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let msp = Msp::load(&folder_of_msp, mspid)?;
        Ok(Self { node, endorser, msp, packages, _chaincodes: running })
    }

    async fn answer(&mut self, signed: SignedProposal) -> Result<ProposalResponse, tonic::Status> {
        Ok(self.endorser.process_proposal(signed).await?.into_inner())
    }

    /// A recorded answer, with the folder of our packages in place of the recorded peer's.
    fn moved(&self, recorded: &ProposalResponse) -> ProposalResponse {
        let mut moved = recorded.clone();
        let Some(response) = moved.response.as_mut().filter(|response| response.message.contains(RECORDED_PACKAGES))
        else {
            return moved;
        };
        let ours = self.packages.display().to_string();
        response.message = response.message.replace(RECORDED_PACKAGES, &ours);
        let mut payload = ProposalResponsePayload::decode(recorded.payload.clone()).expect("a payload");
        let mut action = ChaincodeAction::decode(payload.extension).expect("an action");
        action.response.clone_from(&moved.response);
        payload.extension = action.encode_to_vec().into();
        moved.payload = payload.encode_to_vec().into();
        moved
    }

    /// Our answer is `recorded` but for the signature, which is good, and the folder of the packages.
    fn compare(&self, name: &str, mut ours: ProposalResponse, recorded: &ProposalResponse) {
        let recorded = &self.moved(recorded);
        if let (Some(ours), Some(theirs)) = (&mut ours.endorsement, &recorded.endorsement) {
            let signed = [&recorded.payload[..], &ours.endorser].concat();
            let endorser = self.msp.deserialize(&ours.endorser).expect(name);
            endorser.verify(&signed, &ours.signature).expect(name);
            ours.signature = theirs.signature.clone();
        }
        if ours != *recorded {
            let payloads = [&ours, recorded].map(|answer| ProposalResponsePayload::decode(answer.payload.clone()));
            panic!("{name}: ours is\n{ours:?}\n{:?}\nand Fabric's\n{recorded:?}\n{:?}", payloads[0], payloads[1]);
        }
    }
}

/// The packages that were installed on the recorded peers, as files of the peer.
fn install_packages(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, file) in [("kv.1", "kv-1.cds"), ("ex02.1", "ex02-1.cds"), ("signedcc.7", "signedcc-7.scds")] {
        std::fs::write(folder.join(name), GOLDEN.read(&format!("packages/{file}"))?)?;
    }
    // These had the code of others under a name or a version of their own; the answers hold their fingerprints.
    for (file, name, version) in [("kv-1.cds", "kvand", "1"), ("ex02-1.cds", "ex02", "2")] {
        let mut package = ChaincodeDeploymentSpec::decode(GOLDEN.read(&format!("packages/{file}"))?)?;
        if let Some(id) = package.chaincode_spec.as_mut().and_then(|spec| spec.chaincode_id.as_mut()) {
            (id.name, id.version) = (name.into(), version.into());
        }
        std::fs::write(folder.join(format!("{name}.{version}")), package.encode_to_vec())?;
    }
    Ok(())
}

/// The recorded proposals that a peer answered at a height, with what it answered.
fn recorded(peer: &str, height: u64) -> anyhow::Result<Vec<(String, SignedProposal, ProposalResponse)>> {
    let mut cases = Vec::new();
    for case in GOLDEN.json("proposals/index.json")?.as_array().expect("a list") {
        let name = text_at(case, "/name");
        if case["height_at_endorsement"] != height || [PROCESS_ID, UNORDERED].contains(&name) {
            continue;
        }
        for response in case["responses"].as_array().expect("a list") {
            if text_at(response, "/peer") == peer {
                let request = SignedProposal::decode(GOLDEN.read(text_at(case, "/request"))?)?;
                let response = ProposalResponse::decode(GOLDEN.read(text_at(response, "/file"))?)?;
                cases.push((name.to_owned(), request, response));
            }
        }
    }
    Ok(cases)
}

async fn compare_all(peer: &mut Peer, letter: &str, height: u64, expected: usize) -> anyhow::Result<()> {
    let cases = recorded(letter, height)?;
    assert_eq!(cases.len(), expected, "proposals to peer {letter} at height {height}");
    for (name, request, response) in cases {
        let ours = peer.answer(request).await.unwrap_or_else(|status| panic!("{name}: {status}"));
        peer.compare(&name, ours, &response);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_each_height_the_answers_have_the_recorded_bytes() -> anyhow::Result<()> {
    for (height, expected) in [(INSTALLING, 4), (6, 1), (7, 1), (8, 1), (30, 1), (UPGRADING, 1)] {
        let folder = tempfile::tempdir()?;
        let mut peer = Peer::start(folder.path(), "alpha", "AlphaMSP", height).await?;
        compare_all(&mut peer, "A", height, expected).await?;
        if height == INSTALLING {
            let installed = PackageStore::open(&peer.packages)?.list()?;
            let ids: Vec<_> = installed.iter().map(|package| (&*package.name, hex::encode(package.id))).collect();
            assert_eq!(ids, RECORDED_IDS.map(|(name, id)| (name, id.to_owned())));
        }
        peer.node.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peer_of_the_other_organisation_answers_so_too() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut peer = Peer::start(folder.path(), "beta", "BetaMSP", 9).await?;
    compare_all(&mut peer, "B", 9, 3).await?;
    peer.node.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_refusals_are_fabrics() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut peer = Peer::start(folder.path(), "alpha", "AlphaMSP", 9).await?;
    compare_all(&mut peer, "A", 9, 48).await?;

    let rejected = GOLDEN.json("proposals/rejected.json")?;
    let mut refused = 0;
    for case in rejected.as_array().expect("a list") {
        let name = text_at(case, "/name");
        let answer = peer.answer(SignedProposal::decode(base64_at(case, "/request_base64")?)?).await;
        match case["grpc"]["code"].as_u64() {
            Some(0) => {
                let response = ProposalResponse::decode(base64_at(case, "/response_base64")?)?;
                peer.compare(name, answer.unwrap_or_else(|status| panic!("{name}: {status}")), &response);
            }
            code => {
                let status = answer.expect_err(name);
                assert_eq!(Some(u64::from(status.code() as u8)), code, "{name}");
                assert_eq!(status.message(), text_at(case, "/grpc/details"), "{name}");
            }
        }
        refused += 1;
    }
    assert_eq!(refused, 51, "of {} recorded refusals", rejected.as_array().map_or(0, Vec::len));

    let (request, _) = recorded_pair(PROCESS_ID)?;
    let payload = peer.answer(request).await?.response.unwrap_or_default().payload;
    let version: Value = serde_json::from_slice(&payload)?;
    assert_eq!(version["shim"], "2.5.8", "the shim that was recorded");

    let (request, response) = recorded_pair(UNORDERED)?;
    let trees = [peer.answer(request).await?, response].map(|answer| {
        let response = answer.response.unwrap_or_default();
        assert_eq!(response.status, 200, "{}", response.message);
        ConfigTree::decode(response.payload).expect("a tree")
    });
    assert_eq!(trees[0], trees[1]);
    assert!(trees[0].channel_config.is_some());
    peer.node.stop().await;
    Ok(())
}

fn recorded_pair(name: &str) -> anyhow::Result<(SignedProposal, ProposalResponse)> {
    let request = SignedProposal::decode(GOLDEN.read(&format!("proposals/{name}.request.bin"))?)?;
    let response = ProposalResponse::decode(GOLDEN.read(&format!("proposals/{name}.response.bin"))?)?;
    Ok((request, response))
}
