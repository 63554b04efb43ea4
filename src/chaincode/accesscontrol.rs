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

use super::message::{Type, shown};
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
        let hash = certificate.ok_or_else(|| AuthenticationError::NoCertificate(shown(&name)))?;
        let names = self.names();
        match names.get(&hash).filter(|entry| entry.until > Instant::now()) {
            None => Err(AuthenticationError::NotFound { name: shown(&name), hash: Hash(hash) }),
            Some(entry) if entry.name != name => {
                Err(AuthenticationError::OfAnother { name: shown(&name), hash: Hash(hash) })
            }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::message;
    use super::*;

    fn authenticator(life: Duration) -> Authenticator {
        Authenticator::with_life(Ca::new("ca").unwrap(), life)
    }

    fn register(name: &str) -> ChaincodeMessage {
        let id = ChaincodeId { name: name.into(), ..ChaincodeId::default() };
        message::bare(Type::Register, id.encode_to_vec().into())
    }

    #[test]
    fn a_certificate_registers_the_name_that_it_was_made_for() {
        let authenticator = authenticator(LIFE);
        let (a, b) = (authenticator.generate("a:1").unwrap().hash, authenticator.generate("b:1").unwrap().hash);
        let refused = |name: &str, hash| authenticator.authenticate(&register(name), hash).unwrap_err().to_string();
        let printed = Hash(b).to_string();
        assert!(authenticator.authenticate(&register("a:1"), Some(a)).is_ok());
        assert!(authenticator.authenticate(&register("b:1"), Some(b)).is_ok());
        assert_eq!(
            refused("a:1", Some(b)),
            format!("Chaincode a:1 with given certificate hash {printed} belongs to a different chaincode")
        );
        assert_eq!(refused("a:1", None), "TLS is active but chaincode a:1 didn't send certificate");
        assert_eq!(
            refused("a:1", Some([0; 32])),
            format!("Chaincode a:1 with given certificate hash [0{}] not found in registry", " 0".repeat(31))
        );
    }

    #[test]
    fn the_first_message_has_to_be_a_register_that_decodes() {
        let authenticator = authenticator(LIFE);
        let hash = Some(authenticator.generate("a:1").unwrap().hash);
        let keepalive = message::bare(Type::Keepalive, Bytes::new());
        let refused = authenticator.authenticate(&keepalive, hash).unwrap_err().to_string();
        assert_eq!(refused, "First message needs to be a register");
        let garbage = message::bare(Type::Register, Bytes::from_static(&[0xff; 8]));
        assert!(matches!(authenticator.authenticate(&garbage, hash), Err(AuthenticationError::Decode(_))));
    }

    #[test]
    fn a_certificate_registers_until_the_next_launch_or_the_end_of_its_time() {
        let authenticator = authenticator(LIFE);
        let first = authenticator.generate("a:1").unwrap().hash;
        let other = authenticator.generate("b:1").unwrap().hash;
        let second = authenticator.generate("a:1").unwrap().hash;
        assert!(authenticator.authenticate(&register("a:1"), Some(second)).is_ok());
        assert!(authenticator.authenticate(&register("b:1"), Some(other)).is_ok());
        let refused = authenticator.authenticate(&register("a:1"), Some(first)).unwrap_err().to_string();
        assert!(refused.ends_with("not found in registry"), "{refused}");

        let brief = self::authenticator(Duration::ZERO);
        let expired = brief.generate("a:1").unwrap().hash;
        let refused = brief.authenticate(&register("a:1"), Some(expired)).unwrap_err().to_string();
        assert!(refused.ends_with("not found in registry"), "{refused}");
        for n in 0..10 {
            brief.generate(&format!("{n}:1")).unwrap();
        }
        assert_eq!(brief.names().len(), 1, "what has expired is forgotten");
    }
}
