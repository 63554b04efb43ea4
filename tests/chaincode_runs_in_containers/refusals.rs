//! An engine that keeps containers which are to be removed, and engines of other versions.

use std::time::{Duration, Instant};

use anyhow::Context;
use selvedge::container::docker::{HostConfig, Names};
use selvedge::container::{Ccid, LogRequest, StartContainer, Vm};
use selvedge::testing::docker_engine;
use tokio_stream::StreamExt;

use crate::fixture::{Peer, at, builder_image, built_by, code, request, shells, vm, vm_with};
use crate::proxy::Proxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leftover_that_the_engine_keeps_switches_nothing_off_and_is_tried_again() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    for name in ["one", "two"] {
        peer.vm.start(&Ccid::new(name, "1.0"), request("echo $GREETING; sleep 600")).await?;
    }
    let proxy = Proxy::in_front_of(&peer.engine).await?;
    // The second try of one of them fails, too.
    proxy.refuse_removals(3);
    let again = vm(proxy.endpoint(), &peer.names, peer.folder.path(), shells()?)?;
    assert_eq!(again.open().await?, 0, "the engine has kept both");
    let three = Ccid::new("three", "1.0");
    again.start(&three, request("sleep 600")).await.context("the others are in nobody's way")?;
    let began = Instant::now();
    while peer.containers().await? > 1 {
        assert!(began.elapsed() < Duration::from_secs(30), "leftovers stay");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(proxy.has_refused());
    let left: Vec<_> = again.containers().await?.into_iter().map(|container| container.ccid).collect();
    assert_eq!(left, [three]);
    // What the earlier run's chaincode wrote is not lost with its container.
    let all = LogRequest { tail: 10, follow: false, previous: false };
    let lines: Vec<_> = again.logs(&Ccid::new("one", "1.0"), all).await?.collect::<Result<_, _>>().await?;
    assert!(lines[0] == "hello" && lines[1].starts_with("(it ended with exit code 137 at "), "{lines:?}");
    again.close().await?;
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_that_the_engine_keeps_is_removed_later() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let builder = builder_image(&peer).await?;
    peer.vm.close().await?;
    let proxy = Proxy::in_front_of(&peer.engine).await?;
    let vm = vm(proxy.endpoint(), &peer.names, peer.folder.path(), built_by(builder))?;
    vm.open().await?;
    for (name, command) in [("fails", "exit 3"), ("builds", "echo done > /chaincode/output/file")] {
        proxy.refuse_removals(2);
        let ccid = Ccid::new(name, "1.0");
        let started = vm.start(&ccid, StartContainer { code: Some(code(command)), ..request("exit 0") }).await;
        match (name, started) {
            ("builds", Ok(())) => vm.stop(&ccid, Default::default()).await.or_else(|error| {
                let kept = error.to_string().contains("device or resource busy");
                kept.then_some(()).ok_or(error)
            })?,
            ("fails", Err(error)) => assert!(error.to_string().contains("Error returned from build: 3"), "{error}"),
            (_, started) => anyhow::bail!("{name}: {started:?}"),
        }
        peer.no_builder_is_left().await.with_context(|| name.to_owned())?;
        assert!(proxy.has_refused(), "{name}");
    }
    vm.close().await?;
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_root_is_the_chaincodes_and_not_its_builders() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let builder = builder_image(&peer).await?;
    let host = HostConfig { network_mode: Some("host".into()), readonly_rootfs: Some(true), ..HostConfig::default() };
    let vm = vm_with(at(&peer.engine), &peer.names, peer.folder.path(), built_by(builder), host)?;
    let ccid = Ccid::new("mycc", "1.0");
    let build = Some(code("echo built > /chaincode/output/file"));
    let run = "cat /built/file; mkdir /new 2> /dev/null || echo nothing is written here";
    vm.start(&ccid, StartContainer { code: build.clone(), ..request(run) }).await?;
    vm.wait(&ccid).await?;
    let output = vm.last_output(&ccid).await;
    assert_eq!(output, "built\nnothing is written here");
    let mut given = StartContainer { code: build, ..request("exit 0") };
    given.files.insert("/etc/file".into(), b"content".to_vec());
    let refused = vm.start(&Ccid::new("given", "1.0"), given).await.err().context("no file gets there")?.to_string();
    assert!(refused.starts_with("Error uploading files to the container instance "), "{refused}");
    vm.close().await?;
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_is_asked_in_a_version_that_it_has() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let has = peer.engine.client.version().await?.api_version.context("an engine has a version")?;
    for (proxy, spoken) in [
        (Proxy::in_front_of(&peer.engine).await?, has.as_str()),
        (Proxy::of_version(&peer.engine, "1.24", "1.30").await?, "1.30"),
    ] {
        let vm = vm(proxy.endpoint(), &peer.names, peer.folder.path(), shells()?)?;
        let ccid = Ccid::new("mycc", "1.0");
        vm.start(&ccid, request("echo $GREETING; exit 5")).await?;
        assert_eq!(vm.wait(&ccid).await?, 5);
        assert_eq!(vm.last_output(&ccid).await, "hello");
        assert_eq!(vm.containers().await?.len(), 1);
        vm.remove(&ccid).await?;
        let prefix = format!(" /v{spoken}/");
        let (named, others): (Vec<_>, Vec<_>) = proxy.asked().into_iter().partition(|asked| asked.contains(&prefix));
        assert!(others.iter().all(|asked| asked == "GET /version"), "{others:?}");
        assert!(named.len() > 8, "{named:?}");
    }
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_shares_no_version_is_told_of() -> anyhow::Result<()> {
    let (engine, folder) = (docker_engine().await?, tempfile::tempdir()?);
    for (oldest, newest, expected) in [
        ("1.12", "1.29", "has Docker's API up to version 1.29, and this peer needs 1.30"),
        ("1.98", "1.99", "has Docker's API from version 1.98 on"),
    ] {
        let proxy = Proxy::of_version(&engine, oldest, newest).await?;
        let vm = vm(proxy.endpoint(), &Names::default(), folder.path(), shells()?)?;
        let told = vm.start(&Ccid::new("mycc", "1.0"), request("exit 0")).await;
        let told = told.err().context("there is no such version")?.to_string();
        let begins =
            format!("Docker endpoint {} (vm.endpoint) cannot be used: the engine there (0.0.1) ", proxy.endpoint());
        assert!(told.starts_with(&begins) && told.contains(expected), "{told}");
        let health = vm.health_check().await.err().context("it cannot be used")?.to_string();
        assert!(health.contains(expected), "{health}");
        assert_eq!(vm.containers().await?, []);
        let touched = proxy.asked().into_iter().find(|asked| !["GET /version", "GET /_ping"].contains(&asked.as_str()));
        assert_eq!(touched, None);
    }
    Ok(())
}
