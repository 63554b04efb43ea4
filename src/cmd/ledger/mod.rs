//! `selvedge ledger verify|export`: looking at ledgers and blocks (Fabric: `ledgerutil verify`, `configtxlator
//! proto_decode`).

mod export;
mod verify;

use anyhow::bail;
use clap::Subcommand;

use super::connect::OrdererFlags;

#[derive(Subcommand)]
pub(super) enum LedgerVerb {
    /// Check a channel's ledger, with the node stopped: hashes, signatures, and whether the state follows from the blocks.
    ///
    /// Walks all blocks, verifies that the channel's ordering service signed them, commits them once more into a scratch file
    /// beside the ledger, and compares. Exits with 1 if anything differs.
    Verify {
        /// The channel.
        channel: String,
    },
    /// Print a block as JSON, as configtxlator does: of a file, or fetched from a peer or orderer.
    Export {
        /// As JSON, which is the one form that there is; `channel fetch` writes a block's bytes.
        #[arg(long, required = true)]
        json: bool,
        /// newest, oldest, config or a number, to fetch it of --channelID as `channel fetch` does; else a file.
        #[arg(value_name = "newest|oldest|config|NUMBER|FILE")]
        block: String,
        /// The channel.
        #[arg(short = 'c', long = "channelID", visible_short_alias = 'C')]
        channel: Option<String>,
        #[command(flatten)]
        orderer: Box<OrdererFlags>,
    },
}

pub(super) fn run(verb: &LedgerVerb) -> anyhow::Result<()> {
    match verb {
        LedgerVerb::Verify { channel } => verify::run(channel),
        LedgerVerb::Export { json: false, .. } => bail!("say --json: there is no other form"),
        LedgerVerb::Export { block, channel, orderer, .. } => {
            let text = export::text(block, channel.as_deref(), orderer)?;
            super::print(text.trim_end())
        }
    }
}
