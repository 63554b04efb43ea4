//! Keys of section `chaincode` of core.yaml that the builds of images depend on.

use super::values::Values;
use crate::platforms::{BuildSettings, expand_image};

pub(super) fn read(values: &mut Values<'_>) -> BuildSettings {
    let pull = values.flag("chaincode.pull");
    let golang_dynamic_link = values.flag("chaincode.golang.dynamicLink");
    let image = |key| expand_image(&values.text(key));
    BuildSettings {
        builder: image("chaincode.builder"),
        pull,
        golang_runtime: image("chaincode.golang.runtime"),
        golang_dynamic_link,
        node_runtime: image("chaincode.node.runtime"),
        java_runtime: image("chaincode.java.runtime"),
        rust_builder: image("chaincode.rust.builder"),
        rust_runtime: image("chaincode.rust.runtime"),
    }
}
