//! `selvedge msp show`: what an MSP folder holds, and what is wrong with it.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::msp::summary;

#[derive(Subcommand)]
pub(super) enum MspVerb {
    /// Show an MSP folder: authorities, administrators, node OUs, revocation lists, the signing certificate with its
    /// roles, and every problem found. Fails if the MSP cannot be used.
    Show {
        /// The folder with cacerts, and what else there is of it.
        dir: PathBuf,
        /// The MSP's name, for which CORE_PEER_LOCALMSPID or peer.localMspId stands otherwise.
        #[arg(long)]
        mspid: Option<String>,
    },
}

pub(super) fn run(verb: &MspVerb) -> anyhow::Result<()> {
    let MspVerb::Show { dir, mspid } = verb;
    if !dir.is_dir() {
        bail!("{} is no folder", dir.display());
    }
    let mspid = match mspid {
        Some(mspid) => mspid.clone(),
        None => super::load_config().context("the MSP's name is not known; give --mspid")?.peer.local_msp_id,
    };
    let summary = summary::of_folder(dir, &mspid, SystemTime::now());
    super::print(summary.text.trim_end())?;
    if !summary.usable {
        bail!("the MSP cannot be used");
    }
    Ok(())
}
