//! A new peer that catches up: 2,000 blocks from a list into a fresh ledger; and how long a ledger takes to open.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use selvedge::ledger::LedgerProvider;
use selvedge_proto::common::Block;
use selvedge_proto::protos::TxValidationCode;

use crate::commit::commit;
use crate::measure::{Better, Row, TURNS, table};
use crate::network::{CHANNEL, Network, Peer};

const BLOCKS: usize = 2_000;
/// Fabric's `BatchSize.MaxMessageCount` of configtxgen's sample.
const TRANSACTIONS: usize = 10;
/// A turn takes seconds.
const REPLAYS: usize = 3;
/// Lengths of a chain at which it is opened.
const LENGTHS: [usize; 4] = [1, 100, 2_000, 10_000];

pub(crate) fn run() -> anyhow::Result<()> {
    let network = Network::new()?;
    let mut chain = network.chain(1);
    let fill = chain.fill()?;
    let blocks = chain.blocks(BLOCKS, TRANSACTIONS)?;
    let place = |folder: &tempfile::TempDir| folder.path().join("ledger");
    let mut rows = ["into the ledger, as if all were valid", "through the whole Committer"].map(Row::new);
    for _ in 0..REPLAYS {
        for (row, replay) in rows.iter_mut().zip([ledger_only as fn(&Peer, &Block) -> _, whole]) {
            let folder = tempfile::tempdir()?;
            let peer = network.peer(&place(&folder))?;
            peer.fill(fill.clone())?;
            let started = Instant::now();
            blocks.iter().try_for_each(|block| replay(&peer, block))?;
            row.add(BLOCKS as f64 / started.elapsed().as_secs_f64());
        }
    }
    let title = format!("{BLOCKS} blocks of {TRANSACTIONS} transactions into a fresh ledger");
    table(&title, "blocks a second", Better::More, &rows);
    drop(blocks);
    open(&network)
}

fn ledger_only(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    let codes = vec![TxValidationCode::Valid; TRANSACTIONS];
    ensure!(peer.ledger.commit(block.clone(), &codes)?.codes == codes, "a transaction is invalid");
    Ok(())
}

fn whole(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    commit(peer, block).map(drop)
}

fn open(network: &Network) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("ledger");
    let mut chain = network.chain(1);
    let mut peer = network.peer(&place)?;
    let mut rows = Vec::new();
    let mut length = 1;
    for wanted in LENGTHS {
        while length < wanted {
            match length {
                1 => peer.fill(chain.fill()?)?,
                _ => drop(peer.ledger.commit(chain.next(1)?, &[TxValidationCode::Valid])?),
            }
            length += 1;
        }
        let mut stopped = Row::new(format!("{length} blocks, after a stop"));
        let mut killed = Row::new(format!("{length} blocks, after a kill"));
        for _ in 0..TURNS {
            // The file of an open database is what a kill leaves of it.
            let left = tempfile::tempdir_in(folder.path())?;
            for file in std::fs::read_dir(&place)? {
                let file = file?;
                std::fs::copy(file.path(), left.path().join(file.file_name()))?;
            }
            killed.add(opening(left.path(), wanted)?);
        }
        drop(peer);
        for _ in 0..TURNS {
            stopped.add(opening(&place, wanted)?);
        }
        peer = network.open(&place)?;
        rows.extend([stopped, killed]);
    }
    table("Opening a ledger of blocks of one transaction", "ms", Better::Less, &rows);
    Ok(())
}

/// Milliseconds until the ledger is open.
fn opening(place: &Path, height: usize) -> anyhow::Result<f64> {
    let started = Instant::now();
    let provider = LedgerProvider::open(place)?;
    let elapsed: Duration = started.elapsed();
    let found = provider.get(CHANNEL).map(|ledger| ledger.height()).transpose()?;
    ensure!(found == Some(height as u64), "the height is {found:?}");
    Ok(elapsed.as_secs_f64() * 1e3)
}
