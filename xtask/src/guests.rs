//! Builds chaincode for wasm32-wasip1 with whatever the machine has.
//!
//! The ordinary way is rustup's target. Where rustup can't download it, Debian's packages do: a rustc of their own, its
//! standard library as source, and wasi-libc. The invariant: guests have a target directory of their own
//! (`<target>/guests`), so the two toolchains never make each other rebuild anything, and a second run builds nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::setup::run;

const TARGET: &str = "wasm32-wasip1";

/// The template's profile, for every guest: one build of the standard library serves all. Names stay in the module, for
/// the backtrace of a trap.
const PROFILE: [&str; 5] = ["lto=true", "codegen-units=1", "panic='abort'", "debug=false", "strip='debuginfo'"];

/// The workspace's guests, by crate.
const GUESTS: [&str; 5] = ["cscc", "lscc", "qscc", "asset", "mischief"];

/// The first rustc that can build the guests (`rust-version` in Cargo.toml).
const OLDEST_RUSTC: (u32, u32) = (1, 95);

const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

/// What can build for the target.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Toolchain {
    /// The toolchain that runs this, with the target installed.
    Rustup,
    /// Debian's, with the linker of the toolchain that runs this.
    Debian {
        /// `rust-lld` itself: the wrapper `wasm-ld` beside it refuses the flag that rustc passes.
        linker: PathBuf,
    },
}

/// Builds the workspace's guests and copies them to `scc` in the folder of the node's executable, where it looks for
/// them. Returns the copies.
pub(crate) fn build(root: &Path, release_dir: &Path) -> Result<Vec<PathBuf>> {
    let target_dir = release_dir.parent().context("the release folder has no parent")?.join("guests");
    let mut cargo = toolchain()?.cargo(root);
    cargo.arg("--locked").args(GUESTS.iter().flat_map(|name| ["-p", name]));
    run(cargo.arg("--target-dir").arg(&target_dir))?;

    let scc = release_dir.join("scc");
    fs::create_dir_all(&scc).with_context(|| format!("cannot create {}", scc.display()))?;
    GUESTS.iter().map(|name| copy_if_changed(&module(&target_dir, name), &scc)).collect()
}

/// Builds one crate outside this workspace, such as a copy of the template. Returns its module.
pub(crate) fn build_crate(dir: &Path, target_dir: &Path) -> Result<PathBuf> {
    let manifest = dir.join("Cargo.toml");
    let manifest = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let name = package_name(&manifest).context("no package name in Cargo.toml")?;
    run(toolchain()?.cargo(dir).arg("--target-dir").arg(target_dir))?;
    let module = module(target_dir, name);
    ensure!(module.exists(), "{} was not built: is its crate-type cdylib?", module.display());
    Ok(module)
}

/// Finds a toolchain; installs one where it can.
fn toolchain() -> Result<Toolchain> {
    if has_target()? {
        return Ok(Toolchain::Rustup);
    }
    let missing = match debian() {
        Ok(toolchain) => return Ok(toolchain),
        Err(missing) => missing,
    };
    eprintln!("guests: {TARGET} is not installed; rustup target add {TARGET}");
    if Command::new("rustup").args(["target", "add", TARGET]).status().is_ok_and(|status| status.success()) {
        return Ok(Toolchain::Rustup);
    }
    install_debian_packages().and_then(|()| debian()).with_context(|| {
        format!(
            "nothing here builds for {TARGET} ({missing:#}). Either `rustup target add {TARGET}`, or on Debian 12, as root, \
             `apt-get install {}`",
            DEBIAN_PACKAGES.join(" ")
        )
    })
}

impl Toolchain {
    /// `cargo build` for the target, in `dir`.
    fn cargo(&self, dir: &Path) -> Command {
        // An absolute path would make the module, and so its digest, depend on who built it. The same flags for every
        // crate, or the standard library would be built for each.
        let mut flags: Vec<String> = Vec::new();
        flags.extend(cargo_home().map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
        let mut cargo = match self {
            Self::Rustup => Command::new("cargo"),
            Self::Debian { linker } => {
                flags.extend([
                    "-Clink-self-contained=no".to_owned(),
                    format!("-Lnative={DEBIAN_LIBC}"),
                    format!("-Clinker={}", linker.display()),
                ]);
                let mut cargo = Command::new(DEBIAN_CARGO);
                // Stable features only; the variable lets cargo build the standard library.
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTC_WRAPPER");
                cargo
            }
        };
        cargo.current_dir(dir).args(["build", "--release", "--target", TARGET]);
        cargo.args(PROFILE.iter().flat_map(|setting| ["--config".to_owned(), format!("profile.release.{setting}")]));
        if matches!(self, Self::Debian { .. }) {
            cargo.arg("-Zbuild-std=std,panic_abort");
        }
        // Flags from outside are for the host and would replace these.
        cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        cargo
    }
}

fn has_target() -> Result<bool> {
    Ok(sysroot()?.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn debian() -> Result<Toolchain> {
    for file in [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_STD, &format!("{DEBIAN_LIBC}/libc.a")] {
        ensure!(Path::new(file).exists(), "there is no {file}");
    }
    let version = output(Command::new(DEBIAN_RUSTC).arg("--version"))?;
    let found = rustc_version(&version).with_context(|| format!("{DEBIAN_RUSTC} has an unknown version: {version}"))?;
    let (major, minor) = OLDEST_RUSTC;
    ensure!(found >= OLDEST_RUSTC, "{DEBIAN_RUSTC} is {}.{}, older than {major}.{minor}", found.0, found.1);
    let host = output(Command::new("rustc").arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let linker = sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
    ensure!(linker.exists(), "there is no {}", linker.display());
    Ok(Toolchain::Debian { linker })
}

fn install_debian_packages() -> Result<()> {
    ensure!(output(Command::new("id").arg("-u"))? == "0", "only root can install Debian's packages");
    eprintln!("guests: apt-get install {}", DEBIAN_PACKAGES.join(" "));
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "-y", "--no-install-recommends"]).args(DEBIAN_PACKAGES);
        run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    install().or_else(|_| run(Command::new("apt-get").arg("update")).and_then(|()| install()))
}

fn sysroot() -> Result<PathBuf> {
    output(Command::new("rustc").args(["--print", "sysroot"])).map(PathBuf::from)
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
}

fn module(target_dir: &Path, package: &str) -> PathBuf {
    target_dir.join(TARGET).join("release").join(package.replace('-', "_")).with_extension("wasm")
}

/// An untouched copy keeps its time, so that nothing that depends on it is made again.
fn copy_if_changed(module: &Path, dir: &Path) -> Result<PathBuf> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let copy = dir.join(module.file_name().context("a module without a name")?);
    if fs::read(&copy).is_ok_and(|old| old == bytes) {
        return Ok(copy);
    }
    fs::write(&copy, bytes).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// The first `name = "..."` of a manifest, which is the package's.
fn package_name(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find_map(|line| line.trim_start().strip_prefix("name"))?;
    line.trim_start().strip_prefix('=')?.trim().strip_prefix('"')?.split('"').next()
}

/// `rustc 1.96.0 (...)` as (1, 96).
fn rustc_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split_whitespace().nth(1)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rustc_says_its_version() {
        assert_eq!(rustc_version("rustc 1.96.1 (abc 2026-07-01) (built from a source tarball)"), Some((1, 96)));
        assert_eq!(rustc_version("something else"), None);
    }

    #[test]
    fn the_package_name_is_found() {
        assert_eq!(package_name("[package]\nname = \"my-cc\"\n[lib]\nname = \"x\""), Some("my-cc"));
        assert_eq!(module(Path::new("/t"), "my-cc"), Path::new("/t/wasm32-wasip1/release/my_cc.wasm"));
    }
}
