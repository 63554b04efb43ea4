//! Blocks of 500 transactions through the whole Committer, and where their time goes.
//!
//! The baselines are what no implementation gets around: the signatures verified on all processors, and the same bytes
//! written to a database of the same kind. A file system in memory shows what the disk's syncs cost.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use prost::Message;
use redb::{Database, TableDefinition};
use selvedge::ledger::CommitTimes;
use selvedge::msp::{Identity, MspManager};
use selvedge::validation::BlockValidator;
use selvedge_proto::common::{Block, Envelope, Payload, SignatureHeader};
use selvedge_proto::kvrwset::KvrwSet;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeActionPayload, ProposalResponsePayload, Transaction, TxValidationCode,
};
use selvedge_proto::rwset::TxReadWriteSet;

use crate::measure::{Better, Row, TURNS, table};
use crate::network::{CHANNEL, Network, Peer};

pub(crate) const TRANSACTIONS: usize = 500;
/// Blocks of one turn.
const BLOCKS: usize = 2;
/// A file system in memory, where a sync costs nothing.
const MEMORY: &str = "/dev/shm";

const SIGNATURES: &str = "the signatures alone, on all processors";
const COMMITTER: &str = "the whole Committer";
const IN_MEMORY: &str = "the whole Committer, on a file system in memory";

pub(crate) fn run() -> anyhow::Result<()> {
    let network = Network::new()?;
    (1..=2).try_for_each(|endorsements| part(&network, endorsements))
}

fn part(network: &Network, endorsements: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = tempfile::tempdir_in(MEMORY)?;
    let mut chain = network.chain(endorsements);
    let fill = chain.fill()?;
    let [peer, in_memory] = [folder.path(), memory.path()].map(|place| network.peer(&place.join("ledger")));
    let (peer, in_memory) = (peer?, in_memory?);
    [&peer, &in_memory].iter().try_for_each(|peer| peer.fill(fill.clone()))?;
    let two_syncs = Bare::new(&folder.path().join("two"), 2)?;
    let one_sync = Bare::new(&folder.path().join("one"), 1)?;

    let mut rates = [SIGNATURES, COMMITTER, IN_MEMORY].map(Row::new);
    let mut steps = [
        SIGNATURES,
        "validation: the signatures, and all that is around them",
        "ledger: hashes, decoding, MVCC",
        "ledger: into the tables",
        "ledger: pages, checksums, two syncs",
        COMMITTER,
        IN_MEMORY,
        "the same bytes into a bare redb, two syncs",
        "the same bytes into a bare redb, one sync",
    ]
    .map(Row::new);
    for _ in 0..TURNS {
        let mut spent = [Duration::ZERO; 9];
        for block in chain.blocks(BLOCKS, TRANSACTIONS)? {
            let bundle = peer.channels.get(CHANNEL).context("the channel is open")?;
            let signatures = signatures(&block, bundle.msps())?;
            let rows = rows(&block)?;
            let (verified, ()) = timed(|| verify(&signatures))?;
            let (validated, _) = timed(|| Ok(peer.validator.validate(&peer.ledger, &block)?))?;
            let (committed, times) = commit(&peer, &block)?;
            let (without_disk, _) = commit(&in_memory, &block)?;
            let (two, ()) = timed(|| two_syncs.write(&rows))?;
            let (one, ()) = timed(|| one_sync.write(&rows))?;
            let CommitTimes { state_validation, write, sync } = times;
            let block = [verified, validated, state_validation, write, sync, committed, without_disk, two, one];
            spent.iter_mut().zip(block).for_each(|(sum, time)| *sum += time);
        }
        let each = |index: usize| spent[index].as_secs_f64() / BLOCKS as f64;
        steps.iter_mut().enumerate().for_each(|(index, row)| row.add(each(index) * 1e3));
        rates.iter_mut().zip([0, 5, 6]).for_each(|(row, index)| row.add(TRANSACTIONS as f64 / each(index)));
    }
    let title = format!("Blocks of {TRANSACTIONS} transactions with {endorsements} endorsement(s)");
    table(&title, "transactions a second", Better::More, &rates);
    table(&format!("{title}: where the time goes"), "ms a block", Better::Less, &steps);
    Ok(())
}

/// Commits a block in which everything is valid.
pub(crate) fn commit(peer: &Peer, block: &Block) -> anyhow::Result<(Duration, CommitTimes)> {
    let block = block.clone();
    let (time, committed) = timed(|| Ok(peer.committer.commit(block)?))?;
    let invalid = committed.codes.iter().find(|code| **code != TxValidationCode::Valid);
    ensure!(invalid.is_none(), "a transaction is {invalid:?}");
    Ok((time, committed.times))
}

fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Duration, T)> {
    let started = Instant::now();
    let made = work()?;
    Ok((started.elapsed(), made))
}

/// Who signed what.
pub(crate) struct Signature {
    signer: Identity,
    message: Bytes,
    signature: Bytes,
}

/// Every signature that a block's validation has to verify.
pub(crate) fn signatures(block: &Block, msps: &MspManager) -> anyhow::Result<Vec<Signature>> {
    let mut signatures = Vec::new();
    for envelope in block.data.iter().flat_map(|data| &data.data) {
        let envelope = Envelope::decode(envelope.clone())?;
        let payload = Payload::decode(envelope.payload.clone())?;
        let header = SignatureHeader::decode(payload.header.context("a header")?.signature_header)?;
        let signer = msps.deserialize(&header.creator)?;
        signatures.push(Signature { signer, message: envelope.payload, signature: envelope.signature });
        let endorsed = action(payload.data)?.action.context("an endorsed action")?;
        for endorsement in endorsed.endorsements {
            let message = [&endorsed.proposal_response_payload[..], &endorsement.endorser].concat().into();
            let signer = msps.deserialize(&endorsement.endorser)?;
            signatures.push(Signature { signer, message, signature: endorsement.signature });
        }
    }
    Ok(signatures)
}

fn action(transaction: Bytes) -> anyhow::Result<ChaincodeActionPayload> {
    let transaction = Transaction::decode(transaction)?;
    let action = transaction.actions.into_iter().next().context("an action")?;
    Ok(ChaincodeActionPayload::decode(action.payload)?)
}

/// Verifies all of them, with as many threads as the machine has processors.
pub(crate) fn verify(signatures: &[Signature]) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(Signature { signer, message, signature }) = signatures.get(next.fetch_add(1, Ordering::Relaxed))
        {
            signer.verify(message, signature)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let theirs = helpers.into_iter().map(|helper| helper.join().expect("it does not panic"));
        theirs.fold(mine, anyhow::Result::and)
    })
}

/// What a ledger has to keep of a block at least: itself, and the ids and the written values of its transactions.
fn rows(block: &Block) -> anyhow::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let number = block.header.as_ref().context("a header")?.number;
    let mut rows = vec![(number.to_be_bytes().to_vec(), block.encode_to_vec())];
    for envelope in block.data.iter().flat_map(|data| &data.data) {
        let payload = Payload::decode(Envelope::decode(envelope.clone())?.payload)?;
        // A transaction's id is as random as its signature.
        rows.push((envelope[envelope.len() - 64..].to_vec(), number.to_be_bytes().to_vec()));
        let endorsed = action(payload.data)?.action.context("an endorsed action")?;
        let response = ProposalResponsePayload::decode(endorsed.proposal_response_payload)?;
        let results = TxReadWriteSet::decode(ChaincodeAction::decode(response.extension)?.results)?;
        for namespace in results.ns_rwset {
            let writes = KvrwSet::decode(namespace.rwset)?.writes;
            rows.extend(writes.into_iter().map(|write| (write.key.into_bytes(), write.value.to_vec())));
        }
    }
    rows.sort();
    Ok(rows)
}

/// A database with nothing around it.
struct Bare {
    database: Database,
    syncs: usize,
}

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

impl Bare {
    fn new(path: &Path, syncs: usize) -> anyhow::Result<Self> {
        Ok(Self { database: Database::create(path)?, syncs })
    }

    fn write(&self, rows: &[(Vec<u8>, Vec<u8>)]) -> anyhow::Result<()> {
        let mut transaction = self.database.begin_write()?;
        // As a ledger's: reopening after a crash does not walk the database, and that takes a second sync.
        transaction.set_quick_repair(self.syncs == 2);
        {
            let mut table = transaction.open_table(TABLE)?;
            for (key, value) in rows {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }
}
