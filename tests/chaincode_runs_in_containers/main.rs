//! The Docker VM at a real engine: what is built, started, stopped, waited for, removed and told of. The programs in the
//! containers are this machine's shell; the chaincode that registers is in other tests.

mod engines;
mod fixture;
mod others;
mod proxy;
mod refusals;

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use bollard::query_parameters::InspectContainerOptions;
use selvedge::container::{Ccid, ContainerState, LogRequest, StartContainer, StopContainer, Vm, VmError};
use tokio_stream::StreamExt;

use crate::fixture::{Peer, at, builder_image, built_by, code, request, vm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_starts_is_waited_for_and_stopped() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let ccid = Ccid::new("mycc", "1.0");
    let name = peer.names.container(&ccid);
    let mut exits = request("echo $GREETING; cat /etc/hyperledger/fabric/peer.crt; exit 7");
    exits.files.insert("/etc/hyperledger/fabric/peer.crt".into(), b"a certificate\n".to_vec());
    peer.vm.start(&ccid, exits.clone()).await?;
    assert_eq!(peer.vm.wait(&ccid).await?, 7);
    assert_eq!(peer.vm.last_output(&ccid).await, "hello\na certificate");

    let image = peer.engine.client.inspect_image(&peer.names.image(&ccid)?).await?.id;
    peer.vm
        .start(&ccid, request("sleep 600"))
        .await
        .context("a container of that name, which has ended, is replaced")?;
    let running = peer.engine.client.inspect_container(&name, None::<InspectContainerOptions>).await?;
    assert_eq!(running.image, image, "the image was there already");
    let waiting = peer.vm.wait(&ccid);
    let (code, stopped) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        peer.vm.stop(&ccid, StopContainer::default()).await
    });
    stopped?;
    assert_eq!(code?, 137);
    assert_eq!(peer.containers().await?, 0);
    let gone = peer.vm.stop(&ccid, StopContainer::default()).await.map_err(|error| error.to_string());
    assert!(gone.as_ref().is_err_and(|error| error.contains("No such container")), "{gone:?}");

    peer.vm.start(&ccid, request("sleep 600")).await?;
    let kept = StopContainer { keep_container: true, ..StopContainer::default() };
    let _ = peer.vm.stop(&ccid, kept).await;
    assert_eq!(peer.vm.wait(&ccid).await?, 137, "a container that was kept still has its code");
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_made_of_what_a_builder_leaves_and_of_no_other_code() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let builder = builder_image(&peer).await?;
    let vm = vm(at(&peer.engine), &peer.names, peer.folder.path(), built_by(builder))?;
    let ccid = Ccid::new("mycc", "1.0");
    let run = |command: &str| StartContainer { code: Some(code(command)), ..request("cat /built/file") };

    let build = "cat /chaincode/input/src/code > /chaincode/output/file; echo $WORD >> /chaincode/output/file";
    vm.start(&ccid, run(build)).await?;
    vm.wait(&ccid).await?;
    assert_eq!(vm.last_output(&ccid).await, "code\nbuilt");
    vm.start(&ccid, run(build)).await?;
    vm.wait(&ccid).await?;
    vm.start(&ccid, run("echo other > /chaincode/output/file")).await?;
    vm.wait(&ccid).await?;
    assert_eq!(vm.last_output(&ccid).await, "other", "an image of that name, but of other code, is not taken");

    let failed = vm.start(&Ccid::new("bad", "1.0"), run("echo one; echo two; exit 3")).await;
    let text = failed.map_err(|error| error.to_string());
    let expected =
        "Failed to generate platform-specific docker build: Error returned from build: 3 \"one\ntwo\"".to_owned();
    assert_eq!(text, Err(expected));
    let missing = vm.start(&Ccid::new("none", "1.0"), StartContainer { code: None, ..request("exit 0") }).await;
    assert!(missing.is_err_and(|error| error.to_string().starts_with("no such image, and no code package")));
    vm.stop(&ccid, StopContainer::default()).await?;
    drop(vm);
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_given_up_leaves_nothing_and_holds_up_nobody() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let builder = builder_image(&peer).await?;
    let vm = vm(at(&peer.engine), &peer.names, peer.folder.path(), built_by(builder))?;
    peer.vm.stop(&Ccid::new("builder", "1.0"), StopContainer::default()).await?;
    let (slow, quick) = (Ccid::new("slow", "1.0"), Ccid::new("quick", "1.0"));
    let endless = StartContainer { code: Some(code("sleep 600")), ..request("exit 0") };
    for milliseconds in [1, 20, 100, 3000] {
        let given_up =
            tokio::time::timeout(Duration::from_millis(milliseconds), vm.start(&slow, endless.clone())).await;
        assert!(given_up.is_err(), "a build of ten minutes has ended");
        peer.no_container_is_left().await.with_context(|| format!("given up after {milliseconds} ms"))?;
    }
    let building = vm.start(&slow, endless);
    let other = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let done = vm.start(&quick, StartContainer { code: Some(code("exit 0")), ..request("exit 0") }).await;
        done.map_err(anyhow::Error::from)
    };
    tokio::select! {
        built = building => anyhow::bail!("a build of ten minutes has ended: {built:?}"),
        started = tokio::time::timeout(Duration::from_secs(60), other) => started??,
    }
    vm.close().await?;
    let refused = vm.start(&quick, request("exit 0")).await.map_err(|error| error.to_string());
    assert_eq!(refused, Err("the peer is going down".to_owned()));
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_of_an_earlier_run_are_removed_and_those_of_others_stay() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    // Of the same names, as two peers with the same peer.id have them.
    let other = Peer::named(peer.engine.clone(), peer.names.clone()).await?;
    let (mine, theirs) = (Ccid::new("mine", "1.0"), Ccid::new("theirs", "1.0"));
    peer.vm.start(&mine, request("sleep 600")).await?;
    other.vm.start(&theirs, request("sleep 600")).await?;

    let again = peer.again()?;
    assert_eq!(again.open().await?, 1);
    assert_eq!(again.open().await?, 1, "it is done once");
    assert_eq!(peer.containers().await?, 1, "the other's is there");

    let text = |result: Result<(), VmError>| result.map_err(|error| error.to_string());
    for refused in [
        text(peer.vm.start(&theirs, request("sleep 600")).await),
        text(peer.vm.stop(&theirs, StopContainer::default()).await),
    ] {
        assert!(refused.as_ref().is_err_and(|error| error.contains("belongs to peer")), "{refused:?}");
    }
    assert_eq!(again.close().await?, 0);
    assert_eq!(peer.containers().await?, 1, "the other's is there still");

    // Of a peer that is gone: it does not run.
    let kept = StopContainer { keep_container: true, ..StopContainer::default() };
    let _ = other.vm.stop(&theirs, kept).await;
    peer.vm.start(&theirs, request("sleep 600")).await?;
    let log = peer.vm.logs(&theirs, LogRequest { previous: true, ..last(10) }).await.map(drop);
    assert!(log.is_err(), "what it wrote is not for this peer's administrators");
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_listed_read_and_removed_with_its_image() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let (runs, ended) = (Ccid::new("runs", "1.0"), Ccid::new("ended", "1.0"));
    let before = SystemTime::now() - Duration::from_secs(2);
    peer.vm.start(&runs, request("echo one; echo two; sleep 600")).await?;
    peer.vm.start(&ended, request("exit 3")).await?;
    peer.vm.wait(&ended).await?;

    let mut listed = peer.vm.containers().await?;
    listed.sort_by(|one, other| one.ccid.cmp(&other.ccid));
    let states: Vec<_> = listed.iter().map(|listed| (listed.ccid.clone(), listed.state)).collect();
    assert_eq!(states, [(ended.clone(), ContainerState::Exited(3)), (runs.clone(), ContainerState::Running)]);
    assert!(listed.iter().all(|listed| listed.since > before), "{listed:?}");
    assert!(listed[0].memory.is_none() && listed[1].memory.is_some_and(|bytes| bytes > 0), "{listed:?}");

    let mut lines = peer.vm.logs(&runs, LogRequest { follow: true, ..last(1) }).await?;
    assert_eq!(lines.next().await.context("there is a line")??, "two");
    let all = peer.vm.logs(&runs, last(10)).await?;
    assert_eq!(all.collect::<Result<Vec<_>, _>>().await?, ["one", "two"]);
    peer.vm.stop(&runs, StopContainer::default()).await?;
    let end = lines.next().await.context("it says how it ended")??;
    assert!(end.starts_with("(it ended with exit code 137 at 20"), "{end}");
    assert!(lines.next().await.is_none(), "a log ends with its container");

    peer.vm.remove(&ended).await?;
    peer.vm.remove(&runs).await?;
    let none = peer.vm.logs(&runs, last(1)).await.map(drop);
    assert_eq!(none.map_err(|error| error.to_string()), Err("runs-1.0 not found".to_owned()));
    assert_eq!(peer.containers().await?, 0);
    for ccid in [&runs, &ended] {
        let image = peer.names.image(ccid)?;
        assert!(peer.engine.client.inspect_image(&image).await.is_err(), "{image} is there");
    }
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_chaincode_wrote_is_read_after_its_end() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let ccid = Ccid::new("mycc", "1.0");
    let read = async |request: LogRequest| -> anyhow::Result<Vec<String>> {
        let mut lines: Vec<_> = peer.vm.logs(&ccid, request).await?.collect::<Result<_, _>>().await?;
        // When is in the last one.
        if let Some(end) = lines.last_mut().filter(|line| line.starts_with("(it ended")) {
            let at = end.find(" at 20").context("it says when")?;
            end.truncate(at);
        }
        Ok(lines)
    };
    let previous = |tail| LogRequest { previous: true, ..last(tail) };
    let unknown = read(previous(10)).await.map_err(|error| error.to_string());
    assert_eq!(unknown, Err("no earlier run of chaincode mycc:1.0 is remembered".to_owned()));

    // Crashed, and not removed yet; then removed, as the peer does when the stream of a chaincode ends.
    peer.vm.start(&ccid, request("echo one; echo two; echo three; exit 7")).await?;
    peer.vm.wait(&ccid).await?;
    let crashed = ["two", "three", "(it ended with exit code 7"];
    assert_eq!(read(last(2)).await?, crashed);
    peer.vm.stop(&ccid, StopContainer::default()).await?;
    assert_eq!(peer.containers().await?, 0);
    assert_eq!(read(last(2)).await?, crashed);
    let followed = LogRequest { follow: true, ..last(2) };
    assert_eq!(read(followed).await?, crashed, "who follows what has ended does not wait");

    // Launched again.
    peer.vm.start(&ccid, request("echo again; sleep 600")).await?;
    let began = Instant::now();
    while read(last(10)).await? != ["again"] {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", read(last(10)).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read(previous(2)).await?, crashed);
    // A start replaces what runs, and keeps what it wrote.
    peer.vm.start(&ccid, request("sleep 600")).await?;
    assert_eq!(read(last(10)).await?, [""; 0]);
    assert_eq!(read(previous(10)).await?, ["again", "(it ended with exit code 137"]);

    // Bounded: the end of much is kept.
    let much = "n=0; while [ $n -lt 5000 ]; do echo a line of more than thirty-two bytes $n; n=$((n+1)); done";
    peer.vm.start(&ccid, request(much)).await?;
    peer.vm.wait(&ccid).await?;
    peer.vm.stop(&ccid, StopContainer::default()).await?;
    let kept = read(last(10_000)).await?;
    assert!(kept.len() > 1000 && kept.len() < 2000, "{}", kept.len());
    assert_eq!(kept[kept.len() - 2], "a line of more than thirty-two bytes 4999");
    peer.end().await
}

/// The last lines of a log.
fn last(tail: usize) -> LogRequest {
    LogRequest { tail, follow: false, previous: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_container_writes_is_logged_under_its_name() -> anyhow::Result<()> {
    let log = fixture::Log::install()?;
    let peer = Peer::new().await?;
    let ccid = Ccid::new("mycc", "1.0");
    peer.vm.start(&ccid, request("echo $GREETING; echo more >&2; printf end")).await?;
    peer.vm.wait(&ccid).await?;
    let container = peer.names.container(&ccid);
    let began = Instant::now();
    // The engine sends the two streams in any order.
    while !["end", "hello", "more"].into_iter().eq(log.of(&container).iter().map(String::as_str)) {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "logged: {:?}", log.of(&container));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    peer.end().await
}
