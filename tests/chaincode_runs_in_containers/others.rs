//! What is not this peer's to touch.

use anyhow::Context;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptions, StartContainerOptions, TagImageOptions,
};
use selvedge::container::{Ccid, LogRequest, StartContainer, StopContainer, Vm, VmError};
use tokio_stream::StreamExt;

use crate::fixture::{Peer, SHELL, at, builder_image, built_by, code, request, vm};

fn refusal(result: Result<(), VmError>) -> anyhow::Result<String> {
    Ok(result.err().context("it should be refused")?.to_string())
}

impl Peer {
    /// The id of what runs under a name.
    async fn running(&self, name: &str) -> anyhow::Result<String> {
        let found = self.engine.client.inspect_container(name, None::<InspectContainerOptions>).await?;
        anyhow::ensure!(found.state.and_then(|state| state.running) == Some(true), "{name} does not run");
        found.id.context("a container has an id")
    }

    /// What a chaincode wrote; none where there is nothing of it.
    async fn lines(&self, ccid: &Ccid) -> anyhow::Result<Option<Vec<String>>> {
        match self.vm.logs(ccid, LogRequest { tail: 100, follow: false, previous: false }).await {
            Ok(lines) => Ok(Some(lines.collect::<Result<_, _>>().await?)),
            Err(VmError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_runs_under_our_name_is_never_touched() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let image = builder_image(&peer).await?;
    let ccid = Ccid::new("mycc", "1.0");
    let name = peer.names.container(&ccid);
    // Without labels, as `docker run --name` makes it.
    let cmd = [SHELL, "-c", "sleep 600"].map(str::to_owned).to_vec();
    let body = ContainerCreateBody { image: Some(image), cmd: Some(cmd), ..ContainerCreateBody::default() };
    let options = CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() };
    let theirs = peer.engine.client.create_container(Some(options), body).await?.id;
    peer.engine.client.start_container(&theirs, None::<StartContainerOptions>).await?;

    let tried = async {
        for refused in [
            refusal(peer.vm.start(&ccid, request("exit 0")).await)?,
            refusal(peer.vm.stop(&ccid, StopContainer::default()).await)?,
            refusal(peer.vm.remove(&ccid).await)?,
        ] {
            let expected = format!("container {name} runs and belongs to peer (not said) of network (not said)");
            anyhow::ensure!(refused.starts_with(&expected), "{refused}");
        }
        anyhow::ensure!(peer.running(&name).await? == theirs);
        anyhow::ensure!(peer.lines(&ccid).await?.is_none(), "what it writes is not for our administrators");
        anyhow::ensure!(peer.vm.last_output(&ccid).await.is_empty());
        // One that has ended stands in the way and is nobody's need.
        peer.engine.client.kill_container(&theirs, None::<KillContainerOptions>).await?;
        peer.vm.start(&ccid, request("sleep 600")).await?;
        anyhow::ensure!(peer.running(&name).await? != theirs);
        Ok(())
    };
    let tried = tried.await;
    let _ = peer.engine.remove_container(&theirs).await;
    tried?;
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_chaincodes_of_one_container_name_do_not_end_each_other() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let (one, other) = (Ccid::new("a-b", "1"), Ccid::new("a", "b-1"));
    let name = peer.names.container(&one);
    assert_eq!(name, peer.names.container(&other));
    peer.vm.start(&one, request("sleep 600")).await?;
    let first = peer.running(&name).await?;
    for refused in [
        refusal(peer.vm.start(&other, request("sleep 600")).await)?,
        refusal(peer.vm.stop(&other, StopContainer::default()).await)?,
        refusal(peer.vm.remove(&other).await)?,
    ] {
        assert_eq!(
            refused,
            format!(
                "container {name} runs chaincode a-b:1, which has the same container name; give one another version"
            )
        );
    }
    assert_eq!(peer.running(&name).await?, first);
    assert!(peer.lines(&one).await?.is_some());
    assert!(peer.lines(&other).await?.is_none());
    peer.vm.stop(&one, StopContainer::default()).await?;
    peer.vm.start(&other, request("sleep 600")).await?;
    assert_ne!(peer.running(&name).await?, first);
    peer.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_replaced_and_one_that_has_another_name_too_stays() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let builder = builder_image(&peer).await?;
    let vm = vm(at(&peer.engine), &peer.names, peer.folder.path(), built_by(builder))?;
    let ccid = Ccid::new("mycc", "1.0");
    let name = peer.names.image(&ccid)?;
    let images = &peer.engine.client;
    let mut built = Vec::new();
    for word in ["one", "two", "three"] {
        let command = format!("echo {word} > /chaincode/output/file");
        vm.start(&ccid, StartContainer { code: Some(code(&command)), ..request("exit 0") }).await?;
        vm.wait(&ccid).await?;
        built.push(images.inspect_image(&name).await?.id.context("an image has an id")?);
        if word == "one" {
            let repo = Some(format!("{}-{}-somebodys", peer.names.network_id, peer.names.peer_id));
            images.tag_image(&name, Some(TagImageOptions { repo, tag: Some("kept".into()) })).await?;
        }
    }
    assert!(images.inspect_image(&built[0]).await.is_ok(), "somebody has given it a name");
    assert!(images.inspect_image(&built[1]).await.is_err(), "nobody finds it any more");
    peer.end().await
}
