//! Whose a container is: labels that tell the containers of this peer from those of anybody else.
//!
//! Names do not: two peers of one engine may have the same `peer.id`, and a prefix of a name says nothing. So a peer has a key
//! of its own, made once and kept with its data; who starts over with an empty directory is another peer.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bollard::models::ContainerInspectResponse;

use super::Names;
use crate::container::Ccid;

const KEY: &str = "org.selvedge.owner";
const PEER: &str = "org.selvedge.peer";
const NETWORK: &str = "org.selvedge.network";
const CHAINCODE: &str = "org.selvedge.chaincode";
const ROLE: &str = "org.selvedge.role";
const BUILDER: &str = "builder";
/// The file with the key, in the peer's data directory.
const FILE: &str = "docker-owner";

type Labels = HashMap<String, String>;

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It runs a chaincode.
    Chaincode,
    /// It builds one.
    Builder,
}

/// The key that the containers of one peer carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// That of the peer which keeps its data in `folder`; made at the first call.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn of_peer(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(key) if !key.trim().is_empty() => Ok(Self(key.trim().to_owned())),
            Ok(_) => Self::make(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(&path),
            Err(error) => Err(error),
        }
    }

    fn make(path: &Path) -> io::Result<Self> {
        let key = uuid::Uuid::new_v4().to_string();
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(key.as_bytes())?;
        Ok(Self(key))
    }

    /// The labels of a container of this peer.
    pub(super) fn labels(&self, names: &Names, ccid: &Ccid, role: Role) -> Labels {
        let role = if role == Role::Builder { BUILDER } else { "chaincode" };
        let labels = [
            (ROLE, role.to_owned()),
            (KEY, self.0.clone()),
            (PEER, names.peer_id.clone()),
            (NETWORK, names.network_id.clone()),
            (CHAINCODE, ccid.to_string()),
        ];
        labels.into_iter().map(|(label, value)| (label.to_owned(), value)).collect()
    }

    /// What finds the containers of this peer in a list.
    pub(super) fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{KEY}={}", self.0)])])
    }

    /// Whose container has these labels, and what it is for; none where the labels are not a peer's.
    pub(super) fn chaincode(labels: &Labels) -> Option<(Ccid, Role)> {
        let id = labels.get(CHAINCODE)?;
        let (name, version) = id.rsplit_once(':').unwrap_or((id, ""));
        let builds = labels.get(ROLE).is_some_and(|role| role == BUILDER);
        Some((Ccid::new(name, version), if builds { Role::Builder } else { Role::Chaincode }))
    }

    /// Whether this is a container in which this peer runs that chaincode. Its name does not say so.
    pub(super) fn runs(&self, ccid: &Ccid, found: ContainerInspectResponse) -> bool {
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let chaincode = Self::chaincode(&labels);
        self.other(&labels).is_none() && chaincode.is_some_and(|(one, role)| one == *ccid && role == Role::Chaincode)
    }

    /// The peer and the network of whoever made a container with these labels; none where it is this peer. What has no
    /// labels of ours is somebody's all the same.
    pub(super) fn other(&self, labels: &Labels) -> Option<(String, String)> {
        let text = |label: &str| labels.get(label).cloned().unwrap_or_else(|| "(not said)".to_owned());
        (labels.get(KEY) != Some(&self.0)).then(|| (text(PEER), text(NETWORK)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_keeps_its_key_and_shares_it_with_nobody() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let owner = Owner::of_peer(folder.path()).unwrap();
        assert_eq!(Owner::of_peer(folder.path()).unwrap(), owner);
        let other = Owner::of_peer(other.path()).unwrap();
        assert_ne!(owner, other);

        let names = Names { network_id: "dev".into(), peer_id: "peer0".into() };
        let labels = owner.labels(&names, &Ccid::new("mycc", "1.0"), Role::Builder);
        assert_eq!(Owner::chaincode(&labels), Some((Ccid::new("mycc", "1.0"), Role::Builder)));
        assert_eq!(owner.other(&labels), None);
        assert_eq!(other.other(&labels), Some(("peer0".into(), "dev".into())));
        let nobody = ("(not said)".to_owned(), "(not said)".to_owned());
        assert_eq!(other.other(&Labels::new()), Some(nobody), "a container without an owner is not ours");
    }
}
