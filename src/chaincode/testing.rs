//! A peer for unit tests: two channels with real ledgers, chaincode played by the test, and rules that the test sets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{
    ChaincodeData, ChaincodeId, ChaincodeInput, ChaincodeMessage, Proposal, Response, SignedProposal,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::message::{self, Type};
use super::*;
use crate::container::{
    Budget, Ccid, ChaincodeStream, EndStream, PeerEnd, Pending, StreamAcceptor, StreamError, VmController, VmType,
};
use crate::ledger::{LedgerProvider, SharedSimulator, block};
use crate::platforms::CodePackage;
use crate::testing::commit_unendorsed;

pub(crate) const CHANNEL: &str = "ch";
pub(crate) const OTHER_CHANNEL: &str = "other";

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct TestPeer {
    pub(crate) support: ChaincodeSupport,
    pub(crate) rules: Arc<Rules>,
    pub(crate) ledgers: Arc<LedgerProvider>,
    _dir: TempDir,
}

/// What the test makes of the rest of the peer. `scc` and `hidden` are system chaincodes; only the first may be called.
/// There is no chaincode `missing`,
/// `foreign` has another instantiation policy than its package, and whoever looks for `broken`, chaincode or collection, panics.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) capabilities: Mutex<Option<ApplicationCapabilities>>,
    pub(crate) denied_channels: Mutex<BTreeSet<String>>,
    pub(crate) refused_access: Mutex<Option<Access>>,
}

impl SystemChaincodes for Rules {
    fn is_sys_cc(&self, name: &str) -> bool {
        matches!(name, "scc" | "hidden")
    }

    fn is_sys_cc_and_not_invokable_external(&self, _: &str) -> bool {
        false
    }

    fn is_sys_cc_and_not_invokable_cc2cc(&self, name: &str) -> bool {
        name == "hidden"
    }

    fn version(&self) -> &str {
        "1.0"
    }
}

#[async_trait]
impl Definitions for Rules {
    async fn container_info(&self, name: &str, _: Option<&SharedSimulator>) -> Result<ContainerInfo, DefinitionError> {
        match name {
            "missing" => Err(DefinitionError::NotFound(name.into())),
            "broken" => panic!("a broken definition"),
            _ => Ok(ContainerInfo { ccid: Ccid::new(name, "1.0"), vm: VmType::System, code: CodeSource::System }),
        }
    }

    async fn definition(&self, name: &str, _: Option<&SharedSimulator>) -> Result<ChaincodeData, DefinitionError> {
        let Ccid { name, version } = Definitions::container_info(self, name, None).await?.ccid;
        Ok(ChaincodeData { name, version, ..ChaincodeData::default() })
    }

    async fn check_instantiation_policy(&self, name: &str, _: &ChaincodeData) -> Result<(), DefinitionError> {
        match name {
            "foreign" => Err(DefinitionError::PolicyMismatch("foreign/1.0".into())),
            _ => Ok(()),
        }
    }

    async fn installed(&self, ccid: &Ccid) -> Result<ContainerInfo, String> {
        Err(format!("chaincode {ccid} is not installed"))
    }
}

impl AccessControl for Rules {
    fn check(&self, resource: &str, channel: &str, _: &SignedProposal) -> Result<(), Denied> {
        match self.denied_channels.lock().unwrap().contains(channel) {
            true => Err(Denied(format!("{resource} denied on {channel}"))),
            false => Ok(()),
        }
    }
}

impl ApplicationConfig for Rules {
    fn capabilities(&self, _: &str) -> Option<ApplicationCapabilities> {
        *self.capabilities.lock().unwrap()
    }
}

impl Collections for Rules {
    fn permission(
        &self,
        access: Access,
        _: &str,
        _: &str,
        collection: &str,
        _: Option<&SignedProposal>,
        _: &SharedSimulator,
    ) -> Result<Permission, Denied> {
        assert_ne!(collection, "broken");
        let refused = *self.refused_access.lock().unwrap() == Some(access);
        Ok(if refused { Permission::Refused } else { Permission::Granted })
    }
}

#[async_trait]
impl Packages for Rules {
    async fn code_package(&self, ccid: &Ccid) -> Result<CodePackage, String> {
        Err(format!("chaincode {ccid} is not installed"))
    }
}

impl TestPeer {
    /// A peer in development mode, where chaincode registers by itself.
    pub(crate) fn new() -> Self {
        Self::with(ChaincodeConfig { mode: ChaincodeMode::Dev, ..ChaincodeConfig::default() }, VmController::default())
    }

    pub(crate) fn with(config: ChaincodeConfig, controller: VmController) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledgers = Arc::new(LedgerProvider::open(dir.path()).unwrap());
        for channel in [CHANNEL, OTHER_CHANNEL] {
            ledgers.create(channel, &block::new_block(0, Bytes::new(), vec![])).unwrap();
        }
        let rules = Arc::new(Rules::default());
        let environment = Environment {
            ledgers: Arc::clone(&ledgers) as Arc<dyn Ledgers>,
            definitions: Arc::clone(&rules) as Arc<dyn Definitions>,
            system_chaincodes: Arc::clone(&rules) as Arc<dyn SystemChaincodes>,
            access: Arc::clone(&rules) as Arc<dyn AccessControl>,
            application: Arc::clone(&rules) as Arc<dyn ApplicationConfig>,
            collections: Arc::clone(&rules) as Arc<dyn Collections>,
            packages: Arc::clone(&rules) as Arc<dyn Packages>,
            authenticator: None,
        };
        let support = ChaincodeSupport::new(config, Arc::new(controller), environment, Arc::default());
        Self { support, rules, ledgers, _dir: dir }
    }

    /// Commits rows to a namespace of [`CHANNEL`].
    pub(crate) fn put(&self, namespace: &str, rows: impl IntoIterator<Item = (String, String)>) {
        let ledger = self.ledgers.get(CHANNEL).unwrap();
        let txid = format!("put{}", ledger.height().unwrap());
        let mut simulator = ledger.new_tx_simulator(&txid).unwrap();
        for (key, value) in rows {
            simulator.set_state(namespace, &key, value.into()).unwrap();
        }
        commit_unendorsed(&ledger, &txid, simulator.results().unwrap().public).unwrap();
    }

    /// A transaction on a channel of this peer, with a proposal.
    pub(crate) fn params(&self, txid: &str, channel: &str) -> TransactionParams {
        let ledger = self.ledgers.get(channel).unwrap();
        TransactionParams {
            txid: txid.into(),
            channel_id: channel.into(),
            signed_proposal: Some(Arc::new(SignedProposal { proposal_bytes: "p".into(), signature: "s".into() })),
            proposal: Some(Arc::new(Proposal::default())),
            simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(txid).unwrap()))),
            history: Some(Arc::new(ledger.new_history_query_executor().unwrap())),
            budget: None,
        }
    }

    /// A stream that just opened.
    pub(crate) fn stream(&self) -> TestChaincode {
        let (sender, sent) = mpsc::unbounded_channel();
        let peer = self.support.accept(Arc::new(RecordedStream { sender }));
        TestChaincode { peer, sent }
    }

    /// A chaincode that has registered.
    pub(crate) async fn chaincode(&self, id: &str) -> TestChaincode {
        let mut chaincode = self.stream();
        chaincode.register(id).unwrap();
        for expected in [Type::Registered, Type::Ready] {
            assert_eq!(chaincode.next().await.r#type(), expected);
        }
        chaincode
    }

    /// Has a chaincode execute a transaction, beside the test that plays it.
    pub(crate) fn execute(&self, params: TransactionParams, name: &str) -> JoinHandle<Result<Executed, ExecuteError>> {
        let (support, ccid) = (self.support.clone(), Ccid::new(name, "1.0"));
        tokio::spawn(async move { support.execute(&params, &ccid, ChaincodeInput::default()).await })
    }

    pub(crate) fn execute_init(
        &self,
        params: TransactionParams,
        name: &str,
    ) -> JoinHandle<Result<Executed, ExecuteError>> {
        let info = ContainerInfo { ccid: Ccid::new(name, "1.0"), vm: VmType::System, code: CodeSource::System };
        let support = self.support.clone();
        tokio::spawn(async move { support.execute_init(&params, &info, ChaincodeInput::default()).await })
    }
}

/// The chaincode's end of a stream, played by a test.
pub(crate) struct TestChaincode {
    pub(crate) peer: Arc<dyn PeerEnd>,
    sent: mpsc::UnboundedReceiver<(ChaincodeMessage, Option<Budget>)>,
}

struct RecordedStream {
    sender: mpsc::UnboundedSender<(ChaincodeMessage, Option<Budget>)>,
}

impl ChaincodeStream for RecordedStream {
    fn send(&self, message: ChaincodeMessage) -> Result<(), StreamError> {
        self.sender.send((message, None)).map_err(|_| StreamError("the chaincode is gone".into()))
    }

    fn execute(&self, message: ChaincodeMessage, budget: Budget) -> Result<Option<Pending>, StreamError> {
        let sent = self.sender.send((message, Some(budget)));
        sent.map(|()| None).map_err(|_| StreamError("the chaincode is gone".into()))
    }
}

impl TestChaincode {
    pub(crate) fn register(&self, id: &str) -> Result<(), EndStream> {
        let id = ChaincodeId { name: id.into(), ..ChaincodeId::default() };
        self.peer.receive(message::bare(Type::Register, id.encode_to_vec().into())).map(|_| ())
    }

    /// What the peer sends next.
    pub(crate) async fn next(&mut self) -> ChaincodeMessage {
        self.next_with_budget().await.0
    }

    pub(crate) async fn next_with_budget(&mut self) -> (ChaincodeMessage, Option<Budget>) {
        let next = tokio::time::timeout(PATIENCE, self.sent.recv()).await;
        next.expect("the peer sends a message in time").expect("the peer holds the stream")
    }

    /// Nothing was sent that the test has not seen.
    pub(crate) fn assert_silent(&mut self) {
        assert!(self.sent.try_recv().is_err());
    }

    /// Gives the peer a message about the transaction of another one.
    pub(crate) fn tell(&self, about: &ChaincodeMessage, kind: Type, payload: impl Into<Bytes>) {
        assert!(self.peer.receive(like(about, kind, payload)).unwrap().is_none());
    }

    /// Sends a request and returns the answer: `Ok` of a RESPONSE's payload or `Err` of an ERROR's.
    pub(crate) async fn ask(
        &mut self,
        about: &ChaincodeMessage,
        kind: Type,
        request: &impl Message,
    ) -> Result<Bytes, String> {
        self.ask_raw(about, kind, request.encode_to_vec()).await
    }

    pub(crate) async fn ask_raw(
        &mut self,
        about: &ChaincodeMessage,
        kind: Type,
        payload: impl Into<Bytes>,
    ) -> Result<Bytes, String> {
        let work = self.peer.receive(like(about, kind, payload)).unwrap();
        // It has its answer already, or is work.
        if let Some(work) = work {
            work.await;
        }
        let answer = self.next().await;
        assert_eq!((&answer.txid, &answer.channel_id), (&about.txid, &about.channel_id));
        match answer.r#type() {
            Type::Response => Ok(answer.payload),
            Type::Error => Err(String::from_utf8(answer.payload.into()).unwrap()),
            other => panic!("{other:?} answers a request"),
        }
    }

    /// Answers a transaction with status 200 and this payload.
    pub(crate) fn complete(&self, about: &ChaincodeMessage, payload: &str) {
        let response = Response { status: 200, message: String::new(), payload: payload.to_owned().into() };
        self.tell(about, Type::Completed, response.encode_to_vec());
    }
}

pub(crate) fn like(about: &ChaincodeMessage, kind: Type, payload: impl Into<Bytes>) -> ChaincodeMessage {
    message::for_transaction(kind, payload.into(), about.txid.clone(), about.channel_id.clone())
}

/// The outcome of an execution, as text: the response's payload, or the error.
pub(crate) async fn outcome(execution: JoinHandle<Result<Executed, ExecuteError>>) -> Result<String, String> {
    let executed = tokio::time::timeout(PATIENCE, execution).await.expect("the execution ends in time").unwrap();
    match executed {
        Ok(executed) => Ok(String::from_utf8(executed.response.payload.into()).unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

/// Fabric's settings of key-level features, by name.
pub(crate) fn capabilities(key_level_endorsement: bool, purge_private_data: bool) -> Option<ApplicationCapabilities> {
    Some(ApplicationCapabilities { key_level_endorsement, purge_private_data })
}
