//! Which version of its API an engine is asked in (Fabric's client leaves that to the engine).
//!
//! An engine answers a request that names no version in the newest one that it has, and so an update of it could change what a
//! peer is told. Invariant: every request but the one for the versions, and the ping, names a version that both sides know.

use std::fmt;

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::Uri;

/// A version of Docker's API, such as 1.41.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: usize,
    minor: usize,
}

/// That of Docker 17.06. Nothing that is asked for here is newer.
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 30 };
/// The one that the client's types are made for.
const NEWEST: ApiVersion =
    ApiVersion { major: API_DEFAULT_VERSION.major_version, minor: API_DEFAULT_VERSION.minor_version };

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The newest version that this engine and this peer both know.
    ///
    /// # Errors
    /// What is wrong with the engine, for a reader, when there is none.
    pub(super) fn agreed(engine: &SystemVersion) -> Result<Self, String> {
        let version = |text: &Option<String>| text.as_deref().and_then(Self::parse);
        let name = engine.version.as_deref().unwrap_or("of no known version");
        let Some(newest) = version(&engine.api_version) else {
            return Err(format!("the engine there ({name}) does not say which version of Docker's API it has"));
        };
        if newest < OLDEST {
            return Err(format!(
                "the engine there ({name}) has Docker's API up to version {newest}, and this peer needs {OLDEST}; install \
                 Docker 17.06 or a later one"
            ));
        }
        match version(&engine.min_api_version) {
            Some(oldest) if oldest > NEWEST => Err(format!(
                "the engine there ({name}) has Docker's API from version {oldest} on, and this peer knows {NEWEST} at most; \
                 install a later release of the peer, or an earlier one of the engine"
            )),
            _ => Ok(newest.min(NEWEST)),
        }
    }

    /// A client whose requests name this version. (bollard 0.21 drops the one that it is given from every path.)
    pub(super) fn spoken_by(self, engine: Docker) -> Docker {
        engine.with_request_modifier(move |mut request: BollardRequest| {
            if let Some(uri) = self.added_to(request.uri()) {
                *request.uri_mut() = uri;
            }
            request
        })
    }

    fn added_to(self, uri: &Uri) -> Option<Uri> {
        let mut parts = uri.clone().into_parts();
        let path = parts.path_and_query.take()?;
        parts.path_and_query = Some(format!("/v{self}{path}").parse().ok()?);
        Uri::from_parts(parts).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(newest: &str, oldest: &str) -> Result<String, String> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let engine = SystemVersion {
            version: Some("20.10.24".into()),
            api_version: text(newest),
            min_api_version: text(oldest),
            ..SystemVersion::default()
        };
        ApiVersion::agreed(&engine).map(|version| version.to_string())
    }

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        let newest = NEWEST.to_string();
        for (engine, least, expected) in [
            ("1.30", "1.12", "1.30"),
            ("1.41", "1.12", "1.41"),
            ("1.41", "", "1.41"),
            (&newest, "1.44", &newest),
            ("1.99", "1.44", &newest),
            ("2.0", "1.44", &newest),
        ] {
            assert_eq!(agreed(engine, least).as_deref(), Ok(expected), "{engine}");
        }
    }

    #[test]
    fn an_engine_that_shares_no_version_is_told_of() {
        for (engine, least, expected) in [
            ("1.29", "1.12", "up to version 1.29, and this peer needs 1.30; install Docker 17.06"),
            ("1.99", "1.90", "from version 1.90 on, and this peer knows"),
            ("", "", "does not say which version"),
            ("latest", "", "does not say which version"),
        ] {
            let refused = agreed(engine, least).unwrap_err();
            assert!(refused.contains(expected) && refused.contains("20.10.24"), "{refused}");
        }
    }

    #[test]
    fn a_path_begins_with_the_version() {
        let version = ApiVersion::parse("1.41").unwrap();
        for (asked, expected) in [
            ("unix://2f72756e/containers/json?all=true", "unix://2f72756e/v1.41/containers/json?all=true"),
            ("http://127.0.0.1:2375/_ping", "http://127.0.0.1:2375/v1.41/_ping"),
        ] {
            assert_eq!(version.added_to(&asked.parse().unwrap()).unwrap().to_string(), expected);
        }
    }
}
