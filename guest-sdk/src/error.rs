//! What a [`Stub`](crate::Stub) refuses, with the texts of Fabric's shim, and what the peer answers with ERROR.

/// Why a call on the stub failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key to be written is empty.
    #[error("key must not be an empty string")]
    EmptyKey,
    /// A collection's name is empty.
    #[error("collection must not be an empty string")]
    EmptyCollection,
    /// An event's name is empty.
    #[error("event name can not be empty string")]
    EmptyEventName,
    /// A range's bound starts like a composite key.
    #[error("first character of the key [{0}] contains a null character which is not allowed")]
    NullCharacter(String),
    /// A composite key's part holds a character that composite keys are made of.
    #[error(
        "input contain unicode U+{:04X} starting at position [{position}]. U+0000 and U+10FFFF are not allowed in the input attribute of a composite key",
        *.character as u32
    )]
    CompositeKeyCharacter {
        /// U+0000 or U+10FFFF.
        character: char,
        /// Its offset in bytes.
        position: usize,
    },
    /// A key that should be composite does not start with U+0000, or ends within a part.
    #[error("key [{0}] is not a composite key")]
    NotACompositeKey(String),
    /// An argument that was asked for as text is not UTF-8.
    #[error("argument {0} is not valid UTF-8")]
    ArgumentNotText(usize),
    /// The INIT of a system chaincode has no proposal, so no creator, binding or timestamp.
    #[error("there is no proposal: {0} is not available in the Init of a system chaincode")]
    NoProposal(&'static str),
    /// The peer answered with ERROR; its text.
    #[error("{0}")]
    Peer(String),
    /// The chaincode's own reason.
    #[error("{0}")]
    Chaincode(String),
}

impl Error {
    /// A reason of the chaincode's own.
    pub fn new(reason: impl Into<String>) -> Self {
        Self::Chaincode(reason.into())
    }
}

impl From<String> for Error {
    fn from(reason: String) -> Self {
        Self::Chaincode(reason)
    }
}

impl From<&str> for Error {
    fn from(reason: &str) -> Self {
        Self::Chaincode(reason.to_owned())
    }
}
