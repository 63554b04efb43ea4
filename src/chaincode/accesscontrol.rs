//! Which chaincode a TLS connection is (Fabric: `core/chaincode/accesscontrol`).
//!
//! Each launch of a chaincode gets a certificate of its own, from an authority that this process made for itself, and the
//! first message of a stream must claim the name which that was made for. Invariant: a name has at most one certificate that
//! registers. (In Fabric, those of earlier launches do too, for ten minutes.)

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prost::{DecodeError, Message};
use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage};
use thiserror::Error;
use tracing::{debug, warn};

use super::message::Type;
use crate::tls::{Ca, CertHash, ClientPair, TlsError};

/// How long after its making a certificate registers (Fabric: `accesscontrol.ttl`). A stream that stands goes on.
const LIFE: Duration = Duration::from_secs(600);

/// Makes the certificates of chaincodes, and knows whose they are.
pub struct Authenticator {
    ca: Ca,
    life: Duration,
    names: Mutex<HashMap<CertHash, Entry>>,
}

struct Entry {
    name: String,
    until: Instant,
}

impl Authenticator {
    /// Makes certificates with this authority.
    pub fn new(ca: Ca) -> Self {
        Self::with_life(ca, LIFE)
    }

    pub(super) fn with_life(ca: Ca, life: Duration) -> Self {
        Self { ca, life, names: Mutex::default() }
    }

    /// The certificate that chaincodes believe this peer by, in PEM.
    pub fn ca_certificate(&self) -> &str {
        self.ca.certificate()
    }

    /// A certificate for a chaincode that is about to be started. One that was made for the same name before registers no
    /// more.
    ///
    /// # Errors
    /// When none can be made.
    pub fn generate(&self, name: &str) -> Result<ClientPair, TlsError> {
        let pair = self.ca.client()?;
        let now = Instant::now();
        let mut names = self.names();
        names.retain(|_, entry| entry.until > now && entry.name != name);
        names.insert(pair.hash, Entry { name: name.to_owned(), until: now + self.life });
        Ok(pair)
    }

    /// Whether the connection with this certificate may begin a stream with this message.
    pub(super) fn authenticate(
        &self,
        first: &ChaincodeMessage,
        certificate: Option<CertHash>,
    ) -> Result<(), AuthenticationError> {
        if first.r#type() != Type::Register {
            return Err(AuthenticationError::NoRegister);
        }
        let name = ChaincodeId::decode(first.payload.clone())?.name;
        let hash = certificate.ok_or_else(|| AuthenticationError::NoCertificate(name.clone()))?;
        let names = self.names();
        match names.get(&hash).filter(|entry| entry.until > Instant::now()) {
            None => Err(AuthenticationError::NotFound { name, hash: Hash(hash) }),
            Some(entry) if entry.name != name => Err(AuthenticationError::OfAnother { name, hash: Hash(hash) }),
            Some(_) => {
                debug!("Chaincode {name}'s authentication is authorized");
                Ok(())
            }
        }
        .inspect_err(|error| warn!("{error}"))
    }

    fn names(&self) -> MutexGuard<'_, HashMap<CertHash, Entry>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows no key.
impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// Why a stream is not a chaincode's. Fabric's texts, with which the stream ends.
#[derive(Debug, Error)]
pub(super) enum AuthenticationError {
    /// Something else came before REGISTER.
    #[error("First message needs to be a register")]
    NoRegister,
    /// The message does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The connection has no certificate.
    #[error("TLS is active but chaincode {0} didn't send certificate")]
    NoCertificate(String),
    /// It is of no launch, or of one that is too long ago.
    #[error("Chaincode {name} with given certificate hash {hash} not found in registry")]
    NotFound { name: String, hash: Hash },
    /// It was made for another name.
    #[error("Chaincode {name} with given certificate hash {hash} belongs to a different chaincode")]
    OfAnother { name: String, hash: Hash },
}

/// As Go prints bytes: `[1 2 3]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(CertHash);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<_> = self.0.iter().map(u8::to_string).collect();
        write!(f, "[{}]", bytes.join(" "))
    }
}
