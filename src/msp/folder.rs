//! MSP folders on disk (Fabric: `msp/configbuilder.go`).
//!
//! `cacerts`, `intermediatecerts`, `admincerts`, `crls`, `tlscacerts`, `tlsintermediatecerts` and `config.yaml` say who
//! belongs to an organisation; `signcerts` and `keystore` make the folder somebody's own. Files count in the order of
//! their names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use selvedge_proto::common::{FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier};
use serde::Deserialize;

use super::MspError;

/// The organisation's side of an MSP folder, as it stands in a channel configuration.
///
/// # Errors
/// When the folder has no `cacerts`, or a file cannot be read.
pub fn verifying_config(dir: &Path, mspid: &str) -> Result<FabricMspConfig, MspError> {
    let root_certs = contents(&dir.join("cacerts"))?;
    if root_certs.is_empty() {
        let cause = "there is no CA certificate; an MSP folder needs cacerts/*.pem".into();
        return Err(MspError::Folder { path: dir.to_owned(), cause });
    }
    let settings = Settings::read(&dir.join("config.yaml"))?;
    Ok(FabricMspConfig {
        name: mspid.to_owned(),
        root_certs,
        intermediate_certs: contents(&dir.join("intermediatecerts"))?,
        admins: contents(&dir.join("admincerts"))?,
        revocation_list: contents(&dir.join("crls"))?,
        organizational_unit_identifiers: settings
            .organizational_unit_identifiers
            .into_iter()
            .map(|unit| FabricOuIdentifier {
                organizational_unit_identifier: unit.organizational_unit_identifier,
                ..FabricOuIdentifier::default()
            })
            .collect(),
        crypto_config: Some(FabricCryptoConfig {
            signature_hash_family: "SHA2".into(),
            identity_identifier_hash_function: "SHA256".into(),
        }),
        tls_root_certs: contents(&dir.join("tlscacerts"))?,
        tls_intermediate_certs: contents(&dir.join("tlsintermediatecerts"))?,
        fabric_node_ous: settings
            .node_ous
            .filter(|ous| ous.enable)
            .map(|_| FabricNodeOUs { enable: true, ..FabricNodeOUs::default() }),
        ..FabricMspConfig::default()
    })
}

/// The first certificate of `signcerts`, with its path.
pub(super) fn signing_certificate(dir: &Path) -> Result<(PathBuf, Bytes), MspError> {
    let dir = dir.join("signcerts");
    files(&dir)?.into_iter().next().ok_or_else(|| MspError::Folder {
        path: dir,
        cause: "there is no certificate to sign with; put the PEM certificate there".into(),
    })
}

/// The files of `keystore`.
pub(super) fn keys(dir: &Path) -> Result<Vec<(PathBuf, Bytes)>, MspError> {
    files(&dir.join("keystore"))
}

fn contents(dir: &Path) -> Result<Vec<Bytes>, MspError> {
    Ok(files(dir)?.into_iter().map(|(_, content)| content).collect())
}

/// The files of a folder by name; none if the folder is not there.
fn files(dir: &Path) -> Result<Vec<(PathBuf, Bytes)>, MspError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(MspError::file(dir))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(MspError::file(dir))?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: PathBuf| match std::fs::read(&path) {
        Ok(content) => Ok((path, content.into())),
        Err(source) => Err(MspError::File { path, source }),
    };
    paths.into_iter().map(read).collect()
}

/// What of `config.yaml` changes who belongs to the MSP.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(rename = "NodeOUs")]
    node_ous: Option<NodeOus>,
    #[serde(rename = "OrganizationalUnitIdentifiers", default)]
    organizational_unit_identifiers: Vec<OrganizationalUnit>,
}

#[derive(Debug, Deserialize)]
struct NodeOus {
    #[serde(rename = "Enable", default)]
    enable: bool,
}

#[derive(Debug, Deserialize)]
struct OrganizationalUnit {
    #[serde(rename = "OrganizationalUnitIdentifier", default)]
    organizational_unit_identifier: String,
}

impl Settings {
    fn read(path: &Path) -> Result<Self, MspError> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.map_err(MspError::file(path))?,
        };
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| MspError::Folder {
            path: path.to_owned(),
            cause: format!("it is no MSP configuration: {error}"),
        })
    }
}
