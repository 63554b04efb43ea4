//! kill -9 of the real program at 200 random moments: while it opens its ledgers, orders, commits, answers, joins channels.
//! After each, on a copy of what the dead node has left: every transaction whose commit a client saw is there, once, and
//! the whole ledger is what a replay of its blocks makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use selvedge::ledger::LedgerProvider;
use selvedge::testing::{Client, NodeFolder, Plugin};
use selvedge_proto::protos::TxValidationCode;
use tokio::sync::Notify;

/// Nodes side by side; a start waits for the disk more than it computes.
const NODES: u64 = 4;
const KILLS: u64 = 50;
/// A node is killed up to so long after it serves, or, each fourth time, after its process was made.
const SERVING: Duration = Duration::from_millis(400);
const STARTING: Duration = Duration::from_millis(40);
/// In one of so many rounds a channel is joined.
const JOIN_EACH: u64 = 10;
/// In one of so many rounds the time runs from the first commit on, so that there are some on a busy machine too.
const COMMIT_EACH: u64 = 4;
/// How long that commit may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Ids of assets and their values.
    committed: BTreeMap<String, u32>,
    joined: BTreeSet<String>,
    /// The highest chain that was seen.
    height: u64,
}

/// SplitMix64, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        most.mul_f64((mixed >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// Submits until the node is gone; what was seen committed. Each commit is told to `commits` at once.
async fn submit(client: Client, prefix: String, commits: Arc<Notify>) -> Vec<(String, u32)> {
    let mut seen = Vec::new();
    for value in 0_u32.. {
        let id = format!("{prefix}-{value}");
        match client.submit("asset", &["create", &id, "Ada", &value.to_string()]).await {
            Ok(TxValidationCode::Valid) => {
                commits.notify_one();
                seen.push((id, value));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    seen
}

async fn round(node: &NodeFolder, number: u64, random: &mut Random, told: &mut Told) -> anyhow::Result<()> {
    let mut process = node.start(program())?;
    if number % 4 == 3 {
        tokio::time::sleep(random.up_to(STARTING)).await;
        return process.kill();
    }
    let client = node.connect(&mut process, "mychannel").await?;
    let commits = Arc::new(Notify::new());
    let submit = |stream| tokio::spawn(submit(client.clone(), format!("k{number}-{stream}"), Arc::clone(&commits)));
    let streams: Vec<_> = (0..4).map(submit).collect();
    let mut joining = number.is_multiple_of(JOIN_EACH).then(|| {
        let (node, channel) = (node.clone(), format!("joined{number}"));
        tokio::spawn(
            async move { node.join(&channel).await.is_ok_and(|answer| answer.status == 200).then_some(channel) },
        )
    });
    if number % COMMIT_EACH == 1 {
        tokio::time::timeout(PATIENCE, commits.notified()).await.context("nothing is committed")?;
    }
    // The first one always succeeds.
    if number == 0
        && let Some(joining) = joining.take()
    {
        told.joined.extend(joining.await?);
    }
    tokio::time::sleep(random.up_to(SERVING)).await;
    process.kill()?;
    for stream in streams {
        told.committed.extend(stream.await?);
    }
    if let Some(joining) = joining {
        told.joined.extend(joining.await?);
    }
    Ok(())
}

/// Looks at a copy, so that the node meets what the dead one has left.
fn check(node: &NodeFolder, told: &mut Told) -> anyhow::Result<()> {
    let copy = tempfile::tempdir()?;
    copy_files(&node.ledgers(), copy.path())?;
    let ledgers = LedgerProvider::open(copy.path())?;
    assert_eq!(ledgers.failure(), None);
    for channel in &told.joined {
        assert!(ledgers.get(channel).is_some(), "{channel} was joined and is not there");
    }
    for channel in ledgers.channels() {
        let ledger = ledgers.get(&channel).context("it is named")?;
        let report = ledger.verify(copy.path(), |_| ())?;
        assert!(report.is_good(), "{channel}: {:#?}", report.differences);
    }
    let Some(ledger) = ledgers.get("mychannel") else {
        assert!(told.committed.is_empty(), "the channel is gone");
        return Ok(());
    };
    let height = ledger.height()?;
    assert!(height >= told.height, "{} blocks were there, now {height}", told.height);
    told.height = height;
    for (id, value) in &told.committed {
        let record = ledger
            .new_query_executor()
            .get_state("asset", id)?
            .with_context(|| format!("{id} was committed and is gone"))?;
        assert_eq!(record, format!(r#"{{"id":"{id}","owner":"Ada","value":{value}}}"#));
        let mut history = ledger.new_history_query_executor()?.get_history_for_key("asset", id)?;
        let first = history.next()?.with_context(|| format!("{id} has no history"))?;
        let transaction = ledger.transaction_by_id(&first.tx_id)?.context("it is indexed")?;
        assert_eq!(transaction.validation_code, TxValidationCode::Valid as i32, "{id}");
        assert_eq!(history.next()?, None, "{id} was created twice");
    }
    Ok(())
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    command.args(["node", "start"]);
    command
}

async fn kill_again_and_again(seed: u64) -> anyhow::Result<Told> {
    let folder = tempfile::tempdir()?;
    let more = "network:\n  development:\n    batchTimeout: 5ms\n";
    let node = NodeFolder::new(folder.path(), &[Plugin::guest("asset", "asset")?], more)?;
    let (mut random, mut told) = (Random(seed), Told::default());
    for number in 0..KILLS {
        let ran = round(&node, number, &mut random, &mut told).await;
        ran.with_context(|| format!("node {seed}, round {number}"))?;
        let checked = tokio::task::block_in_place(|| check(&node, &mut told));
        checked.with_context(|| format!("node {seed}, after kill {number}"))?;
    }
    // The node itself goes on with what is left.
    let mut process = node.start(program())?;
    let client = node.connect(&mut process, "mychannel").await?;
    assert!(client.height().await? >= told.height);
    let code = client.submit("asset", &["create", "the-last", "Ada", "1"]).await?;
    assert_eq!(code, TxValidationCode::Valid);
    let chain = LedgerProvider::open(&node.ledgers());
    assert!(chain.is_err(), "the node that runs has the folder");
    Ok(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_kills_in_a_stream_of_invokes() -> anyhow::Result<()> {
    let began = Instant::now();
    let nodes: Vec<_> = (0..NODES).map(|seed| tokio::spawn(kill_again_and_again(seed))).collect();
    let (mut committed, mut blocks, mut joined) = (0, 0, 0);
    for node in nodes {
        let told = node.await??;
        committed += told.committed.len();
        blocks += told.height;
        joined += told.joined.len();
    }
    let (kills, took) = (NODES * KILLS, began.elapsed());
    println!(
        "{kills} kills in {took:?}: {committed} transactions seen committed, {blocks} blocks, {joined} channels joined"
    );
    assert!(committed as u64 >= NODES * KILLS / COMMIT_EACH, "only {committed} transactions were seen committed");
    assert!(joined > 0, "no channel was joined");
    Ok(())
}
