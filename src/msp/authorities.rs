//! An MSP's certificate authorities (Fabric: `setupCAs`, `finalizeSetupCAs`, `getCertifiersIdentifier`).
//!
//! A chain is judged as of one second after the start of the certificate below it, not as of now: every peer has to
//! come to the same verdict about an old transaction, whenever it looks. Whether a certificate has run out is asked at
//! the network's edge only.

use std::collections::HashSet;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use selvedge_proto::common::FabricMspConfig;

use super::certificate::Certificate;
use super::revocation::{self, RevocationList};
use super::{MspError, chain};

/// Roots and intermediates, each verified, each once, each in the form with the low S.
#[derive(Debug)]
pub(crate) struct Authorities {
    mspid: String,
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    /// Those above an intermediate of the MSP. They issue no identities.
    inner_nodes: HashSet<Vec<u8>>,
    hash: &'static digest::Algorithm,
}

/// The authorities above somebody's certificate, at least its issuer.
pub(crate) struct Chain<'a> {
    authorities: Vec<&'a Certificate>,
    issuer: &'a Certificate,
}

impl<'a> Chain<'a> {
    fn new(authorities: Vec<&'a Certificate>) -> Option<Self> {
        let issuer = *authorities.first()?;
        Some(Self { authorities, issuer })
    }

    pub(crate) fn issuer(&self) -> &'a Certificate {
        self.issuer
    }

    /// The issuer first, the root last.
    pub(crate) fn authorities(&self) -> &[&'a Certificate] {
        &self.authorities
    }
}

impl Authorities {
    /// Reads and verifies the authorities of a definition.
    pub(crate) fn new(config: &FabricMspConfig, revocations: &[RevocationList]) -> Result<Self, MspError> {
        let mut authorities = Self {
            mspid: config.name.clone(),
            roots: read(&config.root_certs)?,
            intermediates: read(&config.intermediate_certs)?,
            inner_nodes: HashSet::new(),
            hash: identifier_hash(config)?,
        };
        if authorities.roots.is_empty() {
            let cause = "expected at least one CA certificate (cacerts)".into();
            return Err(MspError::Definition { mspid: config.name.clone(), cause });
        }
        for authority in authorities.roots.iter().chain(&authorities.intermediates) {
            check_authority(authority)?;
        }
        authorities.normalise()?;
        for authority in authorities.roots.iter().chain(&authorities.intermediates) {
            let chain = authorities.chain(authority)?;
            if let Some(issuer) = chain.first() {
                revocation::check(revocations, authority, issuer).map_err(|error| invalid(authority, &error))?;
            }
        }
        let mut inner_nodes = HashSet::new();
        for intermediate in &authorities.intermediates {
            inner_nodes.extend(authorities.chain(intermediate)?.into_iter().map(|authority| authority.der.clone()));
        }
        authorities.inner_nodes = inner_nodes;
        Ok(authorities)
    }

    /// The chain above `certificate`, its issuer first; empty for a root.
    pub(crate) fn chain(&self, certificate: &Certificate) -> Result<Vec<&Certificate>, MspError> {
        let at = certificate.not_before + Duration::from_secs(1);
        chain::unique_chain(certificate, &self.roots, &self.intermediates, at).map_err(|cause| MspError::NoChain {
            subject: certificate.subject_text.clone(),
            mspid: self.mspid.clone(),
            cause,
        })
    }

    /// The chain above somebody's certificate: no authority's own, and issued by one that has no intermediate of this
    /// MSP below it.
    pub(crate) fn chain_of_identity(&self, certificate: &Certificate) -> Result<Chain<'_>, MspError> {
        if certificate.authority.is_some() {
            return Err(MspError::CertificateAuthority);
        }
        let chain = self.chain(certificate)?;
        let refuse = |cause: String| MspError::NoChain {
            subject: certificate.subject_text.clone(),
            mspid: self.mspid.clone(),
            cause,
        };
        let chain = Chain::new(chain).ok_or_else(|| refuse("expected a chain of length at least 2, got 1".into()))?;
        let issuer = chain.issuer();
        if self.inner_nodes.contains(&issuer.der) {
            return Err(refuse(format!(
                "invalid validation chain. Parent certificate should be a leaf of the certification tree ['{}']",
                issuer.subject_text
            )));
        }
        Ok(chain)
    }

    /// What Fabric calls the certifiers identifier: the hash over the authorities of a chain, the lowest first.
    pub(crate) fn identifier(&self, chain: &[&Certificate]) -> Vec<u8> {
        let mut context = digest::Context::new(self.hash);
        for authority in chain {
            context.update(&authority.der);
        }
        context.finish().as_ref().to_vec()
    }

    /// The certifiers identifier of the identities that one of the MSP's authorities issues, given as PEM.
    pub(crate) fn identifier_of(&self, pem: &[u8]) -> Result<Vec<u8>, MspError> {
        let certificate = self.normalised(Certificate::from_pem(pem)?)?;
        let refuse = |cause: &str| Certificate::refuse(&certificate.subject_text, &cause);
        if self.roots.iter().any(|root| root.der == certificate.der) {
            return Ok(self.identifier(&[&certificate]));
        }
        if !self.intermediates.iter().any(|intermediate| intermediate.der == certificate.der) {
            return Err(refuse("Failed adding OU. Certificate not in root or intermediate certs."));
        }
        if self.inner_nodes.contains(&certificate.der) {
            return Err(refuse(
                "invalid validation chain. Parent certificate should be a leaf of the certification tree",
            ));
        }
        let mut chain = self.chain(&certificate)?;
        chain.insert(0, &certificate);
        Ok(self.identifier(&chain))
    }

    /// A certificate of this MSP in the form with the low S.
    pub(crate) fn normalised(&self, certificate: Certificate) -> Result<Certificate, MspError> {
        let key = self.chain(&certificate)?.first().map_or(&certificate.key, |issuer| &issuer.key).clone();
        certificate.with_low_s(&key)
    }

    fn normalise(&mut self) -> Result<(), MspError> {
        let normalised = |all: &[Certificate]| -> Result<Vec<Certificate>, MspError> {
            let mut certificates = Vec::new();
            for certificate in all {
                push_once(&mut certificates, self.normalised(certificate.clone())?);
            }
            Ok(certificates)
        };
        let (roots, intermediates) = (normalised(&self.roots)?, normalised(&self.intermediates)?);
        (self.roots, self.intermediates) = (roots, intermediates);
        Ok(())
    }
}

/// Checks the TLS authorities of a definition (Fabric: `setupTLSCAs`). Fabric judges them as of now, so that a channel
/// fails as soon as one has run out; here they are judged like the others.
pub(crate) fn check_tls(config: &FabricMspConfig, revocations: &[RevocationList]) -> Result<(), MspError> {
    let roots = read(&config.tls_root_certs)?;
    let intermediates = read(&config.tls_intermediate_certs)?;
    for authority in roots.iter().chain(&intermediates) {
        check_authority(authority)?;
        let at = authority.not_before + Duration::from_secs(1);
        let chain = chain::unique_chain(authority, &roots, &intermediates, at).map_err(|cause| MspError::NoChain {
            subject: authority.subject_text.clone(),
            mspid: format!("{} (TLS)", config.name),
            cause,
        })?;
        if let Some(issuer) = chain.first() {
            revocation::check(revocations, authority, issuer).map_err(|error| invalid(authority, &error))?;
        }
    }
    Ok(())
}

/// Reads certificates, each once.
fn read(pems: &[Bytes]) -> Result<Vec<Certificate>, MspError> {
    let mut certificates = Vec::new();
    for pem in pems {
        push_once(&mut certificates, Certificate::from_pem(pem)?);
    }
    Ok(certificates)
}

fn push_once(certificates: &mut Vec<Certificate>, certificate: Certificate) {
    if certificates.iter().all(|known| known.der != certificate.der) {
        certificates.push(certificate);
    }
}

fn check_authority(certificate: &Certificate) -> Result<(), MspError> {
    let refuse = |cause: &str| {
        let serial = certificate.serial_text();
        Err(Certificate::refuse(&certificate.subject_text, &format!("CA Certificate {cause}, (SN: {serial})")))
    };
    if certificate.authority.is_none() {
        return refuse("did not have the CA attribute");
    }
    if certificate.subject_key_id.is_none() {
        return refuse("problem with Subject Key Identifier extension");
    }
    Ok(())
}

fn invalid(authority: &Certificate, cause: &MspError) -> MspError {
    let text = format!("CA Certificate is not valid, (SN: {}): {cause}", authority.serial_text());
    Certificate::refuse(&authority.subject_text, &text)
}

/// The hash that names chains and, in Fabric, identities.
fn identifier_hash(config: &FabricMspConfig) -> Result<&'static digest::Algorithm, MspError> {
    let crypto = config.crypto_config.clone().unwrap_or_default();
    let definition = |cause: String| MspError::Definition { mspid: config.name.clone(), cause };
    match crypto.signature_hash_family.as_str() {
        "" | "SHA2" => {}
        "SHA3" => {
            return Err(MspError::Unsupported {
                mspid: config.name.clone(),
                feature: "signing over SHA-3 (crypto_config.signature_hash_family)",
                instead: "use SHA2, which Fabric's tools write",
            });
        }
        family => return Err(definition(format!("hash familiy not recognized [{family}]"))),
    }
    match crypto.identity_identifier_hash_function.as_str() {
        "" | "SHA256" => Ok(&digest::SHA256),
        "SHA384" => Ok(&digest::SHA384),
        "SHA3_256" => Ok(&digest::SHA3_256),
        "SHA3_384" => Ok(&digest::SHA3_384),
        function => Err(definition(format!("hash function not recognized [{function}]"))),
    }
}
