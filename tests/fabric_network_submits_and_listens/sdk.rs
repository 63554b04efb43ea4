//! Applications on npm's `fabric-network`, in a process of Node.js that does what it is told.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use selvedge::testing::node_with_packages_of;
use serde_json::{Value, json};
use tokio::sync::oneshot;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

/// A process with any number of gateways; killed when dropped.
pub(crate) struct Sdk {
    process: Child,
    requests: Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
}

/// What an SDK's promise was rejected with.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) name: String,
    pub(crate) message: String,
    /// `transactionCode` of a TransactionError.
    pub(crate) code: String,
}

/// A transaction that the SDK has carried out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) payload: Vec<u8>,
    pub(crate) transaction: String,
}

impl Sdk {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fabric_network_submits_and_listens/driver.js");
        // Errors of connections that the SDK survives are not for this test's output.
        let mut node = node_with_packages_of("application")?;
        node.args(["--no-deprecation".as_ref(), script.as_os_str()])
            .env("HFC_LOGGING", "{}")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = node.spawn().context("cannot run `node`; install Node.js 18 or later")?;
        let requests = Mutex::new(process.stdin.take().context("no standard input")?);
        let answers = BufReader::new(process.stdout.take().context("no standard output")?);
        let waiting = Waiting::default();
        let answered = Arc::clone(&waiting);
        thread::spawn(move || {
            for line in answers.lines().map_while(Result::ok) {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else {
                    eprintln!("fabric-network: {line}");
                    continue;
                };
                let id = answer["id"].as_u64().unwrap_or_default();
                let waiter = answered.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                let _ = waiter.map(|waiter| waiter.send(answer));
            }
            answered.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        Ok(Self { process, requests, waiting, next: AtomicU64::new(1) })
    }

    /// Has the driver do something; the inner result is the SDK's.
    pub(crate) async fn ask(&self, does: &str, mut request: Value) -> anyhow::Result<Result<Value, Rejected>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        (request["id"], request["does"]) = (id.into(), does.into());
        let (waiter, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, waiter);
        writeln!(self.requests.lock().unwrap_or_else(PoisonError::into_inner), "{request}")?;
        let answer = answer.await.context("the application's process ended")?;
        let text = |name: &str| answer["error"][name].as_str().unwrap_or_default().to_owned();
        Ok(match answer.get("error") {
            None => Ok(answer["value"].clone()),
            Some(_) => Err(Rejected { name: text("name"), message: text("message"), code: text("code") }),
        })
    }

    /// The same for what has to succeed.
    pub(crate) async fn done(&self, does: &str, request: Value) -> anyhow::Result<Value> {
        let shown = format!("{does} {request:.200}");
        self.ask(does, request).await?.map_err(|rejected| anyhow!("{shown}: {rejected:?}"))
    }

    /// What a chaincode answers to `evaluate` or `submit`. `more` may hold a `strategy`, or values for `transient`.
    pub(crate) async fn transact(
        &self,
        does: &str,
        gateway: &str,
        chaincode: &str,
        args: &[&str],
        more: Value,
    ) -> anyhow::Result<Result<Done, Rejected>> {
        let mut request = json!({
            "gateway": gateway, "channel": "mychannel", "chaincode": chaincode, "function": args[0], "args": args[1..],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            request[name] = value.clone();
        }
        let answer = self.ask(does, request).await?;
        Ok(match answer {
            Ok(value) => Ok(Done {
                payload: BASE64_STANDARD.decode(value["payload"].as_str().unwrap_or_default())?,
                transaction: value["transaction"].as_str().unwrap_or_default().to_owned(),
            }),
            Err(rejected) => Err(rejected),
        })
    }

    /// What a chaincode answers, which has to be a success.
    pub(crate) async fn evaluate(&self, gateway: &str, chaincode: &str, args: &[&str]) -> anyhow::Result<Vec<u8>> {
        let answer = self.transact("evaluate", gateway, chaincode, args, json!({})).await?;
        answer.map(|done| done.payload).map_err(|rejected| anyhow!("{args:?}: {rejected:?}"))
    }

    /// Submits, waits for the commit, and expects success.
    pub(crate) async fn submit(&self, gateway: &str, chaincode: &str, args: &[&str]) -> anyhow::Result<Done> {
        let answer = self.transact("submit", gateway, chaincode, args, json!({})).await?;
        answer.map_err(|rejected| anyhow!("{args:?}: {rejected:?}"))
    }

    /// The events of a listener, at least `count`.
    pub(crate) async fn heard(&self, listener: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        let heard = self.done("heard", json!({"listener": listener, "count": count})).await?;
        let heard = heard.as_array().cloned().unwrap_or_default();
        anyhow::ensure!(heard.len() >= count, "{listener} heard {} of {count}: {heard:#?}", heard.len());
        Ok(heard)
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
