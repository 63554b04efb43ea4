//! A node's configuration for a test: a folder of its own, free ports, and the guests that `cargo xtask guests` built.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::{Config, Environment};

/// The node's own system chaincodes that are enabled in a test.
const BUILTIN: [&str; 3] = ["cscc", "lscc", "qscc"];

/// A plug-in of the node under test.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: PathBuf,
    /// The capabilities it is granted.
    pub capabilities: Vec<String>,
    /// Who may call it.
    pub invokable: Invokable,
}

/// Who may call a plug-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invokable {
    /// Clients and chaincodes.
    ByAll,
    /// Clients only.
    ByClients,
    /// Chaincodes only.
    ByChaincodes,
}

impl Plugin {
    /// A plug-in of this name, made of one of the project's guests.
    ///
    /// # Errors
    /// When the guest was not built.
    pub fn guest(name: &str, guest: &str) -> anyhow::Result<Self> {
        let module = guest_path(guest)?;
        Ok(Self { name: name.to_owned(), module, capabilities: Vec::new(), invokable: Invokable::ByAll })
    }

    /// A plug-in of this name, made of a module that is written to `folder`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn of_module(folder: &Path, name: &str, module: &[u8]) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.wasm"));
        std::fs::write(&path, module)?;
        Ok(Self { name: name.to_owned(), module: path, capabilities: Vec::new(), invokable: Invokable::ByAll })
    }
}

/// The module of one of the project's guests, beside the program that runs.
///
/// # Errors
/// When it was not built; the text says how to.
pub fn guest_path(guest: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("the running program is unknown")?;
    let mut folders = program.ancestors().skip(1).take(2).map(|folder| folder.join("scc"));
    let Some(folder) = folders.find(|folder| folder.is_dir()) else {
        bail!("there is no folder scc beside {}: run `cargo xtask guests` first", program.display());
    };
    let path = folder.join(format!("{guest}.wasm"));
    if !path.is_file() {
        bail!("{} is missing: run `cargo xtask guests` first", path.display());
    }
    Ok(path)
}

/// A configuration in `folder`, with listeners on free ports of the loopback interface. `overrides` are `CORE_*`
/// variables without that prefix: `("CHAINCODE_WASM_INSTANCES", "8")`.
///
/// # Errors
/// When core.yaml cannot be written or the configuration is not valid.
pub fn config(folder: &Path, plugins: &[Plugin], overrides: &[(&str, &str)]) -> anyhow::Result<Config> {
    std::fs::write(folder.join("core.yaml"), core_yaml(plugins, "127.0.0.1:0")?)?;
    let mut variables: BTreeMap<_, _> =
        overrides.iter().map(|(name, value)| (format!("CORE_{name}"), (*value).to_owned())).collect();
    let logging = std::env::var("FABRIC_LOGGING_SPEC").unwrap_or_else(|_| "error".to_owned());
    variables.insert("FABRIC_LOGGING_SPEC".to_owned(), logging);
    let environment = Environment { variables, directory: folder.to_owned(), executable: None };
    Ok(Config::load(&environment)?)
}

/// The text of a core.yaml whose node keeps its data beside it.
///
/// # Errors
/// When the node's own system chaincodes were not built.
pub fn core_yaml(plugins: &[Plugin], address: &str) -> anyhow::Result<String> {
    let qscc = guest_path("qscc")?;
    let system_path = qscc.parent().unwrap_or(Path::new("."));
    let mut yaml = format!(
        "peer:\n  id: test\n  listenAddress: {address}\n  chaincodeListenAddress: {address}\n  fileSystemPath: data\n\
         operations:\n  listenAddress: {address}\n\
         chaincode:\n  wasm:\n    systemPath: {}\n  system:\n",
        system_path.display()
    );
    // A plug-in may be refused for its name; that is not for the file to say.
    let names = BUILTIN.into_iter().chain(plugins.iter().map(|plugin| &*plugin.name));
    for name in names.collect::<BTreeSet<_>>() {
        writeln!(yaml, "    {name}: enable")?;
    }
    yaml.push_str("  systemPlugins:\n");
    for plugin in plugins {
        let (external, cc2cc) = match plugin.invokable {
            Invokable::ByAll => (true, true),
            Invokable::ByClients => (true, false),
            Invokable::ByChaincodes => (false, true),
        };
        writeln!(
            yaml,
            "    - name: {}\n      enabled: true\n      path: {}\n      invokableExternal: {external}\n      \
             invokableCC2CC: {cc2cc}\n      capabilities: [{}]",
            plugin.name,
            plugin.module.display(),
            plugin.capabilities.join(", ")
        )?;
    }
    if plugins.is_empty() {
        yaml.push_str("    []\n");
    }
    Ok(yaml)
}
