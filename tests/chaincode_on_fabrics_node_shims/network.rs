//! A node with the chaincodes of one half of the matrix: without TLS in development mode, or with TLS as it is in production.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use selvedge::container::{Ccid, VmType};
use selvedge::policies::parse;
use selvedge::testing::{
    Client, Deployment, NodeChaincode, Plugin, ProcessVm, Program, TestPeer, TlsAuthority, TlsPair, TlsPurpose,
    chaincode_package, service_package, tls_settings,
};
use selvedge_proto::Message;
use selvedge_proto::protos::collection_config::Payload as Collection;
use selvedge_proto::protos::collection_policy_config::Payload as Members;
use selvedge_proto::protos::{
    CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig, StaticCollectionConfig, TxValidationCode,
};
use serde_json::json;

pub(crate) const CHANNEL: &str = "mychannel";
pub(crate) const OTHER_CHANNEL: &str = "other";
/// Whom the cells call: a chaincode of the same script.
pub(crate) const CALLEE: &str = "callee";

const INDEX: (&str, &str) = (
    "META-INF/statedb/couchdb/indexes/bySize.json",
    r#"{"index":{"fields":["owner","size"]},"ddoc":"bySizeDoc","name":"bySize"}"#,
);

/// Which release of Fabric's shim for Node.js.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shim {
    V2_5,
    V2_2,
}

impl Shim {
    fn folder(self) -> &'static str {
        match self {
            Self::V2_5 => "matrix/shim-2.5",
            Self::V2_2 => "matrix/shim-2.2",
        }
    }
}

/// Who starts the chaincode, and who connects to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Somebody starts it, and it dials the peer: development mode.
    ByHand,
    /// The peer launches it, and it dials the peer.
    Launched,
    /// Somebody starts it, and the peer dials it: chaincode as a service.
    Service,
}

/// What the streams of a network go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// One chaincode of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// The chaincode's name.
    pub(crate) name: &'static str,
    pub(crate) shim: Shim,
    pub(crate) form: Form,
}

impl Cell {
    pub(crate) const fn new(name: &'static str, shim: Shim, form: Form) -> Self {
        Self { name, shim, form }
    }

    fn ccid(&self) -> Ccid {
        Ccid::new(self.name, "1")
    }
}

/// A running node and its chaincodes.
pub(crate) struct Network {
    pub(crate) peer: Arc<TestPeer>,
    folder: PathBuf,
    transport: Transport,
    launched: Arc<ProcessVm>,
    by_hand: BTreeMap<&'static str, NodeChaincode>,
    addresses: BTreeMap<&'static str, String>,
}

impl Network {
    /// Starts the node, the cells and their callee, and deploys them on two channels.
    pub(crate) async fn start(
        folder: &Path,
        transport: Transport,
        cells: &[Cell],
        more: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        // A chaincode that dials with TLS needs a certificate of the node's, so the node launches it.
        let form = if transport == Transport::Tls { Form::Launched } else { Form::ByHand };
        let all = [cells, &[Cell::new(CALLEE, Shim::V2_5, form)]].concat();
        let mut settings: Vec<_> =
            [("LEDGER_STATE_STATEDATABASE", "CouchDB"), ("CHAINCODE_CCAAS_REDIAL_MINDELAY", "20ms")]
                .into_iter()
                .chain(more.iter().copied())
                .map(|(name, value)| (name, value.to_owned()))
                .collect();
        match transport {
            Transport::Plain => settings.push(("CHAINCODE_MODE", "dev".to_owned())),
            Transport::Tls => settings.extend(tls_settings(folder)?),
        }
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let plugins = [Plugin::guest("asset", "asset")?, Plugin::guest("mischief", "mischief")?];
        let programs = all.iter().map(|cell| (cell.name, Program::Node(cell.shim.folder().to_owned())));
        let launched = Arc::new(ProcessVm::new(&folder.join("launched"), programs));
        let vms = vec![(VmType::Docker, Arc::clone(&launched) as _)];
        let peer = Arc::new(TestPeer::start_with(folder, &plugins, &settings, vms).await?);
        let joined = peer.join(&*peer.admin()?, &peer.genesis(OTHER_CHANNEL)?).await?;
        ensure!(joined.status == 200, "{}", joined.message);
        let mut network = Self {
            peer,
            folder: folder.to_owned(),
            transport,
            launched,
            by_hand: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        for cell in all.iter().filter(|cell| cell.form == Form::Service) {
            let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
            network.addresses.insert(cell.name, free);
        }
        let tls = network.service_tls()?;
        network.run(&all, &tls).await?;
        let deploying: Vec<_> = all
            .into_iter()
            .map(|cell| tokio::spawn(deploy(Arc::clone(&network.peer), cell, network.package(&cell, &tls))))
            .collect();
        for deployed in deploying {
            deployed.await??;
        }
        Ok(network)
    }

    /// Starts the processes that the node does not launch, all at once.
    async fn run(&mut self, cells: &[Cell], tls: &ServiceTls) -> anyhow::Result<()> {
        let starting: Vec<_> = cells
            .iter()
            .filter(|cell| cell.form != Form::Launched)
            .map(|cell| {
                let (cell, peer) = (*cell, self.peer.node().chaincode_address().to_string());
                let (address, files) = (self.addresses.get(cell.name).cloned(), tls.files(&cell));
                let started = tokio::task::spawn_blocking(move || {
                    let (folder, id) = (cell.shim.folder(), cell.ccid().to_string());
                    match address {
                        None => NodeChaincode::dial(folder, &id, &peer, &[]),
                        Some(address) => NodeChaincode::serve(folder, &id, &address, &[("CHAINCODE_TLS", &files)]),
                    }
                });
                (cell.name, started)
            })
            .collect();
        for (name, started) in starting {
            self.by_hand.insert(name, started.await??);
        }
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, cell: &Cell) -> anyhow::Result<()> {
        match self.by_hand.get_mut(cell.name) {
            Some(process) => process.kill(),
            None => self.launched.kill(&cell.ccid()),
        }
    }

    /// Starts a process anew that was killed and that the node does not launch.
    pub(crate) async fn start_again(&mut self, cell: &Cell) -> anyhow::Result<()> {
        let killed = self.by_hand.remove(cell.name);
        tokio::task::spawn_blocking(|| drop(killed)).await?;
        let tls = self.service_tls()?;
        self.run(&[*cell], &tls).await
    }

    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        self.peer.client().await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.by_hand);
        Arc::into_inner(self.peer).context("somebody still uses the node")?.stop().await;
        Ok(())
    }

    fn service_tls(&self) -> anyhow::Result<ServiceTls> {
        if self.transport == Transport::Plain {
            return Ok(ServiceTls(None));
        }
        let authority = TlsAuthority::new(&self.folder, "services")?;
        let service = authority.issue("service", &["127.0.0.1"], TlsPurpose::Server)?;
        let client = authority.issue("client", &["client"], TlsPurpose::Both)?;
        Ok(ServiceTls(Some((authority, service, client))))
    }

    fn package(&self, cell: &Cell, tls: &ServiceTls) -> anyhow::Result<Bytes> {
        Ok(match self.addresses.get(cell.name) {
            None => chaincode_package(cell.name, "1", &[("src/package.json", "{}"), INDEX])?,
            Some(address) => service_package(cell.name, "1", &tls.connection(cell, address)?, &[INDEX])?,
        })
    }
}

/// Who vouches for services, their certificate, and that of their client.
struct ServiceTls(Option<(TlsAuthority, TlsPair, TlsPair)>);

impl ServiceTls {
    /// Whether a service asks its client for a certificate.
    fn asks(cell: &Cell) -> bool {
        cell.shim == Shim::V2_5
    }

    /// What the script takes as CHAINCODE_TLS.
    fn files(&self, cell: &Cell) -> String {
        let Some((authority, service, _)) = &self.0 else { return String::new() };
        let clients = if Self::asks(cell) { authority.certificate.display().to_string() } else { String::new() };
        format!("{},{},{clients}", service.key.display(), service.certificate.display())
    }

    /// The connection.json.
    fn connection(&self, cell: &Cell, address: &str) -> anyhow::Result<String> {
        let Some((authority, _, client)) = &self.0 else {
            return Ok(json!({"address": address, "dial_timeout": "30s"}).to_string());
        };
        let (key, certificate) = match Self::asks(cell) {
            true => (std::fs::read_to_string(&client.key)?, std::fs::read_to_string(&client.certificate)?),
            false => Default::default(),
        };
        let root = std::fs::read_to_string(&authority.certificate)?;
        Ok(json!({
            "address": address,
            "dial_timeout": "30s",
            "tls_required": true,
            "client_auth_required": Self::asks(cell),
            "client_key": key,
            "client_cert": certificate,
            "root_cert": root,
        })
        .to_string())
    }
}

/// Installs a cell's package and instantiates it on both channels.
async fn deploy(peer: Arc<TestPeer>, cell: Cell, package: anyhow::Result<Bytes>) -> anyhow::Result<()> {
    let installed = peer.install(&package?).await?;
    ensure!(installed.status == 200, "{}: {}", cell.name, installed.message);
    let collections = Bytes::from(collections()?.encode_to_vec());
    for channel in [CHANNEL, OTHER_CHANNEL] {
        let deployment =
            Deployment { channel, collections: Some(collections.clone()), ..Deployment::new(cell.name, "1") };
        if channel == OTHER_CHANNEL {
            let failing = peer.instantiate(&Deployment { init: &["error", "no"], ..deployment.clone() }).await;
            match (cell.shim, failing) {
                // It is no ERROR, and Fabric 1.4 looks no further into what an Init answers.
                (Shim::V2_5, Ok(TxValidationCode::Valid)) => continue,
                (Shim::V2_2, Err(refusal))
                    if refusal.to_string().ends_with("msg transaction returned with failure: no") => {}
                (_, other) => bail!("{}: an Init that fails comes to {other:?}", cell.name),
            }
        }
        let code = peer.instantiate(&Deployment { init: &["privateInInit", "ours"], ..deployment }).await?;
        ensure!(code == TxValidationCode::Valid, "{}: {code:?}", cell.name);
    }
    Ok(())
}

/// One collection of ours, and one of an organisation that is not on the channel.
fn collections() -> anyhow::Result<CollectionConfigPackage> {
    let collection = |name: &str, members: &str| {
        let policy = CollectionPolicyConfig { payload: Some(Members::SignaturePolicy(parse(members)?)) };
        let collection = StaticCollectionConfig {
            name: name.to_owned(),
            member_orgs_policy: Some(policy),
            member_only_read: true,
            maximum_peer_count: 1,
            ..Default::default()
        };
        Ok(CollectionConfig { payload: Some(Collection::StaticCollectionConfig(collection)) })
    };
    let config: anyhow::Result<_> =
        [collection("ours", "OR('SampleOrg.member')"), collection("theirs", "OR('OtherOrg.member')")]
            .into_iter()
            .collect();
    Ok(CollectionConfigPackage { config: config? })
}
