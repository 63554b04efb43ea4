//! Chaincode of users: from a call to the answer of one that does not run yet, by what runs it, with its image there; and
//! the installation of a large package. All through the command line, with TLS.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use selvedge::testing::{
    Code, DockerPeer, DockerSetting, docker_engine, guest_path, node_chaincode_folder, node_image, static_program,
};

use crate::measure::{Better, Row, table};

const TURNS: usize = 7;
/// Of the large package, before and after compression: it is random.
const LARGE: usize = 50 << 20;
/// Does nothing, or next to nothing.
const ASSET: &str = r#"{"Args":["empty"]}"#;
const KV: &str = r#"{"Args":["get","nothing"]}"#;

pub(crate) fn run() -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let engine = docker_engine().await?;
    let folder = tempfile::tempdir()?;
    let id = format!("bench{}", std::process::id());
    let image = node_image(&engine).await?;
    let setting = DockerSetting::new(env!("CARGO_BIN_EXE_selvedge"), folder.path(), &id, &engine.endpoint);
    let mut peer = DockerPeer::started(DockerSetting { node_image: &image, ..setting }).await?;
    let measured = async {
        launches(&peer).await?;
        large_package(&peer, folder.path()).await
    };
    let measured = measured.await;
    peer.end(&engine).await?;
    measured
}

async fn launches(peer: &DockerPeer) -> anyhow::Result<()> {
    let (module, program, node) = (guest_path("asset")?, static_program("asset")?, node_chaincode_folder("kv")?);
    let chaincodes = [
        ("sandboxed", Code::Wasm(&module), ASSET),
        ("program", Code::Rust(&program), ASSET),
        ("kv", Code::Node(&node), KV),
    ];
    for (name, code, call) in chaincodes {
        peer.install(name, "1", code).await?;
        peer.deploy("instantiate", name, "1", r#"{"Args":["init"]}"#).await?;
        peer.query(name, call).await?;
    }
    let mut rows = [
        Row::new("a call of chaincode that runs (the command line itself)"),
        Row::new("launched: WASM, in the sandbox"),
        Row::new("launched: RUST, a static program in a container"),
        Row::new("launched: NODE, fabric-shim 2.5 in a container"),
    ];
    for _ in 0..TURNS {
        rows[0].add(timed(peer, "sandboxed", ASSET).await?);
        for (row, (name, _, call)) in rows[1..].iter_mut().zip(chaincodes) {
            peer.tool().done(&["chaincode", "stop", &format!("{name}:1")]).await?;
            row.add(timed(peer, name, call).await?);
        }
    }
    table("From a call to its answer, image present", "ms", Better::Less, &rows);
    Ok(())
}

async fn timed(peer: &DockerPeer, name: &str, call: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    peer.query(name, call).await?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

async fn large_package(peer: &DockerPeer, folder: &Path) -> anyhow::Result<()> {
    let source = folder.join("large");
    std::fs::create_dir(&source)?;
    std::fs::write(source.join("package.json"), "{}")?;
    std::fs::write(source.join("data"), random(LARGE))?;
    let source = source.to_str().context("a path of a bench is text")?;
    let mut row = Row::new("chaincode install, 50 MiB packaged before");
    let before = peak(peer.process()?)?;
    for version in ["1", "2", "3"] {
        let package = ["chaincode", "package", "-n", "large", "-v", version, "-l", "node", "-p", source, "large.pak"];
        peer.tool().done(&package).await?;
        let started = Instant::now();
        peer.tool().done(&["chaincode", "install", "large.pak"]).await?;
        row.add(started.elapsed().as_secs_f64() * 1e3);
    }
    table("Installing a large package", "ms", Better::Less, &[row]);
    println!("  the node's peak memory: {} MiB before, {} MiB after", before >> 10, peak(peer.process()?)? >> 10);
    Ok(())
}

/// Bytes that do not compress (SplitMix64).
fn random(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let words = std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.flatten().take(count).collect()
}

/// The most that a process had in memory, in KiB.
fn peak(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no peak")?;
    let kib = line.trim().trim_end_matches(" kB").parse()?;
    ensure!(kib > 0, "the kernel tells no peak");
    Ok(kib)
}
