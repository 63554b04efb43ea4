//! Peers at an engine, and what their containers run.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, RemoveImageOptions};
use bytes::Bytes;
use selvedge::container::docker::{
    AttachStdout, DockerConfig, DockerMetrics, DockerVm, Endpoint, HostConfig, Names, Owner, Planner, Pull,
};
use selvedge::container::{Ccid, StartContainer, Vm};
use selvedge::platforms::{BuildPlan, CodePackage, Packaging, Platform};
use selvedge::testing::{DockerEngine, docker_engine};
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{self, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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
        let folder = tempfile::tempdir()?;
        let vm = vm(at(&engine), &names, folder.path(), shells()?)?;
        Ok(Self { engine, vm, names, folder })
    }

    /// Another run of the same peer.
    pub(crate) fn again(&self) -> anyhow::Result<DockerVm> {
        vm(at(&self.engine), &self.names, self.folder.path(), shells()?)
    }

    /// Its containers, those that ended among them.
    pub(crate) async fn containers(&self) -> anyhow::Result<usize> {
        self.containers_with(None).await
    }

    async fn containers_with(&self, label: Option<&str>) -> anyhow::Result<usize> {
        let ours = format!("org.selvedge.peer={}", self.names.peer_id);
        let labels = std::iter::once(ours).chain(label.map(str::to_owned)).collect();
        let filters = Some(HashMap::from([("label".to_owned(), labels)]));
        let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
        Ok(self.engine.client.list_containers(Some(options)).await?.len())
    }

    pub(crate) async fn no_container_is_left(&self) -> anyhow::Result<()> {
        self.none_is_left(None).await
    }

    pub(crate) async fn no_builder_is_left(&self) -> anyhow::Result<()> {
        self.none_is_left(Some("org.selvedge.role=builder")).await
    }

    async fn none_is_left(&self, label: Option<&str>) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.containers_with(label).await? > 0 {
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
    let host = HostConfig { network_mode: Some("host".into()), ..HostConfig::default() };
    vm_with(endpoint, names, folder, planner, host)
}

pub(crate) fn vm_with(
    endpoint: Endpoint,
    names: &Names,
    folder: &Path,
    planner: Planner,
    host: HostConfig,
) -> anyhow::Result<DockerVm> {
    let config = DockerConfig {
        endpoint,
        names: names.clone(),
        owner: Owner::of_peer(folder)?,
        host,
        attach_stdout: AttachStdout::Yes,
        pull: Pull::Missing,
        planner,
    };
    Ok(DockerVm::new(config, DockerMetrics::default()))
}

/// Images of nothing but the shell, which need no builder.
pub(crate) fn shells() -> anyhow::Result<Planner> {
    let mut tar = tar::Builder::new(Vec::new());
    let listed = Command::new("ldd").args(PROGRAMS).output().context("cannot run ldd")?;
    let listed = String::from_utf8(listed.stdout)?;
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)`, and what loads it without an arrow.
    let libraries: BTreeSet<_> = listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
    let libraries = libraries.into_iter().filter(|path| !path.ends_with(':'));
    for file in libraries.chain(PROGRAMS) {
        tar.append_path_with_name(std::fs::canonicalize(file)?, file.trim_start_matches('/'))?;
    }
    let shell = Bytes::from(tar.into_inner()?);
    Ok(Arc::new(move |_: &CodePackage, _: &Ccid| {
        let packaging = Packaging::Files(shell.clone());
        Ok(BuildPlan { dockerfile: "FROM scratch\nADD binpackage.tar /".to_owned(), packaging })
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

/// What the containers of this process write to the log, sorted.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(String, String)>>>);

impl Log {
    pub(crate) fn install() -> anyhow::Result<Self> {
        let log = Self::default();
        tracing_subscriber::registry().with(log.clone()).try_init()?;
        Ok(log)
    }

    pub(crate) fn of(&self, container: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<_> =
            lines.iter().filter(|(name, _)| name == container).map(|(_, line)| line.clone()).collect();
        lines.sort();
        lines
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        #[derive(Default)]
        struct Fields(HashMap<&'static str, String>);
        impl Visit for Fields {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name(), value.to_owned());
            }
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0.insert(field.name(), format!("{value:?}"));
            }
        }
        if event.metadata().target() == "peer::chaincode" && *event.metadata().level() == Level::INFO {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let mut field = |name| fields.0.remove(name).unwrap_or_default();
            let line = (field("container"), field("message"));
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}
