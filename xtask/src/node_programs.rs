//! Programs for Node.js, installed with their packages beside the node's program: chaincode in `tests/chaincode`, and the
//! application in `examples`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{run, works};

/// The files of a program; the packages it needs come by the lock file.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// The first release that has everything the programs use, and that `fabric-shim` 2.5 supports.
const OLDEST_NODE: u32 = 18;

/// Installs `examples/application` into `release/application`. Returns the script.
pub(crate) fn application(root: &Path, release: &Path) -> Result<PathBuf> {
    let into = release.join("application");
    let source = root.join("examples/application");
    install(&source, &source, &into)?;
    Ok(into.join("application.js"))
}

/// Installs each folder of `tests/chaincode` into `release/chaincode`; what has not changed stays. Scripts that run with
/// several sets of packages stand above the folders of those.
pub(crate) fn chaincodes(root: &Path, release: &Path) -> Result<()> {
    for source in folders(&root.join("tests/chaincode"))? {
        let into = release.join("chaincode").join(name(&source)?);
        if source.join(FILES[0]).is_file() {
            install(&source, &source, &into)?;
            continue;
        }
        // A folder without such sets is not for Node.js.
        for packages in folders(&source)?.into_iter().filter(|folder| folder.join(FILES[0]).is_file()) {
            install(&source, &packages, &into.join(name(&packages)?))?;
        }
    }
    Ok(())
}

fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of).with_context(|| format!("cannot list {}", of.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

fn name(path: &Path) -> Result<&OsStr> {
    path.file_name().with_context(|| format!("{} has no name", path.display()))
}

/// Puts the scripts of one folder beside the packages that another asks for.
fn install(scripts_of: &Path, source: &Path, into: &Path) -> Result<()> {
    require_node()?;
    fs::create_dir_all(into).with_context(|| format!("cannot make {}", into.display()))?;
    let installed = FILES.iter().all(|file| same(&source.join(file), &into.join(".installed").join(file)));
    for program in scripts(scripts_of)? {
        fs::copy(&program, into.join(name(&program)?)).with_context(|| format!("cannot copy {}", program.display()))?;
    }
    if installed {
        return Ok(());
    }
    for file in FILES {
        let file = source.join(file);
        fs::copy(&file, into.join(name(&file)?)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(into);
    run(&mut npm)
        .with_context(|| format!("the packages of {} cannot be installed; npm needs its registry", source.display()))?;
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
        "npm's fabric-shim and fabric-network need Node.js {OLDEST_NODE} or later with npm; there is {found} (Debian: apt-get \
         install -y nodejs npm)"
    )
}
