//! A rich query over 10,000 rows, of which it finds a hundred: with an index and without.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use selvedge::ledger::rich_query::{DeployedIndexes, IndexFile, PackagedIndex};
use selvedge::ledger::{Ledger, LedgerProvider, block};
use selvedge::testing::commit_unendorsed;

use crate::measure::{Better, Row, TURNS, serial_blocking, table};

const ROWS: usize = 10_000;
const CHAINCODE: &str = "marbles";

/// No package is installed: the index is defined by hand.
struct Nothing;

impl DeployedIndexes for Nothing {
    fn index_files(&self, _: &str, _: &str) -> Option<Vec<PackagedIndex>> {
        None
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let provider = LedgerProvider::open(folder.path())?;
    provider.use_couchdb(Arc::new(Nothing))?;
    let (scanned, indexed) = (marbles(&provider, "scanned")?, marbles(&provider, "indexed")?);
    let definition = r#"{"index":{"fields":["owner","size"]},"name":"byOwner"}"#.to_owned();
    let file = IndexFile { file: "byOwner.json".into(), definition };
    let defined = indexed.define_indexes(CHAINCODE, &[PackagedIndex { collection: None, file }])?;
    anyhow::ensure!(defined, "the index was left out: a scan would be measured");

    let one_owner = r#"{"selector":{"owner":"owner7","size":{"$gte":0}}}"#;
    let sorted = r#"{"selector":{"owner":"owner7"},"sort":["owner","size"]}"#;
    let mut rows = [
        Row::new("a scan of all rows"),
        Row::new("an index on owner and size"),
        Row::new("a scan, sorted by owner and size"),
        Row::new("that index, sorted by owner and size"),
    ];
    for _ in 0..TURNS {
        for (row, (ledger, query)) in
            rows.iter_mut().zip([(&scanned, one_owner), (&indexed, one_owner), (&scanned, sorted), (&indexed, sorted)])
        {
            row.add(serial_blocking(|| {
                assert_eq!(black_box(ask(ledger, query)).ok(), Some(ROWS / 100), "a hundred rows");
            }));
        }
    }
    table("A rich query over 10,000 rows finds 100", "us", Better::Less, &rows);
    Ok(())
}

fn ask(ledger: &Ledger, query: &str) -> anyhow::Result<usize> {
    let mut simulator = ledger.new_tx_simulator("query")?;
    let mut rows = simulator.execute_query(CHAINCODE, query)?;
    let mut found = 0;
    while simulator.next(&mut rows)?.is_some() {
        found += 1;
    }
    Ok(found)
}

fn marbles(provider: &LedgerProvider, channel: &str) -> anyhow::Result<Arc<Ledger>> {
    let ledger = provider.create(channel, &block::new_block(0, Bytes::new(), vec![]))?;
    let mut simulator = ledger.new_tx_simulator("fill")?;
    for n in 0..ROWS {
        let value =
            format!(r#"{{"docType":"marble","color":"blue","owner":"owner{}","size":{}}}"#, n % 100, n * 7 % 1000);
        simulator.set_state(CHAINCODE, &format!("marble{n:06}"), value.into())?;
    }
    commit_unendorsed(&ledger, "fill", simulator.results()?.public)?;
    provider.get(channel).context("the channel is there")
}
