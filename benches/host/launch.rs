//! From a module on disk to its first transaction, and from `exec` to a node that serves.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use selvedge::container::Ccid;
use selvedge::container::wasm::{WasmConfig, WasmVm};
use selvedge::testing::{Plugin, core_yaml};

use crate::measure::{Better, Row, TURNS, table};
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
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    drop(listeners);
    let yaml = core_yaml(&[Plugin::guest("asset", "asset")?], "ADDRESS")?;
    let yaml = addresses.iter().fold(yaml, |yaml, address| yaml.replacen("ADDRESS", &address.to_string(), 1));
    std::fs::write(folder.join("core.yaml"), yaml)?;
    let started = Instant::now();
    let mut node = Command::new(env!("CARGO_BIN_EXE_selvedge"))
        .args(["node", "start"])
        .current_dir(folder)
        .env("FABRIC_LOGGING_SPEC", "error")
        .stdout(Stdio::null())
        .spawn()?;
    let ready = loop {
        if is_healthy(addresses[2]).unwrap_or(false) {
            break Ok(started.elapsed());
        }
        if started.elapsed() > Duration::from_secs(60) {
            break Err(anyhow::anyhow!("the node does not serve"));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let stopped = Command::new("kill").arg(node.id().to_string()).status()?;
    ensure!(stopped.success(), "the node cannot be stopped");
    let status = node.wait()?;
    if !status.success() {
        bail!("the node ended with {status}");
    }
    ready
}

fn is_healthy(address: std::net::SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("200 OK"))
}
