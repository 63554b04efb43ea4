//! The blocks that are committed, and what they come to without a crash.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use prost::Message;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, RepairSession, TableDefinition, TableHandle,
};
use selvedge_proto::common::{Block, Config, ConfigEnvelope, HeaderType};
use selvedge_proto::protos::TxValidationCode as Code;

use super::disk::{Disk, Plan};
use crate::ledger::commit::write_genesis;
use crate::ledger::guard::GuardedDatabase;
use crate::ledger::testing::{endorser_transaction, envelope};
use crate::ledger::{Ledger, LedgerError, VerifyReport, block, private_expiry, private_store, store};

pub(super) const CHANNEL: &str = "scripted";

/// Blocks as an orderer sends them, with the verdicts of the checks outside.
pub(super) struct Script {
    pub blocks: Vec<(Block, Vec<Code>)>,
    /// What the tables hold after each block.
    pub rows: Vec<Rows>,
}

/// Every row of every table of a database, as bytes.
pub(super) type Rows = Vec<(String, Vec<u8>, Vec<u8>)>;

/// A ledger in the middle of the script.
pub(super) struct Machine {
    pub disk: Disk,
    pub ledger: Ledger,
    /// The height that the rest of the node was told to be on the disk.
    durable: AtomicUsize,
}

impl Machine {
    /// Makes the channel on an empty disk, as [`crate::ledger::LedgerProvider::create`] does: made, closed, opened.
    pub(super) fn create(disk: Disk, genesis: &Block) -> Result<Self, LedgerError> {
        let database = GuardedDatabase::new(Database::builder().create_with_backend(disk.clone())?);
        write_genesis(&database, CHANNEL, genesis)?;
        drop(database);
        Self::open(disk)
    }

    /// Starts again on what a crash has left, which needs no repair: that would read the whole of it.
    pub(super) fn open(disk: Disk) -> Result<Self, LedgerError> {
        Self::over(Database::builder().set_repair_callback(RepairSession::abort), disk)
    }

    /// Starts again on what is damaged.
    pub(super) fn open_damaged(disk: Disk) -> Result<Self, LedgerError> {
        Self::over(&mut Database::builder(), disk)
    }

    fn over(builder: &mut Builder, disk: Disk) -> Result<Self, LedgerError> {
        let ledger = Ledger::over(builder.create_with_backend(disk.clone())?, CHANNEL)?;
        Ok(Self { ledger, disk, durable: AtomicUsize::new(0) })
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
        let genesis = block::new_block(0, Bytes::new(), vec![configuration(0)]);
        let machine = Machine::create(Disk::new(Vec::new(), Plan::Work), &genesis).unwrap();
        let mut script = Self { blocks: vec![(genesis, vec![Code::Valid])], rows: vec![machine.rows()] };
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
