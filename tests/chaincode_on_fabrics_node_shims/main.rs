//! All that a chaincode's stub can do, on npm's `fabric-shim` 2.5 and 2.2, started by hand, launched and as a service, without and
//! with TLS: `tests/chaincode/matrix` is asked the same of every cell, and what comes of it is what Fabric gives, word for word.

mod calls;
mod kills;
mod network;
mod outcome;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use selvedge::client::{CreatedProposal, create_chaincode_proposal};
use selvedge::testing::{Client, TestPeer};
use selvedge_proto::Message;
use selvedge_proto::common::{ChannelHeader, Header, SerializedIdentity, SignatureHeader};
use selvedge_proto::protos::Proposal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use calls::{Call, How};
use network::{CALLEE, CHANNEL, Cell, Form, Network, Shim, Transport};
use outcome::outcome;

const PLAIN: [Cell; 4] = [
    Cell::new("byhand25", Shim::V2_5, Form::ByHand),
    Cell::new("byhand22", Shim::V2_2, Form::ByHand),
    Cell::new("service25", Shim::V2_5, Form::Service),
    Cell::new("service22", Shim::V2_2, Form::Service),
];

const TLS: [Cell; 4] = [
    Cell::new("launched25", Shim::V2_5, Form::Launched),
    Cell::new("launched22", Shim::V2_2, Form::Launched),
    Cell::new("service25", Shim::V2_5, Form::Service),
    Cell::new("service22", Shim::V2_2, Form::Service),
];

/// What came of one call on one cell: nothing to say, or how it differs.
type Verdict = (String, Option<String>);

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_without_tls_comes_to_what_fabric_gives() -> anyhow::Result<()> {
    run_all(Transport::Plain, &PLAIN).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_with_tls_comes_to_what_fabric_gives() -> anyhow::Result<()> {
    run_all(Transport::Tls, &TLS).await
}

async fn run_all(transport: Transport, cells: &[Cell]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let network = Network::start(folder.path(), transport, cells, &[]).await?;
    let running: Vec<_> = cells.iter().map(|cell| tokio::spawn(verdicts(Arc::clone(&network.peer), *cell))).collect();
    let mut columns = Vec::new();
    for column in running {
        columns.push(column.await??);
    }
    print(transport, cells, &columns);
    let differing: Vec<_> = cells
        .iter()
        .zip(&columns)
        .flat_map(|(cell, column)| {
            column.iter().filter_map(|(title, differs)| Some(format!("{}: {title}\n{}", cell.name, differs.as_ref()?)))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    network.stop().await
}

/// The table, with a column for each cell.
fn print(transport: Transport, cells: &[Cell], columns: &[Vec<Verdict>]) {
    let names: Vec<_> = cells.iter().map(|cell| format!("{:>11}", cell.name)).collect();
    println!("{:72}{}", format!("{transport:?}"), names.join(""));
    for (row, (title, _)) in columns[0].iter().enumerate() {
        let marks: Vec<_> =
            columns.iter().map(|column| if column[row].1.is_none() { "ok" } else { "DIFFERS" }).collect();
        let marks: Vec<_> = marks.iter().map(|mark| format!("{mark:>11}")).collect();
        println!("{:72}{}", title.chars().take(70).collect::<String>().replace('\0', "~"), marks.join(""));
    }
}

async fn verdicts(peer: Arc<TestPeer>, cell: Cell) -> anyhow::Result<Vec<Verdict>> {
    let client = peer.client().await?;
    // The deployment would have failed otherwise.
    let mut verdicts = vec![("Init that fails; Init that succeeds".to_owned(), None)];
    for call in calls::all(cell.shim) {
        let wanted = call.wanted(cell.shim).replace("SELF", cell.name);
        let found = run(&client, &cell, &call).await.with_context(|| format!("{}: {}", cell.name, call.title))?;
        let differs = (found != wanted).then(|| format!("  found  {found}\n  wanted {wanted}"));
        verdicts.push((call.title, differs));
    }
    verdicts.push(("context".to_owned(), context(&peer, &cell).await?));
    verdicts.push(("privatePut of transient data".to_owned(), transient(&peer, &cell).await?));
    verdicts.push(("wait: 20 at once".to_owned(), at_once(&client, &cell).await?));
    Ok(verdicts)
}

async fn run(client: &Client, cell: &Cell, call: &Call) -> anyhow::Result<String> {
    let args: Vec<_> = call.args.iter().map(|arg| arg.replace("SELF", cell.name)).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let chaincode = call.chaincode.replace("SELF", cell.name);
    if call.how == How::Submit {
        return Ok(client.submit(&chaincode, &args).await?.as_str_name().to_owned());
    }
    let proposal = client.proposal(&chaincode, &args)?;
    let answer = client.endorse(&proposal).await?;
    let namespaces: &[&str] = if call.how == How::Sets { &[cell.name, CALLEE] } else { &[] };
    Ok(without_ids(&outcome(&answer, namespaces)?, &proposal))
}

fn without_ids(text: &str, proposal: &CreatedProposal) -> String {
    text.replace(&proposal.txid, "TXID").replace(&proposal.txid[..8], "TXID8")
}

/// What a chaincode knows of its transaction.
async fn context(peer: &TestPeer, cell: &Cell) -> anyhow::Result<Option<String>> {
    let user = peer.user()?;
    let transient = BTreeMap::from([("one".to_owned(), "1".into()), ("two".to_owned(), Bytes::from_static(b"22"))]);
    let args = vec!["context".into(), "and".into(), "more".into()];
    let made = create_chaincode_proposal(CHANNEL, cell.name, args, transient, &*user)?;
    let answer = peer.endorse(made.signed.clone()).await?.response.unwrap_or_default();
    let found: Value = serde_json::from_slice(&answer.payload).with_context(|| answer.message.clone())?;

    let header = Header::decode(Proposal::decode(made.proposal.clone())?.header)?;
    let signature = SignatureHeader::decode(header.signature_header)?;
    let timestamp = ChannelHeader::decode(header.channel_header)?.timestamp.context("a time")?;
    let creator = SerializedIdentity::decode(signature.creator.clone())?;
    let binding = Sha256::digest([&signature.nonce[..], &signature.creator, &[0; 8]].concat());
    let wanted = json!({
        "txid": made.txid,
        "channel": CHANNEL,
        "args": ["context", "and", "more"],
        "mspid": ["SampleOrg", "SampleOrg"],
        "certificate": String::from_utf8_lossy(&creator.id_bytes),
        "timestamp": [timestamp.seconds, timestamp.nanos],
        "date": true,
        "binding": hex::encode(binding),
        "signature": hex::encode(&made.signed.signature),
        "transient": {"one": "1", "two": "22"},
    });
    Ok((found != wanted).then(|| format!("  found  {found}\n  wanted {wanted}")))
}

async fn transient(peer: &TestPeer, cell: &Cell) -> anyhow::Result<Option<String>> {
    let user = peer.user()?;
    let transient = BTreeMap::from([("value".to_owned(), Bytes::from_static(b"hidden"))]);
    let args = ["privatePut", "ours", "secret9"].map(|arg| Bytes::from_static(arg.as_bytes())).to_vec();
    let made = create_chaincode_proposal(CHANNEL, cell.name, args, transient, &*user)?;
    let answer = peer.endorse(made.signed.clone()).await?;
    let found = without_ids(&outcome(&answer, &[cell.name])?, &made);
    let wanted = " | ours(r0 w1 m0)";
    let told = answer.encode_to_vec().windows(6).any(|window| window == b"hidden");
    Ok((found != wanted || told).then(|| format!("  found  {found} (the value is told: {told})\n  wanted {wanted}")))
}

/// Transactions of one chaincode do not wait for each other.
async fn at_once(client: &Client, cell: &Cell) -> anyhow::Result<Option<String>> {
    const EACH: Duration = Duration::from_secs(1);
    let began = Instant::now();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (client, name) = (client.clone(), cell.name);
            tokio::spawn(async move { client.query(name, &["wait", "1000"]).await })
        })
        .collect();
    for call in calls {
        call.await??;
    }
    let took = began.elapsed();
    Ok((took > 10 * EACH).then(|| format!("  20 calls that wait for {EACH:?} each took {took:?}")))
}
