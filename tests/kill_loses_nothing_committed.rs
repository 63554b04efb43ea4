//! kill -9 in the middle of a stream of invokes, twenty times: what a client saw committed is there afterwards.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use selvedge::msp::{Signer, SigningIdentity, development};
use selvedge::testing::{Client, Plugin, core_yaml};
use selvedge_proto::protos::TxValidationCode;

const KILLS: usize = 20;
const START_TIMEOUT: Duration = Duration::from_secs(60);

struct NodeProcess(Child);

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path) -> anyhow::Result<NodeProcess> {
    let child = Command::new(env!("CARGO_BIN_EXE_selvedge"))
        .args(["node", "start"])
        .current_dir(folder)
        .env("FABRIC_LOGGING_SPEC", "warning")
        .stderr(Stdio::inherit())
        .spawn()
        .context("the node cannot be started")?;
    Ok(NodeProcess(child))
}

async fn connect(folder: &Path, address: &str) -> anyhow::Result<Client> {
    let started = Instant::now();
    loop {
        let tried = async {
            let made = development::ensure(&folder.join("data/development"), "SampleOrg")?;
            let signer: Arc<dyn Signer> = Arc::new(SigningIdentity::load(&made.user, &made.mspid)?);
            Client::connect(address, signer, "mychannel").await
        };
        match tried.await {
            Ok(client) => return Ok(client),
            Err(error) if started.elapsed() > START_TIMEOUT => bail!("the node does not serve: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Three different ports that are free now.
fn free_addresses() -> anyhow::Result<Vec<String>> {
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_in_a_stream_of_invokes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let addresses = free_addresses()?;
    let yaml = core_yaml(&[Plugin::guest("asset", "asset")?], "ADDRESS")?;
    let yaml = addresses.iter().fold(yaml, |yaml, address| yaml.replacen("ADDRESS", address, 1));
    let yaml = format!("{yaml}network:\n  development:\n    batchTimeout: 5ms\n");
    std::fs::write(folder.path().join("core.yaml"), yaml)?;

    let mut committed: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..KILLS {
        let node = start(folder.path())?;
        let client = connect(folder.path(), &addresses[0]).await?;
        for (id, value) in &committed {
            let record = client.query("asset", &["read", id]).await.with_context(|| format!("round {round}, {id}"))?;
            assert_eq!(record, format!(r#"{{"id":"{id}","owner":"Ada","value":{value}}}"#), "round {round}");
        }
        let streams: Vec<_> = (0..4)
            .map(|stream| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    for value in 0_u32.. {
                        let id = format!("k{round}-{stream}-{value}");
                        match client.submit("asset", &["create", &id, "Ada", &value.to_string()]).await {
                            Ok(TxValidationCode::Valid) => seen.push((id, value)),
                            Ok(_) => {}
                            Err(_) => break,
                        }
                    }
                    seen
                })
            })
            .collect();
        // Another moment in each round: in the midst of ordering, committing, answering.
        tokio::time::sleep(Duration::from_millis(120 + 13 * round as u64)).await;
        drop(node);
        for stream in streams {
            committed.extend(stream.await?);
        }
    }
    println!("{} transactions were seen committed in {KILLS} rounds", committed.len());
    assert!(committed.len() > KILLS, "only {} transactions were seen committed", committed.len());

    let _node = start(folder.path())?;
    let client = connect(folder.path(), &addresses[0]).await?;
    for (id, value) in &committed {
        let record = client.query("asset", &["read", id]).await.with_context(|| id.clone())?;
        assert_eq!(record, format!(r#"{{"id":"{id}","owner":"Ada","value":{value}}}"#));
    }
    Ok(())
}
