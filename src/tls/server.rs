//! The server's side (Fabric: `comm.NewGRPCServerFromListener`).
//!
//! Invariant: a client certificate is always asked for, because SDKs bind what they sign to it.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::SingleCertAndKey;

use super::verify::{AnyClient, KnownClient};
use super::{ALPN, Identity, Roots, TlsError};

/// What is asked of clients.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// A certificate is asked for; none is fine, and so is one of an unknown issuer.
    Requested,
    /// A certificate of one of these authorities is demanded (`clientAuthRequired`).
    Required(Roots),
}

/// A server's side of TLS, ready to accept.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Shows `identity` to clients and asks `clients` of them.
    ///
    /// # Errors
    /// When the library refuses the material.
    pub fn new(identity: &Identity, clients: ClientAuth) -> Result<Self, TlsError> {
        let provider = super::provider();
        let verifier: Arc<dyn ClientCertVerifier> = match clients {
            ClientAuth::Requested => Arc::new(AnyClient::new(&provider)),
            ClientAuth::Required(roots) => Arc::new(KnownClient::new(roots, Arc::clone(&provider))?),
        };
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.certified)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
