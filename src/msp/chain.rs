//! The way from a certificate to a root (Fabric: `getUniqueValidationChain`; Go's `x509.Certificate.Verify`).

use std::time::SystemTime;

use super::certificate::Certificate;

/// Signatures that are checked at most for one certificate (Go: `maxChainSignatureChecks`).
const MAX_SIGNATURE_CHECKS: usize = 100;

/// The authorities from the issuer of `certificate` up to one of `roots`, judged as of `at`; none if it is itself a
/// root.
///
/// There has to be exactly one such chain, because two would leave open who vouches for the certificate. The error is
/// the last obstacle met.
pub(crate) fn unique_chain<'a>(
    certificate: &Certificate,
    roots: &'a [Certificate],
    intermediates: &'a [Certificate],
    at: SystemTime,
) -> Result<Vec<&'a Certificate>, String> {
    certificate.check_extensions().map_err(|error| error.to_string())?;
    if !certificate.is_valid_at(at) {
        return Err("it is not valid at that time, or its validity is shorter than a second".into());
    }
    if !certificate.allows_server_auth {
        return Err("its extended key usage is neither any nor TLS server authentication, which Fabric asks for".into());
    }
    if roots.iter().any(|root| root.der == certificate.der) {
        return Ok(Vec::new());
    }
    let mut search = Search {
        leaf: certificate.der.clone(),
        roots,
        intermediates,
        at,
        checks: 0,
        found: Vec::new(),
        obstacle: None,
    };
    search.climb(certificate, &mut Vec::new())?;
    let Search { mut found, obstacle, .. } = search;
    let Some(chain) = found.pop() else {
        return Err(obstacle.unwrap_or_else(|| {
            format!("no authority of the MSP has its issuer's name, '{}'", certificate.issuer_text)
        }));
    };
    if !found.is_empty() {
        return Err(format!("this MSP only supports a single validation chain, got {}", found.len() + 1));
    }
    Ok(chain)
}

struct Search<'a> {
    leaf: Vec<u8>,
    roots: &'a [Certificate],
    intermediates: &'a [Certificate],
    at: SystemTime,
    checks: usize,
    found: Vec<Vec<&'a Certificate>>,
    obstacle: Option<String>,
}

impl<'a> Search<'a> {
    /// Collects the chains above `child`, which `below` lead to. Fails only when the search grows too long.
    fn climb(&mut self, child: &Certificate, below: &mut Vec<&'a Certificate>) -> Result<(), String> {
        let (roots, intermediates) = (self.roots, self.intermediates);
        let authorities = roots.iter().map(|root| (root, true)).chain(intermediates.iter().map(|one| (one, false)));
        for (issuer, is_root) in authorities {
            if issuer.subject != child.issuer || self.stands_below(issuer, below) {
                continue;
            }
            self.checks += 1;
            if self.checks > MAX_SIGNATURE_CHECKS {
                return Err(format!("its chain takes more than {MAX_SIGNATURE_CHECKS} signature checks"));
            }
            if let Err(cause) = self.check_step(child, issuer, below.len()) {
                self.obstacle = Some(cause);
                continue;
            }
            below.push(issuer);
            if !is_root {
                self.climb(issuer, below)?;
            } else if let Some(narrow) = below.iter().find(|authority| !authority.allows_server_auth) {
                self.obstacle = Some(format!("the extended key usage of '{}' does not allow it", narrow.subject_text));
            } else {
                self.found.push(below.clone());
            }
            below.pop();
        }
        Ok(())
    }

    fn stands_below(&self, issuer: &Certificate, below: &[&Certificate]) -> bool {
        issuer.der == self.leaf || below.iter().any(|authority| authority.der == issuer.der)
    }

    fn check_step(&self, child: &Certificate, issuer: &Certificate, below: usize) -> Result<(), String> {
        let who = &issuer.subject_text;
        let authority = issuer.authority.as_ref().ok_or_else(|| format!("'{who}' is no certificate authority"))?;
        if !authority.signs_certificates {
            return Err(format!("'{who}' may not sign certificates"));
        }
        if authority.path_length.is_some_and(|limit| below > usize::from(limit)) {
            return Err(format!("'{who}' may not stand above {below} further authorities"));
        }
        if !issuer.is_valid_at(self.at) {
            return Err(format!("'{who}' was not valid when the certificate began"));
        }
        issuer.check_extensions().map_err(|error| error.to_string())?;
        child.verify_signed_by(issuer).map_err(|cause| format!("'{who}': {cause}"))
    }
}
