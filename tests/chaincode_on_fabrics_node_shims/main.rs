//! All that a chaincode's stub can do, on npm's `fabric-shim` 2.5 and 2.2, with the chaincode dialling and being dialled:
//! `tests/chaincode/matrix` is asked the same of every cell, and what comes of it is what Fabric gives, word for word.

mod calls;
mod kills;
mod network;
mod outcome;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::{CodeSource, ContainerInfo, TransactionParams};
use selvedge::client::{CreatedProposal, create_chaincode_proposal};
use selvedge::container::{Ccid, VmType};
use selvedge::testing::{Client, TestPeer};
use selvedge_proto::Message;
use selvedge_proto::common::{ChannelHeader, Header, SerializedIdentity, SignatureHeader};
use selvedge_proto::protos::{ChaincodeInput, Proposal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use calls::{Call, How};
use network::{CALLEE, CHANNEL, Cell, Form, Network, Shim};
use outcome::outcome;

const PLAIN: [Cell; 4] = [
    Cell::new("dials25", Shim::V2_5, Form::Dials),
    Cell::new("dials22", Shim::V2_2, Form::Dials),
    Cell::new("serves25", Shim::V2_5, Form::Serves),
    Cell::new("serves22", Shim::V2_2, Form::Serves),
];

/// What came of one call on one cell: nothing to say, or how it differs.
type Verdict = (String, Option<String>);

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_comes_to_what_fabric_gives() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let network = Network::start(folder.path(), &PLAIN, &[]).await?;
    let running: Vec<_> =
        PLAIN.iter().map(|cell| tokio::spawn(verdicts(Arc::clone(&network.peer), cell.clone()))).collect();
    let mut columns = Vec::new();
    for column in running {
        columns.push(column.await??);
    }
    print(&PLAIN, &columns);
    let differing: Vec<_> = PLAIN
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
fn print(cells: &[Cell], columns: &[Vec<Verdict>]) {
    let names: Vec<_> = cells.iter().map(|cell| format!("{:>9}", cell.name)).collect();
    println!("{:72}{}", "", names.join(""));
    for (row, (title, _)) in columns[0].iter().enumerate() {
        let marks: Vec<_> =
            columns.iter().map(|column| if column[row].1.is_none() { "ok" } else { "DIFFERS" }).collect();
        let marks: Vec<_> = marks.iter().map(|mark| format!("{mark:>9}")).collect();
        println!("{:72}{}", title.chars().take(70).collect::<String>().replace('\0', "~"), marks.join(""));
    }
}

async fn verdicts(peer: Arc<TestPeer>, cell: Cell) -> anyhow::Result<Vec<Verdict>> {
    let client = peer.client().await?;
    let init = init(&peer, &cell).await?;
    let mut verdicts = vec![("INIT: privateGet ours secret0".to_owned(), init)];
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

/// An INIT, which has no private data.
async fn init(peer: &TestPeer, cell: &Cell) -> anyhow::Result<Option<String>> {
    let user = peer.user()?;
    let ledger = peer.node().ledgers().get(CHANNEL).context("the channel")?;
    let made = create_chaincode_proposal(CHANNEL, cell.name, Vec::new(), BTreeMap::new(), &*user)?;
    let params = TransactionParams {
        txid: made.txid.clone(),
        channel_id: CHANNEL.to_owned(),
        simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(&made.txid)?))),
        ..Default::default()
    };
    let info = ContainerInfo { ccid: Ccid::new(cell.name, "1"), vm: VmType::Docker, code: CodeSource::Package };
    let args = ["privateGet", "ours", "secret0"].map(|arg| Bytes::from_static(arg.as_bytes())).to_vec();
    let input = ChaincodeInput { args, ..Default::default() };
    let found = match peer.node().support().execute_init(&params, &info, input).await {
        Ok(executed) => executed.response.message,
        Err(error) => error.to_string(),
    };
    let refusal = "EX: GET_STATE failed: transaction ID: TXID: private data APIs are not allowed in chaincode Init()";
    let wanted = match cell.shim {
        Shim::V2_5 => refusal.to_owned(),
        Shim::V2_2 => format!("transaction returned with failure: {refusal}"),
    };
    let found = found.replace(&made.txid, "TXID");
    Ok((found != wanted).then(|| format!("  found  {found}\n  wanted {wanted}")))
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
