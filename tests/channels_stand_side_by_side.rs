//! A node in several channels: each has a state and blocks of its own, and one that cannot be used leaves the others alone.

use std::sync::Arc;

use bytes::Bytes;
use selvedge::client::create_seek_envelope;
use selvedge::ledger::LedgerProvider;
use selvedge::testing::{Client, Plugin, TestPeer};
use selvedge_proto::Message;
use selvedge_proto::common::{Block, ConfigEnvelope, Envelope, Payload, Status};
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::{TxValidationCode, deliver_response};
use sha2::{Digest, Sha256};

const TRANSACTIONS: usize = 30;

async fn submit(client: Client, owner: &'static str) -> anyhow::Result<()> {
    for number in 0..TRANSACTIONS {
        let code = client.submit("asset", &["create", &format!("key{number}"), owner, "1"]).await?;
        assert_eq!(code, TxValidationCode::Valid, "{owner} {number}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_on_two_channels_at_once_stay_apart() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &[]).await?;
    let joined = peer.join(&*peer.admin()?, &peer.genesis("second")?).await?;
    assert_eq!(joined.status, 200, "{joined:?}");
    let first = peer.client().await?;
    let second = peer.client_on(peer.user()?, "second").await?;
    let (one, other) = tokio::join!(submit(first.clone(), "ada"), submit(second.clone(), "bob"));
    one.and(other)?;
    for (client, owner) in [(&first, "ada"), (&second, "bob")] {
        for number in [0, TRANSACTIONS - 1] {
            let asset = client.query("asset", &["read", &format!("key{number}")]).await?;
            assert!(String::from_utf8_lossy(&asset).contains(owner), "{asset:?} is {owner}'s");
        }
    }
    peer.stop().await;
    Ok(())
}

/// The block with a configuration that no channel can be made of: an organisation without certificates.
fn spoiled(block: &[u8]) -> anyhow::Result<Block> {
    let mut block = Block::decode(block)?;
    let data = &mut block.data.as_mut().expect("data").data[0];
    let mut envelope = Envelope::decode(data.clone())?;
    let mut payload = Payload::decode(envelope.payload)?;
    let mut config = ConfigEnvelope::decode(payload.data)?;
    let root = config.config.as_mut().and_then(|config| config.channel_group.as_mut()).expect("a tree");
    let application = root.groups.get_mut("Application").expect("an application");
    application.groups.values_mut().for_each(|organisation| organisation.values.clear());
    payload.data = config.encode_to_vec().into();
    envelope.payload = payload.encode_to_vec().into();
    *data = envelope.encode_to_vec().into();
    block.header.as_mut().expect("a header").data_hash = Sha256::digest(&data[..]).to_vec().into();
    Ok(block)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_cannot_be_used_is_left_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let (user, admin) = (peer.user()?, peer.admin()?);
    let spoiled = spoiled(&peer.genesis("second")?)?;
    // Joined, it would be useless: nothing is made of it.
    let refused = peer.join(&*admin, &spoiled.encode_to_vec().into()).await?;
    assert_eq!(refused.status, 500);
    assert!(refused.message.contains("of channel second"), "{}", refused.message);
    assert!(peer.node().ledgers().get("second").is_none());
    peer.stop().await;

    LedgerProvider::open(&folder.path().join("data/ledgers"))?.create("second", &spoiled)?;
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    assert_eq!(peer.channels(&*user).await?, ["mychannel"]);
    submit(peer.client().await?, "ada").await?;
    let client = peer.client_on(Arc::clone(&user), "second").await?;
    assert_eq!(
        client.height().await.unwrap_err().to_string(),
        "access denied: channel [second] creator org [SampleOrg]"
    );
    // Fabric does not know a chain that it could not load.
    let seek = create_seek_envelope("second", &*user, Bytes::new())?;
    let mut deliver = DeliverClient::new(peer.connection().await?);
    let answer = deliver.deliver(tokio_stream::once(seek)).await?.into_inner().message().await?;
    assert_eq!(answer.and_then(|answer| answer.r#type), Some(deliver_response::Type::Status(Status::NotFound as i32)));
    let again = peer.join(&*admin, &spoiled.encode_to_vec().into()).await?;
    assert_eq!(again.message, "cannot create ledger from genesis block: LedgerID already exists");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_may_be_without_channels() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let msp = folder.path().join("data/development/peers/peer0/msp");
    let (user, admin, block) = (peer.user()?, peer.admin()?, peer.genesis("second")?);
    peer.stop().await;
    std::fs::remove_dir_all(folder.path().join("data/ledgers"))?;

    // With an MSP that it was given, a node makes no channel of the development organisation.
    let msp = [("PEER_MSPCONFIGPATH", msp.to_str().expect("a path"))];
    let peer = TestPeer::start(folder.path(), &[], &msp).await?;
    assert!(peer.channels(&*user).await?.is_empty());
    assert_eq!(peer.join(&*admin, &block).await?.status, 200);
    assert_eq!(peer.client_on(user, "second").await?.height().await?, 1);
    peer.stop().await;
    Ok(())
}
