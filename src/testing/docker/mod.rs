//! A real Docker engine for tests, the images that chaincode is built from there, and a node that uses it. No image is
//! pulled: they are made of this machine's files.

mod base_images;
mod engine;
mod peer;
mod private_engine;

pub use base_images::node_image;
pub use engine::{DockerEngine, Listed, docker_engine};
pub use peer::{Code, DockerPeer, DockerSetting};
pub use private_engine::PrivateEngine;
