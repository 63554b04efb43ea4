//! Certificates for tests of TLS, in files as an operator has them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// What a certificate says beside its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPurpose {
    /// For a server or client, as Fabric's tools make them.
    Both,
    /// For a server only.
    Server,
    /// For a server or client, with the CA bit, as `openssl req -x509` makes them.
    WithCaBit,
    /// For a server or client, of yesterday.
    Expired,
}

/// An authority of TLS certificates.
pub struct TlsAuthority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    chain: String,
    /// Its certificate.
    pub certificate: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct TlsPair {
    /// The certificate, with those between it and the root.
    pub certificate: PathBuf,
    /// The key, PKCS#8.
    pub key: PathBuf,
}

impl TlsAuthority {
    /// A root that keeps its files in `folder`, named after `name`.
    ///
    /// # Errors
    /// When there is no randomness, or a file cannot be written.
    pub fn new(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let (params, key) = (authority(name), KeyPair::generate()?);
        let pem = params.self_signed(&key)?.pem();
        Self::write(folder, name, Issuer::new(params, key), &pem, String::new())
    }

    /// An authority below this one.
    ///
    /// # Errors
    /// As for [`TlsAuthority::new`].
    pub fn intermediate(&self, name: &str) -> anyhow::Result<Self> {
        let (params, key) = (authority(name), KeyPair::generate()?);
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        let chain = format!("{pem}{}", self.chain);
        Self::write(&self.folder, name, Issuer::new(params, key), &pem, chain)
    }

    fn write(
        folder: &Path,
        name: &str,
        issuer: Issuer<'static, KeyPair>,
        pem: &str,
        chain: String,
    ) -> anyhow::Result<Self> {
        let certificate = folder.join(format!("{name}.pem"));
        std::fs::write(&certificate, pem).with_context(|| format!("cannot write {}", certificate.display()))?;
        Ok(Self { issuer, folder: folder.to_owned(), chain, certificate })
    }

    /// Issues a certificate for these hosts.
    ///
    /// # Errors
    /// As for [`TlsAuthority::new`].
    pub fn issue(&self, name: &str, hosts: &[&str], purpose: TlsPurpose) -> anyhow::Result<TlsPair> {
        let (params, key) = (leaf(name, hosts, purpose)?, KeyPair::generate()?);
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        TlsPair::write(&self.folder, name, &format!("{pem}{}", self.chain), &key)
    }
}

impl TlsPair {
    /// A certificate that signs itself.
    ///
    /// # Errors
    /// As for [`TlsAuthority::new`].
    pub fn self_signed(folder: &Path, name: &str, hosts: &[&str], purpose: TlsPurpose) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let pem = leaf(name, hosts, purpose)?.self_signed(&key)?.pem();
        Self::write(folder, name, &pem, &key)
    }

    fn write(folder: &Path, name: &str, chain: &str, key: &KeyPair) -> anyhow::Result<Self> {
        let certificate = folder.join(format!("{name}.crt"));
        let key_file = folder.join(format!("{name}.key"));
        std::fs::write(&certificate, chain)?;
        std::fs::write(&key_file, key.serialize_pem())?;
        Ok(Self { certificate, key: key_file })
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // As cryptogen's have.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn leaf(name: &str, hosts: &[&str], purpose: TlsPurpose) -> anyhow::Result<CertificateParams> {
    let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if purpose != TlsPurpose::Server {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    if purpose == TlsPurpose::WithCaBit {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    if purpose == TlsPurpose::Expired {
        params.not_before = OffsetDateTime::now_utc() - Duration::days(30);
        params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
    }
    Ok(params)
}
