//! Endorsers must agree byte for byte, so what a machine could decide is off or pinned, feature by feature.

use std::path::Path;

use anyhow::Context;
use selvedge::container::Ccid;
use selvedge::container::wasm::{ModuleOwner, ModuleSpec, WasmConfig, WasmVm};
use selvedge::testing::{PAYLOAD, Plugin, SmallGuest, TestPeer};

/// What a component without the contract's exports is told, once its features were found to be on.
const NO_CHAINCODE: &str = "no export `init` found";

/// Why a component with this core module in it is refused.
fn refusal(vm: &WasmVm, folder: &Path, module: &str) -> anyhow::Result<String> {
    let path = folder.join("guest.wasm");
    std::fs::write(&path, wat::parse_str(format!("(component (core module {module}))"))?)?;
    let (capabilities, config) = Default::default();
    let loaded =
        vm.load(ModuleSpec { ccid: Ccid::new("guest", ""), path, capabilities, config, owner: ModuleOwner::Node });
    Ok(loaded.err().context("it is no chaincode")?.to_string())
}

#[tokio::test]
async fn features_are_on_or_off_by_name() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let vm = WasmVm::new(&WasmConfig::default(), Vec::new(), tokio::runtime::Handle::current())?;
    for (feature, module) in [
        ("bulk memory", "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))"),
        ("extended const", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        ("multi-value", "(func (result i32 i32) (i32.const 1) (i32.const 2))"),
        ("mutable globals", r#"(global (export "g") (mut i32) (i32.const 0))"#),
        ("reference types", "(table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1))))"),
        ("saturating conversions", "(func (drop (i32.trunc_sat_f32_s (f32.const 0))))"),
        ("sign extension", "(func (drop (i32.extend8_s (i32.const 0))))"),
        ("SIMD", "(func (drop (i32x4.splat (i32.const 0))))"),
        ("relaxed SIMD", "(func (drop (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.const 0)))))"),
        ("tail calls", "(func $f (return_call $f))"),
    ] {
        let text = refusal(&vm, folder.path(), module)?;
        assert!(text.contains(NO_CHAINCODE), "{feature} is on, and only the chaincode is missing: {text}");
    }
    for (feature, module) in [
        ("threads", "(memory 1 1 shared)"),
        ("threads", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        ("memory64", "(memory i64 1)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("custom page sizes", "(memory 1 (pagesize 1))"),
        ("references to the host", "(table 1 externref)"),
        ("garbage collection", "(type (struct (field i32)))"),
        ("function references", "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))"),
        ("exceptions", "(tag $t) (func (throw $t))"),
        ("stack switching", "(type $f (func)) (type $c (cont $f)) (func (param (ref $c)))"),
        ("wide arithmetic", "(func (result i64 i64) (i64.mul_wide_s (i64.const 1) (i64.const 2)))"),
    ] {
        let text = refusal(&vm, folder.path(), module)?;
        assert!(!text.contains(NO_CHAINCODE), "{feature} is off, and the module is refused for that: {text}");
    }
    Ok(())
}

/// What a node's guest makes of this expression, an i64.
async fn computed(expression: &str) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    // Through memory, so that the compiler does not compute it.
    let run = format!(
        "(func $zero (result f32) (f32.load (i32.const 512)))
         (func $run (i64.store (i32.const {PAYLOAD}) {expression}))"
    );
    let guest = Plugin::of_module(folder.path(), "guest", &SmallGuest::new(&run).module()?)?;
    let peer = TestPeer::start(folder.path(), &[guest], &[]).await?;
    let payload = peer.client().await?.query("guest", &["x"]).await?;
    peer.stop().await;
    Ok(u64::from_le_bytes(payload[..].try_into()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_nan_is_the_canonical_one() -> anyhow::Result<()> {
    // Intel's 0 / 0 is negative, ARM's is not; and both hand on the bits of a NaN that comes in.
    let zero_by_zero = "(i64.extend_i32_u (i32.reinterpret_f32 (f32.div (call $zero) (call $zero))))";
    assert_eq!(computed(zero_by_zero).await?, 0x7fc0_0000);
    let handed_on = "(i64.reinterpret_f64 (f64.add (f64.reinterpret_i64 (i64.const 0x7ff8dead0000beef))
        (f64.promote_f32 (call $zero))))";
    assert_eq!(computed(handed_on).await?, 0x7ff8_0000_0000_0000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relaxed_simd_is_not_relaxed() -> anyhow::Result<()> {
    // Intel's own conversion gives 0x80000000 for a NaN.
    let truncated = "(i64.extend_i32_u (i32x4.extract_lane 0
        (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.div (call $zero) (call $zero))))))";
    assert_eq!(computed(truncated).await?, 0);
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let (entry, to) = (entry?.path(), to.to_owned());
        let to = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() { copy(&entry, &to)? } else { std::fs::copy(&entry, &to).map(drop)? }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_endorse_the_same_bytes() -> anyhow::Result<()> {
    let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let plugins = [Plugin::guest("mischief", "mischief")?, Plugin::guest("asset", "asset")?];
    // The second node has the identities and the ledger of the first.
    TestPeer::start(one.path(), &plugins, &[]).await?.stop().await;
    copy(&one.path().join("data"), &other.path().join("data"))?;
    let nodes =
        [TestPeer::start(one.path(), &plugins, &[]).await?, TestPeer::start(other.path(), &plugins, &[]).await?];
    let clients = [nodes[0].client().await?, nodes[1].client().await?];
    for (chaincode, args) in [
        ("mischief", &["clock"][..]),
        ("mischief", &["canary"]),
        ("mischief", &["chain", "3", "asset"]),
        ("mischief", &["swallow", "asset", "no such function"]),
        ("mischief", &["swallow", "asset", "create", "a", "Ada", "7"]),
        ("asset", &["create", "a1", "Ada", "7"]),
        ("asset", &["ops", "10"]),
    ] {
        let proposal = clients[0].proposal(chaincode, args)?;
        let (first, second) = (clients[0].endorse(&proposal).await?, clients[1].endorse(&proposal).await?);
        assert_eq!(first.response, second.response, "{args:?}");
        assert_eq!(first.payload, second.payload, "{args:?}");
        assert!(!first.payload.is_empty() || first.response.is_some_and(|response| response.status >= 400), "{args:?}");
    }
    for node in nodes {
        node.stop().await;
    }
    Ok(())
}
