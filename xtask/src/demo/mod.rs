//! `cargo xtask demo`: the whole thing once, in a temporary directory, with every claim checked.
//!
//! Starts a node with two chaincodes of `examples/`, writes and reads, lets one chaincode misbehave while another client
//! goes on, stops, restarts, and looks whether the state is still there. Exit 0 means that each step did what it says.

mod bystander;
mod node;
mod transcript;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::setup::Workspace;
use bystander::Bystander;
use node::{Answer, Demo};
use transcript::Transcript;

const CHANNEL: &str = "mychannel";

/// What happens to the node after the last step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Afterwards {
    Stop,
    Keep,
}

pub(crate) fn run(workspace: &Workspace, afterwards: Afterwards) -> Result<()> {
    let transcript = Transcript::begin();
    transcript.headline("Building what is missing");
    let built = workspace.build_all()?;
    transcript.done("the node and the chaincodes are built");

    let mut demo = Demo::prepare(&built, afterwards)?;
    let outcome = play(&mut demo, &transcript);
    if let Err(e) = outcome {
        eprintln!("\n--- the end of the node's log ({}) ---\n{}", demo.log_path().display(), demo.log_tail(40));
        return Err(e.context("the demo did not do what it says"));
    }
    match afterwards {
        Afterwards::Stop => {
            stop(&mut demo, &transcript)?;
            fs::remove_dir_all(&demo.directory).context("cannot remove the demo's directory")?;
        }
        Afterwards::Keep => transcript.text(&demo.keep()),
    }
    transcript.done("every step did what it says");
    Ok(())
}

fn play(demo: &mut Demo, transcript: &Transcript) -> Result<()> {
    transcript.headline("A node, with no configuration but two chaincodes of ours");
    transcript.text(&demo.explain());
    start(demo, transcript)?;

    transcript.headline("System chaincodes run in the sandbox");
    let info = transcript.run(demo, &query("qscc", &["GetChainInfo", CHANNEL], &["--hex"]))?;
    let info = info.succeeded()?;
    // BlockchainInfo.height is field 1, a varint: the genesis block makes it 1 at least.
    ensure!(info.starts_with("08") && !info.starts_with("0800"), "qscc answered {info:?}, which has no height in it");

    transcript.headline("An asset is created, ends in a block, and is read back");
    let created = transcript.run(demo, &invoke("asset", &["create", "a1", "Ada", "7"]))?;
    committed(&created)?;
    ensure!(created.errors.contains("Chaincode invoke successful. result: status:200"), "no success in the output");
    read_asset(demo, transcript, 7)?;
    let height = transcript.run(demo, &query("asset", &["height", CHANNEL], &[]))?;
    let height: u64 = height.succeeded()?.parse().context("asset's answer, by way of qscc, is no height")?;
    ensure!(height >= 2, "the ledger has {height} block(s), and one was committed after the genesis block");

    transcript.headline("One chaincode misbehaves; another client goes on");
    let bystander = Bystander::start(demo);
    for (does, args, says) in [
        ("panics", &["panic", "boom"][..], "boom"),
        ("loops without an end", &["loop"], "chaincode.wasm.limits.time"),
        ("eats memory", &["memory"], "chaincode.wasm.limits.memory"),
        ("recurses without an end", &["recurse"], "chaincode.wasm.limits.stack"),
    ] {
        transcript.note(&format!("mischief {does}"));
        let before = bystander.rounds();
        let answer = transcript.run(demo, &query("mischief", args, &[]))?;
        ensure!(!answer.success, "mischief {does}, and its client saw no error");
        ensure!(answer.errors.contains(says), "the error does not mention {says:?}");
        demo.ensure_running()?;
        bystander.wait_for_rounds_after(before, Duration::from_secs(30))?;
    }
    let summary = bystander.finish()?;
    transcript.note(&summary.to_string());
    ensure!(summary.failures.is_empty(), "the other client failed: {}", summary.failures.join("; "));

    transcript.headline("Stop, start again: the state is still there");
    stop(demo, transcript)?;
    start(demo, transcript)?;
    read_asset(demo, transcript, summary.last_value)
}

fn start(demo: &mut Demo, transcript: &Transcript) -> Result<()> {
    transcript.command("selvedge node start &");
    demo.start()?;
    transcript.done(&format!("http://{}/healthz answers 200", demo.operations));
    Ok(())
}

fn stop(demo: &mut Demo, transcript: &Transcript) -> Result<()> {
    transcript.command("kill -TERM %1; wait %1");
    demo.stop()?;
    transcript.done("the node has finished what it had begun and exited with 0");
    Ok(())
}

fn read_asset(demo: &Demo, transcript: &Transcript, value: u64) -> Result<()> {
    let answer = transcript.run(demo, &query("asset", &["read", "a1"], &[]))?;
    let expected = format!(r#"{{"id":"a1","owner":"Ada","value":{value}}}"#);
    ensure!(answer.succeeded()? == expected, "expected {expected}");
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
