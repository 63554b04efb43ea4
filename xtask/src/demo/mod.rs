//! `cargo xtask demo`: the whole thing once, in a temporary directory, with every claim checked.
//!
//! Starts a node with two chaincodes of `examples/`, writes and reads by the command line and by an application, lets one
//! chaincode misbehave while another client goes on, stops, restarts, and looks whether the state is still there. Exit 0
//! means that each step did what it says.

mod application;
mod bystander;
mod node;
mod transcript;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::setup::{Workspace, timed};
use bystander::Bystander;
use node::{Answer, Demo};
use transcript::Transcript;

const CHANNEL: &str = "mychannel";

/// The value that asset a1 is created with.
const FIRST_VALUE: u64 = 7;

/// The other client's rounds take a fraction of a second; a busy machine has patience.
const BYSTANDER_TIMEOUT: Duration = Duration::from_secs(30);

/// `chaincode.wasm.limits.memory`: what one transaction may take.
const MEMORY_LIMIT: u64 = 64 << 20;

/// What happens to the node after the last step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Stop,
    Keep,
}

pub(crate) fn run(workspace: &Workspace, afterwards: Afterwards) -> Result<()> {
    let transcript = Transcript::begin();
    transcript.headline("Building what is missing");
    let (built, elapsed) = timed(|| workspace.build_all())?;
    transcript.done("the node and its chaincodes are built", elapsed);

    let mut demo = Demo::prepare(&built, afterwards)?;
    let outcome = play(workspace, &mut demo, &transcript).and_then(|()| match afterwards {
        Afterwards::Stop => stop(&mut demo, &transcript),
        Afterwards::Keep => Ok(()),
    });
    if let Err(e) = outcome {
        eprintln!("\n--- the end of the node's log ({}) ---\n{}", demo.log_path().display(), demo.log_tail(40));
        return Err(e.context("the demo did not do what it says"));
    }
    transcript.end("Every step did what it says.");
    match afterwards {
        Afterwards::Stop => fs::remove_dir_all(&demo.directory).context("cannot remove the demo's directory")?,
        Afterwards::Keep => transcript.text(&demo.keep()),
    }
    Ok(())
}

fn play(workspace: &Workspace, demo: &mut Demo, transcript: &Transcript) -> Result<()> {
    transcript.headline("A node, with free ports, two chaincodes, and 2 s instead of 5 for their transactions");
    let directory = demo.directory.display();
    transcript.command(&format!("export FABRIC_CFG_PATH={directory}; cd $FABRIC_CFG_PATH; cat core.yaml"));
    transcript.output(&demo.core_yaml()?);
    start(demo, transcript)?;
    transcript.command("grep deployed node.log");
    let log = demo.log();
    let deployed: Vec<&str> = log.lines().filter(|line| line.contains("deployed")).collect();
    transcript.output(&deployed.join("\n"));
    for (chaincode, channel) in ["qscc", "asset", "mischief"].map(|name| [(name, ""), (name, CHANNEL)]).concat() {
        let begin = format!("system chaincode {chaincode}/{channel}(");
        let is_line = |line: &&str| line.contains(&begin) && line.ends_with(") deployed");
        ensure!(deployed.iter().any(is_line), "{chaincode} is not deployed on channel {channel:?}");
    }

    transcript.headline("System chaincodes run in the sandbox: qscc knows the height of the ledger");
    let info = transcript.run(demo, &query("qscc", &["GetChainInfo", CHANNEL], &["--hex"]))?;
    // BlockchainInfo.height is field 1, a varint.
    ensure!(info.succeeded()?.starts_with("0801"), "the answer is no BlockchainInfo with the height 1");
    transcript.note("a BlockchainInfo: height 1 (0801), then the hash of block 0");

    transcript.headline("An asset is created, ends in a block, and is read back");
    let created = transcript.run(demo, &invoke("asset", &["create", "a1", "Ada", "7"]))?;
    committed(&created)?;
    ensure!(created.errors.contains("Chaincode invoke successful. result: status:200"), "no success in the output");
    read_asset(demo, transcript, FIRST_VALUE)?;
    transcript.note("asset asks qscc, chaincode to chaincode:");
    let height = read_height(demo, transcript)?;
    ensure!(height == 2, "the ledger has {height} block(s), and one was committed after the genesis block");
    let height = height + application::show(workspace, demo, transcript, height)?;

    transcript.headline("One chaincode misbehaves; another client goes on");
    let bystander = Bystander::start(demo, FIRST_VALUE);
    let alone = bystander.latencies_since(0, BYSTANDER_TIMEOUT)?;
    transcript
        .note("the other client updates a1 and reads it back, over and over; an update waits for its block (200 ms)");
    transcript.note(&format!("on its own: {alone}"));
    let memory = demo.resident_memory()?;
    misbehave(demo, transcript, &bystander)?;
    let updates = bystander.finish()?;
    let afterwards = demo.resident_memory()?;
    transcript.note(&format!(
        "the node's resident memory: {} MiB before, {} MiB after",
        memory >> 20,
        afterwards >> 20
    ));
    ensure!(afterwards < memory + MEMORY_LIMIT, "the node has kept what the chaincode took");

    transcript.headline("Stop, start again: the state is still there");
    stop(demo, transcript)?;
    start(demo, transcript)?;
    read_asset(demo, transcript, FIRST_VALUE + updates)?;
    let now = read_height(demo, transcript)?;
    ensure!(now == height + updates, "{updates} updates were committed, one in each block");
    transcript.note(&format!("all {updates} updates of the other client are there, one in each block"));
    Ok(())
}

/// Each mischief ends its own transaction, and the other client's go on.
fn misbehave(demo: &mut Demo, transcript: &Transcript, bystander: &Bystander) -> Result<()> {
    // More than there are threads for guests: none is left for the other client if they do not give way.
    let loops = std::thread::available_parallelism().map_or(1, usize::from) + 2;
    for (does, args, says, times) in [
        ("panics", &["panic", "boom"][..], "boom", 1),
        ("loops without an end, more often than there are processors", &["loop"], "chaincode.wasm.limits.time", loops),
        ("eats memory", &["memory"], "chaincode.wasm.limits.memory", 1),
        ("recurses without an end", &["recurse"], "chaincode.wasm.limits.stack", 1),
    ] {
        transcript.note(&format!("mischief {does}"));
        let before = bystander.rounds();
        let call = query("mischief", args, &[]);
        let answers = match times {
            1 => vec![transcript.run(demo, &call)?],
            _ => transcript.run_at_once(demo, &call, times)?,
        };
        for answer in answers {
            ensure!(!answer.success, "mischief {does}, and its client saw no error");
            ensure!(answer.errors.contains(says), "an error does not mention {says:?}: {}", answer.errors);
        }
        demo.ensure_running()?;
        let meanwhile = bystander.latencies_since(before, BYSTANDER_TIMEOUT)?;
        transcript.note(&format!("the other client meanwhile: {meanwhile}"));
    }
    Ok(())
}

fn start(demo: &mut Demo, transcript: &Transcript) -> Result<()> {
    transcript.command("selvedge node start 2>>node.log &");
    let ((), elapsed) = timed(|| demo.start())?;
    transcript.done(&format!("http://{}/healthz answers 200", demo.operations), elapsed);
    Ok(())
}

fn stop(demo: &mut Demo, transcript: &Transcript) -> Result<()> {
    transcript.command("kill -TERM %1; wait %1; echo $?");
    let (status, elapsed) = timed(|| demo.stop())?;
    transcript.done(&status, elapsed);
    Ok(())
}

fn read_height(demo: &Demo, transcript: &Transcript) -> Result<u64> {
    let height = transcript.run(demo, &query("asset", &["height", CHANNEL], &[]))?;
    height.succeeded()?.parse().context("asset's answer, by way of qscc, is no height")
}

fn read_asset(demo: &Demo, transcript: &Transcript, value: u64) -> Result<()> {
    let answer = transcript.run(demo, &query("asset", &["read", "a1"], &[]))?;
    let expected = format!(r#"{{"id":"a1","owner":"Ada","value":{value}}}"#);
    let found = answer.succeeded()?;
    ensure!(found == expected, "a1 is {found}, expected {expected}");
    Ok(())
}

fn committed(answer: &Answer) -> Result<()> {
    answer.succeeded()?;
    ensure!(answer.errors.contains("committed with status (VALID)"), "the commit was not seen");
    Ok(())
}

fn query(chaincode: &str, args: &[&str], flags: &[&str]) -> Vec<String> {
    call("query", chaincode, args, flags)
}

fn invoke(chaincode: &str, args: &[&str]) -> Vec<String> {
    call("invoke", chaincode, args, &["--waitForEvent"])
}

fn call(verb: &str, chaincode: &str, args: &[&str], flags: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
    let ctor = format!(r#"{{"Args":[{}]}}"#, quoted.join(","));
    let words = ["chaincode", verb, "-C", CHANNEL, "-n", chaincode, "-c", &ctor];
    words.iter().chain(flags).map(|word| (*word).to_owned()).collect()
}
