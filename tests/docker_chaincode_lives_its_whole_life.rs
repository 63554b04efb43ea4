//! A Node chaincode on npm's fabric-shim and a Rust program on our SDK, each built into an image of a real engine and
//! launched with TLS: install, instantiate, invoke, a killed container, upgrade, a killed peer, stop. All through the
//! command line.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use selvedge::testing::{
    Code, DockerEngine, DockerPeer, DockerSetting, Listed, docker_engine, node_chaincode_folder, node_image,
    static_program,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A chaincode and how it is used.
struct Chaincode {
    name: &'static str,
    code: PathBuf,
    is_node: bool,
    init: &'static str,
    write: &'static str,
    read: &'static str,
    answer: &'static str,
}

impl Chaincode {
    fn code(&self) -> Code<'_> {
        if self.is_node { Code::Node(&self.code) } else { Code::Rust(&self.code) }
    }
}

fn chaincodes() -> anyhow::Result<[Chaincode; 2]> {
    Ok([
        Chaincode {
            name: "kv",
            code: node_chaincode_folder("kv")?,
            is_node: true,
            init: r#"{"Args":["init"]}"#,
            write: r#"{"Args":["put","k","of Node"]}"#,
            read: r#"{"Args":["get","k"]}"#,
            answer: "of Node",
        },
        Chaincode {
            name: "asset",
            code: static_program("asset")?,
            is_node: false,
            init: r#"{"Args":[]}"#,
            write: r#"{"Args":["create","a1","Ada","7"]}"#,
            read: r#"{"Args":["read","a1"]}"#,
            answer: r#"{"id":"a1","owner":"Ada","value":7}"#,
        },
    ])
}

/// The one container of a chaincode, which runs.
async fn container(peer: &DockerPeer, engine: &DockerEngine, name: &str, version: &str) -> anyhow::Result<Listed> {
    let ends = format!("-{name}-{version}");
    let mut found = peer.containers(engine).await?;
    found.retain(|container| container.name.ends_with(&ends));
    anyhow::ensure!(found.len() == 1 && found[0].running, "{name}:{version} should run in one container: {found:?}");
    found.pop().context("one")
}

/// What the container was told, and found.
async fn has_tls(engine: &DockerEngine, container: &Listed) -> anyhow::Result<()> {
    let variables = engine.variables(&container.id).await?;
    for variable in [
        "CORE_PEER_TLS_ENABLED=true",
        "CORE_TLS_CLIENT_KEY_PATH=/etc/hyperledger/fabric/client.key",
        "CORE_TLS_CLIENT_CERT_PATH=/etc/hyperledger/fabric/client.crt",
        "CORE_PEER_TLS_ROOTCERT_FILE=/etc/hyperledger/fabric/peer.crt",
    ] {
        anyhow::ensure!(variables.iter().any(|set| set == variable), "{variable} is not in {variables:?}");
    }
    Ok(())
}

async fn whole_life(peer: &DockerPeer, engine: &DockerEngine, chaincode: &Chaincode) -> anyhow::Result<()> {
    let Chaincode { name, init, write, read, answer, .. } = *chaincode;
    peer.install(name, "1", chaincode.code()).await?;
    peer.deploy("instantiate", name, "1", init).await?;
    let first = container(peer, engine, name, "1").await?;
    has_tls(engine, &first).await?;
    peer.invoke(name, write).await?;
    assert_eq!(peer.query(name, read).await?, answer);

    engine.kill_container(&first.id).await?;
    assert_eq!(again(peer, name, read).await?, answer, "after the container was killed");
    let second = container(peer, engine, name, "1").await?;
    assert_ne!(first.id, second.id);
    let id = format!("{name}:1");
    let (lines, _) = peer.tool().done(&["chaincode", "logs", &id, "--previous"]).await?;
    assert!(lines.lines().last().is_some_and(|line| line.starts_with("(it ended with exit code 137 at ")), "{lines}");

    peer.install(name, "2", chaincode.code()).await?;
    peer.deploy("upgrade", name, "2", init).await?;
    assert_eq!(peer.query(name, read).await?, answer, "after the upgrade");
    container(peer, engine, name, "2").await?;
    let started = Instant::now();
    while container(peer, engine, name, "1").await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "the old version still runs");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (lines, _) = peer.tool().done(&["chaincode", "logs", &id]).await?;
    assert!(lines.lines().last().is_some_and(|line| line.starts_with("(it ended with exit code ")), "{lines}");
    Ok(())
}

/// A call right after a chaincode has died may still meet the stream that is about to end.
async fn again(peer: &DockerPeer, name: &str, read: &str) -> anyhow::Result<String> {
    match peer.query(name, read).await {
        Err(error) if format!("{error:#}").contains("chaincode stream terminated") => peer.query(name, read).await,
        answered => answered,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_and_rust_chaincode_from_install_to_stop() -> anyhow::Result<()> {
    let engine = docker_engine().await?;
    let folder = tempfile::tempdir()?;
    let id = format!("life{}", std::process::id());
    let image = node_image(&engine).await?;
    let setting = DockerSetting::new(env!("CARGO_BIN_EXE_selvedge"), folder.path(), &id, &engine.endpoint);
    let mut peer = DockerPeer::started(DockerSetting { node_image: &image, ..setting }).await?;
    let lived = live(&mut peer, &engine).await;
    // Whatever happened, nothing stays on the engine.
    let log = peer.node().log()?;
    let ended = peer.end(&engine).await;
    lived.with_context(|| format!("the node's log:\n{log}"))?;
    ended
}

async fn live(peer: &mut DockerPeer, engine: &DockerEngine) -> anyhow::Result<()> {
    let [node, rust] = chaincodes()?;
    let (one, other) = tokio::join!(whole_life(peer, engine, &node), whole_life(peer, engine, &rust));
    one.context(node.name)?;
    other.context(rust.name)?;

    // A peer that was killed leaves containers; it removes them when it starts, and nobody else's.
    let before = peer.containers(engine).await?;
    let foreign = engine.foreign_container(&format!("{}-of-somebody-else", before[0].name)).await?;
    peer.kill()?;
    peer.start().await?;
    let left = only(&peer.containers(engine).await?, &before);
    let foreign_is_there = engine.containers().await?.iter().any(|container| container.id == foreign);
    engine.remove_container(&foreign).await?;
    assert_eq!(left, [], "left by the killed peer");
    assert!(foreign_is_there, "somebody else's container was removed");
    for chaincode in [&node, &rust] {
        assert_eq!(peer.query(chaincode.name, chaincode.read).await?, chaincode.answer, "after the peer was killed");
    }
    Ok(())
}

fn only(listed: &[Listed], of: &[Listed]) -> Vec<Listed> {
    listed.iter().filter(|container| of.iter().any(|other| other.id == container.id)).cloned().collect()
}
