//! An MSP folder in words, for `selvedge msp show`.
//!
//! Fabric has no counterpart: it refuses a folder with the first error it meets. Here whatever can be read is shown and
//! every problem is told. Invariant: the MSP counts as usable exactly if [`Msp::load`] takes it and, where it has
//! `signcerts`, [`SigningIdentity::load`] does and the certificate is a valid identity of it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use selvedge_proto::common::{FabricMspConfig, FabricOuIdentifier};

use super::certificate::Certificate;
use super::revocation::RevocationList;
use super::{Msp, MspError, SigningIdentity, folder, pem, signing};

/// What an MSP folder is.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Lines for a reader; each problem is a line `problem: ...` at the end.
    pub text: String,
    /// Whether a node or client could use the MSP.
    pub usable: bool,
}

/// Reads a folder as the MSP of that name; certificates are called expired as of `now`.
pub fn of_folder(dir: &Path, mspid: &str, now: SystemTime) -> Summary {
    let mut report = Report { dir, now, text: String::new(), problems: Vec::new() };
    report.line(format_args!("MSP {mspid} in {}", dir.display()));
    let msp = Msp::load(dir, mspid);

    let roots = report.certificates("Root CAs", "cacerts");
    let intermediates = report.certificates("Intermediate CAs", "intermediatecerts");
    let admins = report.certificates("Admins", "admincerts");
    match folder::verifying_config(dir, mspid) {
        Ok(config) => report.units(&config),
        Err(error) => report.problem(&error),
    }
    let signing = folder::signing_certificate(dir).ok().and_then(|(path, text)| {
        Some((path, Certificate::from_pem(&text).map_err(|error| report.problem(&error)).ok()?))
    });
    let authorities: Vec<&Certificate> = roots.iter().chain(&intermediates).map(|(_, authority)| authority).collect();
    report.lists(&authorities, admins.iter().chain(&signing));
    report.certificates("TLS root CAs", "tlscacerts");
    report.certificates("TLS intermediate CAs", "tlsintermediatecerts");

    let mut usable = msp.is_ok();
    match &msp {
        Ok(msp) => report.line(format_args!("Rules: MSP version {:?}", msp.version())),
        Err(error) => report.problem(error),
    }
    if dir.join("signcerts").is_dir() {
        usable &= report.signer(msp.as_ref().ok(), mspid, signing.as_ref());
    } else {
        report.line("Signing certificate: none; the folder is an organisation's, not somebody's own");
    }
    report.finish(usable)
}

struct Report<'a> {
    dir: &'a Path,
    now: SystemTime,
    text: String,
    problems: Vec<String>,
}

impl Report<'_> {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn problem(&mut self, problem: impl std::fmt::Display) {
        let problem = problem.to_string();
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The path within the folder.
    fn short(&self, path: &Path) -> String {
        path.strip_prefix(self.dir).unwrap_or(path).display().to_string()
    }

    /// The files of a sub-folder that count.
    fn files(&mut self, folder: &str) -> Vec<(PathBuf, Bytes)> {
        let files = folder::files(&self.dir.join(folder)).unwrap_or_else(|error| {
            self.problem(&error);
            Vec::new()
        });
        let (good, bad): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(_, content)| pem::first_block(content).is_some());
        for (path, _) in bad {
            let path = self.short(&path);
            self.problem(format_args!("{path} is passed over: there is no PEM block in it"));
        }
        good
    }

    fn certificates(&mut self, title: &str, folder: &str) -> Vec<(PathBuf, Certificate)> {
        let mut certificates = Vec::new();
        for (path, content) in self.files(folder) {
            match Certificate::from_pem(&content) {
                Ok(certificate) => certificates.push((path, certificate)),
                Err(error) => {
                    let path = self.short(&path);
                    self.problem(format_args!("{path}: {error}"));
                }
            }
        }
        let none = if certificates.is_empty() { " none" } else { "" };
        self.line(format_args!("{title}:{none}"));
        for (path, certificate) in &certificates {
            self.certificate(path, certificate);
        }
        certificates
    }

    fn certificate(&mut self, path: &Path, certificate: &Certificate) {
        let (path, validity) = (self.short(path), certificate.validity_text(self.now));
        self.line(format_args!("  {}", certificate.subject_text));
        self.line(format_args!("    {path}, {}, {validity}", certificate.key.description()));
        if !certificate.is_valid_at(self.now) {
            self.problem(format_args!("{path}: {validity}"));
        }
    }

    fn units(&mut self, config: &FabricMspConfig) {
        match &config.fabric_node_ous {
            None => self.line("NodeOUs: not enabled"),
            Some(ous) => {
                self.line("NodeOUs: enabled");
                for (role, unit) in [
                    ("client", &ous.client_ou_identifier),
                    ("peer", &ous.peer_ou_identifier),
                    ("admin", &ous.admin_ou_identifier),
                    ("orderer", &ous.orderer_ou_identifier),
                ] {
                    match unit {
                        Some(unit) => self.line(format_args!("  {role}: {}", unit_text(unit))),
                        None => self.line(format_args!("  {role}: no unit")),
                    }
                }
            }
        }
        let required = &config.organizational_unit_identifiers;
        self.line(format_args!("OU identifiers:{}", if required.is_empty() { " none, any unit will do" } else { "" }));
        for unit in required {
            self.line(format_args!("  {}", unit_text(unit)));
        }
        for path in folder::missing_certifiers(self.dir).unwrap_or_default() {
            let path = self.short(&path);
            self.problem(format_args!(
                "config.yaml names {path}, which cannot be read: any authority of the MSP may vouch for that unit"
            ));
        }
    }

    /// The revocation lists, and which of the folder's own `certificates` they take back.
    fn lists<'c>(
        &mut self,
        authorities: &[&Certificate],
        certificates: impl Iterator<Item = &'c (PathBuf, Certificate)> + Clone,
    ) {
        let files = self.files("crls");
        self.line(format_args!("Revocation lists:{}", if files.is_empty() { " none" } else { "" }));
        for (path, content) in files {
            let path = self.short(&path);
            let list = match RevocationList::read(&content) {
                Ok(list) => list,
                Err(error) => {
                    self.problem(format_args!("{path}: {error}"));
                    continue;
                }
            };
            self.line(format_args!("  {path}: {} serial(s), issued by {}", list.serials.len(), list.issuer_text));
            let Some(author) = authorities.iter().find(|authority| list.is_signed_by(authority)) else {
                self.problem(format_args!("{path}: no authority of the MSP signed the list, so it revokes nothing"));
                continue;
            };
            let revoked = |certificate: &Certificate| {
                list.serials.contains(&certificate.serial) && certificate.verify_signed_by(author).is_ok()
            };
            for (certificate_path, certificate) in certificates.clone().filter(|(_, one)| revoked(one)) {
                let certificate_path = self.short(certificate_path);
                self.line(format_args!("    revokes {} ({certificate_path})", certificate.subject_text));
                self.problem(format_args!("{certificate_path} has been revoked by {path}"));
            }
        }
    }

    /// The folder's own identity; false if nobody can sign with it.
    fn signer(&mut self, msp: Option<&Msp>, mspid: &str, signing: Option<&(PathBuf, Certificate)>) -> bool {
        let loaded = SigningIdentity::load(self.dir, mspid);
        let Some((path, certificate)) = signing else {
            if let Err(error) = loaded {
                self.problem(&error);
            }
            return false;
        };
        self.line("Signing certificate:");
        self.certificate(path, certificate);
        let units = if certificate.units.is_empty() { "none".into() } else { certificate.units.join(", ") };
        self.line(format_args!("    organisational units: {units}"));
        let identity = msp.map(|msp| msp.identify(certificate.clone(), Bytes::new()));
        match &identity {
            Some(Ok(identity)) => {
                let roles: Vec<&str> = identity.roles().map(super::Role::name).collect();
                self.line(format_args!("    roles: {}", roles.join(", ")));
            }
            Some(Err(error)) => {
                let path = self.short(path);
                self.problem(format_args!("{path} is no identity of {mspid}: {error}"));
            }
            None => {}
        }
        let key = signing::find_key(self.dir, path, certificate);
        self.key(&key);
        if let (Err(error), Ok(_)) = (&loaded, &key) {
            self.problem(error);
        }
        loaded.is_ok() && identity.is_some_and(|identity| identity.is_ok())
    }

    fn key<K>(&mut self, key: &Result<(PathBuf, K), MspError>) {
        match key {
            Ok((path, _)) => {
                let path = self.short(path);
                self.line(format_args!("    private key: {path}"));
            }
            Err(error) => {
                self.line("    private key: none");
                self.problem(error);
            }
        }
    }

    fn finish(mut self, usable: bool) -> Summary {
        for problem in std::mem::take(&mut self.problems) {
            self.line(format_args!("problem: {problem}"));
        }
        Summary { text: self.text, usable }
    }
}

/// A unit and who has to vouch for it.
fn unit_text(unit: &FabricOuIdentifier) -> String {
    let name = &unit.organizational_unit_identifier;
    if unit.certificate.is_empty() {
        return format!("{name}, by any authority of the MSP");
    }
    match Certificate::from_pem(&unit.certificate) {
        Ok(certifier) => format!("{name}, by {}", certifier.subject_text),
        Err(error) => format!("{name}, by an unreadable certificate ({error})"),
    }
}
