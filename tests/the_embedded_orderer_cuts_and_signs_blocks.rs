//! The embedded orderer as a client of Broadcast meets it: blocks cut by count, by bytes and by time; answers in the order
//! of the envelopes; nothing lost that was acknowledged; and every block signed as the channel's policy wants it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use selvedge::channel::Bundle;
use selvedge::client::create_signed_tx;
use selvedge::ledger::{Ledger, LedgerProvider, block};
use selvedge::testing::{Client, Plugin, TestPeer};
use selvedge::validation::{BlockVerificationError, verify_block};
use selvedge_proto::common::{BlockHeader, Envelope, Status};
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::TxValidationCode;
use tempfile::TempDir;
use tonic::transport::Channel;

const CHANNEL: &str = "mychannel";
/// Waits for nothing but what the test is about.
const PATIENT: [(&str, &str); 2] =
    [("NETWORK_DEVELOPMENT_BATCHTIMEOUT", "1h"), ("NETWORK_DEVELOPMENT_MAXMESSAGECOUNT", "100")];

struct Scene {
    folder: TempDir,
    peer: TestPeer,
    client: Client,
    orderer: AtomicBroadcastClient<Channel>,
}

impl Scene {
    async fn start(overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let overrides = [&PATIENT, overrides].concat();
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &overrides).await?;
        let (client, orderer) = (peer.client().await?, AtomicBroadcastClient::new(peer.connection().await?));
        Ok(Self { folder, peer, client, orderer })
    }

    /// An endorsed transaction, signed by the user.
    async fn transaction(&self, args: &[&str]) -> anyhow::Result<Envelope> {
        let proposal = self.client.proposal("asset", args)?;
        let answer = self.client.endorse(&proposal).await?;
        Ok(create_signed_tx(&proposal.proposal, &*self.peer.user()?, &[answer])?)
    }

    /// The orderer's answers to the envelopes of one stream, which ends after them.
    async fn broadcast(&self, envelopes: Vec<Envelope>) -> anyhow::Result<Vec<Status>> {
        let mut answers = self.orderer.clone().broadcast(tokio_stream::iter(envelopes)).await?.into_inner();
        let mut statuses = Vec::new();
        while let Some(answer) = answers.message().await? {
            statuses.push(answer.status());
        }
        Ok(statuses)
    }

    fn ledger(&self) -> anyhow::Result<Arc<Ledger>> {
        self.peer.node().ledgers().get(CHANNEL).context("no ledger")
    }

    async fn height(&self, height: u64) -> anyhow::Result<()> {
        let mut heights = self.ledger()?.subscribe();
        let reached = heights.wait_for(|now| *now >= height);
        tokio::time::timeout(Duration::from_secs(60), reached).await.context("no further block comes")??;
        Ok(())
    }

    /// Stops the node and reads what is on disk: the transactions of each block.
    async fn stop(self) -> anyhow::Result<Vec<Vec<Bytes>>> {
        drop(self.client);
        self.peer.stop().await;
        let ledgers = LedgerProvider::open(&self.folder.path().join("data/ledgers"))?;
        let ledger = ledgers.get(CHANNEL).context("no ledger")?;
        let mut blocks = Vec::new();
        for number in 1..ledger.height()? {
            let block = ledger.block_by_number(number)?.context("a gap")?;
            let codes = block::validation_codes(&block);
            assert!(codes.iter().all(|code| *code == TxValidationCode::Valid), "block {number}: {codes:?}");
            blocks.push(block.data.unwrap_or_default().data);
        }
        Ok(blocks)
    }
}

fn encoded(envelopes: &[Envelope]) -> Vec<Bytes> {
    envelopes.iter().map(|envelope| envelope.encode_to_vec().into()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_full_at_its_count_and_what_waits_is_committed_when_the_node_stops() -> anyhow::Result<()> {
    let scene = Scene::start(&[("NETWORK_DEVELOPMENT_MAXMESSAGECOUNT", "3")]).await?;
    let mut sent = Vec::new();
    for _ in 0..7 {
        sent.push(scene.transaction(&["empty"]).await?);
    }
    assert_eq!(scene.broadcast(sent.clone()).await?, [Status::Success; 7]);
    scene.height(3).await?;
    assert_eq!(scene.ledger()?.height()?, 3, "the seventh waits for two others");
    let expected: Vec<_> = sent.chunks(3).map(encoded).collect();
    assert_eq!(scene.stop().await?, expected, "all of them, in the order they were sent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_holds_as_many_bytes_as_are_preferred_and_a_larger_transaction_is_alone() -> anyhow::Result<()> {
    const PREFERRED: usize = 16 << 10;
    let scene = Scene::start(&[("NETWORK_DEVELOPMENT_PREFERREDMAXBYTES", "16 KiB")]).await?;
    let small = scene.transaction(&["empty"]).await?.encoded_len();
    let fit = PREFERRED / small;
    assert!((2..50).contains(&fit), "{fit} transactions of {small} bytes");
    let mut sent = Vec::new();
    for _ in 0..=fit {
        sent.push(scene.transaction(&["empty"]).await?);
    }
    // The next block has one small transaction when the large one comes.
    let large = scene.transaction(&["ops", "200"]).await?;
    assert!(large.encoded_len() > PREFERRED);
    sent.push(large);
    assert!(scene.broadcast(sent.clone()).await?.iter().all(|status| *status == Status::Success));
    scene.height(4).await?;
    let (first, rest) = sent.split_at(fit);
    assert_eq!(scene.stop().await?, [encoded(first), encoded(&rest[..1]), encoded(&rest[1..])]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_cut_when_its_first_transaction_has_waited_long_enough() -> anyhow::Result<()> {
    let scene = Scene::start(&[("NETWORK_DEVELOPMENT_BATCHTIMEOUT", "700ms")]).await?;
    let sent = [scene.transaction(&["empty"]).await?, scene.transaction(&["empty"]).await?];
    let began = Instant::now();
    for envelope in &sent {
        assert_eq!(scene.broadcast(vec![envelope.clone()]).await?, [Status::Success]);
    }
    scene.height(2).await?;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(700), "cut after {took:?}");
    assert_eq!(scene.stop().await?, [encoded(&sent)], "one block of both");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_order_up_to_the_first_refusal() -> anyhow::Result<()> {
    let scene = Scene::start(&[]).await?;
    let good = [scene.transaction(&["empty"]).await?, scene.transaction(&["empty"]).await?];
    let forged = Envelope { signature: Bytes::from_static(b"none"), ..scene.transaction(&["empty"]).await? };
    let late = scene.transaction(&["empty"]).await?;
    let sent = vec![good[0].clone(), good[1].clone(), forged, late];
    assert_eq!(scene.broadcast(sent).await?, [Status::Success, Status::Success, Status::Forbidden]);
    assert_eq!(scene.broadcast(vec![Envelope::default()]).await?, [Status::BadRequest]);
    assert_eq!(scene.stop().await?, [encoded(&good)], "nothing behind the refusal is ordered");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_block_follows_the_one_before_and_satisfies_the_policy_for_blocks() -> anyhow::Result<()> {
    let scene = Scene::start(&[("NETWORK_DEVELOPMENT_BATCHTIMEOUT", "10ms")]).await?;
    for number in 0..3 {
        scene.client.submit("asset", &["create", &format!("a{number}"), "Ada", "1"]).await?;
    }
    let ledger = scene.ledger()?;
    let mut before = ledger.block_by_number(0)?.context("block 0")?;
    let bundle = Bundle::from_config_block(&before)?;
    for number in 1..ledger.height()? {
        let mut block = ledger.block_by_number(number)?.context("a gap")?;
        let header = block.header.clone().context("a header")?;
        let previous = block::header_hash(before.header.as_ref().context("a header")?);
        assert_eq!(header.previous_hash, previous[..], "block {number}");
        assert_eq!(header.data_hash, block::data_hash(block.data.as_ref().context("data")?)[..], "block {number}");
        // As a peer of the channel does that gets the block from elsewhere.
        verify_block(&bundle, number, &block).with_context(|| format!("block {number}"))?;
        before = block.clone();
        block.header = Some(BlockHeader { number: number + 1, ..header });
        let refused = verify_block(&bundle, number + 1, &block).expect_err("another block than was signed");
        assert!(matches!(refused, BlockVerificationError::Policy(_)), "{refused}");
    }
    scene.peer.stop().await;
    Ok(())
}
