//! The node's configuration: core.yaml, its `CORE_*` overrides, the defaults (Fabric: `sampleconfig/core.yaml`, viper).
//!
//! Read once, in [`Config::load`], into plain types; nothing else in the project looks at the file or the environment.
//! `docs/core.yaml` is the reference of every key. What a key does is its user's matter. Invariant: a [`Config`] has been
//! checked as a whole, so that its users need not check again.

mod build;
mod ccaas;
mod chaincode;
mod document;
mod error;
mod keys;
mod peer;
#[cfg(test)]
mod tests;
mod tls;
mod units;
mod values;
mod vm;
mod wasm;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use ccaas::CcaasConfig;
pub use chaincode::{ChaincodeConfig, ChaincodeLogging, ChaincodeMode, PluginConfig, RuntimeParams};
pub use error::{ConfigError, Origin, Problem};
pub use peer::PeerConfig;
pub use tls::TlsConfig;
pub use units::{ByteSize, parse_duration};
pub use vm::{DockerEndpoint, DockerTls, HostConfig, VmConfig};
pub use wasm::{WasmConfig, WasmLimits};

use document::Document;
use keys::Kind;
use values::Values;

use crate::channel::is_channel_name;
use crate::ledger::StateDatabase;

/// What a configuration is read from. Tests make their own.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// The current directory.
    pub directory: PathBuf,
    /// The running program; the folder `scc` with the system chaincodes is looked for beside it.
    pub executable: Option<PathBuf>,
}

impl Environment {
    /// That of this process. Variables that are not Unicode are left out.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            executable: std::env::current_exe().ok(),
        }
    }
}

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The core.yaml that was read; none when everything is built in.
    pub file: Option<PathBuf>,
    /// `peer`
    pub peer: PeerConfig,
    /// `chaincode`
    pub chaincode: ChaincodeConfig,
    /// `vm`
    pub vm: VmConfig,
    /// `ledger`
    pub ledger: LedgerConfig,
    /// `operations`
    pub operations: OperationsConfig,
    /// `network.development`: the network that a node without orderers makes for itself.
    pub development: DevelopmentConfig,
    /// `FABRIC_LOGGING_SPEC`, as written; empty where it is not set.
    pub logging_spec: String,
    /// What the operator should know: unknown keys, keys without an effect, odd combinations. Each once, ready to log.
    pub warnings: Vec<String>,
}

/// `ledger`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// `ledger.state.stateDatabase`; CouchDB where there is no core.yaml and nobody says otherwise, so that a development
    /// network answers rich queries.
    pub state_database: StateDatabase,
    /// `ledger.state.totalQueryLimit`: rows that one query may return.
    pub total_query_limit: u32,
    /// `ledger.history.enableHistoryDatabase`
    pub history: bool,
}

/// `operations`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationsConfig {
    /// `operations.listenAddress`: `host:port`.
    pub listen_address: String,
}

/// `network.development`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevelopmentConfig {
    /// The channel that is made at the first start of a node with identities of its own making; none to make no channel.
    pub channel: Option<String>,
    /// The name by which whoever creates a channel means the organisations that may be in it (Fabric: `Consortium`).
    pub consortium: String,
    /// How long the orderer gathers a batch after its first envelope (Fabric: `BatchTimeout`).
    pub batch_timeout: Duration,
    /// Envelopes in a block (Fabric: `BatchSize.MaxMessageCount`).
    pub max_message_count: u32,
    /// No block is larger (Fabric: `BatchSize.AbsoluteMaxBytes`).
    pub absolute_max_bytes: ByteSize,
    /// A block that would get larger is cut before (Fabric: `BatchSize.PreferredMaxBytes`).
    pub preferred_max_bytes: ByteSize,
}

impl Config {
    /// Reads core.yaml from the folder in `FABRIC_CFG_PATH`, else from the current directory, else takes the defaults; and
    /// lays the `CORE_*` variables over it.
    ///
    /// # Errors
    /// [`ConfigError`], which names every value that cannot be used.
    pub fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let Some(path) = find_file(environment)? else {
            return Self::build(environment, None, &Document::default());
        };
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let document =
            document::parse(&text).map_err(|reason| ConfigError::Malformed { path: path.clone(), reason })?;
        Self::build(environment, Some(path), &document)
    }

    fn build(environment: &Environment, file: Option<PathBuf>, document: &Document) -> Result<Self, ConfigError> {
        let base = file.as_deref().and_then(Path::parent).unwrap_or(&environment.directory).to_owned();
        let mut values = Values::new(document, &environment.variables, &base);
        let not_yet: Vec<_> = keys::NOT_YET.iter().copied().filter(|key| values.is_changed(key)).collect();
        report_keys(document, &environment.variables, &not_yet, &mut values.warnings);
        values.read("operations.tls.enabled", refuse_tls);
        let peer = peer::read(&mut values, &environment.directory, file.is_some());
        let chaincode = chaincode::read(&mut values, environment, document, &base, &peer);
        let config = Self {
            vm: vm::read(&mut values),
            ledger: LedgerConfig {
                state_database: state_database(&mut values, file.is_some()),
                total_query_limit: values.number("ledger.state.totalQueryLimit", 1..=u32::MAX),
                history: values.flag("ledger.history.enableHistoryDatabase"),
            },
            operations: OperationsConfig { listen_address: values.address("operations.listenAddress") },
            development: development(&mut values),
            logging_spec: environment.variables.get("FABRIC_LOGGING_SPEC").cloned().unwrap_or_default(),
            warnings: std::mem::take(&mut values.warnings),
            file,
            peer,
            chaincode,
        };
        if values.problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(values.problems)) }
    }
}

fn state_database(values: &mut Values<'_>, has_file: bool) -> StateDatabase {
    let key = "ledger.state.stateDatabase";
    if !has_file && !values.is_set(key) {
        return StateDatabase::CouchDb;
    }
    values.read(key, |text| match text {
        "goleveldb" => Ok(StateDatabase::GoLevelDb),
        "CouchDB" => Ok(StateDatabase::CouchDb),
        _ => Err("is not a state database; write goleveldb or CouchDB".to_owned()),
    })
}

fn find_file(environment: &Environment) -> Result<Option<PathBuf>, ConfigError> {
    let named = environment.variables.get("FABRIC_CFG_PATH").filter(|folder| !folder.is_empty());
    let path = match named {
        Some(folder) => environment.directory.join(folder),
        None => environment.directory.clone(),
    }
    .join("core.yaml");
    match (path.is_file(), named) {
        (true, _) => Ok(Some(path)),
        (false, Some(folder)) => Err(ConfigError::NotFound(PathBuf::from(folder))),
        (false, None) => Ok(None),
    }
}

/// An operator who asks for TLS must not get a listener without it.
fn refuse_tls(text: &str) -> Result<(), String> {
    match values::parse_flag(text)? {
        true => {
            Err("asks for TLS, which this listener does not have; set it to false and keep the listener on an address \
                     that only operators reach"
                .to_owned())
        }
        false => Ok(()),
    }
}

fn development(values: &mut Values<'_>) -> DevelopmentConfig {
    let message = ByteSize::mib(100);
    let absolute_max_bytes = values.size("network.development.absoluteMaxBytes", ByteSize::kib(1)..=message);
    DevelopmentConfig {
        channel: values.read("network.development.channel", |text| match text {
            "" => Ok(None),
            name => check_channel(name).map(|()| Some(name.to_owned())),
        }),
        consortium: values.read("network.development.consortium", |text| match text {
            "" => Err("is empty; write a name, as SampleConsortium".to_owned()),
            name => Ok(name.to_owned()),
        }),
        batch_timeout: values
            .duration("network.development.batchTimeout", Duration::from_millis(1)..=Duration::from_secs(3600)),
        max_message_count: values.number("network.development.maxMessageCount", 1..=u32::MAX),
        absolute_max_bytes,
        preferred_max_bytes: values
            .size("network.development.preferredMaxBytes", ByteSize::kib(1)..=absolute_max_bytes.max(ByteSize::kib(1))),
    }
}

fn check_channel(name: &str) -> Result<(), String> {
    if is_channel_name(name) {
        return Ok(());
    }
    Err("is not a channel's name; write at most 249 of a-z, 0-9, dot and dash, and a letter first".to_owned())
}

/// Says what has no effect. One line for everything of Fabric's, because a file of Fabric's is full of it.
fn report_keys(
    document: &Document,
    variables: &BTreeMap<String, String>,
    not_yet: &[&str],
    warnings: &mut Vec<String>,
) {
    let unknown = |key: &str, nearest: Option<&str>| match nearest {
        Some(nearest) => format!("{key} is not a known key and has no effect; did you mean {nearest}?"),
        None => format!("{key} is not a known key and has no effect"),
    };
    warnings.extend(document.unknown.iter().map(|key| unknown(key, keys::nearest(key))));
    for name in variables.keys().filter(|name| name.starts_with("CORE_")) {
        if keys::classify_variable(name) == Kind::Unknown {
            let path = name["CORE_".len()..].replace('_', ".");
            warnings.push(unknown(name, keys::nearest(&path).map(keys::variable).as_deref()));
        }
    }
    let unused: Vec<&str> = document.unused.iter().map(String::as_str).chain(not_yet.iter().copied()).collect();
    if !unused.is_empty() {
        warnings.push(format!("without effect in this version: {}", unused.join(", ")));
    }
}
