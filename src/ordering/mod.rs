//! The embedded ordering service (Fabric: `orderer`).

mod filtered;

pub use filtered::filtered_block;
