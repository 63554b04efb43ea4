//! `selvedge node start` (Fabric: `peer node start`). What a node is made of is [`crate::node`]'s matter.

use anyhow::Context;
use clap::{ArgAction, Subcommand};

use crate::config::ChaincodeMode;

#[derive(Subcommand)]
pub(super) enum NodeVerb {
    /// Start a node; it runs until SIGINT or SIGTERM, finishes what it has begun and exits with 0.
    Start {
        /// Let developers start chaincode by hand (chaincode.mode: dev).
        #[arg(
            long = "peer-chaincodedev",
            action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false,
            value_name = "true|false", hide_possible_values = true
        )]
        chaincode_dev: bool,
    },
}

pub(super) fn run(verb: &NodeVerb) -> anyhow::Result<()> {
    let NodeVerb::Start { chaincode_dev } = verb;
    let mut config = super::load_config()?;
    if *chaincode_dev {
        config.chaincode.mode = ChaincodeMode::Dev;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the node's threads")?;
    runtime.block_on(crate::node::start(config))
}
