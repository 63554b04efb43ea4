//! A peer for unit tests on the host target: Fabric's `shimtest.MockStub`.
//!
//! ```
//! # use selvedge_sdk::{Chaincode, Response, Stub, mock::MockStub};
//! # struct Counter;
//! # impl Chaincode for Counter {
//! #     fn invoke(&self, stub: &Stub) -> Response {
//! #         stub.put_state("count", "1").into()
//! #     }
//! # }
//! let peer = MockStub::new(Counter);
//! assert!(peer.invoke(&["increment"]).is_success());
//! assert_eq!(peer.state("count").as_deref(), Some(&b"1"[..]));
//! ```
//!
//! As on a peer, a transaction reads what is committed, not what it wrote; its writes are committed when it ends with a
//! status below 400 (the mock orders and validates at once). It differs in what it leaves out: limits, access control
//! but for what a test of a system chaincode forbids, key-level endorsement, and that a called chaincode shares its
//! caller's simulation.

#[cfg(feature = "peer")]
mod channels;
#[cfg(feature = "peer")]
mod packages;
#[cfg(feature = "peer")]
mod policies;
mod transaction;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::peer::Peer;
use crate::{Chaincode, Error, KeyModification, KeyValue, Level, Response, SignedProposal, Stub, Timestamp};
#[cfg(feature = "peer")]
use crate::{LedgerError, LedgerQuery};
#[cfg(feature = "peer")]
pub use packages::MockPackage;
#[cfg(feature = "peer")]
pub use policies::MockPolicies;
use transaction::Entry;
pub(crate) use transaction::Transaction;

/// A key with its collection; "" is the public state.
type Key = (String, String);
type Callee = Rc<dyn Fn(&[Vec<u8>]) -> Response>;
type RichQuery = Rc<dyn Fn(&str) -> Result<Vec<KeyValue>, Error>>;
#[cfg(feature = "peer")]
type LedgerAnswer = Rc<dyn Fn(&str, LedgerQuery<'_>) -> Result<Vec<u8>, LedgerError>>;

/// A chaincode and a peer that knows nothing else.
pub struct MockStub {
    chaincode: Box<dyn Chaincode>,
    peer: Rc<MockPeer>,
}

/// What outlives a transaction.
#[derive(Default)]
struct MockPeer {
    channel: RefCell<String>,
    transactions: Cell<i64>,
    state: RefCell<BTreeMap<Key, Vec<u8>>>,
    metadata: RefCell<BTreeMap<Key, BTreeMap<String, Vec<u8>>>>,
    history: RefCell<BTreeMap<String, Vec<KeyModification>>>,
    event: RefCell<Option<(String, Vec<u8>)>>,
    log: RefCell<Vec<(Level, String)>>,
    callees: RefCell<BTreeMap<String, Callee>>,
    config: RefCell<BTreeMap<String, String>>,
    transient: RefCell<BTreeMap<String, Vec<u8>>>,
    decorations: RefCell<BTreeMap<String, Vec<u8>>>,
    creator: RefCell<Vec<u8>>,
    signed_proposal: RefCell<Option<SignedProposal>>,
    timestamp: Cell<Option<Timestamp>>,
    rich_query: RefCell<Option<RichQuery>>,
    #[cfg(feature = "peer")]
    ledger: RefCell<Option<LedgerAnswer>>,
    #[cfg(feature = "peer")]
    access: RefCell<Option<packages::AccessAnswer>>,
    #[cfg(feature = "peer")]
    packages: RefCell<BTreeMap<(String, String), packages::MockPackage>>,
    #[cfg(feature = "peer")]
    installs: RefCell<Option<packages::InstallAnswer>>,
    #[cfg(feature = "peer")]
    policies: RefCell<policies::MockPolicies>,
    #[cfg(feature = "peer")]
    instantiation: RefCell<Option<policies::InstantiationAnswer>>,
    #[cfg(feature = "peer")]
    collections: RefCell<Option<policies::CollectionsAnswer>>,
    #[cfg(feature = "peer")]
    channels: RefCell<Option<channels::ChannelAnswer>>,
    #[cfg(feature = "peer")]
    updates: RefCell<Option<channels::UpdateAnswer>>,
    #[cfg(feature = "peer")]
    join: RefCell<Option<channels::JoinAnswer>>,
}

impl MockStub {
    /// A peer with an empty state, on the channel `mychannel`.
    pub fn new(chaincode: impl Chaincode + 'static) -> Self {
        let peer = MockPeer { channel: RefCell::new("mychannel".to_owned()), ..MockPeer::default() };
        peer.creator.replace(b"creator".to_vec());
        Self { chaincode: Box::new(chaincode), peer: Rc::new(peer) }
    }

    /// Runs INIT with these arguments, and commits.
    pub fn init(&self, args: &[impl AsRef<[u8]>]) -> Response {
        self.run(Entry::Init, args, |stub| self.chaincode.init(stub))
    }

    /// Runs TRANSACTION with these arguments, the function's name first, and commits.
    pub fn invoke(&self, args: &[impl AsRef<[u8]>]) -> Response {
        self.run(Entry::Invoke, args, |stub| self.chaincode.invoke(stub))
    }

    fn run(&self, entry: Entry, args: &[impl AsRef<[u8]>], body: impl FnOnce(&Stub) -> Response) -> Response {
        let args = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
        let transaction = Rc::new(Transaction::begin(Rc::clone(&self.peer), entry, args));
        let peer: Rc<dyn Peer> = Rc::clone(&transaction) as Rc<dyn Peer>;
        let response = body(&Stub { peer });
        transaction.end(&response);
        response
    }

    /// The committed value of a key.
    pub fn state(&self, key: &str) -> Option<Vec<u8>> {
        self.private_state("", key)
    }

    /// The committed value of a key of a collection.
    pub fn private_state(&self, collection: &str, key: &str) -> Option<Vec<u8>> {
        self.peer.state.borrow().get(&(collection.to_owned(), key.to_owned())).cloned()
    }

    /// Puts a value into the committed state, without a transaction.
    pub fn set_state(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.set_private_state("", key, value);
    }

    /// Puts a value into a collection, without a transaction.
    pub fn set_private_state(&self, collection: &str, key: &str, value: impl Into<Vec<u8>>) {
        self.peer.state.borrow_mut().insert((collection.to_owned(), key.to_owned()), value.into());
    }

    /// Name and payload of the last transaction's event.
    pub fn event(&self) -> Option<(String, Vec<u8>)> {
        self.peer.event.borrow().clone()
    }

    /// All that was logged.
    pub fn log(&self) -> Vec<(Level, String)> {
        self.peer.log.borrow().clone()
    }

    /// The channel of the transactions to come.
    pub fn set_channel(&self, channel: &str) {
        self.peer.channel.replace(channel.to_owned());
    }

    /// The marshalled identity that signs the proposals to come.
    pub fn set_creator(&self, creator: impl Into<Vec<u8>>) {
        self.peer.creator.replace(creator.into());
    }

    /// The time of the proposals to come. Without it, the first is made at second 1, the next at 2, and so on.
    pub fn set_timestamp(&self, timestamp: Timestamp) {
        self.peer.timestamp.set(Some(timestamp));
    }

    /// The proposal that the transactions to come show as theirs.
    pub fn set_signed_proposal(&self, proposal: SignedProposal) {
        self.peer.signed_proposal.replace(Some(proposal));
    }

    /// An entry in the transient map of the transactions to come.
    pub fn set_transient(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.peer.transient.borrow_mut().insert(key.to_owned(), value.into());
    }

    /// A decoration of the transactions to come.
    pub fn set_decoration(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.peer.decorations.borrow_mut().insert(key.to_owned(), value.into());
    }

    /// An entry under `config` in the chaincode's section of core.yaml.
    pub fn set_config(&self, key: &str, value: &str) {
        self.peer.config.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    /// What a called chaincode answers, on whatever channel. Another mock is `move |args| callee.invoke(args)`; it
    /// commits on its own.
    pub fn on_invoke_chaincode(&self, name: &str, callee: impl Fn(&[Vec<u8>]) -> Response + 'static) {
        self.peer.callees.borrow_mut().insert(name.to_owned(), Rc::new(callee));
    }

    /// What a rich query finds. Without it the state database is one that has none, as LevelDB.
    pub fn on_query(&self, answer: impl Fn(&str) -> Result<Vec<KeyValue>, Error> + 'static) {
        self.peer.rich_query.replace(Some(Rc::new(answer)));
    }

    /// What the capability `ledger` answers to those who may ask, by channel. Without it there is no channel.
    #[cfg(feature = "peer")]
    pub fn on_ledger(&self, answer: impl Fn(&str, LedgerQuery<'_>) -> Result<Vec<u8>, LedgerError> + 'static) {
        self.peer.ledger.replace(Some(Rc::new(answer)));
    }
}

impl std::fmt::Debug for MockStub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockStub").field("transactions", &self.peer.transactions.get()).finish_non_exhaustive()
    }
}
