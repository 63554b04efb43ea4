//! Chaincode for Node.js in `tests/chaincode`: installed with its packages beside the other chaincodes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{run, works};

/// The files of a chaincode; the packages it needs come by the lock file.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// The first release that has everything the chaincodes use, and that `fabric-shim` 2.5 supports.
const OLDEST_NODE: u32 = 18;

/// Installs each folder of `tests/chaincode` into `release/chaincode`; what has not changed stays.
pub(crate) fn build(root: &Path, release: &Path) -> Result<()> {
    let sources = root.join("tests/chaincode");
    for entry in fs::read_dir(&sources).with_context(|| format!("cannot list {}", sources.display()))? {
        let source = entry?.path();
        if source.join(FILES[0]).is_file() {
            let name = source.file_name().context("a folder without a name")?;
            install(&source, &release.join("chaincode").join(name))?;
        }
    }
    Ok(())
}

fn install(source: &Path, into: &Path) -> Result<()> {
    require_node()?;
    fs::create_dir_all(into)?;
    let installed = FILES.iter().all(|file| same(&source.join(file), &into.join(".installed").join(file)));
    for program in scripts(source)? {
        let name = program.file_name().context("a file without a name")?;
        fs::copy(&program, into.join(name)).with_context(|| format!("cannot copy {}", program.display()))?;
    }
    if installed {
        return Ok(());
    }
    for file in FILES {
        fs::copy(source.join(file), into.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(into);
    run(&mut npm).context("the packages of a Node.js chaincode cannot be installed; npm needs its registry")?;
    fs::create_dir_all(into.join(".installed"))?;
    for file in FILES {
        fs::copy(source.join(file), into.join(".installed").join(file))?;
    }
    Ok(())
}

fn scripts(source: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(source)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "js")).collect())
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

fn require_node() -> Result<()> {
    let version = Command::new("node").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST_NODE) && works(Command::new("npm").arg("--version")) {
        return Ok(());
    }
    let found = if version.is_empty() { "no Node.js".to_owned() } else { format!("Node.js {version}") };
    bail!(
        "the tests run chaincode on npm's fabric-shim and need Node.js {OLDEST_NODE} or later with npm; there is {found} \
         (Debian: apt-get install -y nodejs npm)"
    )
}
