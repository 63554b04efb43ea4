//! Why a native chaincode ends.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use thiserror::Error;

/// Why a native chaincode did not begin, or ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NativeError {
    /// An argument that nobody knows, or one without its value.
    #[error("argument {argument}: {reason}; --help shows those that there are")]
    Argument {
        /// As it was given.
        argument: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something that must be given was not.
    #[error("{what} is not set: {reason}")]
    Missing {
        /// The variable or the argument.
        what: &'static str,
        /// What it is for.
        reason: &'static str,
    },
    /// A value that is no good.
    #[error("{setting}={value}: {reason}")]
    Setting {
        /// The variable or the argument.
        setting: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("{setting}: cannot read {path}: {source}", path = path.display())]
    Read {
        /// The variable.
        setting: String,
        /// Its value.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file with something else in it.
    #[error("{setting}: {path}: {reason}", path = path.display())]
    Content {
        /// The variable.
        setting: String,
        /// Its value.
        path: PathBuf,
        /// What is wrong, and what should be there.
        reason: String,
    },
    /// No connection to the peer.
    #[error("cannot connect to the peer at {address} ({setting}): {reason}")]
    Connect {
        /// The peer.
        address: String,
        /// Where the address comes from.
        setting: String,
        /// Why.
        reason: String,
    },
    /// The address of the service cannot be listened on.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// The address.
        address: String,
        /// Where it comes from.
        setting: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The stream to the peer ended; the texts are those of Fabric's shim.
    #[error("{0}")]
    Stream(String),
    /// This process cannot do what it must.
    #[error("cannot run: {0}")]
    Runtime(String),
}

impl NativeError {
    /// 2 for what an operator has to set otherwise, 1 for what happened.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Argument { .. }
            | Self::Missing { .. }
            | Self::Setting { .. }
            | Self::Read { .. }
            | Self::Content { .. } => ExitCode::from(2),
            Self::Connect { .. } | Self::Listen { .. } | Self::Stream(_) | Self::Runtime(_) => ExitCode::FAILURE,
        }
    }
}
