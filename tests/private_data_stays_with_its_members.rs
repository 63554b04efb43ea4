//! Nodes of a recorded Fabric 1.4 network with the recorded chaincode: private data is put, committed and read back by a
//! member's node, across restarts; the node of an organisation that is no member has hashes, and Fabric's words for it.
//!
//! The user chaincode runs on npm's fabric-shim over gRPC.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use selvedge::client::{BlockPosition, create_chaincode_proposal, create_fetch_envelope, create_signed_tx};
use selvedge::ledger::{CommittedBlock, Ledger, LedgerProvider, block};
use selvedge::msp::{Signer, SigningIdentity};
use selvedge::testing::{GOLDEN_CHANNEL, Golden, NodeChaincode, TestPeer, from_the_orderer, outside_the_ledger};
use selvedge_proto::common::Status;
use selvedge_proto::orderer::seek_info::SeekErrorResponse;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::{DeliverResponse, ProposalResponse, SignedProposal, TxValidationCode};
use selvedge_proto::rwset::TxPvtReadWriteSet;
use sha2::{Digest, Sha256};

const GOLDEN: Golden = Golden::V1_4;

/// The height at which the recorded private put was endorsed; block 9 holds it.
const HEIGHT: u64 = 9;

fn signer(folder: &str, mspid: &str) -> anyhow::Result<Arc<dyn Signer>> {
    Ok(Arc::new(SigningIdentity::load(&GOLDEN.path(&format!("msp/{folder}")), mspid)?))
}

/// A peer of the recorded network with its chaincodes.
struct Peer {
    node: TestPeer,
    _chaincodes: Vec<NodeChaincode>,
}

impl Peer {
    /// Peer 0 of `organisation`, over what `folder` has of the channel.
    async fn start(folder: &Path, organisation: &str, mspid: &str) -> anyhow::Result<Self> {
        let msp = GOLDEN.path(&format!("msp/{organisation}-peer0"));
        let settings = [
            ("PEER_MSPCONFIGPATH", msp.to_str().unwrap_or_default()),
            ("PEER_LOCALMSPID", mspid),
            ("CHAINCODE_MODE", "dev"),
            ("CHAINCODE_WASM_SYSTEMVERSION", "1.4.12"),
        ];
        let node = TestPeer::start(folder, &[], &settings).await?;
        let mut chaincodes = Vec::new();
        for id in ["kv:1", "kvand:1"] {
            let listener = node.node().chaincode_address().to_string();
            let started = tokio::task::spawn_blocking(move || NodeChaincode::start("kv", id, &listener));
            chaincodes.push(started.await??);
        }
        Ok(Self { node, _chaincodes: chaincodes })
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.node.node().ledgers().get(GOLDEN_CHANNEL).expect("the channel")
    }

    /// Commits a recorded block, as its orderer sent it.
    fn commit_recorded(&self, number: u64) -> anyhow::Result<CommittedBlock> {
        let recorded = GOLDEN.block(number)?;
        Ok(self.ledger().commit(from_the_orderer(recorded.clone()), &outside_the_ledger(&recorded))?)
    }

    /// What the chaincode answers; the message where it fails.
    async fn query(&self, user: &Arc<dyn Signer>, args: &[&str]) -> anyhow::Result<Result<String, String>> {
        let (_, answer) = self.propose(user, "kv", args, "").await?;
        let response = answer.response.unwrap_or_default();
        Ok(match response.status {
            200 => Ok(String::from_utf8(response.payload.to_vec())?),
            _ => Err(response.message),
        })
    }

    async fn propose(
        &self,
        user: &Arc<dyn Signer>,
        chaincode: &str,
        args: &[&str],
        secret: &str,
    ) -> anyhow::Result<(Bytes, ProposalResponse)> {
        let args = args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect();
        let transient = BTreeMap::from([("value".to_owned(), Bytes::copy_from_slice(secret.as_bytes()))]);
        let created = create_chaincode_proposal(GOLDEN_CHANNEL, chaincode, args, transient, &**user)?;
        Ok((created.proposal, self.node.endorse(created.signed).await?))
    }

    /// Endorses here and commits the transaction in a block of its own.
    async fn submit(
        &self,
        user: &Arc<dyn Signer>,
        chaincode: &str,
        args: &[&str],
        secret: &str,
    ) -> anyhow::Result<Vec<TxValidationCode>> {
        let (proposal, answer) = self.propose(user, chaincode, args, secret).await?;
        let envelope = create_signed_tx(&proposal, &**user, &[answer])?;
        let info = self.ledger().chain_info()?;
        let next = block::new_block(info.height, info.current_block_hash, vec![envelope.encode_to_vec().into()]);
        Ok(self.ledger().commit(next, &[TxValidationCode::Valid])?.codes)
    }

    /// The private data that DeliverWithPrivateData sends with a block.
    async fn delivered(&self, user: &Arc<dyn Signer>, number: u64) -> anyhow::Result<BTreeMap<u64, TxPvtReadWriteSet>> {
        let mut client = DeliverClient::new(self.node.connection().await?);
        let position = BlockPosition::Number(number);
        let seek = create_fetch_envelope(GOLDEN_CHANNEL, position, SeekErrorResponse::Strict, &**user, Bytes::new())?;
        let mut stream = client.deliver_with_private_data(tokio_stream::once(seek)).await?.into_inner();
        let first = stream.message().await?.and_then(|response| response.r#type).expect("a response");
        let Type::BlockAndPrivateData(sent) = first else { anyhow::bail!("{first:?}") };
        assert_eq!(sent.block, self.ledger().block_by_number(number)?);
        let last = stream.message().await?.and_then(|response| response.r#type);
        assert_eq!(last, Some(Type::Status(Status::Success as i32)));
        Ok(sent.private_data_map)
    }

    async fn stop(self) {
        drop(self._chaincodes);
        self.node.stop().await;
    }
}

/// The channel as it was before block 9, and the recorded private put with its answer.
fn prepare(folder: &Path) -> anyhow::Result<(SignedProposal, ProposalResponse)> {
    GOLDEN.replay(&LedgerProvider::open(&folder.join("data/ledgers"))?, HEIGHT)?;
    let request = SignedProposal::decode(GOLDEN.read("proposals/46-private-put.request.bin")?)?;
    let response = ProposalResponse::decode(GOLDEN.read("proposals/46-private-put.response.bin")?)?;
    Ok((request, response))
}

fn not_available(block: u64, tx: u64) -> String {
    format!(
        "private data matching public hash version is not available. Public hash version = {{BlockNum: {block}, TxNum: \
         {tx}}}, Private data version = <nil>"
    )
}

fn assert_refused(answer: Result<String, String>, text: &str) {
    let refusal = answer.expect_err("refused");
    assert!(refusal.starts_with("EX:") && refusal.ends_with(text), "{refusal}\nshould end with\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_puts_commits_and_reads_across_restarts() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (request, recorded) = prepare(folder.path())?;
    let (alpha, beta) = (signer("alpha-user1", "AlphaMSP")?, signer("beta-user1", "BetaMSP")?);

    let peer = Peer::start(folder.path(), "alpha", "AlphaMSP").await?;
    assert_eq!(peer.node.endorse(request).await?.payload, recorded.payload, "byte for byte");
    peer.stop().await;

    // Between endorsement and commit the data is on the disk.
    let peer = Peer::start(folder.path(), "alpha", "AlphaMSP").await?;
    let committed = peer.commit_recorded(HEIGHT)?;
    assert_eq!(committed.block, GOLDEN.block(HEIGHT)?, "the block is Fabric's to the last byte");
    assert_eq!(peer.query(&alpha, &["pvtGet", "collA", "p1"]).await?, Ok("classified".into()));
    let hash = hex::encode(Sha256::digest("classified"));
    assert_eq!(peer.query(&alpha, &["pvtHash", "collA", "p1"]).await?, Ok(hash));
    assert_eq!(peer.query(&alpha, &["pvtGet", "collA", "never"]).await?, Ok(String::new()));
    // Others of the block were endorsed elsewhere, and nobody brings their data.
    assert_refused(peer.query(&alpha, &["pvtGet", "collA", "pn-000000"]).await?, &not_available(9, 5));
    let missing = peer.ledger().missing_private_data(10)?;
    let missing: Vec<_> =
        missing.iter().map(|row| (row.block, row.tx, row.collection.as_str(), row.eligible)).collect();
    assert_eq!(missing, [(9, 5, "collA", true), (9, 4, "collB", true)]);

    // By another chaincode of the channel, and of several keys.
    let nested = peer.submit(&alpha, "kvand", &["cc", "kv", "", "pvtPut", "collB", "nested"], "deep").await?;
    assert_eq!(nested, [TxValidationCode::Valid]);
    assert_eq!(peer.submit(&alpha, "kv", &["pvtPutN", "collA", "pn-", "3"], "").await?, [TxValidationCode::Valid]);
    assert_eq!(peer.submit(&alpha, "kv", &["pvtDel", "collA", "pn-000001"], "").await?, [TxValidationCode::Valid]);
    peer.stop().await;

    let peer = Peer::start(folder.path(), "alpha", "AlphaMSP").await?;
    for (collection, key, value) in [
        ("collB", "nested", "deep"),
        ("collA", "pn-000002", "s2"),
        ("collA", "pn-000001", ""),
        ("collA", "p1", "classified"),
    ] {
        assert_eq!(peer.query(&alpha, &["pvtGet", collection, key]).await?, Ok(value.into()), "{collection} {key}");
    }
    let range: serde_json::Value =
        serde_json::from_str(&peer.query(&alpha, &["pvtRange", "collA", "p", "pn-000002"]).await?.expect("rows"))?;
    assert_eq!(range["keys"], serde_json::json!(["p1", "pn-000000"]));
    assert_refused(
        peer.query(&alpha, &["pvtRangeThenPut", "collA", "k"]).await?,
        "Transaction has already performed queries on pvt data. Writes are not allowed",
    );
    assert_refused(
        peer.query(&beta, &["pvtGet", "collB", "nested"]).await?,
        "tx creator does not have read access permission on privatedata in chaincodeName:kv collectionName: collB",
    );
    assert_eq!(peer.query(&beta, &["pvtGet", "collA", "p1"]).await?, Ok("classified".into()));
    let unknown = "collection goldchan/kv/nope could not be found";
    assert_refused(peer.query(&alpha, &["pvtGet", "nope", "k"]).await?, unknown);
    let unknown = "collection [nope] not defined in the collection config for chaincode [kv]";
    assert_refused(peer.query(&alpha, &["pvtDel", "nope", "k"]).await?, unknown);

    let collections = |data: BTreeMap<u64, TxPvtReadWriteSet>| -> Vec<(u64, String)> {
        let names = |(tx, set): (u64, TxPvtReadWriteSet)| {
            let sets = set.ns_pvt_rwset.into_iter().flat_map(|namespace| namespace.collection_pvt_rwset);
            sets.map(move |set| (tx, set.collection_name)).collect::<Vec<_>>()
        };
        data.into_iter().flat_map(names).collect()
    };
    for (block, to_alpha, to_beta) in [(8, &[][..], &[][..]), (9, &["collA"], &["collA"]), (10, &["collB"], &[])] {
        let names = |data| collections(data).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(peer.delivered(&alpha, block).await?), to_alpha, "block {block} for a member of all");
        assert_eq!(names(peer.delivered(&beta, block).await?), to_beta, "block {block} for a member of collA");
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_organisation_is_no_member_has_hashes_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    prepare(folder.path())?;
    let (alpha, beta) = (signer("alpha-user1", "AlphaMSP")?, signer("beta-user1", "BetaMSP")?);
    let peer = Peer::start(folder.path(), "beta", "BetaMSP").await?;
    peer.commit_recorded(HEIGHT)?;
    let hash = hex::encode(Sha256::digest("only for one"));
    assert_eq!(peer.query(&beta, &["pvtHash", "collB", "p2"]).await?, Ok(hash), "a hash is everybody's");
    assert_refused(peer.query(&alpha, &["pvtGet", "collB", "p2"]).await?, &not_available(9, 4));

    // It endorses a member's write as any peer does, and does not keep it.
    let written = peer.submit(&alpha, "kv", &["pvtPut", "collB", "mine"], "secret").await?;
    assert_eq!(written, [TxValidationCode::Valid]);
    assert_refused(peer.query(&alpha, &["pvtGet", "collB", "mine"]).await?, &not_available(10, 0));
    let written = peer.submit(&beta, "kv", &["pvtPut", "collA", "ours"], "shared").await?;
    assert_eq!(written, [TxValidationCode::Valid]);
    assert_eq!(peer.query(&beta, &["pvtGet", "collA", "ours"]).await?, Ok("shared".into()));
    assert_eq!((peer.delivered(&alpha, 10).await?, peer.delivered(&alpha, 11).await?.len()), (BTreeMap::new(), 1));
    let missing = peer.ledger().missing_private_data(10)?;
    let missing: Vec<_> =
        missing.iter().map(|row| (row.block, row.tx, row.collection.as_str(), row.eligible)).collect();
    assert_eq!(
        missing,
        [(10, 0, "collB", false), (9, 5, "collA", true), (9, 4, "collB", false), (9, 3, "collA", true)]
    );
    peer.stop().await;
    Ok(())
}

/// The transactions of that block wrote what those of our block 9 wrote.
#[test]
fn what_fabric_delivered_is_read_and_written_again_to_the_byte() -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2.5/deliver/with-private-data.bin");
    let recorded = Bytes::from(std::fs::read(path)?);
    let response = DeliverResponse::decode(recorded.clone())?;
    let ours = response.encode_to_vec();
    // Go writes the entries of a map in any order, so that of the transactions is all that may differ.
    assert_eq!(ours.len(), recorded.len());
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(sorted(&ours), sorted(&recorded));
    let Some(Type::BlockAndPrivateData(sent)) = response.r#type else { anyhow::bail!("another response") };
    let block_bytes = sent.block.clone().unwrap_or_default().encode_to_vec();
    let place = recorded.windows(block_bytes.len()).position(|window| window == block_bytes);
    assert!(place.is_some(), "the block is the recorded bytes");
    assert_eq!(sent.private_data_map.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
    Ok(())
}
