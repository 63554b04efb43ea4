//! Which versions of chaincode a block puts out of use (Fabric: the upgrades that `cceventmgmt` tells of).

use super::collections::LSCC;
use super::rich_query::deployed::definition;
use super::state::{CommittedState, public_key};
use super::updates::{Update, UpdateBatch};
use super::{Ledger, LedgerError, LedgerProvider};

/// A version of a chaincode in whose place a block has put another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedChaincode {
    /// The chaincode.
    pub name: String,
    /// The version that it had before.
    pub version: String,
}

/// The versions that these updates replace, on the state before them.
pub(super) fn replaced(
    updates: &UpdateBatch,
    before: &impl CommittedState,
) -> Result<Vec<ReplacedChaincode>, LedgerError> {
    let mut replaced = Vec::new();
    for (key, update) in updates.range(LSCC, b"", b"") {
        let Update::Put(new) = update else { continue };
        let Ok(name) = std::str::from_utf8(key) else { continue };
        let Some((_, version)) = definition(name, &new.value) else { continue };
        let old = before.get(&public_key(LSCC, key))?.and_then(|old| definition(name, &old.value));
        replaced
            .extend(old.filter(|(_, old)| *old != version).map(|(name, version)| ReplacedChaincode { name, version }));
    }
    Ok(replaced)
}

impl Ledger {
    /// Whether this version of the chaincode is the one that the channel has now.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_instantiated(&self, name: &str, version: &str) -> Result<bool, LedgerError> {
        let entry = self.new_query_executor().get_state(LSCC, name)?;
        Ok(entry.and_then(|entry| definition(name, &entry)).is_some_and(|(_, instantiated)| instantiated == version))
    }
}

impl LedgerProvider {
    /// Whether some channel has this version of the chaincode now. A channel whose database fails might.
    pub fn has_instantiated(&self, name: &str, version: &str) -> bool {
        let ledgers = self.channels().into_iter().filter_map(|channel| self.get(&channel));
        ledgers.into_iter().any(|ledger| {
            ledger.has_instantiated(name, version).unwrap_or_else(|error| {
                tracing::error!("[{}] which version of {name} it has cannot be read: {error}", ledger.channel_id());
                true
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use selvedge_proto::protos::ChaincodeData;

    use super::super::testing::TestChannel;
    use super::*;

    fn defining(channel: &TestChannel, txid: &str, entries: &[(&str, &str)]) -> Bytes {
        let mut simulator = channel.ledger.new_tx_simulator(txid).unwrap();
        for (key, version) in entries {
            let name = key.to_string();
            let data = ChaincodeData { name, version: version.to_string(), ..ChaincodeData::default() };
            simulator.set_state(LSCC, key, data.encode_to_vec().into()).unwrap();
        }
        simulator.results().unwrap().public
    }

    #[test]
    fn a_block_tells_which_versions_it_replaces() {
        let mut channel = TestChannel::new();
        let deploy = defining(&channel, "t0", &[("a", "1"), ("b", "1"), ("c", "1")]);
        assert_eq!(channel.commit_results(&[deploy]).replaced, []);

        let upgrade = defining(&channel, "t1", &[("a", "2"), ("b", "1"), ("d", "1"), ("c~collection", "2")]);
        let a = ReplacedChaincode { name: "a".into(), version: "1".into() };
        let committed = channel.commit_results(&[upgrade]);
        assert_eq!(committed.replaced, [a]);
        assert_eq!(channel.ledger.commit(committed.block, &[]).unwrap().replaced, [], "once");

        for (version, has) in [("1", false), ("2", true)] {
            assert_eq!(channel.ledger.has_instantiated("a", version).unwrap(), has);
            assert_eq!(channel.provider.has_instantiated("a", version), has);
        }
        assert!(!channel.provider.has_instantiated("none", "1"));
    }
}
