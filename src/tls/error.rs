//! What can be wrong with certificates and keys.

use std::path::PathBuf;

use thiserror::Error;
use tokio_rustls::rustls;

/// Why TLS cannot be set up. Each text names the setting (a key of core.yaml, or a flag) and the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("{setting}: cannot read {}: {source}", path.display())]
    Read {
        /// What names the file.
        setting: String,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file does not hold what it should.
    #[error("{setting}: {}: {reason}", path.display())]
    Content {
        /// What names the file.
        setting: String,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Key and certificate are no pair.
    #[error(
        "{key_setting}: the key in {} does not belong to the certificate in {} ({certificate_setting}); give the key that the \
         certificate was made for", key.display(), certificate.display()
    )]
    NoPair {
        /// What names the key.
        key_setting: String,
        /// The key's file.
        key: PathBuf,
        /// What names the certificate.
        certificate_setting: String,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// There is nobody to trust.
    #[error("{setting} names no file; give the certificates of the authorities that are to be trusted")]
    NoRoots {
        /// What should name one.
        setting: String,
    },
    /// No certificate of our own.
    #[error("a certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}
