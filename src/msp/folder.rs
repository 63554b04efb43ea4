//! MSP folders on disk (Fabric: `msp/configbuilder.go`).
//!
//! `cacerts`, `intermediatecerts`, `admincerts`, `crls`, `tlscacerts`, `tlsintermediatecerts` and `config.yaml` say who
//! belongs to an organisation; `signcerts` and `keystore` make the folder somebody's own. Files count in the order of
//! their names; one without a PEM block is passed over with a warning, as in Fabric.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use selvedge_proto::common::{FabricCryptoConfig, FabricMspConfig, FabricNodeOUs, FabricOuIdentifier};
use serde::Deserialize;

use super::{MspError, pem};

/// The organisation's side of an MSP folder, byte for byte as Fabric's tools put it into a channel configuration.
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
    let tls_root_certs = contents(&dir.join("tlscacerts"))?;
    let tls_intermediate_certs = match tls_root_certs.is_empty() {
        true => Vec::new(),
        false => contents(&dir.join("tlsintermediatecerts"))?,
    };
    Ok(FabricMspConfig {
        name: mspid.to_owned(),
        root_certs,
        intermediate_certs: contents(&dir.join("intermediatecerts"))?,
        admins: contents(&dir.join("admincerts"))?,
        revocation_list: contents(&dir.join("crls"))?,
        organizational_unit_identifiers: settings.required_units(dir)?,
        crypto_config: Some(FabricCryptoConfig {
            signature_hash_family: "SHA2".into(),
            identity_identifier_hash_function: "SHA256".into(),
        }),
        tls_root_certs,
        tls_intermediate_certs,
        fabric_node_ous: settings.node_ous.filter(|ous| ous.enable).map(|ous| ous.resolve(dir)),
        ..FabricMspConfig::default()
    })
}

/// The first certificate of `signcerts`, with its path.
pub(super) fn signing_certificate(dir: &Path) -> Result<(PathBuf, Bytes), MspError> {
    let dir = dir.join("signcerts");
    pem_files(&dir)?.into_iter().next().ok_or_else(|| MspError::Folder {
        path: dir,
        cause: "there is no certificate to sign with; put the PEM certificate there".into(),
    })
}

/// The files of `keystore`.
pub(super) fn keys(dir: &Path) -> Result<Vec<(PathBuf, Bytes)>, MspError> {
    files(&dir.join("keystore"))
}

/// The certificates that `config.yaml` names for node OUs and that cannot be read.
pub(super) fn missing_certifiers(dir: &Path) -> Result<Vec<PathBuf>, MspError> {
    let Some(ous) = Settings::read(&dir.join("config.yaml"))?.node_ous.filter(|ous| ous.enable) else {
        return Ok(Vec::new());
    };
    let named = [ous.client, ous.peer, ous.admin, ous.orderer].into_iter().flatten();
    let missing = named.filter(|unit| unit.certificate.is_some()).filter_map(|unit| {
        let (path, certificate) = unit.certificate(dir);
        certificate.is_err().then_some(path)
    });
    Ok(missing.collect())
}

fn contents(dir: &Path) -> Result<Vec<Bytes>, MspError> {
    Ok(pem_files(dir)?.into_iter().map(|(_, content)| content).collect())
}

fn pem_files(dir: &Path) -> Result<Vec<(PathBuf, Bytes)>, MspError> {
    let mut files = files(dir)?;
    files.retain(|(path, content)| {
        let is_pem = pem::first_block(content).is_some();
        if !is_pem {
            tracing::warn!("{} of an MSP folder is passed over: there is no PEM block in it", path.display());
        }
        is_pem
    });
    Ok(files)
}

/// The files of a folder by name; none if the folder is not there.
pub(super) fn files(dir: &Path) -> Result<Vec<(PathBuf, Bytes)>, MspError> {
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
    #[serde(rename = "OrganizationalUnitIdentifiers")]
    organizational_unit_identifiers: Option<Vec<OrganizationalUnit>>,
}

#[derive(Debug, Deserialize)]
struct NodeOus {
    #[serde(rename = "Enable", default)]
    enable: bool,
    #[serde(rename = "ClientOUIdentifier")]
    client: Option<OrganizationalUnit>,
    #[serde(rename = "PeerOUIdentifier")]
    peer: Option<OrganizationalUnit>,
    #[serde(rename = "AdminOUIdentifier")]
    admin: Option<OrganizationalUnit>,
    #[serde(rename = "OrdererOUIdentifier")]
    orderer: Option<OrganizationalUnit>,
}

#[derive(Debug, Deserialize)]
struct OrganizationalUnit {
    /// The file of the authority that has to vouch for the unit, relative to the MSP folder.
    #[serde(rename = "Certificate")]
    certificate: Option<String>,
    #[serde(rename = "OrganizationalUnitIdentifier")]
    organizational_unit_identifier: Option<String>,
}

impl OrganizationalUnit {
    fn certificate(&self, dir: &Path) -> (PathBuf, std::io::Result<Vec<u8>>) {
        // Fabric joins an absolute path to the folder too.
        let path = dir.join(self.certificate.as_deref().unwrap_or_default().trim_start_matches('/'));
        let content = std::fs::read(&path);
        (path, content)
    }
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

    /// The units of which an identity needs one. Each needs the certificate of its authority.
    fn required_units(&self, dir: &Path) -> Result<Vec<FabricOuIdentifier>, MspError> {
        let read = |unit: &OrganizationalUnit| {
            let (path, certificate) = unit.certificate(dir);
            Ok(FabricOuIdentifier {
                certificate: certificate.map_err(MspError::file(path))?.into(),
                organizational_unit_identifier: unit.organizational_unit_identifier.clone().unwrap_or_default(),
            })
        };
        self.organizational_unit_identifiers.iter().flatten().map(read).collect()
    }
}

impl NodeOus {
    fn resolve(self, dir: &Path) -> FabricNodeOUs {
        FabricNodeOUs {
            enable: true,
            client_ou_identifier: node_ou(self.client, dir),
            peer_ou_identifier: node_ou(self.peer, dir),
            admin_ou_identifier: node_ou(self.admin, dir),
            orderer_ou_identifier: node_ou(self.orderer, dir),
        }
    }
}

/// A role's unit. Without a certificate that can be read, any authority of the MSP may vouch for it, as in Fabric.
fn node_ou(unit: Option<OrganizationalUnit>, dir: &Path) -> Option<FabricOuIdentifier> {
    let unit = unit?;
    let name = unit.organizational_unit_identifier.clone().filter(|name| !name.is_empty())?;
    let (path, certificate) = unit.certificate(dir);
    if let (Err(error), Some(_)) = (&certificate, &unit.certificate) {
        tracing::warn!(
            "{} cannot be read ({error}): every authority of the MSP may vouch for the unit '{name}'",
            path.display()
        );
    }
    Some(FabricOuIdentifier {
        certificate: certificate.unwrap_or_default().into(),
        organizational_unit_identifier: name,
    })
}
