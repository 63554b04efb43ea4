//! Logging specifications: which logger logs from which level on (Fabric: `flogging.LoggerLevels`, `FABRIC_LOGGING_SPEC`).
//!
//! `gossip,ledger.state=debug:warn` names loggers and then a default. A logger of Fabric's is the module of the same name
//! here: `endorser` is everything under `selvedge::endorser`. Error texts are Fabric's.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Libraries whose debug output would bury ours. Their own level is the default, but no lower than `warn`.
const LIBRARIES: [&str; 10] =
    ["bollard", "cranelift", "h2", "hyper", "hyper_util", "regalloc2", "rustls", "tonic", "tower", "wasmtime"];

/// A parsed specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSpec {
    loggers: BTreeMap<String, Level>,
    default: Level,
}

/// Why a specification was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("invalid logging specification '{spec}': {reason}")]
pub struct LogSpecError {
    spec: String,
    reason: String,
}

/// Fabric's levels, from the most words to the fewest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Dpanic,
    Panic,
    Fatal,
}

impl Level {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "DEBUG" => Self::Debug,
            "INFO" | "NOTICE" => Self::Info,
            "WARN" | "WARNING" => Self::Warn,
            "ERROR" | "CRITICAL" => Self::Error,
            "DPANIC" => Self::Dpanic,
            "PANIC" => Self::Panic,
            "FATAL" => Self::Fatal,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Dpanic => "dpanic",
            Self::Panic => "panic",
            Self::Fatal => "fatal",
        }
    }

    /// Nothing here logs above an error.
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::Dpanic | Self::Panic | Self::Fatal => LevelFilter::OFF,
        }
    }
}

impl FromStr for LogSpec {
    type Err = LogSpecError;

    fn from_str(spec: &str) -> Result<Self, LogSpecError> {
        let error = |reason: String| LogSpecError { spec: spec.to_owned(), reason };
        let mut parsed = Self { loggers: BTreeMap::new(), default: Level::Info };
        for segment in spec.split(':').filter(|segment| !segment.is_empty()) {
            let bad_segment = || error(format!("bad segment '{segment}'"));
            let Some((names, level)) = segment.split_once('=') else {
                parsed.default = Level::parse(segment).ok_or_else(bad_segment)?;
                continue;
            };
            if names.is_empty() {
                return Err(error(format!("no logger specified in segment '{segment}'")));
            }
            let level = Level::parse(level).ok_or_else(bad_segment)?;
            for name in names.split(',') {
                if !is_logger_name(name) {
                    return Err(error(format!("bad logger name '{name}'")));
                }
                parsed.loggers.insert(name.to_owned(), level);
            }
        }
        Ok(parsed)
    }
}

/// A trailing dot, which in Fabric stands for this logger without those below it, is let through.
fn is_logger_name(name: &str) -> bool {
    name.strip_suffix('.').unwrap_or(name).split('.').all(|part| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '#' | ':' | '-' | '+'))
    })
}

impl LogSpec {
    pub(super) fn targets(&self) -> Targets {
        let default = self.default.filter();
        let quiet = default.min(LevelFilter::WARN);
        self.loggers.iter().fold(
            Targets::new().with_default(default).with_targets(LIBRARIES.map(|library| (library, quiet))),
            |targets, (name, level)| {
                let path = name.trim_end_matches('.').replace('.', "::");
                targets.with_target(format!("selvedge::{path}"), level.filter()).with_target(path, level.filter())
            },
        )
    }
}

impl fmt::Display for LogSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, level) in &self.loggers {
            write!(f, "{name}={}:", level.name())?;
        }
        f.write_str(self.default.name())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as At;

    use super::*;

    #[test]
    fn a_specification_reads_as_fabrics() {
        let table = [
            ("", "info"),
            ("debug", "debug"),
            ("WARNING", "warn"),
            ("gossip=warn:ledger.state=debug:error", "gossip=warn:ledger.state=debug:error"),
            ("a,b=debug", "a=debug:b=debug:info"),
            ("warn:info", "info"),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<LogSpec>().map(|spec| spec.to_string()), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn errors_have_fabrics_texts() {
        let table = [
            ("loud", "invalid logging specification 'loud': bad segment 'loud'"),
            ("=debug", "invalid logging specification '=debug': no logger specified in segment '=debug'"),
            ("a=b=debug", "invalid logging specification 'a=b=debug': bad segment 'a=b=debug'"),
            ("a=loud:info", "invalid logging specification 'a=loud:info': bad segment 'a=loud'"),
            ("a..b=info", "invalid logging specification 'a..b=info': bad logger name 'a..b'"),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<LogSpec>().map_err(|e| e.to_string()), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_logger_is_the_module_of_that_name() {
        let targets = "endorser=debug:chaincode.handler=error:info".parse::<LogSpec>().expect("is valid").targets();
        let table = [
            ("selvedge::endorser::check", At::DEBUG, true),
            ("selvedge::chaincode::launcher", At::DEBUG, false),
            ("selvedge::chaincode::launcher", At::INFO, true),
            ("selvedge::chaincode::handler", At::WARN, false),
            ("chaincodeCmd", At::INFO, true),
            ("h2::proto", At::INFO, false),
            ("h2::proto", At::WARN, true),
        ];
        for (target, level, enabled) in table {
            assert_eq!(targets.would_enable(target, &level), enabled, "{target} {level}");
        }
    }

    #[test]
    fn panic_and_fatal_silence_everything() {
        let targets = "fatal".parse::<LogSpec>().expect("is valid").targets();
        assert!(!targets.would_enable("selvedge::endorser", &At::ERROR));
    }
}
