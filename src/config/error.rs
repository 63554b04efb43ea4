//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `FABRIC_CFG_PATH` leads nowhere.
    #[error(
        "Could not find config file. Please make sure that FABRIC_CFG_PATH is set to a path which contains core.yaml \
         (it is {})", .0.display()
    )]
    NotFound(PathBuf),
    /// The file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not YAML, or not of core.yaml's shape.
    #[error("cannot make sense of {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's text, with line and column.
        reason: String,
    },
    /// Values that cannot be used; all of them, so that one round of corrections is enough.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

/// One value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as Fabric writes it.
    pub key: String,
    /// The value as written.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
    /// What is wrong with it, against which limit, and what to do: follows the value.
    pub reason: String,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In core.yaml.
    File,
    /// In this environment variable.
    Variable(String),
    /// Nowhere: the built-in default.
    Default,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, origin, reason } = self;
        match origin {
            Origin::Variable(name) => write!(f, "{key}: {value:?} (from {name}) {reason}"),
            Origin::File | Origin::Default => write!(f, "{key}: {value:?} {reason}"),
        }
    }
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    match lines.as_slice() {
        [one] => format!("the configuration has a value that cannot be used: {one}"),
        many => format!("the configuration has {} values that cannot be used:\n  {}", many.len(), many.join("\n  ")),
    }
}
