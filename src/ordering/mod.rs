//! The embedded ordering service (Fabric: `orderer`).
