//! From a module on disk to its first transaction, and from `exec` to a node that serves.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge::container::Ccid;
use selvedge::container::wasm::{WasmConfig, WasmVm};
use selvedge::testing::Plugin;

use crate::measure::{Better, Row, TURNS, table};
use crate::node::NodeProcess;
use crate::sandbox::spec;

pub(crate) fn run() -> anyhow::Result<()> {
    modules()?;
    processes()
}

fn modules() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let cache = tempfile::tempdir()?;
    let config = WasmConfig { cache_path: Some(cache.path().to_owned()), ..WasmConfig::default() };
    let mut rows = [Row::new("compiled anew (asset, cold cache)"), Row::new("from the cache").must(1000.0)];
    for _ in 0..TURNS {
        for entry in std::fs::read_dir(cache.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "cwasm") {
                std::fs::remove_file(path)?;
            }
        }
        for row in &mut rows {
            // A VM of its own: wasmtime shares what one engine has compiled.
            let vm = Arc::new(WasmVm::new(&config, Vec::new(), runtime.handle().clone())?);
            let spec = spec(&Ccid::new("asset", "1"), "asset")?;
            let started = Instant::now();
            vm.load(spec)?;
            row.add(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    table("Loading a module: read, check, compile, link", "us", Better::Less, &rows);
    Ok(())
}

fn processes() -> anyhow::Result<()> {
    let mut rows = [
        Row::new("a node with its data, two chaincodes"),
        Row::new("the first start: identities, channel, cold cache"),
    ];
    for _ in 0..5 {
        let folder = tempfile::tempdir()?;
        let first = start_and_stop(folder.path())?;
        rows[1].add(first.as_secs_f64() * 1e3);
        rows[0].add(start_and_stop(folder.path())?.as_secs_f64() * 1e3);
    }
    table("From exec to /healthz", "ms", Better::Less, &rows);
    Ok(())
}

fn start_and_stop(folder: &Path) -> anyhow::Result<Duration> {
    let node = NodeProcess::start(folder, &[Plugin::guest("asset", "asset")?], &[("FABRIC_LOGGING_SPEC", "error")])?;
    let ready = node.ready_after;
    node.stop()?;
    Ok(ready)
}
