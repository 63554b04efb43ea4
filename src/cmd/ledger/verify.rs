//! Checking a channel's ledger while nobody works on it.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::cmd::progress::Progress;
use crate::ledger::{Ledger, LedgerError, LedgerProvider, VerifyProgress, VerifyReport};
use crate::operations::LogControl;
use crate::validation::{SignedChainReport, verify_signatures};

pub(super) fn run(channel: &str) -> anyhow::Result<()> {
    let config = crate::cmd::load_config()?;
    LogControl::install(&config.logging_spec)?;
    let folder = config.peer.file_system_path.join("ledgers");
    let (ledgers, ledger) = open(&folder, channel)?;
    let begun = Instant::now();
    let progress = Progress::new();
    let signed = verify_signatures(&ledger, |done, of| progress.at("signatures", done, of))?;
    let compared = ledger.verify(&folder, |at| match at {
        VerifyProgress::Blocks { done, of } => progress.at("blocks", done, of),
        VerifyProgress::Rows { done, of } => progress.at("rows", done, of),
    })?;
    drop(progress);
    let text = text(channel, &compared, &signed, begun.elapsed());
    crate::cmd::print(&crate::cmd::printable(text.trim_end()))?;
    drop(ledgers);
    match compared.difference_count + signed.problem_count {
        0 => Ok(()),
        count => bail!(
            "the ledger of channel {channel} is damaged in {count} places: start no node on it, and put a copy of {} back that \
             was made while the node was stopped; this version fetches the blocks of a channel from nowhere else",
            folder.display()
        ),
    }
}

/// The channel's ledger; nobody else can work on the directory while the provider lives.
fn open(folder: &Path, channel: &str) -> anyhow::Result<(LedgerProvider, std::sync::Arc<Ledger>)> {
    // Opening makes the directory, which would be one more folder of somebody who is in the wrong place.
    if !folder.is_dir() {
        bail!("there are no ledgers in {}; see peer.fileSystemPath (CORE_PEER_FILESYSTEMPATH)", folder.display());
    }
    let ledgers = match LedgerProvider::open(folder) {
        Err(LedgerError::DirectoryInUse(folder)) => {
            bail!(
                "a node is running on {}: stop it first (SIGTERM), because a ledger is verified while nobody works on it",
                folder.display()
            )
        }
        opened => opened?,
    };
    if let Some(reason) = ledgers.unopened().get(channel) {
        bail!("the ledger of channel {channel} is damaged and cannot be opened: {reason}");
    }
    let ledger = ledgers.get(channel).with_context(|| {
        let channels = ledgers.channels();
        let known = if channels.is_empty() { "none".to_owned() } else { channels.join(", ") };
        format!("there is no channel {channel} in {}; there are: {known}", folder.display())
    })?;
    Ok((ledgers, ledger))
}

fn text(channel: &str, compared: &VerifyReport, signed: &SignedChainReport, took: Duration) -> String {
    let VerifyReport { height, blocks, transactions, valid, keys, modifications, last_config, .. } = compared;
    let mut text = String::new();
    let rows = [
        ("channel", channel.to_owned()),
        ("blocks", format!("{blocks} of {height}, the newest with the hash {}", hex::encode(&compared.tip))),
        ("transactions", format!("{transactions}, of them {valid} valid")),
        ("signatures", format!("of {} blocks", signed.blocks.saturating_sub(1))),
        ("configuration", format!("{} updates, the newest in block {last_config}", signed.updates)),
        ("state", format!("{keys} keys, {modifications} modifications in the history")),
        ("time", format!("{:.1} s", took.as_secs_f64())),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "{:15}{value}", format!("{name}:"));
    }
    let found = [
        ("differs", &compared.differences, compared.difference_count),
        ("signatures", &signed.problems, signed.problem_count),
    ];
    for (what, worded, count) in found {
        for words in worded {
            let _ = writeln!(text, "damage:        {words}");
        }
        let more = count.saturating_sub(worded.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "damage:        {more} more ({what})");
        }
    }
    if compared.is_good() && signed.is_good() {
        text.push_str("result:        whole\n");
    }
    text
}
