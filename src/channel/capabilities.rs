//! Capabilities: which rules a channel asks of everybody on it (Fabric: `common/capabilities`).
//!
//! A channel names capabilities at three levels; each level's newest decides, so a higher one implies the lower ones.
//! Invariant: a channel that asks for one this node does not have is not served. Its peers would come to other verdicts
//! than this one, and the ledgers would part.

use std::collections::BTreeSet;
use std::fmt;

use selvedge_proto::common::Capabilities as Proto;
use thiserror::Error;

use crate::msp::MspVersion;

/// Where a capability stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `/Channel`: everybody.
    Channel,
    /// `/Channel/Orderer`: the ordering service.
    Orderer,
    /// `/Channel/Application`: the peers.
    Application,
}

impl Level {
    /// What this node does, oldest first. At the levels Channel and Orderer V2_0 asks nothing of a peer that V1_4_3 and
    /// V1_4_2 do not; at the level Application it asks for the chaincode lifecycle of Fabric 2, which is not there.
    fn supported(self) -> &'static [&'static str] {
        match self {
            Self::Channel => &["V1_1", "V1_3", "V1_4_2", "V1_4_3", "V2_0"],
            Self::Orderer => &["V1_1", "V1_4_2", "V2_0"],
            Self::Application => {
                &["V1_1", "V1_2", "V1_3", "V1_4_2", PRIVATE_DATA_EXPERIMENTAL, RESOURCES_TREE_EXPERIMENTAL]
            }
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "Channel",
            Self::Orderer => "Orderer",
            Self::Application => "Application",
        })
    }
}

const PRIVATE_DATA_EXPERIMENTAL: &str = "V1_1_PVTDATA_EXPERIMENTAL";
/// Known and without effect, as in Fabric 1.4.
const RESOURCES_TREE_EXPERIMENTAL: &str = "V1_1_RESOURCETREE_EXPERIMENTAL";

/// A capability that this node lacks. The first words are Fabric's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{level} capability {name} is required but not supported; this node supports {supported} there: let a peer that \
     supports it serve the channel, or have the channel's administrators ask for less",
    supported = .level.supported().join(", ")
)]
pub struct UnsupportedCapability {
    /// Where the channel asks for it.
    pub level: Level,
    /// What it asks for.
    pub name: String,
}

/// The capabilities that a channel names at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Required {
    level: Level,
    names: BTreeSet<String>,
}

impl Required {
    fn new(level: Level, value: Proto) -> Self {
        Self { level, names: value.capabilities.into_keys().collect() }
    }

    fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.names.contains(*name))
    }

    fn check_supported(&self) -> Result<(), UnsupportedCapability> {
        let supported = self.level.supported();
        match self.names.iter().find(|name| !supported.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(UnsupportedCapability { level: self.level, name: name.clone() }),
        }
    }
}

macro_rules! level {
    ($(#[$doc:meta])* $name:ident, $level:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Required);

        impl $name {
            /// Of a configuration's `Capabilities` value.
            pub(super) fn new(value: Proto) -> Self {
                Self(Required::new($level, value))
            }

            /// The names, sorted.
            pub fn names(&self) -> impl Iterator<Item = &str> {
                self.0.names.iter().map(String::as_str)
            }

            /// Whether this node has all of them.
            ///
            /// # Errors
            /// The first in the alphabet that it lacks.
            pub fn check_supported(&self) -> Result<(), UnsupportedCapability> {
                self.0.check_supported()
            }
        }
    };
}

level!(
    /// What the channel asks of everybody.
    ChannelCapabilities,
    Level::Channel
);
level!(
    /// What the channel asks of its ordering service.
    OrdererCapabilities,
    Level::Orderer
);
level!(
    /// What the channel asks of its peers.
    ApplicationCapabilities,
    Level::Application
);

impl ChannelCapabilities {
    /// Which rules the channel's MSPs follow.
    pub fn msp_version(&self) -> MspVersion {
        MspVersion::of_channel_capabilities(self.names())
    }

    /// Ordering organisations say where their orderers listen (from V1_4_2 on).
    pub fn org_specific_orderer_endpoints(&self) -> bool {
        self.0.any(&["V1_4_2", "V1_4_3", "V2_0"])
    }

    /// The type of consensus may change (from V1_4_2 on).
    pub fn consensus_type_migration(&self) -> bool {
        self.0.any(&["V1_4_2", "V1_4_3", "V2_0"])
    }
}

impl OrdererCapabilities {
    /// Expired creators are refused (from V1_1 on).
    pub fn expiration_check(&self) -> bool {
        self.0.any(&["V1_1", "V1_4_2", "V2_0"])
    }

    /// The ordering service follows a change of the type of consensus, in maintenance mode (from V1_4_2 on).
    pub fn consensus_type_migration(&self) -> bool {
        self.0.any(&["V1_4_2", "V2_0"])
    }
}

impl ApplicationCapabilities {
    /// The newest levels, from `first` on.
    fn from(&self, first: &str) -> bool {
        const LEVELS: [&str; 6] = ["V1_1", "V1_2", "V1_3", "V1_4_2", "V2_0", "V2_5"];
        let start = LEVELS.iter().position(|level| *level == first).unwrap_or(LEVELS.len());
        self.0.any(&LEVELS[start..])
    }

    /// The configuration may name policies for resources (from V1_2 on).
    pub fn acls(&self) -> bool {
        self.from("V1_2")
    }

    /// Of two transactions of a block with one id the second is invalid (from V1_1 on).
    pub fn forbid_duplicate_txid_in_block(&self) -> bool {
        self.from("V1_1")
    }

    /// Collections of private data (from V1_2 on, or where the experiment of 1.1 was switched on).
    pub fn private_channel_data(&self) -> bool {
        self.from("V1_2") || self.0.any(&[PRIVATE_DATA_EXPERIMENTAL])
    }

    /// An upgrade may bring collections (from V1_2 on).
    pub fn collection_upgrade(&self) -> bool {
        self.from("V1_2")
    }

    /// The stricter validation of 1.1: an upgrade has to satisfy the new instantiation policy too.
    pub fn v1_1_validation(&self) -> bool {
        self.from("V1_1")
    }

    /// The stricter validation of 1.2: the chaincode that was called has its say even if it writes nothing, events are looked
    /// at, and collections too.
    pub fn v1_2_validation(&self) -> bool {
        self.from("V1_2")
    }

    /// Keys have endorsement policies of their own, and changes of metadata are writes (from V1_3 on).
    pub fn key_level_endorsement(&self) -> bool {
        self.from("V1_3")
    }

    /// Private data of invalid transactions is kept (from V1_4_2 on).
    pub fn store_pvt_data_of_invalid_tx(&self) -> bool {
        self.from("V1_4_2")
    }

    /// Private data may be purged (from V2_5 on).
    pub fn purge_private_data(&self) -> bool {
        self.from("V2_5")
    }
}

#[cfg(test)]
mod tests {
    use selvedge_proto::common::Capability;

    use super::*;

    fn named(names: &[&str]) -> Proto {
        Proto { capabilities: names.iter().map(|name| ((*name).to_owned(), Capability {})).collect() }
    }

    #[test]
    fn a_higher_level_implies_the_lower_ones_and_not_the_other_way_round() {
        let application = |names: &[&str]| ApplicationCapabilities::new(named(names));
        let none = application(&[]);
        assert!(!none.acls() && !none.forbid_duplicate_txid_in_block() && !none.private_channel_data());
        let v1_1 = application(&["V1_1"]);
        assert!(v1_1.forbid_duplicate_txid_in_block() && v1_1.v1_1_validation() && !v1_1.acls());
        let v1_2 = application(&["V1_2"]);
        assert!(v1_2.acls() && v1_2.v1_2_validation() && v1_2.private_channel_data() && v1_2.collection_upgrade());
        assert!(!v1_2.key_level_endorsement());
        let v1_3 = application(&["V1_3"]);
        assert!(v1_3.key_level_endorsement() && !v1_3.store_pvt_data_of_invalid_tx());
        let v1_4_2 = application(&["V1_4_2"]);
        assert!(v1_4_2.store_pvt_data_of_invalid_tx() && v1_4_2.v1_1_validation() && !v1_4_2.purge_private_data());
        let v2_5 = application(&["V2_5"]);
        assert!(v2_5.purge_private_data() && v2_5.acls());
        let experiment = application(&[PRIVATE_DATA_EXPERIMENTAL]);
        assert!(experiment.private_channel_data() && !experiment.acls() && !experiment.collection_upgrade());
    }

    #[test]
    fn what_this_node_lacks_is_named_with_what_it_has() {
        ChannelCapabilities::new(named(&["V1_4_3", "V1_1", "V2_0"])).check_supported().expect("all known");
        OrdererCapabilities::new(named(&["V1_4_2", "V2_0"])).check_supported().expect("all known");
        ApplicationCapabilities::new(named(&["V1_4_2", RESOURCES_TREE_EXPERIMENTAL])).check_supported().expect("known");
        let refused = ApplicationCapabilities::new(named(&["V1_4_2", "V2_0"])).check_supported().expect_err("V2_0");
        assert_eq!(
            refused.to_string(),
            "Application capability V2_0 is required but not supported; this node supports V1_1, V1_2, V1_3, V1_4_2, \
             V1_1_PVTDATA_EXPERIMENTAL, V1_1_RESOURCETREE_EXPERIMENTAL there: let a peer that supports it serve the \
             channel, or have the channel's administrators ask for less"
        );
        ChannelCapabilities::new(named(&["V3_0"])).check_supported().expect_err("block signatures of another kind");
    }
}
