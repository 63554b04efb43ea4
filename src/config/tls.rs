//! Section `peer.tls` of core.yaml.
//!
//! The node and the command line read the same section and need different files of it, so files are opened by who needs
//! them and not here.

use std::path::PathBuf;

use super::values::Values;

/// `peer.tls`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// `peer.tls.enabled`: of the peer's listener, and of the command line's connections to peers.
    pub enabled: bool,
    /// `peer.tls.clientAuthRequired`: the node demands a certificate of its clients; the command line shows one.
    pub client_auth_required: bool,
    /// `peer.tls.cert.file`: the node's certificate, and those between it and the root.
    pub cert_file: Option<PathBuf>,
    /// `peer.tls.key.file`: the node's key.
    pub key_file: Option<PathBuf>,
    /// `peer.tls.rootcert.file`: whom the command line believes to be the peer.
    pub rootcert_file: Option<PathBuf>,
    /// `peer.tls.clientRootCAs.files`: whose clients the node lets in where it demands a certificate.
    pub client_root_cas: Vec<PathBuf>,
    /// `peer.tls.clientCert.file`: the command line's certificate.
    pub client_cert_file: Option<PathBuf>,
    /// `peer.tls.clientKey.file`: the command line's key.
    pub client_key_file: Option<PathBuf>,
    /// `peer.tls.serverhostoverride`: the name that the command line expects in the peer's certificate; empty for the host
    /// of its address.
    pub server_host_override: String,
}

pub(super) fn read(values: &mut Values<'_>) -> TlsConfig {
    TlsConfig {
        enabled: values.flag("peer.tls.enabled"),
        client_auth_required: values.flag("peer.tls.clientAuthRequired"),
        cert_file: values.optional_path("peer.tls.cert.file"),
        key_file: values.optional_path("peer.tls.key.file"),
        rootcert_file: values.optional_path("peer.tls.rootcert.file"),
        client_root_cas: values.paths("peer.tls.clientRootCAs.files"),
        client_cert_file: values.optional_path("peer.tls.clientCert.file"),
        client_key_file: values.optional_path("peer.tls.clientKey.file"),
        server_host_override: values.text("peer.tls.serverhostoverride"),
    }
}
