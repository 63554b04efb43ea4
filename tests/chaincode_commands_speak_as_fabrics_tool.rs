//! `selvedge chaincode install`, `instantiate`, `upgrade`, `list`, and `invoke` at several peers: what they print, how they end, and what their errors say.

use anyhow::Context;
use selvedge::testing::{CommandLine, Golden, Plugin, TestPeer, guest_path};

/// A node whose data are in a folder.
struct Scene {
    folder: tempfile::TempDir,
    peer: TestPeer,
}

impl Scene {
    async fn start(overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], overrides).await?;
        Ok(Self { folder, peer })
    }

    fn address(&self) -> String {
        self.peer.node().peer_address().to_string()
    }

    fn command_line(&self) -> CommandLine {
        CommandLine::new(env!("CARGO_BIN_EXE_selvedge"), self.folder.path(), self.address())
    }
}

const CREATE: &str = r#"{"Args":["create","a","Ada","7"]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaincodes_are_listed_as_fabrics_tool_lists_them() -> anyhow::Result<()> {
    let scene = Scene::start(&[]).await?;
    let tool = scene.command_line();
    let (stdout, stderr) = tool.done(&["chaincode", "list", "--installed"]).await?;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("Get installed chaincodes on peer:\n", ""));
    let instantiated = ["chaincode", "list", "--instantiated", "-C", "mychannel"];
    assert_eq!(tool.done(&instantiated).await?.0, "Get instantiated chaincodes on channel mychannel:\n");

    // A package as Fabric's tool made it, where a Fabric peer keeps it.
    std::fs::copy(Golden::V1_4.path("packages/kv-1.cds"), scene.folder.path().join("data/chaincodes/kv.1"))?;
    let (stdout, _) = tool.done(&["chaincode", "list", "--installed"]).await?;
    println!("{stdout}");
    let line = stdout.lines().nth(1).context("a chaincode")?;
    assert!(line.starts_with("Name: kv, Version: 1, Path: "), "{line}");
    let id = line.rsplit_once(", Id: ").context("an id")?.1;
    assert!(id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{line}");
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_listed_is_said_in_fabrics_words() -> anyhow::Result<()> {
    let scene = Scene::start(&[]).await?;
    let tool = scene.command_line();
    let user = scene.folder.path().join("data/development/users/User1/msp");
    let user = [("CORE_PEER_MSPCONFIGPATH", user.to_str().context("a path of a test is text")?)];
    let nobody = [("CORE_PEER_ADDRESS", "127.0.0.1:1")];
    type Refused<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let table: [Refused; 8] = [
        (&["chaincode", "list"], &[], "Error: Must explicitly specify \"--installed\" or \"--instantiated\""),
        (
            &["chaincode", "list", "--installed", "--instantiated", "-C", "mychannel"],
            &[],
            "Error: Must explicitly specify \"--installed\" or \"--instantiated\"",
        ),
        (
            &["chaincode", "list", "--instantiated"],
            &[],
            "Error: The required parameter 'channelID' is empty. Rerun the command with -C flag",
        ),
        (
            &["chaincode", "list", "--installed", "--peerAddresses", "a:1", "--peerAddresses", "b:1"],
            &[],
            "Error: error validating peer connection parameters: 'list' command can only be executed against one peer. \
             received 2",
        ),
        (
            &[
                "chaincode",
                "query",
                "-C",
                "c",
                "-n",
                "n",
                "-c",
                CREATE,
                "--peerAddresses",
                "a:1",
                "--peerAddresses",
                "b:1",
            ],
            &[],
            "Error: error validating peer connection parameters: 'query' command can only be executed against one peer. \
             received 2",
        ),
        (
            &["chaincode", "list", "--instantiated", "-C", "other"],
            &[],
            "Error: Error endorsing chaincode: rpc error: code = Unknown desc = access denied: channel [other] creator org ",
        ),
        (
            &["chaincode", "list", "--installed"],
            &user,
            "Error: Bad response: 500 - access denied for [getinstalledchaincodes]",
        ),
        (
            &["chaincode", "list", "--installed"],
            &nobody,
            "Error: error getting endorser client for list: endorser client failed to connect to 127.0.0.1:1: ",
        ),
    ];
    for (arguments, variables, expected) in table {
        let refused = tool.refusal(arguments, variables).await?;
        assert!(refused.starts_with(expected), "expected {expected:?} of {arguments:?}, not {refused}");
    }
    scene.peer.stop().await;
    Ok(())
}

/// Two peers of one organisation, the second of which follows no orderer: it endorses and never commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_waits_for_the_commit_at_every_peer() -> anyhow::Result<()> {
    let first = Scene::start(&[]).await?;
    let msp = first.folder.path().join("data/development/peers/peer0/msp");
    let msp = msp.to_str().context("a path of a test is text")?;
    let second = Scene::start(&[("PEER_MSPCONFIGPATH", msp)]).await?;
    let tool = first.command_line();
    tool.done(&["channel", "fetch", "0", "-c", "mychannel"]).await?;
    let admin = first.folder.path().join("data/development/users/Admin/msp");
    let as_admin = [
        ("CORE_PEER_MSPCONFIGPATH", admin.to_str().context("a path of a test is text")?),
        ("CORE_PEER_ADDRESS", &second.address()),
    ];
    let joined = tool.run_with(&["channel", "join", "-b", "mychannel_0.block"], &as_admin).await?;
    assert_eq!(joined.code, Some(0), "{joined:?}");

    let (at_first, at_second) = (first.address(), second.address());
    let call = ["chaincode", "invoke", "-C", "mychannel", "-n", "asset", "-c", CREATE, "-o", &at_first];
    let both = ["--peerAddresses", &at_second, "--peerAddresses", &at_first];
    let wait = ["--waitForEvent", "--waitForEventTimeout", "3s"];
    let ended = tool.run_with(&[&call[..], &both, &wait].concat(), &[]).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    // The peer that did commit is heard although the other one is asked first.
    let committed = format!("committed with status (VALID) at {at_first}");
    assert!(ended.stderr.contains(&committed) && !ended.stderr.contains("Chaincode invoke successful"), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("Error: timed out waiting for txid on all peers: no word of "), "{last}");
    let advice = format!(" from {at_second} within 3000 ms; allow more with --waitForEventTimeout");
    assert!(last.ends_with(&advice), "{last}");

    // Peers at different heights do not endorse the same.
    let update = r#"{"Args":["update","a","8"]}"#;
    let call = ["chaincode", "invoke", "-C", "mychannel", "-n", "asset", "-c", update, "-o", &at_first];
    let mismatch = tool.refusal(&[&call[..], &["--peerAddresses", &at_first], &both[..2]].concat(), &[]).await?;
    assert_eq!(
        mismatch,
        "Error: could not assemble transaction, err proposal response was not successful, error code 500, msg \
                          asset a does not exist"
    );

    // One peer named twice endorses once, and is heard twice.
    let twice = ["--peerAddresses", &at_first, "--peerAddresses", &at_first, "--waitForEvent"];
    let (_, stderr) = tool.done(&[&call[..], &twice].concat()).await?;
    assert_eq!(stderr.matches(&committed).count(), 2, "{stderr}");
    assert!(
        stderr.lines().last().is_some_and(|line| line.contains("Chaincode invoke successful. result: status:200 "))
    );
    first.peer.stop().await;
    second.peer.stop().await;
    Ok(())
}

/// A package of one module, installed, instantiated, called and upgraded as an operator does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_is_brought_about_and_upgraded_by_the_command_line() -> anyhow::Result<()> {
    let scene = Scene::start(&[]).await?;
    let module = scene.folder.path().join("cc");
    std::fs::create_dir_all(module.join("META-INF/statedb/couchdb/indexes"))?;
    let index = r#"{"index":{"fields":["owner"]},"ddoc":"owners","name":"owners","type":"json"}"#;
    std::fs::write(module.join("META-INF/statedb/couchdb/indexes/owners.json"), index)?;
    std::fs::copy(guest_path("asset")?, module.join("users.wasm"))?;
    std::fs::write(
        scene.folder.path().join("collections.json"),
        r#"[{"name":"secrets","policy":"OR('SampleOrg.member')","requiredPeerCount":0,"maxPeerCount":0}]"#,
    )?;
    let admin = scene.folder.path().join("data/development/users/Admin/msp");
    let admin = admin.to_str().context("a path of a test is text")?;
    let as_admin = [("CORE_PEER_MSPCONFIGPATH", admin)];
    let tool = scene.command_line();
    let run = async |arguments: &[&str]| tool.run_with(&[&["chaincode"], arguments].concat(), &as_admin).await;

    let install = ["install", "-n", "users", "-v", "1", "-l", "wasm", "-p", "cc/users.wasm"];
    let installed = run(&install).await?;
    assert_eq!((installed.code, installed.stdout.as_str()), (Some(0), ""), "{installed:?}");
    let said = installed.stderr.lines().last().unwrap_or_default();
    assert!(said.ends_with(r#"Installed remotely response:<status:200 payload:"OK" > "#), "{said}");
    let again = run(&install).await?.stderr;
    let refused = "Error: Bad response: 500 - error installing chaincode code users:1(chaincode ";
    assert!(again.lines().last().is_some_and(|line| line.starts_with(refused)), "{again}");

    let instantiate = ["instantiate", "-n", "users", "-v", "1", "-C", "mychannel", "-c", r#"{"Args":["init"]}"#];
    let more = ["-P", "OR('SampleOrg.member')", "--collections-config", "collections.json", "--waitForEvent"];
    let instantiated = run(&[&instantiate[..], &more].concat()).await?;
    assert_eq!((instantiated.code, instantiated.stdout.as_str()), (Some(0), ""), "{instantiated:?}");
    assert!(instantiated.stderr.contains("Using default escc") && instantiated.stderr.contains("Using default vscc"));
    let again = run(&instantiate).await?.stderr;
    let refused = "Error: could not assemble transaction, err proposal response was not successful, error code 500, msg \
                   chaincode with name 'users' already exists";
    assert_eq!(again.lines().last(), Some(refused));

    let call = ["-C", "mychannel", "-n", "users", "-c"];
    let invoked = run(&[&["invoke"], &call[..], &[CREATE, "--waitForEvent"]].concat()).await?;
    assert!(invoked.stderr.contains("Chaincode invoke successful. result: status:200 "), "{invoked:?}");
    let listed = run(&["list", "--instantiated", "-C", "mychannel"]).await?.stdout;
    let expected = "Name: users, Version: 1, Path: cc/users.wasm, ";
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with(expected)), "{listed}");

    let (package, file) = (["package", "-n", "users", "-v", "2", "-l", "wasm", "-p", "cc/users.wasm"], ["two.cds"]);
    assert_eq!(run(&[&package[..], &file].concat()).await?.code, Some(0));
    assert_eq!(run(&["install", "two.cds"]).await?.code, Some(0));
    let upgrade = ["upgrade", "-n", "users", "-v", "2", "-C", "mychannel", "-c", r#"{"Args":["init"]}"#];
    let upgraded = run(&[&upgrade[..], &["--waitForEvent"]].concat()).await?;
    assert_eq!((upgraded.code, upgraded.stdout.as_str()), (Some(0), ""), "{upgraded:?}");
    let read = run(&[&["query"], &call[..], &[r#"{"Args":["read","a"]}"#]].concat()).await?;
    assert_eq!(read.stdout, "{\"id\":\"a\",\"owner\":\"Ada\",\"value\":7}\n");
    let again = run(&upgrade).await?.stderr;
    let refused = "Error: could not assemble transaction, err proposal response was not successful, error code 500, msg \
                   version already exists for chaincode with name 'users'";
    assert_eq!(again.lines().last(), Some(refused));
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_lacks_something_is_refused_in_fabrics_words() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let tool = CommandLine::new(env!("CARGO_BIN_EXE_selvedge"), folder.path(), "127.0.0.1:1".to_owned());
    let flags = ["-n", "cc", "-v", "1", "-C", "mychannel", "-c", r#"{"Args":[]}"#];
    let table: [(&[&str], &str); 6] = [
        (&["-n", "cc", "-v", "1"], "The required parameter 'channelID' is empty. Rerun the command with -C flag"),
        (&["-C", "mychannel", "-v", "1"], "must supply value for chaincode name parameter"),
        (
            &["-C", "mychannel", "-v", "1", "-n", "cc"],
            "empty JSON chaincode parameters must contain the following keys: 'Args' or 'Function' and 'Args'",
        ),
        (&[&flags[..], &["-P", "OR("]].concat(), "invalid policy OR(: "),
        (
            &[&flags[..], &["--collections-config", "none.json"]].concat(),
            "invalid collection configuration in file none.json: could not read file 'none.json': ",
        ),
        (
            &[&flags[..], &["--peerAddresses", "a:1", "--peerAddresses", "b:1"]].concat(),
            "error validating peer connection parameters: '",
        ),
    ];
    for verb in ["instantiate", "upgrade"] {
        for (arguments, expected) in table {
            let refused = tool.refusal(&[&["chaincode", verb], arguments].concat(), &[]).await?;
            assert!(
                refused.starts_with(&format!("Error: {expected}")),
                "expected {expected:?} of {verb}, not {refused}"
            );
        }
        let refused = tool.refusal(&["chaincode", verb, "-C", "mychannel", "-n", "cc"], &[]).await?;
        assert_eq!(refused, format!("Error: chaincode version is not provided for {verb}"));
    }
    Ok(())
}
