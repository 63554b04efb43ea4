//! Whose name a command acts in (Fabric: `peer/common.InitCrypto`).

use anyhow::{Context, bail};

use crate::config::Config;
use crate::msp::{SigningIdentity, development};

/// The identity of `CORE_PEER_MSPCONFIGPATH` and `CORE_PEER_LOCALMSPID`; without them the administrator of the development
/// organisation that the node made for itself.
pub(super) fn load(config: &Config) -> anyhow::Result<SigningIdentity> {
    let peer = &config.peer;
    let folder = match &peer.msp_config_path {
        Some(folder) if folder.is_dir() => folder.clone(),
        Some(folder) => {
            bail!(
                "Cannot run peer because cannot init crypto, folder {:?} does not exist",
                folder.display().to_string()
            )
        }
        None => {
            let development = peer.development_path();
            // Only a node makes identities: one made here would be unknown to the channel.
            if !development.is_dir() {
                bail!(
                    "there is no identity to sign with: {} does not exist; run `selvedge node start` once with these \
                     settings (FABRIC_CFG_PATH, or this directory), or set CORE_PEER_MSPCONFIGPATH and CORE_PEER_LOCALMSPID",
                    development.display()
                );
            }
            development::ensure(&development, &peer.local_msp_id)?.admin
        }
    };
    SigningIdentity::load(&folder, &peer.local_msp_id).context("error getting default signer")
}
