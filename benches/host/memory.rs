//! What a loaded module and a live instance hold, in anonymous memory of the process.

use std::sync::Arc;
use std::time::Duration;

use selvedge::container::Ccid;
use selvedge::container::wasm::{Limits, WasmConfig, WasmVm};

use crate::measure::{Better, Row, table};
use crate::sandbox::{Container, Reads, spec};

const MODULES: u32 = 32;
const INSTANCES: u32 = 24;

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let mut rows = [
        Row::new("each loaded module (asset, from the cache)").must(64.0),
        Row::new("each live instance, in a read").must(80.0),
        Row::new("each slot after its instance has gone"),
    ];
    let cache = tempfile::tempdir()?;
    let config = WasmConfig { cache_path: Some(cache.path().to_owned()), ..WasmConfig::default() };
    let vm = Arc::new(WasmVm::new(&config, Vec::new(), runtime.handle().clone())?);
    let load =
        |number: u32| vm.load(spec(&Ccid::new("asset", number.to_string()), "asset")?).map_err(anyhow::Error::from);
    drop(load(0)?);
    let before = anonymous();
    let modules = (0..MODULES).map(load).collect::<Result<Vec<_>, _>>()?;
    rows[0].add(each(before, MODULES));
    drop(modules);

    runtime.block_on(async {
        let container = Container::start("asset", Limits::default(), Reads::Pending).await?;
        let before = anonymous();
        let transactions: Vec<_> = (0..INSTANCES)
            .map(|number| tokio::spawn(container.transaction(u64::from(number), &["ops", "1"])))
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        rows[1].add(each(before, INSTANCES));
        for transaction in &transactions {
            transaction.abort();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        rows[2].add(each(before, INSTANCES));
        anyhow::Ok(())
    })?;
    table("Anonymous memory", "KB", Better::Less, &rows);
    Ok(())
}

fn each(before: u64, count: u32) -> f64 {
    anonymous().saturating_sub(before) as f64 / f64::from(count)
}

/// Anonymous resident memory of this process in KB.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or(0)
}
