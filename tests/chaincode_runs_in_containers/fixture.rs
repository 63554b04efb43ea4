//! Peers at an engine, and what their containers run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, RemoveImageOptions};
use bytes::Bytes;
use selvedge::container::docker::{
    AttachStdout, DockerConfig, DockerMetrics, DockerVm, Endpoint, HostConfig, Names, Owner, Planner, Pull,
};
use selvedge::container::{Ccid, StartContainer, Vm};
use selvedge::platforms::{BuildPlan, CodePackage, Packaging, Platform};
use selvedge::testing::{DockerEngine, docker_engine, program_image};
use tempfile::TempDir;

pub(crate) const SHELL: &str = "/bin/sh";
const PROGRAMS: [&str; 4] = [SHELL, "/bin/cat", "/bin/mkdir", "/bin/sleep"];

/// A peer at an engine, with names and a data directory of its own.
pub(crate) struct Peer {
    pub(crate) engine: DockerEngine,
    pub(crate) vm: DockerVm,
    pub(crate) names: Names,
    pub(crate) folder: TempDir,
}

impl Peer {
    /// At the engine that tests share.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Self::at(docker_engine().await?).await
    }

    pub(crate) async fn at(engine: DockerEngine) -> anyhow::Result<Self> {
        static PEERS: AtomicU32 = AtomicU32::new(0);
        let peer_id = format!("{}-{}", std::process::id(), PEERS.fetch_add(1, Ordering::Relaxed));
        Self::named(engine, Names { network_id: "selvedge-test".into(), peer_id }).await
    }

    pub(crate) async fn named(engine: DockerEngine, names: Names) -> anyhow::Result<Self> {
        let base = program_image(&engine, Path::new(SHELL)).await?;
        let folder = tempfile::tempdir()?;
        let vm = vm(at(&engine), &names, folder.path(), shells(base)?)?;
        Ok(Self { engine, vm, names, folder })
    }

    /// Another run of the same peer.
    pub(crate) fn again(&self) -> anyhow::Result<DockerVm> {
        vm(at(&self.engine), &self.names, self.folder.path(), shells("none".into())?)
    }

    /// Its containers, those that ended among them.
    pub(crate) async fn containers(&self) -> anyhow::Result<usize> {
        let label = format!("org.selvedge.peer={}", self.names.peer_id);
        let filters = Some(HashMap::from([("label".to_owned(), vec![label])]));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        Ok(self.engine.client.list_containers(Some(options)).await?.len())
    }

    pub(crate) async fn no_container_is_left(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.containers().await? > 0 {
            anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "containers are left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ends the peer and removes its images.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.vm.close().await?;
        self.no_container_is_left().await?;
        let prefix = format!("{}-{}", self.names.network_id, self.names.peer_id);
        let images = self.engine.client.list_images(None::<ListImagesOptions>).await?;
        for tag in images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag.starts_with(&prefix)) {
            self.engine.client.remove_image(&tag, None::<RemoveImageOptions>, None).await?;
        }
        Ok(())
    }
}

pub(crate) fn at(engine: &DockerEngine) -> Endpoint {
    Endpoint::Unix(engine.endpoint.trim_start_matches("unix://").into())
}

pub(crate) fn vm(endpoint: Endpoint, names: &Names, folder: &Path, planner: Planner) -> anyhow::Result<DockerVm> {
    let config = DockerConfig {
        endpoint,
        names: names.clone(),
        owner: Owner::of_peer(folder)?,
        host: HostConfig { network_mode: Some("host".into()), ..HostConfig::default() },
        attach_stdout: AttachStdout::Yes,
        pull: Pull::Missing,
        planner,
    };
    Ok(DockerVm::new(config, DockerMetrics::default()))
}

/// Images of the shell on `base`, which need no builder.
pub(crate) fn shells(base: String) -> anyhow::Result<Planner> {
    let mut tar = tar::Builder::new(Vec::new());
    for program in PROGRAMS {
        tar.append_path_with_name(std::fs::canonicalize(program)?, program.trim_start_matches('/'))?;
    }
    let shell = Bytes::from(tar.into_inner()?);
    Ok(Arc::new(move |_: &CodePackage, _: &Ccid| {
        let packaging = Packaging::Files(shell.clone());
        Ok(BuildPlan { dockerfile: format!("FROM {base}\nADD binpackage.tar /"), packaging })
    }))
}

/// Images that `builder` builds: the path of the code is the command, and what it leaves goes to `/built`.
pub(crate) fn built_by(builder: String) -> Planner {
    Arc::new(move |code: &CodePackage, _: &Ccid| {
        let (image, command) = (builder.clone(), code.path.clone());
        let packaging = Packaging::Builder { image, command, env: vec!["WORD=built".into()] };
        Ok(BuildPlan { dockerfile: format!("FROM {builder}\nADD binpackage.tar /built"), packaging })
    })
}

pub(crate) fn code(path: &str) -> CodePackage {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "src/code", b"code\n".as_slice()).expect("memory is never full");
    let bytes = tar.into_inner().expect("memory is never full").into();
    CodePackage { platform: Platform::Rust, path: path.to_owned(), bytes }
}

pub(crate) fn request(script: &str) -> StartContainer {
    StartContainer {
        args: [SHELL, "-c", script].map(str::to_owned).to_vec(),
        env: vec!["GREETING=hello".into()],
        code: Some(code("shell")),
        ..StartContainer::default()
    }
}

/// An image in which a container can be told to run the shell: what a builder is.
pub(crate) async fn builder_image(peer: &Peer) -> anyhow::Result<String> {
    let ccid = Ccid::new("builder", "1.0");
    peer.vm.start(&ccid, request("exit 0")).await?;
    peer.vm.wait(&ccid).await?;
    Ok(peer.names.image(&ccid)?)
}
