//! The MSP that a node makes for itself when it has none (Fabric: what `cryptogen generate` does for one organisation).
//!
//! Made once and used from then on. Invariant: the directory is whole or absent. It is written beside its place and
//! renamed, so a kill in between leaves nothing that looks usable.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use time::{Duration, OffsetDateTime};

use super::MspError;

/// As long as what cryptogen makes.
const VALIDITY: Duration = Duration::days(3650);
/// Clocks of the machines of one developer differ by less.
const BACKDATED: Duration = Duration::minutes(5);

/// The MSP folders of a development organisation.
#[derive(Clone, Debug)]
pub struct DevelopmentMsp {
    /// The organisation's name.
    pub mspid: String,
    /// The organisation without anybody's key, as it goes into a channel configuration.
    pub organisation: PathBuf,
    /// peer0's MSP folder.
    pub peer: PathBuf,
    /// The administrator's MSP folder.
    pub admin: PathBuf,
    /// An ordinary user's MSP folder.
    pub user: PathBuf,
    /// The orderer's MSP folder.
    pub orderer: PathBuf,
}

/// The development MSP in `dir`, made if `dir` does not exist: a CA, peer0, Admin, User1 and orderer. Everything is
/// readable by the owner only.
///
/// # Errors
/// When the folders cannot be written, or `dir` exists and is something else.
pub fn ensure(dir: &Path, mspid: &str) -> Result<DevelopmentMsp, MspError> {
    if !dir.exists() {
        make(dir, mspid)?;
    }
    let msp = DevelopmentMsp {
        mspid: mspid.to_owned(),
        organisation: dir.join("msp"),
        peer: dir.join("peers/peer0/msp"),
        admin: dir.join("users/Admin/msp"),
        user: dir.join("users/User1/msp"),
        orderer: dir.join("orderers/orderer/msp"),
    };
    for folder in [&msp.organisation, &msp.peer, &msp.admin, &msp.user, &msp.orderer] {
        if !folder.is_dir() {
            let cause =
                format!("it is missing from the development MSP; remove {} to have a new one made", dir.display());
            return Err(MspError::Folder { path: folder.clone(), cause });
        }
    }
    Ok(msp)
}

/// Writes everything into a directory beside `dir` and renames it.
fn make(dir: &Path, mspid: &str) -> Result<(), MspError> {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = dir.with_file_name(name);
    let written = write_all(&draft, mspid)
        .and_then(|()| fs::rename(&draft, dir).map_err(MspError::file(dir)))
        .and_then(|()| sync_parent(dir));
    if written.is_err() {
        // What is left is of no use, and a failure to remove it adds nothing to the first error.
        let _ = fs::remove_dir_all(&draft);
    }
    match written {
        // Another process was faster; its MSP is as good.
        Err(MspError::File { source, .. })
            if matches!(source.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) && dir.is_dir() =>
        {
            Ok(())
        }
        written => written,
    }
}

fn write_all(dir: &Path, mspid: &str) -> Result<(), MspError> {
    let authority = Authority::new(mspid)?;
    let admin = authority.issue("Admin", "admin", mspid, &[])?;
    let local = ["localhost", "127.0.0.1"];
    let members = [
        ("peers/peer0/msp", authority.issue("peer0", "peer", mspid, &local)?),
        ("users/User1/msp", authority.issue("User1", "client", mspid, &[])?),
        ("orderers/orderer/msp", authority.issue("orderer", "orderer", mspid, &local)?),
    ];
    write_secret(&dir.join("ca/ca_sk"), &authority.key_pem)?;
    let organisation = |folder: &Path| {
        write(&folder.join("cacerts/ca-cert.pem"), &authority.certificate_pem)?;
        write(&folder.join("admincerts/Admin-cert.pem"), &admin.certificate_pem)
    };
    organisation(&dir.join("msp"))?;
    for (folder, member) in members.iter().chain([&("users/Admin/msp", admin.clone())]) {
        let folder = dir.join(folder);
        organisation(&folder)?;
        write(&folder.join("signcerts/cert.pem"), &member.certificate_pem)?;
        write_secret(&folder.join("keystore/priv_sk"), &member.key_pem)?;
    }
    Ok(())
}

#[derive(Clone)]
struct Member {
    certificate_pem: String,
    key_pem: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: String,
}

impl Authority {
    fn new(mspid: &str) -> Result<Self, MspError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(&format!("ca.{mspid}"), None, mspid);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate_pem = params.self_signed(&key)?.pem();
        let key_pem = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, key_pem })
    }

    /// A certificate and key. The organisational unit is what node OUs tell roles by.
    fn issue(&self, name: &str, unit: &str, mspid: &str, hosts: &[&str]) -> Result<Member, MspError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(name, Some(unit), mspid);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        for host in hosts {
            params.subject_alt_names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*host).try_into()?),
            });
        }
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Member { certificate_pem, key_pem: key.serialize_pem() })
    }
}

fn params(name: &str, unit: Option<&str>, mspid: &str) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, mspid);
    if let Some(unit) = unit {
        subject.push(DnType::OrganizationalUnitName, unit);
    }
    subject.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = OffsetDateTime::now_utc() - BACKDATED;
    params.not_after = params.not_before + VALIDITY;
    params
}

fn write(path: &Path, text: &str) -> Result<(), MspError> {
    write_with_mode(path, text, 0o644)
}

fn write_secret(path: &Path, text: &str) -> Result<(), MspError> {
    write_with_mode(path, text, 0o600)
}

fn write_with_mode(path: &Path, text: &str, mode: u32) -> Result<(), MspError> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(MspError::file(folder))?;
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).map_err(MspError::file(path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(MspError::file(path))
}

fn sync_parent(dir: &Path) -> Result<(), MspError> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(MspError::file(parent))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::msp::{Msp, Role, Signer, SigningIdentity};

    #[test]
    fn the_msp_is_made_once_and_its_members_verify() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = place.path().join("development");
        let made = ensure(&dir, "DevMSP").expect("it is made");
        let again = ensure(&dir, "DevMSP").expect("it is used again");
        assert_eq!(made.peer, again.peer);
        assert_eq!(fs::read_dir(place.path()).expect("readable").count(), 1, "no draft is left");

        let msp = Msp::load(&made.organisation, "DevMSP").expect("a valid MSP");
        for (folder, role) in [
            (&made.peer, Role::Member),
            (&made.user, Role::Member),
            (&made.orderer, Role::Member),
            (&made.admin, Role::Admin),
        ] {
            let signer = SigningIdentity::load(folder, "DevMSP").expect("its own key");
            let identity = msp.deserialize(&signer.serialize()).expect("a member");
            assert_eq!(identity.role(), role, "{identity:?}");
            identity.verify(b"m", &signer.sign(b"m").expect("signs")).expect("its signature");
            assert!(!format!("{signer:?}").contains("PRIVATE"));
            let key = fs::metadata(folder.join("keystore/priv_sk")).expect("the key");
            assert_eq!(key.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_msp_is_reported_not_replaced() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = place.path().join("development");
        let msp = ensure(&dir, "DevMSP").expect("it is made");
        fs::remove_dir_all(&msp.user).expect("removable");
        let error = ensure(&dir, "DevMSP").expect_err("a folder is missing").to_string();
        assert!(error.contains("User1") && error.contains("remove"), "{error}");
    }
}
