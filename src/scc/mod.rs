//! System chaincodes: which there are, who may call them, and their deployment (Fabric 1.4: `core/scc`).
//!
//! The [`Registry`] answers for them by name, the [`Deployer`] starts them and sends each its INIT for every channel. What a
//! system chaincode may ask of the peer beyond the chaincode protocol is a capability, granted in its descriptor.

mod capability;
mod deploy;
mod descriptor;
mod registry;

pub use capability::{
    AccessControlCapability, ChannelAdminCapability, ChannelConfigCapability, ChannelJoiner, JoinError,
    LedgerCapability, PackageAdminCapability, PackagesCapability, PoliciesCapability,
};
pub use deploy::{DeployError, Deployer};
pub use descriptor::{SystemChaincode, is_enabling};
pub use registry::Registry;
