//! Opening a ledger of a gigabyte: after the writer was killed in the middle of a commit, and after it had closed it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use prost::Message;
use selvedge::ledger::{Ledger, LedgerProvider, block};
use selvedge::testing::endorser_transaction;
use selvedge_proto::kvrwset::{KvWrite, KvrwSet};
use selvedge_proto::protos::TxValidationCode;
use selvedge_proto::rwset::{NsReadWriteSet, TxReadWriteSet};

use crate::measure::{Better, Row, table};

/// The argument that makes a process of this program the writer.
pub(crate) const ARGUMENT: &str = "--write-blocks-until-killed";
const CHANNEL: &str = "mychannel";
const TRANSACTIONS: u64 = 20;
const VALUE: usize = 10_000;
/// A gigabyte: each value is in its block and in the state.
const BLOCKS: u64 = (1 << 30) / (2 * TRANSACTIONS * VALUE as u64);
const KILLS: u32 = 9;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(format!("{CHANNEL}.redb"));
    let mut rows = [Row::new("closed before").must(1000.0), Row::new("killed in the middle of a commit").must(1000.0)];
    let mut height = 0;
    for kill in 0..KILLS {
        write_and_kill(folder.path(), kill)?;
        for row in rows.iter_mut().rev() {
            let started = Instant::now();
            let ledgers = LedgerProvider::open(folder.path())?;
            row.add(started.elapsed().as_secs_f64() * 1e3);
            let ledger = ledgers.get(CHANNEL).context("the channel was made")?;
            ensure!(ledger.height()? >= height, "{height} blocks were there, now {}", ledger.height()?);
            height = ledger.height()?;
        }
    }
    let gib = file.metadata()?.len() as f64 / f64::from(1 << 30);
    table(&format!("Opening a ledger of 1 GiB in {height} blocks, a file of {gib:.1} GiB"), "ms", Better::Less, &rows);
    Ok(())
}

/// Lets another process write until there is a gigabyte and a little more, and ends it while it does.
fn write_and_kill(folder: &Path, kill: u32) -> anyhow::Result<()> {
    let mut writer =
        Writer(Command::new(std::env::current_exe()?).arg(ARGUMENT).arg(folder).stdout(Stdio::piped()).spawn()?);
    let full = BufReader::new(writer.0.stdout.take().context("it is piped")?).lines().next();
    full.context("the writer ended")??;
    // Somewhere in one of the next commits.
    std::thread::sleep(Duration::from_micros(5_000 + 1_370 * u64::from(kill)));
    writer.0.kill()?;
    writer.0.wait()?;
    Ok(())
}

struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The writer: tells when there is a gigabyte, and goes on.
pub(crate) fn write_until_killed(folder: &Path) -> anyhow::Result<()> {
    let ledgers = LedgerProvider::open(folder)?;
    let ledger = match ledgers.get(CHANNEL) {
        Some(ledger) => ledger,
        None => ledgers.create(CHANNEL, &block::new_block(0, Bytes::new(), Vec::new()))?,
    };
    let mut told = false;
    loop {
        commit(&ledger)?;
        if !told && ledger.height()? >= BLOCKS {
            println!("full");
            std::io::stdout().flush()?;
            told = true;
        }
    }
}

fn commit(ledger: &Arc<Ledger>) -> anyhow::Result<()> {
    let info = ledger.chain_info()?;
    let data = (0..TRANSACTIONS).map(|tx| transaction(&format!("{}-{tx}", info.height))).collect();
    let block = block::new_block(info.height, info.current_block_hash, data);
    ledger.commit(block, &[TxValidationCode::Valid; TRANSACTIONS as usize])?;
    Ok(())
}

/// A transaction that writes one key of its own.
fn transaction(id: &str) -> Bytes {
    let write = KvWrite { key: format!("key-{id}"), is_delete: false, value: vec![b'v'; VALUE].into() };
    let rwset = KvrwSet { writes: vec![write], ..KvrwSet::default() }.encode_to_vec();
    let namespace = NsReadWriteSet { namespace: "asset".into(), rwset: rwset.into(), ..NsReadWriteSet::default() };
    let results = TxReadWriteSet { ns_rwset: vec![namespace], ..TxReadWriteSet::default() }.encode_to_vec().into();
    endorser_transaction(CHANNEL, id, results)
}
