//! What the builds of images depend on (Fabric: `core/container/util.ParseDockerfileTemplate`, `common/metadata`).
//!
//! Names of images are the configuration's, with Fabric's variables in them replaced: `$(ARCH)`, `$(PROJECT_VERSION)`,
//! `$(TWO_DIGIT_VERSION)`, `$(BASE_VERSION)`, `$(DOCKER_NS)`, `$(BASE_DOCKER_NS)`.

/// The release of Fabric whose images are used by default and whose shims they hold: what `$(PROJECT_VERSION)`, the label
/// `org.hyperledger.fabric.version` and CORE_CHAINCODE_BUILDLEVEL say.
pub const FABRIC_VERSION: &str = "1.4.12";
/// The version of the base images of that release.
pub const BASE_VERSION: &str = "0.4.22";
/// Who publishes these images.
const NAMESPACE: &str = "hyperledger";

/// What the builds of images depend on: names of images, and how to link. All variables are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSettings {
    /// `chaincode.builder`: where GOLANG and NODE are built.
    pub builder: String,
    /// `chaincode.pull`: whether to ask the registry for the images below even when they are here.
    pub pull: bool,
    /// `chaincode.golang.runtime`
    pub golang_runtime: String,
    /// `chaincode.golang.dynamicLink`
    pub golang_dynamic_link: bool,
    /// `chaincode.node.runtime`
    pub node_runtime: String,
    /// `chaincode.java.runtime`, where JAVA is built, too.
    pub java_runtime: String,
    /// `chaincode.rust.builder`: an image with cargo, whose default target links statically.
    pub rust_builder: String,
    /// `chaincode.rust.runtime`
    pub rust_runtime: String,
}

/// A name of an image with its variables replaced. What looks like a variable and is none stays.
pub fn expand_image(template: &str) -> String {
    let two_digits = FABRIC_VERSION.rsplit_once('.').map_or(FABRIC_VERSION, |(start, _)| start);
    let variables = [
        ("$(ARCH)", arch()),
        ("$(PROJECT_VERSION)", FABRIC_VERSION),
        ("$(TWO_DIGIT_VERSION)", two_digits),
        ("$(BASE_VERSION)", BASE_VERSION),
        ("$(DOCKER_NS)", NAMESPACE),
        ("$(BASE_DOCKER_NS)", NAMESPACE),
    ];
    variables.into_iter().fold(template.to_owned(), |name, (variable, value)| name.replace(variable, value))
}

/// The processor, by Go's name for it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fabrics_variables_are_replaced() {
        let table = [
            ("$(DOCKER_NS)/fabric-ccenv:$(TWO_DIGIT_VERSION)", "hyperledger/fabric-ccenv:1.4".to_owned()),
            (
                "$(BASE_DOCKER_NS)/fabric-baseos:$(ARCH)-$(BASE_VERSION)",
                format!("hyperledger/fabric-baseos:{}-0.4.22", arch()),
            ),
            ("mine:$(PROJECT_VERSION)", "mine:1.4.12".to_owned()),
            ("node:20-$(NAME)", "node:20-$(NAME)".to_owned()),
        ];
        for (template, expected) in table {
            assert_eq!(expand_image(template), expected);
        }
    }
}
