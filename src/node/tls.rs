//! TLS of the peer's listener (Fabric: `core/peer.GetServerConfig`).
//!
//! Chaincode's has an authority of its own: see `chaincode_server`. Invariant: a node whose configuration asks for TLS serves
//! the peer's services with it or not at all.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, bail};

use crate::config::{PeerConfig, TlsConfig};
use crate::ordering::TlsBinding;
use crate::tls::{ClientAuth, Identity, NamedFile, Roots, ServerTls};

const CERT: &str = "peer.tls.cert.file";
const KEY: &str = "peer.tls.key.file";
const ROOT: &str = "peer.tls.rootcert.file";
const CLIENT_ROOTS: &str = "peer.tls.clientRootCAs.files";

/// What the listener accepts with; none where TLS is off.
pub(super) fn server(peer: &PeerConfig) -> anyhow::Result<Option<ServerTls>> {
    let config = &peer.tls;
    if !config.enabled {
        return Ok(None);
    }
    let certificate = named(CERT, config.cert_file.as_ref())?;
    let key = named(KEY, config.key_file.as_ref())?;
    let identity = Identity::load(&certificate, &key).context("the peer's listener cannot have TLS")?;
    if let Some(when) = identity.outside_validity(SystemTime::now()) {
        tracing::warn!("{CERT}: the certificate in {} {when}: clients will refuse it", certificate.path.display());
    }
    if let Some(root) = &config.rootcert_file {
        Roots::load(ROOT, &[NamedFile::new(ROOT, root)])?;
    }
    let clients = if config.client_auth_required {
        let files: Vec<_> = config.client_root_cas.iter().map(|path| NamedFile::new(CLIENT_ROOTS, path)).collect();
        ClientAuth::Required(Roots::load(CLIENT_ROOTS, &files).context("peer.tls.clientAuthRequired is true")?)
    } else {
        ClientAuth::Requested
    };
    Ok(Some(ServerTls::new(&identity, clients)?))
}

/// Whether clients must bind their requests to their certificates (Fabric: `peer/node.serve`, `mutualTLS`).
pub(super) fn binding(config: &TlsConfig) -> TlsBinding {
    if config.enabled && config.client_auth_required { TlsBinding::Mutual } else { TlsBinding::None }
}

/// For the log: what clients find at the listener.
pub(super) fn described(config: &TlsConfig) -> &'static str {
    match (config.enabled, config.client_auth_required) {
        (false, _) => "",
        (true, false) => ", with TLS",
        (true, true) => ", with mutual TLS",
    }
}

fn named(key: &str, path: Option<&PathBuf>) -> anyhow::Result<NamedFile> {
    let Some(path) = path else {
        bail!(
            "peer.tls.enabled is true and {key} is not set: name the node's certificate ({CERT}) and its key ({KEY}), or \
             set peer.tls.enabled to false"
        );
    };
    Ok(NamedFile::new(key, path))
}
