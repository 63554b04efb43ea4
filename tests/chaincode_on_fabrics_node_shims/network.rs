//! A node with the chaincodes of a row of the matrix.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use selvedge::ledger::LedgerProvider;
use selvedge::policies::parse;
use selvedge::testing::{Client, NodeChaincode, Plugin, TestPeer, commit_unendorsed, connect_service};
use selvedge_proto::Message;
use selvedge_proto::protos::collection_config::Payload as Collection;
use selvedge_proto::protos::collection_policy_config::Payload as Members;
use selvedge_proto::protos::{
    ChaincodeData, CollectionConfig, CollectionConfigPackage, CollectionPolicyConfig, StaticCollectionConfig,
};
use tonic::transport::Endpoint;

pub(crate) const CHANNEL: &str = "mychannel";
pub(crate) const OTHER_CHANNEL: &str = "other";
/// Whom the cells call: a chaincode of the same script.
pub(crate) const CALLEE: &str = "callee";
const CALLEES_SHIM: Shim = Shim::V2_5;

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

/// Who connects to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The chaincode dials the peer.
    Dials,
    /// The peer dials the chaincode: chaincode as a service.
    Serves,
}

/// One chaincode of the matrix.
#[derive(Clone, Debug)]
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
}

/// A running node and its chaincodes.
pub(crate) struct Network {
    pub(crate) peer: Arc<TestPeer>,
    chaincodes: BTreeMap<&'static str, NodeChaincode>,
}

impl Network {
    pub(crate) async fn start(folder: &Path, cells: &[Cell], more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let settings = [&[("CHAINCODE_MODE", "dev"), ("LEDGER_STATE_STATEDATABASE", "CouchDB")], more].concat();
        let plugins = [Plugin::guest("asset", "asset")?, Plugin::guest("mischief", "mischief")?];
        let peer = TestPeer::start(folder, &plugins, &settings).await?;
        let joined = peer.join(&*peer.admin()?, &peer.genesis(OTHER_CHANNEL)?).await?;
        anyhow::ensure!(joined.status == 200, "{}", joined.message);
        peer.stop().await;
        let callee = Cell::new(CALLEE, CALLEES_SHIM, Form::Dials);
        let all = [cells, &[callee]].concat();
        define(folder, &all)?;
        let peer = TestPeer::start(folder, &plugins, &settings).await?;
        let listener = peer.node().chaincode_address().to_string();
        let starting: Vec<_> = all
            .iter()
            .map(|cell| {
                let (listener, cell) = (listener.clone(), cell.clone());
                tokio::task::spawn_blocking(move || start(&cell, &listener))
            })
            .collect();
        let mut chaincodes = BTreeMap::new();
        for (cell, started) in all.iter().zip(starting) {
            chaincodes.insert(cell.name, connected(&peer, started.await??).await?);
        }
        Ok(Self { peer: Arc::new(peer), chaincodes })
    }

    /// The process of a cell, which is no longer the network's.
    pub(crate) fn take(&mut self, cell: &Cell) -> NodeChaincode {
        self.chaincodes.remove(cell.name).expect("it runs")
    }

    /// Starts the process of a cell anew.
    pub(crate) async fn start_again(&mut self, cell: &Cell) -> anyhow::Result<()> {
        let (listener, starting) = (self.peer.node().chaincode_address().to_string(), cell.clone());
        let started = tokio::task::spawn_blocking(move || start(&starting, &listener)).await??;
        self.chaincodes.insert(cell.name, connected(&self.peer, started).await?);
        Ok(())
    }

    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        self.peer.client().await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.chaincodes);
        Arc::into_inner(self.peer).context("somebody still uses the node")?.stop().await;
        Ok(())
    }
}

/// Starts a cell's process; with the address where it is to be dialled.
fn start(cell: &Cell, listener: &str) -> anyhow::Result<(NodeChaincode, Option<String>)> {
    let id = format!("{}:1", cell.name);
    Ok(match cell.form {
        Form::Dials => (NodeChaincode::start(cell.shim.folder(), &id, listener)?, None),
        Form::Serves => {
            let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
            (NodeChaincode::serve(cell.shim.folder(), &id, &free, &[])?, Some(free))
        }
    })
}

/// Has the peer dial what is to be dialled, and waits until it has it.
async fn connected(peer: &TestPeer, started: (NodeChaincode, Option<String>)) -> anyhow::Result<NodeChaincode> {
    let (chaincode, address) = started;
    let Some(address) = address else { return Ok(chaincode) };
    let connection = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    connect_service(peer.node().support(), connection).await?;
    tokio::task::spawn_blocking(move || chaincode.registered().map(|()| chaincode)).await?
}

/// Gives the channels definitions of the cells, while the node does not run.
fn define(folder: &Path, cells: &[Cell]) -> anyhow::Result<()> {
    let provider = LedgerProvider::open(&folder.join("data/ledgers"))?;
    for channel in [CHANNEL, OTHER_CHANNEL] {
        let ledger = provider.get(channel).context("it was joined")?;
        let mut simulator = ledger.new_tx_simulator("define")?;
        for cell in cells {
            let definition = ChaincodeData {
                name: cell.name.to_owned(),
                version: "1".to_owned(),
                escc: "escc".to_owned(),
                vscc: "vscc".to_owned(),
                policy: parse("OR('SampleOrg.member')")?.encode_to_vec().into(),
                ..Default::default()
            };
            simulator.set_state("lscc", cell.name, definition.encode_to_vec().into())?;
            simulator.set_state("lscc", &format!("{}~collection", cell.name), collections()?.encode_to_vec().into())?;
        }
        commit_unendorsed(&ledger, "define", simulator.results()?.public)?;
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
