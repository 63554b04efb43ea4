//! A node with the chain of a recorded Fabric 1.4 network answers the signed requests for blocks that its peer and its
//! orderer were sent, byte for byte.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use selvedge::ledger::LedgerProvider;
use selvedge::ledger::transaction::BlockTransaction;
use selvedge::testing::{Golden, TestPeer, base64_at, config, text_at};
use selvedge_proto::common::Envelope;
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::deliver_client::DeliverClient;
use serde_json::Value;
use tonic::Streaming;
use tonic::transport::Channel;

const GOLDEN: Golden = Golden::V1_4;

/// One request was made an hour before it was sent, the others when they were.
const BETWEEN: Duration = Duration::from_secs(30 * 60);

/// How long ago the requests were recorded.
fn age(cases: &[Value]) -> anyhow::Result<Duration> {
    let envelope = Envelope::decode(base64_at(&cases[0], "/request_base64")?)?;
    let request = BlockTransaction::from_envelope(&envelope).context("no request")?;
    let made = SystemTime::try_from(request.header.timestamp.context("no timestamp")?)?;
    Ok(SystemTime::now().duration_since(made)?)
}

/// All messages of a stream whose requests have ended.
async fn all<M: Message>(mut stream: Streaming<M>) -> anyhow::Result<Vec<Bytes>> {
    let mut all = Vec::new();
    while let Some(message) = stream.message().await? {
        all.push(message.encode_to_vec().into());
    }
    Ok(all)
}

async fn answers(connection: &Channel, method: &str, request: Envelope) -> anyhow::Result<Vec<Bytes>> {
    let request = tokio_stream::once(request);
    let (mut peer, mut orderer) =
        (DeliverClient::new(connection.clone()), AtomicBroadcastClient::new(connection.clone()));
    match method {
        "/protos.Deliver/Deliver" => all(peer.deliver(request).await?.into_inner()).await,
        "/protos.Deliver/DeliverFiltered" => all(peer.deliver_filtered(request).await?.into_inner()).await,
        "/orderer.AtomicBroadcast/Deliver" => all(orderer.deliver(request).await?.into_inner()).await,
        method => anyhow::bail!("no such method: {method}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_request_gets_the_recorded_messages() -> anyhow::Result<()> {
    let [of_peer, of_orderer] = ["deliver/deliver.json", "orderer/deliver.json"].map(|file| GOLDEN.json(file));
    let cases: Vec<Value> = [of_peer?, of_orderer?].iter().filter_map(Value::as_array).flatten().cloned().collect();
    assert_eq!(cases.len(), 18);

    let folder = tempfile::tempdir()?;
    GOLDEN.replay(&LedgerProvider::open(&folder.path().join("data/ledgers"))?, 42)?;
    let msp = GOLDEN.path("msp/alpha-peer0");
    let settings = [("PEER_MSPCONFIGPATH", msp.to_str().unwrap_or_default()), ("PEER_LOCALMSPID", "AlphaMSP")];
    let mut config = config(folder.path(), &[], &settings)?;
    // Longer than a file may have it.
    config.peer.authentication_timewindow = age(&cases)? + BETWEEN;
    let peer = TestPeer::configured(config, Vec::new()).await?;
    let connection = peer.connection().await?;
    for case in &cases {
        let (name, method) = (text_at(case, "/name"), text_at(case, "/method"));
        let request = Envelope::decode(base64_at(case, "/request_base64")?)?;
        let ours = answers(&connection, method, request).await.context(name.to_owned())?;
        let recorded = case["responses_base64"].as_array().context("no responses")?;
        assert_eq!(ours.len(), recorded.len(), "{name}: {}", case["responses"]);
        for (index, ours) in ours.iter().enumerate() {
            let theirs = base64_at(case, &format!("/responses_base64/{index}"))?;
            assert_eq!(hex::encode(ours), hex::encode(theirs), "{name}: {}", case["responses"][index]);
        }
    }
    peer.stop().await;
    Ok(())
}
