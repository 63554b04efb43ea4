//! The way from a certificate to a root (Fabric: `msp/mspimplvalidate.go`, Go's `x509.Certificate.Verify`).
//!
//! A chain is judged as of one second after the leaf's own start, not as of now: every peer has to come to the same
//! verdict about an old transaction, whenever it looks. Whether a certificate has run out is asked at the network's
//! edge only.

use std::time::{Duration, SystemTime};

use super::certificate::Certificate;

/// Authorities above a leaf that are followed at most; a longer chain is taken for a loop.
const MAX_AUTHORITIES: u8 = 8;

/// Looks for a chain of signatures from `leaf` to one of `roots`; returns the leaf's issuer, or the last obstacle.
pub(crate) fn issuer_of<'a>(
    leaf: &Certificate,
    roots: &'a [Certificate],
    intermediates: &'a [Certificate],
) -> Result<&'a Certificate, String> {
    let search = Search { roots, intermediates, at: leaf.not_before + Duration::from_secs(1) };
    if !leaf.is_valid_at(search.at) {
        return Err("its validity is shorter than a second".into());
    }
    search.climb(leaf, 0)
}

struct Search<'a> {
    roots: &'a [Certificate],
    intermediates: &'a [Certificate],
    at: SystemTime,
}

impl<'a> Search<'a> {
    /// `below` is the number of authorities already between `child` and the leaf.
    fn climb(&self, child: &Certificate, below: u8) -> Result<&'a Certificate, String> {
        let mut obstacle = "no authority of the MSP has its issuer's name".to_owned();
        for issuer in self.roots.iter().filter(|issuer| issuer.subject == child.issuer) {
            match self.check_step(child, issuer, below) {
                Ok(()) => return Ok(issuer),
                Err(cause) => obstacle = cause,
            }
        }
        for issuer in self.intermediates.iter().filter(|issuer| issuer.subject == child.issuer) {
            let step = self.check_step(child, issuer, below);
            match step.and_then(|()| self.climb(issuer, below + 1)) {
                Ok(_) => return Ok(issuer),
                Err(cause) => obstacle = cause,
            }
        }
        Err(obstacle)
    }

    fn check_step(&self, child: &Certificate, issuer: &Certificate, below: u8) -> Result<(), String> {
        let who = &issuer.subject_text;
        let authority = issuer.authority.as_ref().ok_or_else(|| format!("'{who}' is no certificate authority"))?;
        if !authority.signs_certificates {
            return Err(format!("'{who}' may not sign certificates"));
        }
        if below >= MAX_AUTHORITIES || authority.path_length.is_some_and(|limit| below > limit) {
            return Err(format!("'{who}' may not stand above {below} further authorities"));
        }
        if !issuer.is_valid_at(self.at) {
            return Err(format!("'{who}' was not valid when the certificate began"));
        }
        issuer.check_extensions().map_err(|error| error.to_string())?;
        child.verify_signed_by(issuer).map_err(|cause| format!("'{who}': {cause}"))
    }
}
