//! Why an identity, a signature or an MSP's material was refused.

use std::path::PathBuf;

use thiserror::Error;

/// Why this module refused something. Texts that clients of Fabric see are Fabric's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MspError {
    /// The bytes are no `SerializedIdentity`.
    #[error("could not deserialize a SerializedIdentity: {0}")]
    NotAnIdentity(#[source] prost::DecodeError),
    /// No MSP of that name is known here.
    #[error("MSP {0} is unknown")]
    UnknownMsp(String),
    /// The identity belongs to another MSP than the one asked.
    #[error("expected MSP ID {expected}, received {received}")]
    OtherMsp {
        /// The MSP that was asked.
        expected: String,
        /// The MSP that the identity names.
        received: String,
    },
    /// A PEM block or certificate cannot be read.
    #[error("could not decode the PEM structure: {0}")]
    Pem(String),
    /// A certificate cannot be read or lacks something.
    #[error("certificate '{subject}': {cause}")]
    Certificate {
        /// The certificate's subject, or where it came from.
        subject: String,
        /// What is wrong.
        cause: String,
    },
    /// A certificate authority's certificate was presented as an identity.
    #[error(
        "An X509 certificate with Basic Constraint: Certificate Authority equals true cannot be used as an identity"
    )]
    CertificateAuthority,
    /// No chain of signatures leads from the certificate to a root of the MSP.
    #[error("the certificate '{subject}' does not chain to a root of MSP {mspid}: {cause}")]
    NoChain {
        /// The certificate's subject.
        subject: String,
        /// The MSP whose roots were tried.
        mspid: String,
        /// The last obstacle met.
        cause: String,
    },
    /// The MSP's revocation list names the certificate.
    #[error("The certificate has been revoked")]
    Revoked,
    /// The signature is not the identity's, or not in the form that Fabric demands.
    #[error("The signature is invalid: {0}")]
    Signature(&'static str),
    /// The identity lacks the role. The text ends Fabric's ACL errors.
    #[error("This identity is not an admin")]
    NotAdmin,
    /// The identity's organisational units are not what the MSP asks for. Fabric's text.
    #[error("could not validate identity's OUs: {0}")]
    OrganizationalUnits(String),
    /// The identity does not match the principal. Fabric's text.
    #[error("{0}")]
    Principal(String),
    /// The MSP's definition asks for something that is not built yet.
    #[error("MSP {mspid}: {feature} is not supported yet; {instead}")]
    Unsupported {
        /// The MSP.
        mspid: String,
        /// What it asks for.
        feature: &'static str,
        /// What to do until it is.
        instead: &'static str,
    },
    /// The MSP's definition is incomplete.
    #[error("MSP {mspid}: {cause}")]
    Definition {
        /// The MSP.
        mspid: String,
        /// What is wrong.
        cause: String,
    },
    /// A file or folder of an MSP cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// An MSP folder lacks something.
    #[error("{path}: {cause}", path = .path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What is missing or wrong, and what to do.
        cause: String,
    },
    /// A private key cannot be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// Certificates for development could not be made.
    #[error("could not make the development certificates: {0}")]
    Generate(#[from] rcgen::Error),
}

impl MspError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
