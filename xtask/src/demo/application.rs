//! A client as applications have it: Node.js with npm's `fabric-network`, which talks to the node as to any Fabric peer.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::node::{Answer, Demo};
use super::transcript::Transcript;
use crate::setup::Workspace;

/// The development organisation's user, below the node's directory.
pub(super) const USER: &str = "data/development/users/User1/msp";
const CREATED: &str = r#"{"id":"b1","owner":"Bob","value":3}"#;

/// Submits by the application in `examples`, which hears the event. Returns the number of blocks that came of it: none on
/// a machine without Node.js, where the step is left out and the transcript says what to install.
pub(super) fn show(workspace: &Workspace, demo: &Demo, transcript: &Transcript, height: u64) -> Result<u64> {
    transcript
        .headline("An application on npm's fabric-network 2.2 submits, waits for the commit, and hears the event");
    let script = match workspace.install_application() {
        Ok(script) => script,
        Err(missing) => {
            transcript.note(&format!("left out: {missing:#}"));
            return Ok(0);
        }
    };
    let profile = fs::read_to_string(workspace.root.join("examples/application/connection.json"))
        .context("cannot read the connection profile of examples/application")?;
    let profile = profile.replace("127.0.0.1:7051", demo.address());
    fs::write(demo.directory.join("connection.json"), profile).context("cannot write connection.json")?;

    let folder = script.parent().unwrap_or(Path::new("."));
    let words = format!("$FABRIC_CFG_PATH/connection.json $FABRIC_CFG_PATH/{USER} asset create b1 Bob 3");
    transcript.command(&format!("cd {}; node application.js {words}", folder.display()));
    let mut node = Command::new("node");
    node.arg(&script).args(["connection.json", USER, "asset", "create", "b1", "Bob", "3"]);
    let answer = Answer::of(node.current_dir(&demo.directory))?;
    transcript.answer(&answer);
    let expected = format!("committed: {CREATED}\nevent created in block {height}: {CREATED}");
    ensure!(answer.succeeded()? == expected, "the application did not hear of its transaction: expected {expected}");
    Ok(1)
}
