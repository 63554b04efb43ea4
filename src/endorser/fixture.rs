//! A channel of one development organisation with an endorser on it, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::protos::{ChaincodeEvent, ChaincodeInput, Response};
use tempfile::TempDir;

use super::{ChaincodeExecutor, EndorserParts};
use crate::chaincode::packages::PackageStore;
use crate::chaincode::{ChaincodeMode, Executed, Ledgers, Lifecycle, SystemChaincodes, TransactionParams};
use crate::channel::genesis::{OrderingSettings, development_block};
use crate::channel::{AclChecker, Authenticator, Bundle, Channels};
use crate::client::{CreatedProposal, create_chaincode_proposal};
use crate::container::Ccid;
use crate::ledger::{Ledger, LedgerProvider, TransientStore};
use crate::msp::development::{self, DevelopmentMsp};
use crate::msp::{Msp, SigningIdentity, folder};
use crate::private_data::LocalDistributor;
use crate::testing::Played;

pub(crate) const CHANNEL: &str = "mychannel";
pub(crate) const MSPID: &str = "DevMSP";

/// Everything on disk is gone when it is dropped.
pub(crate) struct Network {
    pub(crate) msp: DevelopmentMsp,
    pub(crate) user: SigningIdentity,
    pub(crate) channels: Arc<Channels>,
    pub(crate) transient: Arc<TransientStore>,
    pub(crate) packages: Arc<PackageStore>,
    pub(crate) parts: EndorserParts,
    _place: TempDir,
}

impl Network {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let msp = development::ensure(&place.path().join("msp"), MSPID).expect("an MSP");
        let organisation = folder::verifying_config(&msp.organisation, MSPID).expect("its definition");
        let ordering = OrderingSettings {
            addresses: Vec::new(),
            max_message_count: 10,
            absolute_max_bytes: 1 << 20,
            preferred_max_bytes: 1 << 19,
            batch_timeout: Duration::from_secs(2),
        };
        let genesis = development_block(CHANNEL, &organisation, &ordering).expect("a block");
        let channels = Arc::new(Channels::default());
        channels.put(Bundle::from_config_block(&genesis).expect("a configuration")).expect("supported");
        let ledgers = LedgerProvider::open(&place.path().join("ledgers")).expect("a directory of ledgers");
        ledgers.create(CHANNEL, &genesis).expect("a ledger");

        let transient = Arc::new(TransientStore::open(&place.path().join("transientStore")).expect("a store"));
        let local = Arc::new(Msp::load(&msp.peer, MSPID).expect("the peer's MSP"));
        let authenticator = Arc::new(Authenticator::new(channels.clone(), local));
        let packages = PackageStore::open(&place.path().join("chaincodes")).expect("a store");
        let packages = Arc::new(packages);
        let parts = EndorserParts {
            acl: AclChecker::new(Arc::clone(&authenticator)),
            authenticator,
            system_chaincodes: Arc::new(Sccs),
            definitions: Arc::new(Lifecycle::new(Arc::new(Sccs), Arc::clone(&packages), ChaincodeMode::Net)),
            executor: Answer::status(200).given(),
            ledgers: Arc::new(Disk(ledgers)),
            private_data: Arc::new(LocalDistributor::new(Arc::clone(&transient))),
            signer: Arc::new(SigningIdentity::load(&msp.peer, MSPID).expect("the peer's key")),
            metrics: Arc::default(),
        };
        let user = SigningIdentity::load(&msp.user, MSPID).expect("the user's key");
        Self { msp, user, channels, transient, packages, parts, _place: place }
    }

    /// A proposal of the user.
    pub(crate) fn propose(&self, channel: &str, chaincode: &str) -> CreatedProposal {
        let args = vec![Bytes::from_static(b"get"), Bytes::from_static(b"a")];
        let transient = [("secret".to_owned(), Bytes::from_static(b"s"))].into();
        create_chaincode_proposal(channel, chaincode, args, transient, &self.user).expect("a proposal")
    }

    pub(crate) fn answering(&self, answer: Answer) -> EndorserParts {
        EndorserParts { executor: answer.given(), ..self.parts.clone() }
    }
}

/// lscc, cscc and qscc for clients, vscc for nobody; the version is that of the recorded peers.
pub(crate) struct Sccs;

impl SystemChaincodes for Sccs {
    fn is_sys_cc(&self, name: &str) -> bool {
        matches!(name, "lscc" | "cscc" | "qscc" | "vscc")
    }

    fn is_sys_cc_and_not_invokable_external(&self, name: &str) -> bool {
        name == "vscc"
    }

    fn is_sys_cc_and_not_invokable_cc2cc(&self, name: &str) -> bool {
        name == "vscc"
    }

    fn version(&self) -> &str {
        "1.4.12"
    }
}

struct Disk(LedgerProvider);

impl Ledgers for Disk {
    fn ledger(&self, channel: &str) -> Option<Arc<Ledger>> {
        self.0.get(channel)
    }
}

/// A chaincode that always answers the same, or dies.
pub(crate) enum Answer {
    Response(Response),
    Panic,
}

impl Answer {
    pub(crate) fn status(status: i32) -> Self {
        Self::Response(Response { status, message: "m".into(), payload: Bytes::from_static(b"p") })
    }

    fn given(self) -> Arc<dyn ChaincodeExecutor> {
        Arc::new(Played(move |params: &TransactionParams, ccid: &Ccid, input: ChaincodeInput| {
            assert_eq!(input.args, ["get", "a"]);
            let event = ChaincodeEvent {
                chaincode_id: ccid.name.clone(),
                tx_id: params.txid.clone(),
                event_name: "e".into(),
                payload: Bytes::new(),
            };
            match &self {
                Self::Response(response) => Executed { response: response.clone(), event: Some(event) },
                Self::Panic => panic!("the executor dies"),
            }
        }))
    }
}
