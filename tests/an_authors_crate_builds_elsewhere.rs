//! An author's crate needs nothing of this workspace but the SDK: the template, copied somewhere else, is built by the same
//! command as at an author's, loaded as a plug-in, invoked and queried.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use selvedge::testing::{Invokable, Plugin, TestPeer};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A copy of the template whose SDK is that of this checkout.
fn copy_template(to: &Path) -> anyhow::Result<()> {
    let template = repository().join("examples/template");
    std::fs::create_dir_all(to.join("src"))?;
    for file in ["Cargo.lock", "src/lib.rs"] {
        std::fs::copy(template.join(file), to.join(file)).context(file)?;
    }
    let manifest = std::fs::read_to_string(template.join("Cargo.toml"))?;
    let sdk = repository().join("guest-sdk");
    let elsewhere = manifest.replace("../../guest-sdk", &sdk.display().to_string());
    ensure!(elsewhere != manifest, "the template depends on the SDK by its path");
    Ok(std::fs::write(to.join("Cargo.toml"), elsewhere)?)
}

/// `cargo xtask guest DIR`: the module's path.
fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(repository()).args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "xtask",
        "--",
        "guest",
    ]);
    let output = cargo.arg(folder).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cargo xtask guest failed: {}", output.status);
    let printed = String::from_utf8(output.stdout)?;
    Ok(PathBuf::from(printed.lines().last().context("cargo xtask guest prints the path")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_template_is_built_loaded_and_called() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let author = folder.path().join("author");
    copy_template(&author)?;
    let module = build(&author)?;
    let greetings = Plugin { name: "greetings".into(), module, capabilities: Vec::new(), invokable: Invokable::ByAll };
    let peer = TestPeer::start(folder.path(), &[greetings], &[]).await?;
    let client = peer.client().await?;
    assert_eq!(client.submit("greetings", &["greet", "Ada"]).await?.as_str_name(), "VALID");
    assert_eq!(client.query("greetings", &["greeting", "Ada"]).await?, "Hello, Ada");
    let refused = client.call("greetings", &["dance"]).await?;
    assert_eq!((refused.status, &*refused.message), (500, "there is no function dance of that many parameters"));
    peer.stop().await;
    Ok(())
}
