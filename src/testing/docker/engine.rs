//! The engine that tests share.

use anyhow::{Context, anyhow, bail};
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, EventsOptions, InspectContainerOptions, KillContainerOptions, ListContainersOptions,
    ListImagesOptions, RemoveContainerOptions, RemoveImageOptions,
};
use tokio_stream::StreamExt;

use crate::testing::Boxed;

/// Where the engine is, or, as a sentence, why there is none: `cargo xtask test` says so.
const VARIABLE: &str = "SELVEDGE_TEST_DOCKER";
const USUAL: &str = "unix:///var/run/docker.sock";
/// Of one request, in seconds: an image of a hundred megabytes goes through the engine's disk.
const TIMEOUT: u64 = 120;

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    /// For `vm.endpoint`.
    pub endpoint: String,
    /// A client. Its requests name no version of the API, and the engine answers in its newest.
    pub client: Docker,
}

/// The engine for tests: the one that `cargo xtask test` has found or started, or else that of `DOCKER_HOST`, or the
/// machine's.
///
/// # Errors
/// Where there is none; the text says what to do.
pub fn docker_engine() -> Boxed<'static, anyhow::Result<DockerEngine>> {
    Box::pin(async {
        let named = std::env::var(VARIABLE).or_else(|_| std::env::var("DOCKER_HOST"));
        let endpoint = named.unwrap_or_else(|_| USUAL.to_owned());
        // A sentence has addresses in it, too.
        if endpoint.contains(' ') {
            bail!("this test needs a Docker engine: {endpoint}");
        }
        DockerEngine::connect(&endpoint).await.with_context(|| {
            format!("this test needs a Docker engine, and none answers at {endpoint}; `cargo xtask engine` starts one")
        })
    })
}

impl DockerEngine {
    /// The engine at a `unix://` address. It has to be on this machine: chaincode in its containers dials a peer on the
    /// loopback interface.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn connect(endpoint: &str) -> Boxed<'_, anyhow::Result<Self>> {
        Box::pin(async move {
            let path = endpoint.strip_prefix("unix://").ok_or_else(|| anyhow!("it has no unix:// address"))?;
            let client = Docker::connect_with_unix(path, TIMEOUT, bollard::API_DEFAULT_VERSION)?;
            client.ping().await?;
            Ok(Self { endpoint: endpoint.to_owned(), client })
        })
    }

    /// All containers, by name.
    ///
    /// # Errors
    /// The engine's.
    pub fn containers(&self) -> Boxed<'_, anyhow::Result<Vec<Listed>>> {
        Box::pin(async move {
            let all = Some(ListContainersOptions { all: true, ..ListContainersOptions::default() });
            let summaries = self.client.list_containers(all).await?.into_iter();
            let mut listed: Vec<_> = summaries
                .map(|summary| Listed {
                    id: summary.id.unwrap_or_default(),
                    name: summary.names.unwrap_or_default().concat().trim_start_matches('/').to_owned(),
                    running: summary.status.is_some_and(|status| status.starts_with("Up")),
                })
                .collect();
            listed.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(listed)
        })
    }

    /// Creates a container of that name which no peer has made; its id. It does not run.
    ///
    /// # Errors
    /// The engine's.
    pub fn foreign_container<'a>(&'a self, name: &'a str) -> Boxed<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let image = super::node_image(self).await?;
            let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
            let cmd = Some(vec!["/bin/true".to_owned()]);
            let body = ContainerCreateBody { image: Some(image), cmd, ..ContainerCreateBody::default() };
            Ok(self.client.create_container(Some(options), body).await?.id)
        })
    }

    /// SIGKILL for what a container runs.
    ///
    /// # Errors
    /// The engine's.
    pub fn kill_container<'a>(&'a self, id: &'a str) -> Boxed<'a, anyhow::Result<()>> {
        Box::pin(async move { Ok(self.client.kill_container(id, None::<KillContainerOptions>).await?) })
    }

    /// The environment variables that a container was made with, each as `NAME=value`.
    ///
    /// # Errors
    /// The engine's.
    pub fn variables<'a>(&'a self, id: &'a str) -> Boxed<'a, anyhow::Result<Vec<String>>> {
        Box::pin(async move {
            let inspected = self.client.inspect_container(id, None::<InspectContainerOptions>).await?;
            Ok(inspected.config.and_then(|config| config.env).unwrap_or_default())
        })
    }

    /// How many containers it has made in a time, from one second to another, both since 1970.
    ///
    /// # Errors
    /// The engine's.
    pub fn containers_made(&self, since: u64, until: u64) -> Boxed<'_, anyhow::Result<usize>> {
        Box::pin(async move {
            let filters = [("type", "container"), ("event", "create")];
            let filters = filters.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).into();
            let (since, until) = (Some(since.to_string()), Some(until.to_string()));
            let mut made = self.client.events(Some(EventsOptions { since, until, filters: Some(filters) }));
            let mut count = 0;
            while let Some(event) = made.next().await {
                event?;
                count += 1;
            }
            Ok(count)
        })
    }

    /// How many images it has, those without a name among them.
    ///
    /// # Errors
    /// The engine's.
    pub fn image_count(&self) -> Boxed<'_, anyhow::Result<usize>> {
        let all = Some(ListImagesOptions { all: true, ..ListImagesOptions::default() });
        Box::pin(async move { Ok(self.client.list_images(all).await?.len()) })
    }

    /// The name of what keeps its layers.
    ///
    /// # Errors
    /// The engine's.
    pub fn storage_driver(&self) -> Boxed<'_, anyhow::Result<String>> {
        Box::pin(async move { Ok(self.client.info().await?.driver.unwrap_or_default()) })
    }

    /// Removes a container, running or not.
    ///
    /// # Errors
    /// The engine's.
    pub fn remove_container<'a>(&'a self, id: &'a str) -> Boxed<'a, anyhow::Result<()>> {
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        Box::pin(async move { Ok(self.client.remove_container(id, Some(options)).await?) })
    }

    /// Removes the images whose names begin so. They hold what a test has made, and nobody asks for it again.
    ///
    /// # Errors
    /// The engine's, of one that is in use.
    pub fn remove_images<'a>(&'a self, prefix: &'a str) -> Boxed<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let images = self.client.list_images(None::<ListImagesOptions>).await?;
            for tag in images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag.starts_with(prefix)) {
                self.client.remove_image(&tag, None::<RemoveImageOptions>, None).await?;
            }
            Ok(())
        })
    }
}

/// A container, as the engine's list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The engine's name for it.
    pub id: String,
    /// Ours.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
}
