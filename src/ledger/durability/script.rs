//! The blocks that are committed, and what they come to without a crash.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use prost::Message;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, RepairSession, TableDefinition, TableHandle,
};
use selvedge_proto::common::{Block, Config, ConfigEnvelope, HeaderType};
use selvedge_proto::protos::{StaticCollectionConfig, TxValidationCode as Code};
use selvedge_proto::transientstore::TxPvtReadWriteSetWithConfigInfo;

use super::disk::{Disk, Plan};
use crate::ledger::collections::{LSCC, collections_key};
use crate::ledger::commit::write_genesis;
use crate::ledger::guard::GuardedDatabase;
use crate::ledger::private_testing::{collection, package};
use crate::ledger::testing::{endorser_transaction, envelope};
use crate::ledger::{
    Ledger, LedgerError, PrivateDataRules, PrivateDataSupport, TransientStore, TxSimulator, VerifyReport, block,
    private_expiry, private_store, store,
};

pub(super) const CHANNEL: &str = "scripted";
const CHAINCODE: &str = "cc";
/// A collection that this peer's organisation is no member of.
const THEIRS: &str = "theirs";

/// Blocks as an orderer sends them, with the verdicts of the checks outside.
pub(super) struct Script {
    pub blocks: Vec<(Block, Vec<Code>)>,
    /// What the tables hold after each block.
    pub rows: Vec<Rows>,
    private: Vec<Endorsed>,
}

/// What an endorsement left in the transient store.
struct Endorsed {
    txid: &'static str,
    height: u64,
    private: TxPvtReadWriteSetWithConfigInfo,
}

struct Rules;

impl PrivateDataRules for Rules {
    fn is_member(&self, _: &str, collection: &StaticCollectionConfig) -> bool {
        collection.name != THEIRS
    }

    fn keeps_data_of_invalid(&self, _: &str) -> bool {
        true
    }
}

/// Every row of every table of a database, as bytes.
pub(super) type Rows = Vec<(String, Vec<u8>, Vec<u8>)>;

/// A ledger in the middle of the script.
pub(super) struct Machine {
    pub disk: Disk,
    pub ledger: Ledger,
    /// The height that the rest of the node was told to be on the disk.
    durable: AtomicUsize,
    pub transient: Arc<TransientStore>,
}

impl Machine {
    /// Makes the channel on an empty disk, as [`crate::ledger::LedgerProvider::create`] does: made, closed, opened.
    pub(super) fn create(disk: Disk, genesis: &Block, transient: &Arc<TransientStore>) -> Result<Self, LedgerError> {
        let database = GuardedDatabase::new(Database::builder().create_with_backend(disk.clone())?);
        write_genesis(&database, CHANNEL, genesis)?;
        drop(database);
        Self::open(disk, transient)
    }

    /// Starts again on what a crash has left, which needs no repair: that would read the whole of it. The transient store is on
    /// a disk of its own, which does not fail.
    pub(super) fn open(disk: Disk, transient: &Arc<TransientStore>) -> Result<Self, LedgerError> {
        Self::over(Database::builder().set_repair_callback(RepairSession::abort), disk, transient)
    }

    /// Starts again on what is damaged.
    pub(super) fn open_damaged(disk: Disk, transient: &Arc<TransientStore>) -> Result<Self, LedgerError> {
        Self::over(&mut Database::builder(), disk, transient)
    }

    fn over(builder: &mut Builder, disk: Disk, transient: &Arc<TransientStore>) -> Result<Self, LedgerError> {
        let ledger = Ledger::over(builder.create_with_backend(disk.clone())?, CHANNEL)?;
        let transient = Arc::clone(transient);
        let support = PrivateDataSupport { transient: Arc::clone(&transient), rules: Arc::new(Rules), retention: 2 };
        assert!(ledger.private.set(Arc::new(support)).is_ok());
        Ok(Self { ledger, disk, durable: AtomicUsize::new(0), transient })
    }

    pub(super) fn height(&self) -> usize {
        self.ledger.height().unwrap() as usize
    }

    /// Commits the script's blocks from the ledger's height on; the error is that of the first that fails.
    pub(super) fn go_on(&self, script: &Script) -> Result<(), LedgerError> {
        for (block, codes) in &script.blocks[self.height()..] {
            let durable = |_: &[Code]| self.durable.store(number_of(block) as usize + 1, Ordering::Relaxed);
            self.ledger.commit_with(block.clone(), codes, durable)?;
        }
        Ok(())
    }

    /// The height that somebody knows of.
    pub(super) fn acknowledged(&self) -> usize {
        self.height().max(self.durable.load(Ordering::Relaxed))
    }

    pub(super) fn verify(&self) -> VerifyReport {
        self.ledger.verify(&std::env::temp_dir(), |_| ()).unwrap()
    }

    /// All rows.
    pub(super) fn rows(&self) -> Rows {
        let read = self.ledger.database.begin_read().unwrap();
        let mut tables: Vec<_> = read.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
        tables.sort();
        assert_eq!(tables, TABLES, "a table that is compared nowhere");
        self.verified_rows()
    }

    /// The rows of what a verification looks at.
    pub(super) fn verified_rows(&self) -> Rows {
        let read = self.ledger.database.begin_read().unwrap();
        let mut rows = Rows::new();
        rows_of(&read, store::BLOCKS, &mut rows);
        rows_of(&read, store::BLOCK_BY_HASH, &mut rows);
        rows_of(&read, store::TRANSACTIONS, &mut rows);
        rows_of(&read, store::STATE, &mut rows);
        rows_of(&read, store::HISTORY, &mut rows);
        rows_of(&read, store::CHANNEL, &mut rows);
        rows_of(&read, private_store::PRIVATE_STATE, &mut rows);
        rows_of(&read, private_store::PRIVATE_SETS, &mut rows);
        rows_of(&read, private_store::MISSING_SETS, &mut rows);
        rows_of(&read, private_expiry::KEYS, &mut rows);
        rows_of(&read, private_expiry::SETS, &mut rows);
        rows
    }
}

const TABLES: [&str; 11] = [
    "block_by_hash",
    "blocks",
    "channel",
    "history",
    "missing_private_sets",
    "private_key_expiry",
    "private_set_expiry",
    "private_sets",
    "private_state",
    "state",
    "transactions",
];

fn rows_of<K: redb::Key + 'static, V: redb::Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
    rows: &mut Rows,
) {
    for row in read.open_table(table).unwrap().iter().unwrap() {
        let (key, value) = row.unwrap();
        let (key, value) = (key.value(), value.value());
        rows.push((
            table.name().to_owned(),
            K::as_bytes(&key).as_ref().to_vec(),
            V::as_bytes(&value).as_ref().to_vec(),
        ));
    }
}

impl Script {
    /// A configuration at the start and one later; writes of small and of large values; deletes; a duplicate, conflicts and
    /// rubbish.
    pub(super) fn new() -> Self {
        let (mut script, machine) = Self::begin();
        let large = "x".repeat(20_000);
        let valid = [Code::Valid; 2];
        script.add(&machine, &[("a", &[("k1", "1"), ("k2", "2"), ("k3", "3")]), ("b", &[("k4", &large)])], &valid, &[]);
        script.add(&machine, &[("c", &[("k1", "one"), ("k5", "5")]), ("d", &[("k1", "uno")])], &valid, &[]);
        let codes = [Code::Valid, Code::DuplicateTxid, Code::BadPayload];
        script.add(&machine, &[("e", &[("k2", ""), ("k4", "")]), ("c", &[("k9", "9")])], &codes, &["rubbish"]);
        script.configure(&machine);
        for number in 0..3 {
            let (id, key) = (format!("f{number}"), format!("k{number}"));
            script.add(&machine, &[(&id, &[(&key, &large), ("k1", &number.to_string())])], &[Code::Valid], &[]);
        }
        let numbers: Vec<_> = script.blocks.iter().map(|(block, _)| number_of(block)).collect();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
        let second = machine.ledger.block_by_number(2).unwrap().unwrap();
        assert_eq!(block::validation_codes(&second), [Code::Valid, Code::MvccReadConflict]);
        assert!(machine.verify().is_good());
        script
    }

    fn begin() -> (Self, Machine) {
        let genesis = block::new_block(0, Bytes::new(), vec![configuration(0)]);
        let transient = Arc::new(TransientStore::in_memory());
        let machine = Machine::create(Disk::new(Vec::new(), Plan::Work), &genesis, &transient).unwrap();
        let script =
            Self { blocks: vec![(genesis, vec![Code::Valid])], rows: vec![machine.rows()], private: Vec::new() };
        (script, machine)
    }

    /// Private data that comes, that never comes and that is not for this peer; overwritten, deleted and expired.
    pub(super) fn with_private_data() -> Self {
        let (mut script, machine) = Self::begin();
        let mut deploy = machine.ledger.new_tx_simulator("deploy").unwrap();
        let collections = package(vec![collection("a", 0), collection("short", 1), collection(THEIRS, 0)]);
        deploy.set_state(LSCC, CHAINCODE, "a definition".into()).unwrap();
        deploy.set_state(LSCC, &collections_key(CHAINCODE), collections.encode_to_vec().into()).unwrap();
        let deploy = endorser_transaction(CHANNEL, "deploy", deploy.results().unwrap().public);
        script.commit(&machine, vec![deploy], vec![Code::Valid]);

        let large = "x".repeat(5_000);
        let puts = |puts: &[(&str, &str, &str)]| {
            let puts: Vec<_> =
                puts.iter().map(|(name, key, value)| [name, key, value].map(|part| part.to_string())).collect();
            move |simulator: &mut TxSimulator| {
                for [collection, key, value] in puts {
                    simulator.set_private_data(CHAINCODE, &collection, &key, value.into()).unwrap();
                }
            }
        };
        let first = [("a", "k1", "one"), ("a", "k2", &large), ("short", "k1", "brief"), (THEIRS, "k", "x")];
        let two = vec![
            script.endorse(&machine, "p", puts(&first)),
            script.endorse(&machine, "q", puts(&[("a", "k3", "3"), ("short", "k2", "brief")])),
        ];
        script.commit(&machine, two, vec![Code::Valid; 2]);
        let three = vec![
            script.endorse(&machine, "r", puts(&[("a", "k1", "two"), ("a", "k2", "")])),
            script.lose(&machine, "lost", puts(&[("a", "k4", "4"), ("short", "k3", "4")])),
            script.endorse(&machine, "refused", puts(&[("a", "k1", "never")])),
        ];
        script.commit(&machine, three, vec![Code::Valid, Code::Valid, Code::EndorsementPolicyFailure]);
        // Ends what block 2 wrote into `short`.
        let metadata = script.endorse(&machine, "m", |simulator| {
            let entries = BTreeMap::from([("n".to_owned(), Bytes::from_static(b"v"))]);
            simulator.set_private_data_metadata(CHAINCODE, "a", "k1", entries).unwrap();
        });
        let again = script.endorse(&machine, "s", puts(&[("short", "k1", "again")]));
        script.commit(&machine, vec![metadata, again], vec![Code::Valid; 2]);
        script.commit(&machine, vec![], vec![]);
        let last = script.endorse(&machine, "t", puts(&[("a", "k2", "back")]));
        script.commit(&machine, vec![last], vec![Code::Valid]);

        for table in TABLES.iter().filter(|table| table.contains("private")) {
            let filled = |rows: &Rows| rows.iter().any(|(name, ..)| name == table);
            assert!(script.rows.iter().any(filled), "{table} is never used");
        }
        let to_end = |row: usize| script.rows[row].iter().filter(|(table, ..)| table == "private_set_expiry").count();
        assert!(to_end(4) < to_end(3), "nothing has ended with block 4");
        assert!(machine.verify().is_good());
        assert!(script.left_in(&machine.transient).lowest_height(CHANNEL).unwrap().is_none());
        script
    }

    /// A transaction that is endorsed here; its private half stays behind.
    fn endorse(&mut self, machine: &Machine, txid: &'static str, simulate: impl FnOnce(&mut TxSimulator)) -> Bytes {
        let mut simulator = machine.ledger.new_tx_simulator(txid).unwrap();
        simulate(&mut simulator);
        let height = simulator.height().unwrap();
        let results = simulator.results().unwrap();
        let private = TxPvtReadWriteSetWithConfigInfo { pvt_rwset: results.private, ..Default::default() };
        machine.transient.persist(CHANNEL, txid, height, &private).unwrap();
        self.private.push(Endorsed { txid, height, private });
        endorser_transaction(CHANNEL, txid, results.public)
    }

    /// The same for one that others endorsed.
    fn lose(&mut self, machine: &Machine, txid: &'static str, simulate: impl FnOnce(&mut TxSimulator)) -> Bytes {
        let envelope = self.endorse(machine, txid, simulate);
        self.private.pop();
        machine.transient.purge_by_txids(CHANNEL, &[txid.to_owned()]).unwrap();
        envelope
    }

    /// A transient store with all that is endorsed in the script.
    pub(super) fn endorsed(&self) -> Arc<TransientStore> {
        self.transient(|_| true)
    }

    /// One with what of it is in `store`.
    pub(super) fn left_in(&self, store: &TransientStore) -> Arc<TransientStore> {
        self.transient(|txid| !store.private_data(CHANNEL, txid).unwrap().is_empty())
    }

    fn transient(&self, has: impl Fn(&str) -> bool) -> Arc<TransientStore> {
        let store = TransientStore::in_memory();
        for Endorsed { txid, height, private } in self.private.iter().filter(|endorsed| has(endorsed.txid)) {
            store.persist(CHANNEL, txid, *height, private).unwrap();
        }
        Arc::new(store)
    }

    /// A block of one transaction for each id, simulated at the present height: it reads `k1` and writes these rows.
    /// `rubbish` comes after them. Of all, `codes` are the verdicts outside.
    fn add(
        &mut self,
        machine: &Machine,
        transactions: &[(&str, &[(&str, &str)])],
        codes: &[Code],
        rubbish: &'static [&'static str],
    ) {
        let mut envelopes = Vec::new();
        for (id, writes) in transactions {
            let mut simulator = machine.ledger.new_tx_simulator(id).unwrap();
            simulator.get_state("cc", "k1").unwrap();
            for (key, value) in *writes {
                simulator.set_state("cc", key, Bytes::copy_from_slice(value.as_bytes())).unwrap();
            }
            envelopes.push(endorser_transaction(CHANNEL, id, simulator.results().unwrap().public));
        }
        envelopes.extend(rubbish.iter().map(|bytes| Bytes::from_static(bytes.as_bytes())));
        self.commit(machine, envelopes, codes.to_vec());
    }

    fn configure(&mut self, machine: &Machine) {
        self.commit(machine, vec![configuration(1)], vec![Code::Valid]);
    }

    fn commit(&mut self, machine: &Machine, envelopes: Vec<Bytes>, codes: Vec<Code>) {
        let info = machine.ledger.chain_info().unwrap();
        let block = block::new_block(info.height, info.current_block_hash, envelopes);
        machine.ledger.commit(block.clone(), &codes).unwrap();
        self.blocks.push((block, codes));
        self.rows.push(machine.rows());
    }

    pub(super) fn genesis(&self) -> &Block {
        &self.blocks[0].0
    }
}

fn number_of(block: &Block) -> u64 {
    block.header.as_ref().unwrap().number
}

fn configuration(sequence: u64) -> Bytes {
    let config = ConfigEnvelope { config: Some(Config { sequence, ..Config::default() }), last_update: None };
    envelope(CHANNEL, "", HeaderType::Config, config.encode_to_vec().into()).encode_to_vec().into()
}
