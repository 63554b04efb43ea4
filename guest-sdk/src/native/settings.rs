//! What the process was started with, in the names of Fabric's shims.
//!
//! An argument wins over the variable that means the same. Invariant: what is refused is named as the operator wrote it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::dial::PeerAddress;
use super::error::NativeError;
use super::handler::ShimSettings;
use super::log::Log;
use super::serve::ServiceAddress;
use super::tls::{ClientTls, NamedFile, ServerTls};

/// What `--help` prints.
pub(super) const USAGE: &str = "\
A chaincode for Hyperledger Fabric.

  --peer.address HOST:PORT           dial this peer (CORE_PEER_ADDRESS)
  --chaincode-id-name NAME:VERSION   register as this (CORE_CHAINCODE_ID_NAME, CHAINCODE_ID)

CHAINCODE_SERVER_ADDRESS=HOST:PORT   listen there for peers instead (chaincode as a service)

TLS of a chaincode that dials:  CORE_PEER_TLS_ENABLED, CORE_PEER_TLS_ROOTCERT_FILE, CORE_PEER_TLS_SERVERHOSTOVERRIDE,
                                CORE_TLS_CLIENT_{KEY,CERT}_FILE (PEM) or _PATH (base64 of PEM)
TLS of a chaincode that serves: CHAINCODE_TLS_DISABLED, CHAINCODE_TLS_{KEY,CERT}, CHAINCODE_TLS_CLIENT_CACERT (PEM files)
Log levels: CORE_CHAINCODE_LOGGING_LEVEL, CORE_CHAINCODE_LOGGING_SHIM
Transactions of each peer at a time: CORE_CHAINCODE_CONCURRENCY (512)";

/// Transactions of each stream at a time without a setting. Each has a thread; far more than a peer has processors, so that
/// those that wait for other chaincodes do not hold up those that compute.
const CONCURRENCY: usize = 512;
/// More threads than that no system gives.
const MOST: usize = 32_768;

const PEER_ADDRESS: [&str; 2] = ["peer.address", "CORE_PEER_ADDRESS"];
const CHAINCODE_ID: [&str; 2] = ["chaincode-id-name", "CORE_CHAINCODE_ID_NAME"];
const SERVER_ADDRESS: &str = "CHAINCODE_SERVER_ADDRESS";
const CONCURRENCY_VARIABLE: &str = "CORE_CHAINCODE_CONCURRENCY";
const CONFIG_PREFIX: &str = "CHAINCODE_CONFIG_";

/// Arguments and environment of a process, or what a test has in their place.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Without the program's name.
    pub arguments: Vec<String>,
    /// The variables.
    pub variables: BTreeMap<String, String>,
}

/// A value and what it was called.
pub(super) struct Given {
    pub(super) text: String,
    setting: String,
}

impl Environment {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            arguments: std::env::args_os().skip(1).map(text).collect(),
            variables: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
        }
    }

    pub(super) fn asks_for_help(&self) -> bool {
        self.arguments.iter().any(|argument| ["-h", "-help", "--help"].contains(&argument.as_str()))
    }

    /// A variable that is set to something.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What the chaincode is to register as.
    pub(super) fn chaincode_id(&self) -> Option<Given> {
        self.flags().ok().and_then(|flags| self.given(&flags, CHAINCODE_ID)).or_else(|| self.of("CHAINCODE_ID"))
    }

    fn of(&self, variable: &str) -> Option<Given> {
        Some(Given { text: self.variable(variable)?.to_owned(), setting: variable.to_owned() })
    }

    fn given(&self, flags: &BTreeMap<&str, &str>, [flag, variable]: [&str; 2]) -> Option<Given> {
        match flags.get(flag) {
            Some(value) => Some(Given { text: (*value).to_owned(), setting: format!("--{flag}") }),
            None => self.of(variable),
        }
    }

    /// The values of `--flag value`, `--flag=value`, and both with one dash, as Go's programs take them.
    fn flags(&self) -> Result<BTreeMap<&str, &str>, NativeError> {
        let wrong = |argument: &str, reason| NativeError::Argument { argument: argument.to_owned(), reason };
        let mut flags = BTreeMap::new();
        let mut arguments = self.arguments.iter();
        while let Some(argument) = arguments.next() {
            let bare = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let (name, value) = match bare.map(|bare| bare.split_once('=').unwrap_or((bare, ""))) {
                Some((name, value)) if [PEER_ADDRESS[0], CHAINCODE_ID[0]].contains(&name) => (name, value),
                _ => return Err(wrong(argument, "there is no such argument")),
            };
            let value = if argument.contains('=') { Some(value) } else { arguments.next().map(String::as_str) };
            flags.insert(name, value.filter(|value| !value.is_empty()).ok_or(wrong(argument, "it has no value"))?);
        }
        Ok(flags)
    }
}

/// What the process is to do.
pub(super) struct Settings {
    pub(super) shim: ShimSettings,
    pub(super) mode: Mode,
}

/// Who opens the connection.
#[derive(Debug)]
pub(super) enum Mode {
    Dial(PeerAddress),
    Serve(ServiceAddress),
}

impl Settings {
    /// # Errors
    /// What an operator has to set otherwise.
    pub(super) fn load(environment: &Environment) -> Result<Self, NativeError> {
        let flags = environment.flags()?;
        let id = environment.chaincode_id().ok_or(NativeError::Missing {
            what: "CORE_CHAINCODE_ID_NAME",
            reason: "it is what the chaincode registers as, `name:version` or a package id; --chaincode-id-name and \
                     CHAINCODE_ID mean the same",
        })?;
        let mode = match environment.of(SERVER_ADDRESS) {
            Some(service) if !flags.contains_key(PEER_ADDRESS[0]) => Mode::Serve(serve(environment, service)?),
            _ => Mode::Dial(dial(environment, environment.given(&flags, PEER_ADDRESS))?),
        };
        let shim = ShimSettings {
            id: id.text,
            log: Log::of(environment),
            config: config(environment),
            concurrency: concurrency(environment)?,
        };
        Ok(Self { shim, mode })
    }
}

fn dial(environment: &Environment, peer: Option<Given>) -> Result<PeerAddress, NativeError> {
    let peer = peer.ok_or(NativeError::Missing {
        what: "--peer.address",
        reason: "it is the peer's address for chaincode, host:port, as is CORE_PEER_ADDRESS; or set \
                 CHAINCODE_SERVER_ADDRESS to wait for peers",
    })?;
    let tls = boolean(environment, "CORE_PEER_TLS_ENABLED")?.unwrap_or(false);
    let (scheme, address) = match peer.text.split_once("://") {
        Some((scheme, address)) => (Some(scheme), address),
        None => (None, peer.text.as_str()),
    };
    match (scheme, tls) {
        (None, _) | (Some("grpc"), false) | (Some("grpcs"), true) => {}
        (Some("grpc" | "grpcs"), _) => {
            return Err(wrong(
                &peer,
                "its scheme and CORE_PEER_TLS_ENABLED disagree; grpcs:// is with TLS, grpc:// without",
            ));
        }
        _ => return Err(wrong(&peer, NO_ADDRESS)),
    }
    let host = host(address).ok_or_else(|| wrong(&peer, NO_ADDRESS))?;
    let tls = if tls { Some(client_tls(environment, host, &peer)?) } else { None };
    Ok(PeerAddress { address: address.to_owned(), setting: peer.setting, tls })
}

fn client_tls(environment: &Environment, host: &str, peer: &Given) -> Result<ClientTls, NativeError> {
    let pem =
        |variable: &str| environment.variables.get(variable).map(|path| NamedFile::pem(variable, PathBuf::from(path)));
    let base64 =
        |variable: &str| environment.of(variable).map(|path| NamedFile::base64(variable, PathBuf::from(path.text)));
    // As in Fabric's shim, the variable of 2.x wins by being there.
    let pair = |file: &'static str, path: &str| pem(file).or_else(|| base64(path));
    let missing = |what, reason| NativeError::Missing { what, reason };
    let roots = pem("CORE_PEER_TLS_ROOTCERT_FILE").ok_or_else(|| {
        missing(
            "CORE_PEER_TLS_ROOTCERT_FILE",
            "it names the PEM file with the certificate of the authority of the peer's",
        )
    })?;
    let reason =
        "a peer with TLS wants a client certificate from its chaincode, for which it gives a key and a certificate";
    let key = pair("CORE_TLS_CLIENT_KEY_FILE", "CORE_TLS_CLIENT_KEY_PATH")
        .ok_or_else(|| missing("CORE_TLS_CLIENT_KEY_PATH", reason))?;
    let certificate = pair("CORE_TLS_CLIENT_CERT_FILE", "CORE_TLS_CLIENT_CERT_PATH")
        .ok_or_else(|| missing("CORE_TLS_CLIENT_CERT_PATH", reason))?;
    let name = environment.of("CORE_PEER_TLS_SERVERHOSTOVERRIDE");
    let (name, given) = name.as_ref().map_or((host, peer), |name| (name.text.as_str(), name));
    ClientTls::load(&roots, &key, &certificate, name)?
        .ok_or_else(|| wrong(given, "it cannot be a name in a certificate; it must be a host name or an IP address"))
}

fn serve(environment: &Environment, service: Given) -> Result<ServiceAddress, NativeError> {
    if host(&service.text).is_none() {
        return Err(wrong(&service, NO_ADDRESS));
    }
    let file = |variable: &str| environment.of(variable).map(|path| NamedFile::pem(variable, PathBuf::from(path.text)));
    let (key, certificate) = (file("CHAINCODE_TLS_KEY"), file("CHAINCODE_TLS_CERT"));
    // Fabric's samples call it by the second name.
    let clients = file("CHAINCODE_TLS_CLIENT_CACERT").or_else(|| file("CHAINCODE_CLIENT_CA_CERT"));
    let any = key.is_some() || certificate.is_some() || clients.is_some();
    let disabled = boolean(environment, "CHAINCODE_TLS_DISABLED")?.unwrap_or(!any);
    let tls = if disabled {
        None
    } else {
        let missing = |what| {
            move || NativeError::Missing {
                what,
                reason: "TLS needs it, a PEM file; or set CHAINCODE_TLS_DISABLED=true",
            }
        };
        let key = key.ok_or_else(missing("CHAINCODE_TLS_KEY"))?;
        let certificate = certificate.ok_or_else(missing("CHAINCODE_TLS_CERT"))?;
        Some(ServerTls::load(&key, &certificate, clients.as_ref())?)
    };
    Ok(ServiceAddress { address: service.text, setting: service.setting, tls })
}

const NO_ADDRESS: &str = "it is no address; write host:port";

/// The host of `host:port`, without the brackets of IPv6.
fn host(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.or_else(|| Some(host).filter(|host| !host.contains([':', '/']))).filter(|host| !host.is_empty())
}

fn wrong(given: &Given, reason: &str) -> NativeError {
    NativeError::Setting { setting: given.setting.clone(), value: given.text.clone(), reason: reason.to_owned() }
}

/// In the forms that Go's `strconv.ParseBool` takes.
fn boolean(environment: &Environment, variable: &str) -> Result<Option<bool>, NativeError> {
    let Some(given) = environment.of(variable) else { return Ok(None) };
    match given.text.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        _ => Err(wrong(&given, "it must be true or false")),
    }
}

fn concurrency(environment: &Environment) -> Result<usize, NativeError> {
    let Some(given) = environment.of(CONCURRENCY_VARIABLE) else { return Ok(CONCURRENCY) };
    let number = given.text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| {
        wrong(&given, &format!("it must be a number from 1 to {MOST}: that of transactions of each peer at a time"))
    })
}

fn config(environment: &Environment) -> BTreeMap<String, String> {
    let entry = |(name, value): (&String, &String)| Some((name.strip_prefix(CONFIG_PREFIX)?.to_owned(), value.clone()));
    environment.variables.iter().filter_map(entry).collect()
}
