//! A guest's memory is as large at the start as an ordinary transaction needs: growing it would double the
//! transaction's cost.

use anyhow::Context;
use selvedge::testing::{Plugin, TestPeer, guest_path};
use wasmtime::{Engine, Module};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_that_an_instance_starts_with_suffices() -> anyhow::Result<()> {
    let module = Module::from_file(&Engine::default(), guest_path("asset")?)?;
    let memory = module.get_export("memory").context("the guest exports its memory")?;
    let memory = memory.memory().context("a memory")?;
    let at_start = memory.minimum() * memory.page_size();

    // No growth at all is allowed.
    let folder = tempfile::tempdir()?;
    let limit = format!("{} KiB", at_start >> 10);
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[("CHAINCODE_WASM_LIMITS_MEMORY", &limit)]).await?;
    let client = peer.client().await?;
    client.submit("asset", &["create", "a1", "Ada", "7"]).await?;
    for args in [&["read", "a1"][..], &["ops", "100"], &["history", "a1"], &["list", "", ""], &["height", "mychannel"]]
    {
        client.query("asset", args).await.with_context(|| format!("{args:?} in {limit} of memory"))?;
    }
    peer.stop().await;

    // And the limit is one: a page less, and the module is refused.
    let less = format!("{} KiB", (at_start >> 10) - 64);
    let refused = TestPeer::start(folder.path(), &plugins, &[("CHAINCODE_WASM_LIMITS_MEMORY", &less)]).await;
    assert!(refused.is_err(), "{less} of memory were enough");
    Ok(())
}
