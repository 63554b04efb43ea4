//! What an operator reads when `selvedge node start` meets a data directory that it cannot use: the message, and the exit
//! code or what is served nevertheless.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use selvedge::testing::{NodeFolder, Plugin};
use selvedge_proto::protos::TxValidationCode;

const NOBODY: u32 = 65534;

fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args(["node", "start"]);
    command
}

fn ours() -> Command {
    program(Path::new(env!("CARGO_BIN_EXE_selvedge")))
}

/// The folder of a node that is in two channels, and has stopped.
async fn used(folder: &Path) -> anyhow::Result<NodeFolder> {
    let more = "network:\n  development:\n    batchTimeout: 5ms\n";
    let node = NodeFolder::new(folder, &[Plugin::guest("asset", "asset")?], more)?;
    let mut process = node.start(ours())?;
    let client = node.connect(&mut process, "mychannel").await?;
    assert_eq!(node.join("second").await?.status, 200);
    for number in 0..5 {
        client.submit("asset", &["create", &format!("a{number}"), "ada", "1"]).await?;
    }
    process.kill()?;
    fs::remove_file(folder.join("log"))?;
    Ok(node)
}

/// Starts a node that has to give up; what it says last.
fn refusal(node: &NodeFolder, command: Command) -> anyhow::Result<String> {
    let status = node.start(command)?.end()?;
    assert_eq!(status.code(), Some(1), "{}", node.log()?);
    let log = node.log()?;
    let last = log.lines().last().context("it said something")?;
    Ok(last.replace(&node.path().display().to_string(), "FOLDER"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_used_ends_the_node_with_the_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = used(folder.path()).await?;
    let ledgers = node.ledgers();

    let mut running = node.start(ours())?;
    node.connect(&mut running, "mychannel").await?;
    assert_eq!(
        refusal(&node, ours())?,
        "Error: the ledger directory FOLDER/data/ledgers is in use by another node; stop that one or choose another directory"
    );
    running.kill()?;

    for (format, found) in [(Some("3\n"), "3"), (Some("1\n"), "1"), (Some(""), ""), (None, "")] {
        let path = ledgers.join("FORMAT");
        match format {
            Some(text) => fs::write(&path, text)?,
            None => fs::remove_file(&path)?,
        }
        assert_eq!(
            refusal(&node, ours())?,
            format!(
                "Error: the ledger directory FOLDER/data/ledgers has format {found:?}, this version reads format \"2\"; use the \
                 version that wrote it or an empty directory"
            )
        );
    }
    fs::write(ledgers.join("FORMAT"), "2\n")?;

    let mut elsewhere = ours();
    elsewhere.env("CORE_PEER_FILESYSTEMPATH", folder.path().join("core.yaml/data"));
    assert_eq!(
        refusal(&node, elsewhere)?,
        "Error: the ledger (below peer.fileSystemPath) cannot make the directory FOLDER/core.yaml/data/ledgers: not a directory"
    );

    assert_eq!(
        refusal(&node, without_rights(folder.path(), &ledgers)?)?,
        "Error: the ledger (below peer.fileSystemPath) cannot open FOLDER/data/ledgers/LOCK: Permission denied (os error 13)"
    );
    Ok(())
}

/// The program, as somebody who may read the folder and not write to the ledgers. Nothing is denied to root, so that it has
/// to be somebody else then.
fn without_rights(folder: &Path, ledgers: &Path) -> anyhow::Result<Command> {
    let root = fs::metadata(folder)?.uid() == 0;
    for (path, mode) in [(folder, 0o755), (&folder.join("data"), 0o755), (ledgers, 0o555)] {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    fs::set_permissions(ledgers.join("LOCK"), Permissions::from_mode(0o444))?;
    // Where the build is, somebody else may not be let in.
    let copy = folder.join("selvedge");
    fs::copy(env!("CARGO_BIN_EXE_selvedge"), &copy)?;
    let mut command = program(&copy);
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_channel_is_named_and_the_others_are_served() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let node = used(folder.path()).await?;
    let file = node.ledgers().join("second.redb");
    let whole = fs::read(&file)?;
    let flipped = |text: &[u8]| {
        let mut bytes = whole.clone();
        let places: Vec<_> = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
        assert!(!places.is_empty());
        places.into_iter().for_each(|at| bytes[at] ^= 1);
        bytes
    };
    let mut garbled = whole.clone();
    garbled[8192..].fill(0xaa);
    let damage = "the ledger's database is damaged: ";
    let advice = "; put a copy of the data directory back that was made while the node was stopped";
    for (what, content, reason) in [
        ("no length", vec![], "FILE: I/O error: Database file is empty and creating a new database was not requested"),
        ("another file", b"SQLite format 3\0".to_vec(), "FILE: I/O error: Not a redb database: magic number mismatch"),
        ("cut off", whole[..whole.len() / 3].to_vec(), ""),
        ("garbage", garbled, ""),
        ("a block's bytes", flipped(b"SampleOrg"), "block 0 does not match its checksum"),
    ] {
        fs::write(&file, content)?;
        let mut process = node.start(ours())?;
        let client = node.connect(&mut process, "mychannel").await?;
        let code = client.submit("asset", &["create", what, "ada", "1"]).await?;
        assert_eq!(code, TxValidationCode::Valid, "{what}");

        let log = node.log()?;
        let found = log.lines().find_map(|line| line.split_once("Failed to load ledger second(")).context(what)?.1;
        let found = found.strip_suffix(')').context("it ends")?.replace(&file.display().to_string(), "FILE");
        println!("{what}: {found}");
        let said = found.strip_prefix(damage).and_then(|found| found.strip_suffix(advice)).context(what)?;
        assert!(if reason.is_empty() { !said.is_empty() } else { said == reason }, "{what}: {said}");

        let health = node.health()?.replace(&file.display().to_string(), "FILE");
        assert!(health.starts_with("HTTP/1.1 503"), "{health}");
        assert!(health.contains(r#"{"component":"ledger","reason":"channel second could not be opened: "#), "{health}");
        let joined = node.join("second").await?;
        let expected = "cannot create ledger from genesis block: the ledger of channel second could not be opened: ";
        assert!(joined.status == 500 && joined.message.starts_with(expected), "{what}: {joined:?}");
        process.kill()?;
        fs::remove_file(folder.path().join("log"))?;
    }
    fs::write(&file, whole)?;
    let mut process = node.start(ours())?;
    node.connect(&mut process, "second").await?;
    assert!(node.health()?.starts_with("HTTP/1.1 200"));
    Ok(())
}
