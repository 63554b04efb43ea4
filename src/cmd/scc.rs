//! `selvedge scc list|inspect`: the system chaincodes of this configuration, and what is in a module.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use sha2::{Digest, Sha256};

use super::table::table;
use crate::container::wasm::{Inspection, inspect};
use crate::scc::SystemChaincode;

#[derive(Subcommand)]
pub(super) enum SccVerb {
    /// List the system chaincodes that core.yaml configures.
    List,
    /// Show a module's digest, its interfaces, and the capabilities that it needs.
    Inspect {
        /// A component, or a core module with the SDK's metadata.
        file: PathBuf,
    },
}

pub(super) fn run(verb: &SccVerb) -> anyhow::Result<()> {
    let text = match verb {
        SccVerb::List => {
            let config = super::load_config()?;
            list(&crate::node::system_chaincodes(&config), &config.chaincode.wasm.system_version)
        }
        SccVerb::Inspect { file } => describe(&inspect(file).context("cannot inspect the module")?),
    };
    super::print(text.trim_end())
}

fn list(chaincodes: &[SystemChaincode], version: &str) -> String {
    let header =
        ["NAME", "VERSION", "ENABLED", "WHITELISTED", "EXTERNAL", "CC2CC", "DIGEST", "PATH"].map(str::to_owned);
    let rows = chaincodes.iter().map(|chaincode| {
        let yes = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
        // Only the built-in ones without code are not enabled and have no file.
        let code = chaincode.enabled || chaincode.path.exists();
        [
            chaincode.name.clone(),
            version.to_owned(),
            yes(chaincode.enabled),
            yes(chaincode.whitelisted),
            yes(chaincode.invokable_external),
            yes(chaincode.invokable_cc2cc),
            if code { digest(&chaincode.path) } else { "-".to_owned() },
            chaincode.path.display().to_string(),
        ]
    });
    table(std::iter::once(header).chain(rows).collect())
}

/// The first twelve digits of the file's SHA-256: enough to tell two builds apart in a table; `inspect` shows all.
fn digest(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => hex::encode(&Sha256::digest(bytes)[..6]),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "no file".to_owned(),
        Err(e) => e.kind().to_string(),
    }
}

fn describe(module: &Inspection) -> String {
    let mut text =
        format!("Digest:  {}\nSize:    {} bytes\nKind:    {}\nImports:\n", module.digest, module.size, module.kind);
    for import in &module.imports {
        let need = import.capability.as_deref().map_or_else(String::new, |name| format!("  (needs capability {name})"));
        let _ = writeln!(text, "  {}{need}", import.name);
    }
    text.push_str("Exports:\n");
    for export in &module.exports {
        let _ = writeln!(text, "  {export}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns() {
        let rows = vec![["NAME", "PATH"], ["qscc", "/opt/scc/qscc.wasm"], ["a-long-one", "-"]];
        let rows = rows.into_iter().map(|row| row.map(str::to_owned)).collect();
        assert_eq!(table(rows), "NAME        PATH\nqscc        /opt/scc/qscc.wasm\na-long-one  -\n");
    }

    #[test]
    fn a_chaincode_without_a_module_is_listed_all_the_same() {
        let lifecycle = SystemChaincode {
            name: "+lifecycle".to_owned(),
            path: PathBuf::from("builtin:+lifecycle"),
            ..SystemChaincode::default()
        };
        let missing = SystemChaincode {
            name: "qscc".to_owned(),
            path: PathBuf::from("/nonexistent/qscc.wasm"),
            enabled: true,
            ..SystemChaincode::default()
        };
        let text = list(&[lifecycle, missing], "0.1.0");
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["+lifecycle", "0.1.0", "no", "no", "no", "no", "-", "builtin:+lifecycle"]);
        assert_eq!(lines[2], ["qscc", "0.1.0", "yes", "no", "no", "no", "no", "file", "/nonexistent/qscc.wasm"]);
    }
}
