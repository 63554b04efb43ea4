//! Chaincode as the node launches it, in a process in place of a container.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;

use super::chaincode_process::{ChaincodeProcess, Output};
use super::native_chaincode::built;
use super::node_chaincode::installed;
use super::{TlsAuthority, TlsPurpose};
use crate::container::{Ccid, StartContainer, StopContainer, Vm, VmError};

/// Between two looks at a process.
const PAUSE: Duration = Duration::from_millis(5);

/// What a launch gives to a chaincode, with its files in a folder.
#[derive(Clone, Debug)]
pub struct Launched {
    /// The variables; those that name a file name that in the folder.
    pub variables: BTreeMap<String, String>,
    /// `host:port` of the peer's listener.
    pub peer_address: String,
}

impl Launched {
    /// Writes the files below `folder`.
    ///
    /// # Errors
    /// When one cannot be written, or no peer is named in the arguments.
    pub fn new(folder: &Path, request: &StartContainer) -> anyhow::Result<Self> {
        let place = |path: &str| folder.join(path.trim_start_matches('/'));
        for (path, content) in &request.files {
            let path = place(path);
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let mut variables = BTreeMap::new();
        for variable in &request.env {
            let (name, value) = variable.split_once('=').context("NAME=value")?;
            let value =
                if request.files.contains_key(value) { place(value).display().to_string() } else { value.into() };
            variables.insert(name.to_owned(), value);
        }
        let words = request.args.iter().flat_map(|argument| argument.split([' ', '=']));
        let peer_address = words.last().context("the request has no arguments")?.to_owned();
        Ok(Self { variables, peer_address })
    }

    /// The variables, for [`super::NativeChaincode`].
    pub fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// What stands for the image of a chaincode.
#[derive(Clone, Debug)]
pub enum Program {
    /// One of the programs of `examples/`, for a package of Go or Rust.
    Native(String),
    /// One of the folders in `tests/chaincode`, for a package of Node.
    Node(String),
}

/// A VM whose containers are processes on this machine, with the variables and files that the node gives to containers.
pub struct ProcessVm {
    folder: PathBuf,
    programs: BTreeMap<String, Program>,
    running: Mutex<HashMap<Ccid, Arc<Mutex<ChaincodeProcess>>>>,
    requests: Mutex<Vec<StartContainer>>,
}

impl ProcessVm {
    /// Runs these programs, by the chaincode's name, with their files below `folder`.
    pub fn new<'a>(folder: &Path, programs: impl IntoIterator<Item = (&'a str, Program)>) -> Self {
        Self {
            folder: folder.to_owned(),
            programs: programs.into_iter().map(|(name, program)| (name.to_owned(), program)).collect(),
            running: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// What it was asked to start, in that order.
    pub fn requests(&self) -> Vec<StartContainer> {
        lock(&self.requests).clone()
    }

    /// What a chaincode that runs has said since somebody last asked.
    pub fn said(&self, ccid: &Ccid) -> Option<String> {
        self.process(ccid).map(|process| lock(&process).said())
    }

    /// Kills a chaincode, as an out-of-memory killer would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, ccid: &Ccid) -> anyhow::Result<()> {
        let process = self.process(ccid).with_context(|| format!("{ccid} does not run"))?;
        Ok(lock(&process).kill()?)
    }

    fn process(&self, ccid: &Ccid) -> Option<Arc<Mutex<ChaincodeProcess>>> {
        lock(&self.running).get(ccid).cloned()
    }

    fn spawn(&self, ccid: &Ccid, request: &StartContainer) -> anyhow::Result<ChaincodeProcess> {
        let launched = Launched::new(&self.folder.join(ccid.container_name()), request)?;
        let program = self.programs.get(&ccid.name).with_context(|| format!("there is no program for {ccid}"))?;
        let (mut command, output) = match program {
            Program::Native(program) => {
                let mut command = Command::new(built(program)?);
                command.args(request.args.iter().skip(1)).env_clear();
                (command, Output::Error)
            }
            Program::Node(folder) => {
                let mut command = Command::new("node");
                command.arg(installed(folder)?).args(["--peer.address", &launched.peer_address]);
                (command, Output::Standard)
            }
        };
        ChaincodeProcess::start(command.envs(&launched.variables), output)
    }
}

#[async_trait]
impl Vm for ProcessVm {
    async fn start(&self, ccid: &Ccid, request: StartContainer) -> Result<(), VmError> {
        let process = self.spawn(ccid, &request).map_err(|error| VmError::Other(format!("{error:#}")))?;
        lock(&self.requests).push(request);
        // One that still ran is killed with this.
        lock(&self.running).insert(ccid.clone(), Arc::new(Mutex::new(process)));
        Ok(())
    }

    async fn stop(&self, ccid: &Ccid, _: StopContainer) -> Result<(), VmError> {
        let process = lock(&self.running).remove(ccid).ok_or_else(|| VmError::NotFound(ccid.container_name()))?;
        lock(&process).kill().map_err(|error| VmError::Other(error.to_string()))
    }

    async fn wait(&self, ccid: &Ccid) -> Result<i32, VmError> {
        let process = self.process(ccid).ok_or_else(|| VmError::NotFound(ccid.container_name()))?;
        loop {
            let exited = lock(&process).exited().map_err(|error| VmError::Other(error.to_string()))?;
            match exited {
                Some(code) => return Ok(code),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn health_check(&self) -> Result<(), VmError> {
        Ok(())
    }
}

/// Settings with which a node of [`super::config`] has TLS, and [`super::TestPeer`]'s clients speak it: overrides, to be
/// passed on as they are. The certificate is for 127.0.0.1 and localhost.
///
/// # Errors
/// When the files cannot be written.
pub fn tls_settings(folder: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let authority = TlsAuthority::new(folder, "tlsca")?;
    let pair = authority.issue("peer", &["127.0.0.1", "localhost"], TlsPurpose::Both)?;
    let text = |path: &Path| path.display().to_string();
    Ok(vec![
        ("PEER_TLS_ENABLED", "true".to_owned()),
        ("PEER_TLS_CERT_FILE", text(&pair.certificate)),
        ("PEER_TLS_KEY_FILE", text(&pair.key)),
        ("PEER_TLS_ROOTCERT_FILE", text(&authority.certificate)),
    ])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
