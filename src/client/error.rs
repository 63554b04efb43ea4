//! Why a proposal or a transaction could not be made. The texts are Fabric's.

use thiserror::Error;

use crate::endorser::Undecodable;
use crate::msp::MspError;

/// Why a proposal or a transaction could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The system has no randomness to give.
    #[error("could not draw a nonce: the system's random source failed")]
    Random,
    /// The signer's key failed.
    #[error("error signing: {0}")]
    Sign(#[from] MspError),
    /// It is no update of the channel's configuration.
    #[error("Invalid channel create transaction : {0}")]
    ConfigUpdate(String),
    /// Nobody answered.
    #[error("at least one proposal response is required")]
    NoResponses,
    /// The proposal cannot be read.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// The transaction has to be signed by who made the proposal.
    #[error("signer must be the same as the one referenced in the header")]
    OtherSigner,
    /// A peer did not endorse.
    #[error("proposal response was not successful, error code {status}, msg {message}")]
    Unsuccessful {
        /// The response's status.
        status: i32,
        /// The response's message.
        message: String,
    },
    /// The peers do not agree on the results.
    #[error("ProposalResponsePayloads do not match")]
    Mismatch,
    /// No response carries an endorsement.
    #[error("no endorsements")]
    NoEndorsements,
}
