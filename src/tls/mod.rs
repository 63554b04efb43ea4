//! TLS on both sides of a connection (Fabric: `core/comm`).
//!
//! | here | in Fabric |
//! |---|---|
//! | [`ServerTls`], [`ClientAuth`] | `comm.GRPCServer`, `comm.SecureOptions` |
//! | [`TlsIncoming`] | `comm.serverCreds` and the listener of grpc-go |
//! | [`TlsInfo`] | `credentials.TLSInfo`, `comm.ExtractCertificateHashFromContext` |
//! | [`ClientTls`], [`connect`] | `comm.GRPCClient` |
//! | [`Ca`] | `common/crypto/tlsgen` |
//!
//! Which files there are, and what their settings are called, is for the callers. TLS 1.2 and 1.3, one provider (aws-lc-rs),
//! no session is resumed (as in Fabric), so each connection shows its certificate anew.
//!
//! Invariant: a certificate that a connection is said to have was proved by a signature with its key, whether or not anybody
//! checked who issued it.

mod ca;
mod client;
mod error;
mod files;
mod incoming;
mod server;
mod verify;

use std::sync::{Arc, LazyLock};

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use ca::{Ca, ClientPair};
pub use client::{ClientTls, ConnectError, Connecting, connect, explain_lost_connection};
pub use error::TlsError;
pub use files::{CertHash, Identity, NamedFile, Roots};
pub use incoming::{TlsConnection, TlsIncoming, TlsInfo};
pub use server::{ClientAuth, ServerTls};

/// HTTP/2, which is all that gRPC speaks.
const ALPN: &[u8] = b"h2";

/// The one provider of cryptography; nothing is taken from a process-wide default that somebody else may have set.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

#[cfg(test)]
mod tests;
