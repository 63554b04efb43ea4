//! Certificates and keys in PEM files (Fabric: `comm.SecureOptions`, Go's `tls.X509KeyPair`, `x509.CertPool`).
//!
//! Invariant: an [`Identity`] is a pair; what is refused names the setting and the file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{InconsistentKeys, RootCertStore};
use x509_cert::der::Decode;

use super::TlsError;

/// SHA-256 of a certificate's DER, which is what Fabric binds a message to a connection with.
pub type CertHash = [u8; 32];

/// A file, and the setting that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// A key of core.yaml or a flag; errors begin with it.
    pub setting: String,
    /// The file.
    pub path: PathBuf,
}

impl NamedFile {
    /// The file at `path`, named by `setting`.
    pub fn new(setting: &str, path: impl Into<PathBuf>) -> Self {
        Self { setting: setting.to_owned(), path: path.into() }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        std::fs::read(&self.path).map_err(|source| TlsError::Read {
            setting: self.setting.clone(),
            path: self.path.clone(),
            source,
        })
    }

    fn wrong(&self, reason: impl Into<String>) -> TlsError {
        TlsError::Content { setting: self.setting.clone(), path: self.path.clone(), reason: reason.into() }
    }

    /// The certificates in what the file holds, at least one.
    fn certificates(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                Err(self.wrong("there is no CERTIFICATE block in it; it must hold certificates in PEM"))
            }
            Ok(certificates) => Ok(certificates),
            Err(error) => Err(self.wrong(format!("its PEM is damaged: {error}"))),
        }
    }

    fn key(&self, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
            pem::Error::NoItemsFound => self.wrong(
                "there is no PRIVATE KEY block in it; it must hold a key in PEM (PKCS#8 or SEC 1), not encrypted: \
                 `openssl pkcs8 -topk8 -nocrypt` makes one",
            ),
            error => self.wrong(format!("its PEM is damaged: {error}")),
        })
    }
}

/// A certificate, those above it, and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) certified: Arc<CertifiedKey>,
    hash: CertHash,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Identity {
    /// Reads the pair.
    ///
    /// # Errors
    /// When a file cannot be read, holds something else, or the two are no pair.
    pub fn load(certificate: &NamedFile, key: &NamedFile) -> Result<Self, TlsError> {
        Self::from_pem((certificate, &certificate.read()?), (key, &key.read()?))
    }

    /// The pair in these texts; errors name the file that each stands in.
    ///
    /// # Errors
    /// When a text holds something else, or the two are no pair.
    pub fn from_pem(certificate: (&NamedFile, &[u8]), key: (&NamedFile, &[u8])) -> Result<Self, TlsError> {
        let ((certificate, certificate_text), (key, key_text)) = (certificate, key);
        let chain = certificate.certificates(certificate_text)?;
        let parsed = x509_cert::Certificate::from_der(&chain[0])
            .map_err(|error| certificate.wrong(format!("its first certificate is damaged: {error}")))?;
        let validity = parsed.tbs_certificate().validity();
        let (not_before, not_after) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
        let hash = Sha256::digest(&chain[0]).into();
        let key_der = key.key(key_text)?;
        let signing = super::provider()
            .key_provider
            .load_private_key(key_der)
            .map_err(|error| key.wrong(format!("the key cannot be used: {error}")))?;
        let certified = CertifiedKey::new(chain, signing);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::NoPair {
                key_setting: key.setting.clone(),
                key: key.path.clone(),
                certificate_setting: certificate.setting.clone(),
                certificate: certificate.path.clone(),
            },
            error => certificate.wrong(format!(
                "the certificate cannot be used: {error}; it must be an X.509 certificate of version 3"
            )),
        })?;
        Ok(Self { certified: Arc::new(certified), hash, not_before, not_after })
    }

    /// One that no file holds.
    pub(super) fn in_memory(certified: CertifiedKey, hash: CertHash, [not_before, not_after]: [SystemTime; 2]) -> Self {
        Self { certified: Arc::new(certified), hash, not_before, not_after }
    }

    /// The hash of the certificate.
    pub fn certificate_hash(&self) -> CertHash {
        self.hash
    }

    /// What to tell an operator whose certificate is not valid at `now`: when it is.
    pub fn outside_validity(&self, now: SystemTime) -> Option<String> {
        let display = |time: SystemTime| {
            let time = OffsetDateTime::from(time);
            time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
        };
        if now > self.not_after {
            Some(format!("expired at {}", display(self.not_after)))
        } else if now < self.not_before {
            Some(format!("is not valid before {}", display(self.not_before)))
        } else {
            None
        }
    }
}

/// Authorities whose certificates are trusted. Nothing of the system's is.
#[derive(Clone, Debug)]
pub struct Roots {
    pub(super) store: Arc<RootCertStore>,
    pub(super) certificates: Arc<[CertificateDer<'static>]>,
    files: Arc<[NamedFile]>,
}

impl Roots {
    /// Reads every certificate of every file; `setting` is what should name one.
    ///
    /// # Errors
    /// When there is none, or a file cannot be read or holds something else.
    pub fn load(setting: &str, files: &[NamedFile]) -> Result<Self, TlsError> {
        if files.is_empty() {
            return Err(TlsError::NoRoots { setting: setting.to_owned() });
        }
        let texts: Vec<_> = files.iter().map(NamedFile::read).collect::<Result<_, _>>()?;
        Self::of(files, &texts)
    }

    /// Every certificate in this text; errors name the file that it stands in.
    ///
    /// # Errors
    /// When there is none, or something else.
    pub fn from_pem(file: &NamedFile, text: &[u8]) -> Result<Self, TlsError> {
        Self::of(std::slice::from_ref(file), &[text])
    }

    fn of(files: &[NamedFile], texts: &[impl AsRef<[u8]>]) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let mut all = Vec::new();
        for (file, text) in files.iter().zip(texts) {
            for certificate in file.certificates(text.as_ref())? {
                let wrong = |error| file.wrong(format!("a certificate in it cannot be used as a root: {error}"));
                store.add(certificate.clone()).map_err(wrong)?;
                all.push(certificate);
            }
        }
        Ok(Self { store: Arc::new(store), certificates: all.into(), files: files.into() })
    }

    /// One that no file holds.
    pub(super) fn in_memory(certificate: CertificateDer<'static>) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        store.add(certificate.clone())?;
        Ok(Self { store: Arc::new(store), certificates: Arc::new([certificate]), files: Arc::new([]) })
    }

    /// Where the certificates come from, for a message: `--cafile /etc/ca.pem`.
    pub fn origin(&self) -> String {
        let files: Vec<_> = self.files.iter().map(|file| format!("{} {}", file.setting, file.path.display())).collect();
        files.join(", ")
    }
}
