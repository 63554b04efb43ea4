//! Stand-in for the composition root.

mod system_chaincodes;

pub use system_chaincodes::system_chaincodes;

/// Runs a node.
pub async fn start(_config: crate::config::Config) -> anyhow::Result<()> {
    anyhow::bail!("not here")
}
