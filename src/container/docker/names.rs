//! What containers and images are called (Fabric: `DockerVM.GetVMName`, `GetVMNameForDocker`).
//!
//! Invariant: two chaincodes of one peer have two images, whatever their names lose on the way: an image's name ends with the
//! hash of what it was made of. Containers have Fabric's names, which scripts match, hash or no hash.

use sha2::{Digest, Sha256};

use super::DockerError;
use crate::container::Ccid;

/// Names for the containers and images of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `peer.networkId`; may be empty.
    pub network_id: String,
    /// `peer.id`; may be empty.
    pub peer_id: String,
}

impl Names {
    /// The name of the container: `dev-peer0-mycc-1.0`.
    pub fn container(&self, ccid: &Ccid) -> String {
        sanitize(&self.base(ccid))
    }

    /// The name of the image: the container's in lower case, and a hash.
    ///
    /// # Errors
    /// When that is no name of an image; Fabric's text, and what to change.
    pub fn image(&self, ccid: &Ccid) -> Result<String, DockerError> {
        let base = self.base(ccid);
        let name = format!("{}-{}", sanitize(&base), hex::encode(Sha256::digest(&base))).to_lowercase();
        if is_repository_name(&name) { Ok(name) } else { Err(DockerError::Name(name)) }
    }

    fn base(&self, ccid: &Ccid) -> String {
        let parts = [self.network_id.as_str(), self.peer_id.as_str(), &ccid.container_name()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    }
}

/// What the engine does not take in a container's name becomes a dash.
fn sanitize(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

/// Fabric's `^[a-z0-9]+(([._-][a-z0-9]+)+)?$`.
fn is_repository_name(name: &str) -> bool {
    let mut parts = name.split(['.', '_', '-']);
    parts.all(|part| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(network_id: &str, peer_id: &str) -> Names {
        Names { network_id: network_id.into(), peer_id: peer_id.into() }
    }

    #[test]
    fn names_are_fabrics() {
        let ccid = Ccid::new("mycc", "1.0");
        let table = [
            ("dev", "peer0.org1.example.com", "dev-peer0.org1.example.com-mycc-1.0"),
            ("", "peer0", "peer0-mycc-1.0"),
            ("dev", "", "dev-mycc-1.0"),
            ("", "", "mycc-1.0"),
            ("Net&work", "peer:7/a", "Net-work-peer-7-a-mycc-1.0"),
        ];
        for (network, peer, container) in table {
            assert_eq!(names(network, peer).container(&ccid), container);
            let image = names(network, peer).image(&ccid).unwrap();
            let (start, hash) = image.split_at(image.len() - 64);
            assert_eq!(start, format!("{}-", container.to_lowercase()));
            assert!(hash.bytes().all(|c| c.is_ascii_hexdigit()), "{image}");
        }
        // Of dockercontroller_test.go: the hash is that of the name before anything was replaced.
        let image = names("dev", "peer0").image(&ccid).unwrap();
        assert_eq!(image, format!("dev-peer0-mycc-1.0-{}", hex::encode(Sha256::digest("dev-peer0-mycc-1.0"))));
        let (one, other) = (names("dev", "peer:0"), names("dev", "peer-0"));
        assert_eq!(one.container(&ccid), other.container(&ccid));
        assert_ne!(one.image(&ccid).unwrap(), other.image(&ccid).unwrap());
    }

    #[test]
    fn a_name_that_no_image_can_have_is_refused_in_fabrics_words() {
        for peer in ["peer--0", "_peer", "peer.:0"] {
            let refused = names("", peer).image(&Ccid::new("mycc", "1.0")).unwrap_err().to_string();
            assert!(refused.starts_with("Error constructing Docker VM Name. '"), "{refused}");
            assert!(refused.contains("breaks Docker's repository naming rules"), "{refused}");
        }
    }
}
