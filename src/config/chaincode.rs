//! Section `chaincode` of core.yaml, but for `chaincode.ccaas`, `chaincode.wasm` and what images are built with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ccaas::{self, CcaasConfig};
use super::document::{Document, PluginEntry};
use super::error::{Origin, Problem};
use super::peer::PeerConfig;
use super::units::parse_duration;
use super::values::{Values, parse_flag};
use super::wasm::{self, WasmConfig};
use super::{Environment, build, keys};
use crate::platforms::BuildSettings;

/// System chaincodes that are enabled where core.yaml has no `chaincode.system`, as in the file that Fabric ships.
const DEFAULT_SYSTEM: [&str; 3] = ["cscc", "lscc", "qscc"];

/// Names that are system chaincodes in Fabric, whether or not there is code behind them. (`+lifecycle` is no name at all.)
const RESERVED: [&str; 5] = ["cscc", "escc", "lscc", "qscc", "vscc"];

/// `chaincode`
#[derive(Clone, Debug, PartialEq)]
pub struct ChaincodeConfig {
    /// `chaincode.mode`
    pub mode: ChaincodeMode,
    /// `chaincode.startuptimeout`: from start to REGISTER.
    pub startup_timeout: Duration,
    /// `chaincode.executetimeout`: a whole INIT or TRANSACTION.
    pub execute_timeout: Duration,
    /// `chaincode.installTimeout`: building an image.
    pub install_timeout: Duration,
    /// `chaincode.keepalive`: time between pings to chaincode, or none.
    pub keepalive: Option<Duration>,
    /// `chaincode.system`, which Fabric calls the whitelist: name to value. The registry says which values enable; a YAML
    /// boolean in any spelling is `true` here.
    pub system: BTreeMap<String, String>,
    /// `chaincode.systemPlugins`
    pub system_plugins: Vec<PluginConfig>,
    /// `chaincode.logging`
    pub logging: ChaincodeLogging,
    /// `chaincode.runtimeParams`
    pub runtime_params: RuntimeParams,
    /// `chaincode.ccaas`
    pub ccaas: CcaasConfig,
    /// `chaincode.builder`, `pull`, and the images of each language.
    pub build: BuildSettings,
    /// `chaincode.wasm`
    pub wasm: WasmConfig,
}

/// `chaincode.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaincodeMode {
    /// The peer launches chaincode.
    Net,
    /// A developer starts chaincode by hand; an unsolicited REGISTER is allowed.
    Dev,
}

/// `chaincode.logging`: handed to chaincode in containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeLogging {
    /// `level`
    pub level: String,
    /// `shim`
    pub shim: String,
    /// `format`
    pub format: String,
}

/// `chaincode.runtimeParams` (Fabric 3.x): what READY offers to a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeParams {
    /// `useWriteBatch`
    pub use_write_batch: bool,
    /// `maxSizeWriteBatch`
    pub max_size_write_batch: u32,
    /// `useGetMultipleKeys`
    pub use_get_multiple_keys: bool,
    /// `maxSizeGetMultipleKeys`
    pub max_size_get_multiple_keys: u32,
}

/// An entry of `chaincode.systemPlugins`: Fabric 1.4's fields, with a wasm module for the Go plug-in, and two of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginConfig {
    /// `enabled`
    pub enabled: bool,
    /// `name`
    pub name: String,
    /// `path` of the module; a relative one starts at core.yaml's folder.
    pub path: PathBuf,
    /// `invokableExternal`
    pub invokable_external: bool,
    /// `invokableCC2CC`
    pub invokable_cc2cc: bool,
    /// `capabilities`: what the module may import of the peer, by interface name.
    pub capabilities: Vec<String>,
    /// `config`: the module's own settings.
    pub config: BTreeMap<String, String>,
}

pub(super) fn read(
    values: &mut Values<'_>,
    environment: &Environment,
    document: &Document,
    base: &Path,
    peer: &PeerConfig,
) -> ChaincodeConfig {
    let day = Duration::from_secs(24 * 3600);
    let execute_timeout = values.duration("chaincode.executetimeout", Duration::from_secs(1)..=day);
    let system = system(values, environment, document);
    let system_plugins = plugins(values, &document.plugins, base);
    for plugin in system_plugins.iter().filter(|plugin| plugin.enabled && !system.contains_key(&plugin.name)) {
        values.warnings.push(format!(
            "{name} is enabled in {} and not in {}, so it stays off; write `{name}: enable` there too",
            keys::PLUGINS,
            keys::SYSTEM,
            name = plugin.name,
        ));
    }
    ChaincodeConfig {
        mode: values.read("chaincode.mode", |text| match text {
            "net" => Ok(ChaincodeMode::Net),
            "dev" => Ok(ChaincodeMode::Dev),
            _ => Err("is not a mode; write net or dev".to_owned()),
        }),
        startup_timeout: values.duration("chaincode.startuptimeout", Duration::from_secs(5)..=day),
        execute_timeout,
        install_timeout: values.duration("chaincode.installTimeout", Duration::from_secs(1)..=day),
        keepalive: values.read("chaincode.keepalive", keepalive),
        system,
        system_plugins,
        logging: ChaincodeLogging {
            level: log_level(values, "chaincode.logging.level"),
            shim: log_level(values, "chaincode.logging.shim"),
            format: values.text("chaincode.logging.format"),
        },
        runtime_params: RuntimeParams {
            use_write_batch: values.flag("chaincode.runtimeParams.useWriteBatch"),
            max_size_write_batch: values.number("chaincode.runtimeParams.maxSizeWriteBatch", 1..=u32::MAX),
            use_get_multiple_keys: values.flag("chaincode.runtimeParams.useGetMultipleKeys"),
            max_size_get_multiple_keys: values.number("chaincode.runtimeParams.maxSizeGetMultipleKeys", 1..=u32::MAX),
        },
        ccaas: ccaas::read(values, environment),
        build: build::read(values),
        wasm: wasm::read(values, environment, peer, execute_timeout),
    }
}

/// A level as shims know them; another becomes `INFO`, as in Fabric.
fn log_level(values: &mut Values<'_>, key: &str) -> String {
    const LEVELS: [&str; 6] = ["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let level = values.text(key);
    if LEVELS.iter().any(|known| known.eq_ignore_ascii_case(&level)) {
        return level;
    }
    values.warnings.push(format!("{key}={level} is no log level and means INFO; write one of {}", LEVELS.join(", ")));
    "INFO".to_owned()
}

/// A bare number is seconds here, in Fabric too; 0 and anything below it switch pings off.
fn keepalive(text: &str) -> Result<Option<Duration>, String> {
    let duration = match text.trim().parse::<i64>() {
        Ok(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        Err(_) => parse_duration(text)?,
    };
    Ok(Some(duration).filter(|duration| !duration.is_zero()))
}

/// The whitelist. As in viper, `CORE_CHAINCODE_SYSTEM` may replace it by a map in JSON.
fn system(values: &mut Values<'_>, environment: &Environment, document: &Document) -> BTreeMap<String, String> {
    let variable = keys::variable(keys::SYSTEM);
    let mut entries = match environment.variables.get(&variable).filter(|text| !text.is_empty()) {
        None => document.system.clone(),
        Some(text) => match serde_json::from_str(text) {
            Ok(entries) => Some(entries),
            Err(e) => {
                values.problems.push(Problem {
                    key: keys::SYSTEM.to_owned(),
                    value: text.clone(),
                    origin: Origin::Variable(variable),
                    reason: format!("is not a map of texts ({e}); write for instance {{\"qscc\":\"enable\"}}"),
                });
                None
            }
        },
    }
    .unwrap_or_else(|| BTreeMap::from(DEFAULT_SYSTEM.map(|name| (name.to_owned(), "enable".to_owned()))));
    for value in entries.values_mut() {
        if matches!(value.as_str(), "True" | "TRUE" | "Yes" | "YES" | "on" | "On" | "ON") {
            "true".clone_into(value);
        }
    }
    entries
}

fn plugins(values: &mut Values<'_>, entries: &[PluginEntry], base: &Path) -> Vec<PluginConfig> {
    let mut plugins: Vec<PluginConfig> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut problem = |field: &str, value: &str, reason: &str| {
            values.problems.push(Problem {
                key: format!("{}[{index}].{field}", keys::PLUGINS),
                value: value.to_owned(),
                origin: Origin::File,
                reason: reason.to_owned(),
            });
        };
        let text = |field: &str| entry.scalars.get(field).map_or("", String::as_str);
        let mut flag = |field: &str, shown: &str| {
            parse_flag(text(field)).unwrap_or_else(|reason| {
                problem(shown, text(field), &reason);
                false
            })
        };
        let (enabled, external, cc2cc) = (
            flag("enabled", "enabled"),
            flag("invokableexternal", "invokableExternal"),
            flag("invokablecc2cc", "invokableCC2CC"),
        );
        let (name, path) = (text("name"), text("path"));
        if !is_chaincode_name(name) {
            problem(
                "name",
                name,
                "is not a chaincode's name; write letters and digits, with single - or _ between them",
            );
        } else if plugins.iter().any(|earlier| earlier.name == name) {
            problem("name", name, "is the name of an earlier entry; give each its own");
        } else if RESERVED.contains(&name) {
            problem("name", name, "is the name of one of the node's own system chaincodes; write another");
        }
        if path.is_empty() {
            problem("path", path, "is empty; write the path of a .wasm file");
        }
        plugins.push(PluginConfig {
            enabled,
            name: name.to_owned(),
            path: base.join(path),
            invokable_external: external,
            invokable_cc2cc: cc2cc,
            capabilities: entry.capabilities.clone(),
            config: entry.config.clone(),
        });
    }
    plugins
}

/// Fabric's rule for a chaincode's name (`lscc.isValidChaincodeName`).
fn is_chaincode_name(name: &str) -> bool {
    !name.is_empty()
        && name.split(['-', '_']).all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric()))
}
