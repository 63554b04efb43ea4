//! Transactions of chaincode in a process of its own, over gRPC with TLS and without, beside the same source in the sandbox.
//! A listener has TLS or has it not, so there are two nodes; whichever is not measured is idle.
//!
//! What Fabric 1.4 needs on Go's shim, measured on another machine of this size, with 64 in flight: 36 us for an empty
//! transaction, 292 to 353 us for one with 10 reads and 10 writes.

use std::path::Path;

use anyhow::Context;
use selvedge::container::{Ccid, StartContainer, VmType};
use selvedge::platforms::Platform;
use selvedge::testing::{
    NativeChaincode, TestPeer, TlsAuthority, TlsPair, TlsPurpose, connection_package, tls_settings,
};
use tokio::runtime::Handle;

use crate::measure::{Better, Row, TURNS, serial, table};
use crate::transactions::{self, Caller, IN_FLIGHT};

/// What the node whose listener has TLS runs.
const LAUNCHED: &str = "launched";

/// The forms of the chaincode, by what each is registered as, and as the rows name them.
const FORMS: [(&str, &str); 5] = [
    ("asset", "wasm SCC, fresh instance"),
    ("dialling", "native, registered with the listener"),
    (LAUNCHED, "native, registered with the listener, TLS"),
    ("service", "native, as a service"),
    ("secret", "native, as a service, with TLS"),
];

const CALLS: [(&str, &[&str]); 2] =
    [("Empty transaction", &["empty"]), ("10 get + 10 put of 100 bytes", &["ops", "10"])];

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(async {
        let (plain, secure) = (folder.path().join("plain"), folder.path().join("tls"));
        let (peer, caller) = transactions::start(&plain, &[]).await?;
        let settings = tls_settings(folder.path())?;
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (secured, with_tls) = transactions::start(&secure, &settings).await?;
        let version = env!("CARGO_PKG_VERSION");
        let _processes = start(&peer, folder.path(), version).await?;
        let _launched = launch(&secured, folder.path(), version).await?;
        let callers = FORMS.map(|(name, _)| {
            let (caller, peer) = if name == LAUNCHED { (&with_tls, &secured) } else { (&caller, &peer) };
            (caller.clone(), Ccid::new(name, version), peer.node().work())
        });
        for (title, args) in CALLS {
            let mut alone = FORMS.map(|(_, name)| Row::new(name));
            let mut together = FORMS.map(|(_, name)| Row::new(name));
            for _ in 0..TURNS {
                for (index, (caller, ccid, work)) in callers.iter().enumerate() {
                    alone[index].add(one_at_a_time(caller, ccid, args, work).await?);
                    together[index].add(caller.execute_in_flight(ccid, args, work).await?);
                }
            }
            table(&format!("{title}, one at a time"), "us", Better::Less, &alone);
            table(&format!("{title}, {IN_FLIGHT} in flight"), "us for each", Better::Less, &together);
        }
        drop(callers);
        peer.stop().await;
        secured.stop().await;
        Ok(())
    })
}

/// Starts the process with the certificate that this node gives to what it launches.
async fn launch(peer: &TestPeer, folder: &Path, version: &str) -> anyhow::Result<NativeChaincode> {
    let id = format!("{LAUNCHED}:{version}");
    let launched = peer.launched(&folder.join(LAUNCHED), &id, Platform::Rust)?;
    let started = tokio::task::spawn_blocking(move || {
        // It says at this level that it has registered.
        let variables = [&launched.variables()[..], &[("CORE_CHAINCODE_LOGGING_SHIM", "info")]].concat();
        NativeChaincode::dial("asset", &id, &launched.peer_address, &variables)
    });
    started.await?
}

/// Starts the processes, which live as long as what is returned.
async fn start(peer: &TestPeer, folder: &Path, version: &str) -> anyhow::Result<Vec<NativeChaincode>> {
    let authority = TlsAuthority::new(folder, "ca")?;
    let pair = authority.issue("server", &["127.0.0.1"], TlsPurpose::Server)?;
    let (listener, id) = (peer.node().chaincode_address().to_string(), format!("dialling:{version}"));
    let mut processes =
        vec![tokio::task::spawn_blocking(move || NativeChaincode::dial("asset", &id, &listener, &[])).await??];
    let root = std::fs::read_to_string(&authority.certificate)?;
    for (name, pair) in [("service", None), ("secret", Some(pair))] {
        let id = format!("{name}:{version}");
        let required = pair.is_some();
        let (process, address) = tokio::task::spawn_blocking(move || serve(&id, pair)).await??;
        let root = serde_json::Value::from(root.clone());
        let connection = format!(r#"{{"address": "{address}", "tls_required": {required}, "root_cert": {root}}}"#);
        let request = StartContainer { code: Some(connection_package(&connection)?), ..StartContainer::default() };
        peer.node().controller().start(VmType::Server, &Ccid::new(name, version), request).await?;
        processes.push(tokio::task::spawn_blocking(move || process.registered().map(|()| process)).await??);
    }
    Ok(processes)
}

fn serve(id: &str, pair: Option<TlsPair>) -> anyhow::Result<(NativeChaincode, String)> {
    let Some(pair) = pair else { return NativeChaincode::serve("asset", id, &[]) };
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path of text");
    let (key, certificate) = (text(&pair.key)?, text(&pair.certificate)?);
    let tls =
        [("CHAINCODE_TLS_DISABLED", "false"), ("CHAINCODE_TLS_KEY", &*key), ("CHAINCODE_TLS_CERT", &*certificate)];
    NativeChaincode::serve("asset", id, &tls)
}

async fn one_at_a_time(
    caller: &Caller,
    ccid: &Ccid,
    args: &'static [&'static str],
    work: &Handle,
) -> anyhow::Result<f64> {
    let (caller, ccid) = (caller.clone(), ccid.clone());
    Ok(work.spawn(async move { serial(|| caller.execute(&ccid, args)).await }).await?)
}
