//! Blocks of an ordering service, recorded ones among them: each configuration takes effect when its block is
//! committed; one that may not follow, or that asks for what this node lacks, is not committed, and the channel stays
//! where it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use selvedge::channel::Channels;
use selvedge::client::{create_config_update, create_signed_envelope};
use selvedge::committer::{CommitError, Committer};
use selvedge::ledger::{LedgerProvider, block};
use selvedge::msp::{Signer, SigningIdentity};
use selvedge::testing::{GoldenPeer, TestPeer, guest_path};
use selvedge_proto::common::{
    Block, BlockMetadataIndex, Capabilities, Capability, ConfigEnvelope, ConfigUpdate, Envelope, HeaderType, Payload,
};
use tempfile::TempDir;

const CHANNEL: &str = "goldchan";

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn recorded(path: &str) -> Block {
    let path = golden(path);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Block::decode(&bytes[..]).expect("a block")
}

fn numbered(number: u64) -> Block {
    recorded(&format!("v1.4/blocks/block-{number:03}.block"))
}

/// A peer that has the recorded channel's block 0.
struct Peer {
    channels: Arc<Channels>,
    committer: Committer,
    _folder: TempDir,
}

impl Peer {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let GoldenPeer { channels, committer, .. } = GoldenPeer::new(folder.path()).expect("a peer");
        Self { channels, committer, _folder: folder }
    }

    fn sequence(&self) -> u64 {
        self.channels.get(CHANNEL).expect("it is open").sequence()
    }

    /// Commits what the orderer sent of a recorded block.
    fn commit(&self, number: u64) -> Result<(), CommitError> {
        let mut block = numbered(number);
        block::set_metadata(&mut block, BlockMetadataIndex::TransactionsFilter, Default::default());
        block::set_metadata(&mut block, BlockMetadataIndex::CommitHash, Default::default());
        self.committer.commit(block).map(drop)
    }

    /// What comes of a next block with this configuration. The first blocks after 0 are configuration blocks, so what
    /// is said of their transaction is said of this one.
    fn commit_config(&self, config: &ConfigEnvelope, orderer: &dyn Signer) -> Result<(), CommitError> {
        self.commit_envelope(&create_signed_envelope(HeaderType::Config, CHANNEL, config, orderer).expect("signed"))
    }

    fn commit_envelope(&self, envelope: &Envelope) -> Result<(), CommitError> {
        let info = self.committer.ledger().chain_info().expect("a chain");
        let data = vec![envelope.encode_to_vec().into()];
        self.committer.commit(block::new_block(info.height, info.current_block_hash, data)).map(drop)
    }

    fn height(&self) -> u64 {
        self.committer.ledger().height().expect("a chain")
    }
}

fn first_envelope(block: &Block) -> Envelope {
    Envelope::decode(block.data.as_ref().expect("data").data[0].clone()).expect("an envelope")
}

fn config_of(block: &Block) -> ConfigEnvelope {
    let payload = Payload::decode(first_envelope(block).payload).expect("a payload");
    ConfigEnvelope::decode(payload.data).expect("a configuration")
}

fn identity(folder: &str, mspid: &str) -> SigningIdentity {
    SigningIdentity::load(&golden("v1.4/msp").join(folder), mspid).expect("a key")
}

#[test]
fn the_recorded_configurations_take_effect_with_their_blocks() {
    let peer = Peer::new();
    for (number, sequence) in (1..42).map(|number| {
        let changes = [1, 2, 3, 4, 34, 37];
        (number, 1 + changes.iter().filter(|change| **change <= number).count() as u64)
    }) {
        peer.commit(number).unwrap_or_else(|error| panic!("block {number}: {error}"));
        assert_eq!(peer.sequence(), sequence, "after block {number}");
    }
    let bundle = peer.channels.get(CHANNEL).expect("it is open");
    assert_eq!(bundle.orderer().expect("it is ordered").batch_size().max_message_count, 6);
    let acls = bundle.application().expect("there are peers").acls();
    assert_eq!(acls["qscc/GetBlockByTxID"], "/Channel/Application/Admins");
    assert_eq!(bundle.config(), &config_of(&numbered(37)).config.expect("a configuration"));
    assert_eq!(peer.committer.ledger().last_config_block_number(), 37);
    peer.commit(37).expect("a block that comes again changes nothing");
    assert_eq!((peer.sequence(), peer.height()), (7, 42));
}

#[test]
fn a_configuration_that_its_update_does_not_make_is_not_committed() {
    let peer = Peer::new();
    let orderer = identity("orderer0", "OrdererMSP");
    let mut other = config_of(&numbered(1));
    let root = other.config.as_mut().and_then(|config| config.channel_group.as_mut()).expect("a root");
    root.groups.get_mut("Application").expect("a group").groups.remove("BetaMSP").expect("an organisation");
    let refused = peer.commit_config(&other, &orderer).expect_err("nobody asked for that").to_string();
    assert_eq!(
        refused,
        "error validating config which passed initial validity checks: block 1, transaction 0: ConfigEnvelope \
         LastUpdate did not produce the supplied config result"
    );
    let later = peer.commit_config(&config_of(&numbered(2)), &orderer).expect_err("one is missing").to_string();
    assert!(later.ends_with("config currently at sequence 1, cannot validate config at sequence 3"), "{later}");
    assert_eq!((peer.height(), peer.sequence()), (1, 1), "nothing has changed");
    let mut broken = Payload::decode(first_envelope(&numbered(1)).payload).expect("a payload");
    broken.data = broken.data.slice(..broken.data.len() - 1);
    let payload = Bytes::from(broken.encode_to_vec());
    let broken = Envelope { signature: orderer.sign(&payload).expect("signs"), payload };
    let refused = peer.commit_envelope(&broken).expect_err("it is cut off").to_string();
    assert!(refused.contains("block 1, transaction 0: error unmarshaling ConfigEnvelope: "), "{refused}");
    assert_eq!((peer.height(), peer.sequence()), (1, 1), "it is not marked invalid");
    peer.commit(1).expect("the true block 1");
    assert_eq!((peer.height(), peer.sequence()), (2, 2));
}

#[test]
fn a_configuration_that_asks_for_what_is_missing_here_is_not_committed() {
    let peer = Peer::new();
    let bundle = peer.channels.get(CHANNEL).expect("it is open");
    let (alpha, beta) = (identity("alpha-admin", "AlphaMSP"), identity("beta-admin", "BetaMSP"));
    let read_set = bundle.config().channel_group.clone();
    let mut write_set = read_set.clone();
    let application = write_set.as_mut().and_then(|root| root.groups.get_mut("Application")).expect("a group");
    let item = application.values.get_mut("Capabilities").expect("a value");
    let wanted = Capabilities { capabilities: [("V2_0".to_owned(), Capability {})].into() };
    (item.version, item.value) = (item.version + 1, wanted.encode_to_vec().into());
    let update = ConfigUpdate { channel_id: CHANNEL.into(), read_set, write_set, ..ConfigUpdate::default() };
    let update = create_config_update(&update, &[&alpha as &dyn Signer, &beta], &alpha).expect("signed");
    let config = bundle.propose(&update).expect("Fabric's orderer lets it through");

    let refused = peer.commit_config(&config, &identity("orderer0", "OrdererMSP")).expect_err("no such lifecycle");
    let text = "block 1, transaction 0: [channel goldchan] incompatible: Application capability V2_0 is required but \
                not supported; this node supports V1_1, V1_2, V1_3, V1_4_2, ";
    assert!(refused.to_string().contains(text), "{refused}");
    assert_eq!((peer.height(), peer.sequence()), (1, 1), "nothing has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_serves_its_other_channels_beside_one_that_it_cannot() -> anyhow::Result<()> {
    guest_path("qscc")?;
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let block = recorded("v2.5/blocks/block-000.block").encode_to_vec().into();
    let refused = peer.join(&*peer.admin()?, &block).await?;
    let text = "Application capability V2_0 is required but not supported";
    assert!(refused.status == 500 && refused.message.contains(text), "{}", refused.message);
    assert!(peer.node().ledgers().get(CHANNEL).is_none(), "it was not joined");
    peer.stop().await;
    // A ledger of such a channel that is there all the same, of another version of this node.
    let ledgers = LedgerProvider::open(&folder.path().join("data/ledgers"))?;
    ledgers.create(CHANNEL, &recorded("v2.5/blocks/block-000.block"))?;
    drop(ledgers);

    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let client = peer.client().await?;
    assert_eq!(client.height().await?, 1, "the development channel");
    let refused = client.call("qscc", &["GetChainInfo", CHANNEL]).await?;
    assert_eq!(refused.status, 500);
    assert!(refused.message.contains("Failed to get policy manager for channel [goldchan]"), "{}", refused.message);
    let kept = peer.node().ledgers().get(CHANNEL).context("its ledger is kept")?;
    assert_eq!(kept.height()?, 1);
    drop(kept);
    peer.stop().await;
    Ok(())
}
