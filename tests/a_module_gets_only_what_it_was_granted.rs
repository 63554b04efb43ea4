//! A module is refused at load when it asks for what it was not granted, for what does not exist here, or for too much;
//! the error names it. One that asks for nothing of the kind runs, as a core module or as a component.

use std::path::Path;

use anyhow::Context;
use selvedge::container::wasm::componentize;
use selvedge::testing::{CONTRACT, Plugin, SmallGuest, TestPeer, guest_path};

/// Why a node with this plug-in does not start.
async fn refused(folder: &Path, plugin: Plugin) -> String {
    let started = TestPeer::start(folder, &[plugin], &[]).await;
    format!("{:#}", started.err().expect("the module is refused"))
}

fn importing(wit: &str, text: &str) -> SmallGuest {
    SmallGuest { wit_imports: wit.to_owned(), imports: text.to_owned(), ..SmallGuest::new("(func $run)") }
}

const MESSAGES: (&str, &str) = (
    "import selvedge:chaincode/messages@0.1.0;",
    r#"(import "selvedge:chaincode/messages@0.1.0" "exchange" (func (param i32 i32 i32)))"#,
);
const LEDGER: (&str, &str) = (
    "import selvedge:peer/ledger@0.1.0;",
    r#"(import "selvedge:peer/ledger@0.1.0" "chain-info" (func (param i32 i32 i32)))"#,
);
const ACCESS_CONTROL: (&str, &str) = (
    "import selvedge:peer/access-control@0.1.0;",
    r#"(import "selvedge:peer/access-control@0.1.0" "check-local" (func (param i32 i32)))"#,
);
const PACKAGES: (&str, &str) =
    ("import selvedge:peer/packages@0.1.0;", r#"(import "selvedge:peer/packages@0.1.0" "list" (func (param i32)))"#);
const PACKAGE_ADMIN: (&str, &str) = (
    "import selvedge:peer/package-admin@0.1.0;",
    r#"(import "selvedge:peer/package-admin@0.1.0" "install" (func (param i32 i32)))"#,
);
const POLICIES: (&str, &str) = (
    "import selvedge:peer/policies@0.1.0;",
    r#"(import "selvedge:peer/policies@0.1.0" "default-endorsement" (func (param i32)))"#,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capability_is_linked_only_if_it_was_granted() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let capabilities = [
        ("messages", MESSAGES),
        ("ledger", LEDGER),
        ("access-control", ACCESS_CONTROL),
        ("packages", PACKAGES),
        ("package-admin", PACKAGE_ADMIN),
        ("policies", POLICIES),
    ];
    for (name, (wit, text)) in capabilities {
        let ungranted = Plugin::of_module(folder.path(), "guest", &importing(wit, text).module()?)?;
        for capabilities in [vec![], vec!["other".to_owned()]] {
            let refusal = refused(folder.path(), Plugin { capabilities, ..ungranted.clone() }).await;
            assert!(
                refusal.contains(&format!("/{name}@0.1.0, which needs the capability `{name}`"))
                    && refusal.contains(&format!("grant it with `capabilities: [{name}]`")),
                "{refusal}"
            );
        }
        let granted = Plugin { capabilities: vec![name.to_owned()], ..ungranted };
        let peer = TestPeer::start(folder.path(), &[granted], &[]).await.with_context(|| name.to_owned())?;
        peer.client().await?.query("guest", &["x"]).await?;
        peer.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_this_host_does_not_have_is_named() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let unknown = importing("import shell: interface { run: func(); }", r#"(import "shell" "run" (func))"#).module()?;
    let newer = CONTRACT.replace("selvedge:chaincode@0.1.0", "selvedge:chaincode@0.2.0");
    let newer = SmallGuest {
        contract: newer,
        imports: r#"(import "selvedge:chaincode/state@0.2.0" "delete" (func (param i32 i32 i32)))"#.to_owned(),
        ..SmallGuest::new("(func $run)")
    };
    let fatter = CONTRACT.replace("interface events {", "interface events { clear: func();");
    let fatter = SmallGuest {
        contract: fatter,
        imports: r#"(import "selvedge:chaincode/events@0.1.0" "clear" (func))"#.to_owned(),
        ..SmallGuest::new("(func $run)")
    };
    for (module, expected) in [
        (unknown, "imports shell, which this host does not offer to chaincode"),
        (
            newer.module()?,
            "@0.2.0, this host offers selvedge:chaincode/blobs@0.1.0; rebuild it with the selvedge-sdk of this host",
        ),
        (fatter.module()?, "clear"),
    ] {
        let refusal = refused(folder.path(), Plugin::of_module(folder.path(), "guest", &module)?).await;
        assert!(refusal.contains(expected), "should tell {expected:?}, and tells: {refusal}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_chaincode_is_refused_with_the_reason() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let asset = std::fs::read(guest_path("asset")?)?;
    let large = SmallGuest { pages: 2048, ..SmallGuest::new("(func $run)") }.module()?;
    let tables = SmallGuest::new("(table 30000 funcref) (func $run)").module()?;
    let empty_component = b"\0asm\x0d\0\x01\0";
    for (module, expected) in [
        (&b"#!/bin/sh\necho no\n"[..], "the file is no WebAssembly module"),
        (b"", "the file is no WebAssembly module"),
        (&asset[..asset.len() / 2], "the core module cannot be made a component"),
        (empty_component, "no export `init` found"),
        (&large, "bytes (chaincode.wasm.limits.memory)"),
        (&tables, "(chaincode.wasm.limits.tables)"),
    ] {
        let refusal = refused(folder.path(), Plugin::of_module(folder.path(), "guest", module)?).await;
        assert!(refusal.contains(expected), "should tell {expected:?}, and tells: {refusal}");
    }
    let missing = Plugin { module: folder.path().join("none.wasm"), ..Plugin::guest("guest", "asset")? };
    let refusal = refused(folder.path(), missing).await;
    assert!(refusal.contains("cannot read") && refusal.contains("none.wasm"), "{refusal}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_runs_as_the_core_module_it_was_made_of() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let component = componentize(&std::fs::read(guest_path("asset")?)?)?;
    let plugins = [Plugin::guest("core", "asset")?, Plugin::of_module(folder.path(), "component", &component)?];
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let client = peer.client().await?;
    for name in ["core", "component"] {
        assert_eq!(client.submit(name, &["create", "a1", "Ada", "7"]).await?.as_str_name(), "VALID");
    }
    let read = |name: &'static str| client.query(name, &["read", "a1"]);
    assert_eq!(read("core").await?, read("component").await?);
    peer.stop().await;
    Ok(())
}
