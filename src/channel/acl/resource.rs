//! The resources that access is asked for, and who guards them by default (Fabric: `core/aclmgmt/resources`,
//! `defaultaclprovider.go`).
//!
//! Exactly Fabric 1.4's map without `token/*`, whose service is not here. `lscc/Deploy` and `lscc/Upgrade` are names
//! without a policy there too: `peer/Propose` covers them.

/// To send a proposal for user chaincode.
pub const PROPOSE: &str = "peer/Propose";
/// To call user chaincode from chaincode.
pub const CHAINCODE_TO_CHAINCODE: &str = "peer/ChaincodeToChaincode";
/// To receive whole blocks.
pub const BLOCK_EVENT: &str = "event/Block";
/// To receive blocks without their content.
pub const FILTERED_BLOCK_EVENT: &str = "event/FilteredBlock";
/// To send transactions to the embedded orderer. Not a resource in Fabric, and no channel can give it another policy.
pub const BROADCAST: &str = "orderer/Broadcast";
/// To receive blocks from the embedded orderer. Not a resource in Fabric, and no channel can give it another policy.
pub const ORDERER_DELIVER: &str = "orderer/Deliver";

const READERS: &str = "/Channel/Application/Readers";
const WRITERS: &str = "/Channel/Application/Writers";
/// What Fabric's orderer asks.
const ORDERER_READERS: &str = "/Channel/Readers";
const ORDERER_WRITERS: &str = "/Channel/Writers";

/// A policy of the peer's own MSP, for what belongs to no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalPolicy {
    /// An administrator of the peer's MSP.
    Admins,
    /// Any member of the peer's MSP.
    Members,
}

impl LocalPolicy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Admins => "Admins",
            Self::Members => "Members",
        }
    }
}

/// Who guards a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// A policy of the channel. Its configuration may name another one.
    Channel(&'static str),
    /// A policy of the peer's own MSP, whatever a channel's configuration says of it.
    Local(LocalPolicy),
    /// A policy of the channel, whatever the channel's ACLs say.
    Orderer(&'static str),
}

/// The guard of a resource by default; none for a name that Fabric has no policy for.
pub(super) fn default_guard(resource: &str) -> Option<Guard> {
    Some(match resource {
        PROPOSE | CHAINCODE_TO_CHAINCODE | "cscc/SimulateConfigTreeUpdate" => Guard::Channel(WRITERS),
        BLOCK_EVENT
        | FILTERED_BLOCK_EVENT
        | "lscc/ChaincodeExists"
        | "lscc/GetDeploymentSpec"
        | "lscc/GetChaincodeData"
        | "lscc/GetInstantiatedChaincodes"
        | "lscc/GetCollectionsConfig"
        | "cscc/GetConfigBlock"
        | "cscc/GetConfigTree"
        | "qscc/GetChainInfo"
        | "qscc/GetBlockByNumber"
        | "qscc/GetBlockByHash"
        | "qscc/GetTransactionByID"
        | "qscc/GetBlockByTxID" => Guard::Channel(READERS),
        // Fabric's lscc and cscc ask for these policies by themselves, without a look into its map.
        "lscc/Install" | "lscc/GetInstalledChaincodes" | "cscc/JoinChain" => Guard::Local(LocalPolicy::Admins),
        "cscc/GetChannels" => Guard::Local(LocalPolicy::Members),
        BROADCAST => Guard::Orderer(ORDERER_WRITERS),
        ORDERER_DELIVER => Guard::Orderer(ORDERER_READERS),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name of Fabric 1.4's `resources.go`, as `defaultaclprovider.go` fills it in.
    #[test]
    fn the_default_map_is_fabric_1_4s() {
        let readers = Some(Guard::Channel("/Channel/Application/Readers"));
        let writers = Some(Guard::Channel("/Channel/Application/Writers"));
        let admins = Some(Guard::Local(LocalPolicy::Admins));
        for (resource, guard) in [
            ("lscc/Install", admins),
            ("lscc/Deploy", None),
            ("lscc/Upgrade", None),
            ("lscc/ChaincodeExists", readers),
            ("lscc/GetDeploymentSpec", readers),
            ("lscc/GetChaincodeData", readers),
            ("lscc/GetInstantiatedChaincodes", readers),
            ("lscc/GetInstalledChaincodes", admins),
            ("lscc/GetCollectionsConfig", readers),
            ("qscc/GetChainInfo", readers),
            ("qscc/GetBlockByNumber", readers),
            ("qscc/GetBlockByHash", readers),
            ("qscc/GetTransactionByID", readers),
            ("qscc/GetBlockByTxID", readers),
            ("cscc/JoinChain", admins),
            ("cscc/GetConfigBlock", readers),
            ("cscc/GetChannels", Some(Guard::Local(LocalPolicy::Members))),
            ("cscc/GetConfigTree", readers),
            ("cscc/SimulateConfigTreeUpdate", writers),
            ("peer/Propose", writers),
            ("peer/ChaincodeToChaincode", writers),
            ("event/Block", readers),
            ("event/FilteredBlock", readers),
            // Fabric 2's, and what differs in case.
            ("cscc/GetChannelConfig", None),
            ("_lifecycle/InstallChaincode", None),
            ("qscc/GetBlockByTxId", None),
            ("token/Issue", None),
            ("", None),
        ] {
            assert_eq!(default_guard(resource), guard, "{resource}");
        }
    }
}
