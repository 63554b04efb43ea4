//! Whether a block is what the channel's ordering service made (Fabric: `peer/gossip.MSPMessageCryptoService.VerifyBlock`).
//!
//! For blocks that come from somebody else, and for those on a disk. What the transactions in it are worth is another
//! question ([`super::TransactionValidator`]), and so is whether it follows the block before it, which the ledger asks.
//! Block 0 is signed by nobody: who joins a channel vouches for it.
//!
//! Invariant: a function of the block and of one configuration. It has to be the one that was in force when the block was
//! made: a block that brings a configuration is signed under the one before.

use std::borrow::Cow;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{Block, BlockMetadataIndex, Metadata, SignatureHeader};
use thiserror::Error;

use crate::channel::{Bundle, channel_of_block};
use crate::ledger::block;
use crate::policies::{PolicyError, Signers};

/// Who has to sign a channel's blocks.
const BLOCK_VALIDATION: &str = "/Channel/Orderer/BlockValidation";

/// Why a block is not one of the channel's. The texts are Fabric's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockVerificationError {
    /// It has no header.
    #[error("Invalid Block on channel [{channel}]. Header must be different from nil.")]
    NoHeader {
        /// The channel.
        channel: String,
    },
    /// It is another block than was asked for.
    #[error("Claimed seqNum is [{claimed}] but actual seqNum inside block is [{actual}]")]
    Number {
        /// The number that was asked for.
        claimed: u64,
        /// The block's own.
        actual: u64,
    },
    /// It does not name a channel.
    #[error("Failed getting channel id from block with id [{number}] on channel [{channel}]: [{reason}]")]
    NoChannel {
        /// The block.
        number: u64,
        /// The channel.
        channel: String,
        /// What is missing.
        reason: String,
    },
    /// It is a block of another channel.
    #[error("Invalid block's channel id. Expected [{expected}]. Given [{given}]")]
    OtherChannel {
        /// The channel.
        expected: String,
        /// The block's own.
        given: String,
    },
    /// There are no signatures.
    #[error("Block with id [{number}] on channel [{channel}] does not have metadata. Block not valid.")]
    NoMetadata {
        /// The block.
        number: u64,
        /// The channel.
        channel: String,
    },
    /// The signatures cannot be read.
    #[error("Failed unmarshalling medatata for signatures [{0}]")]
    Metadata(prost::DecodeError),
    /// The header is that of other transactions.
    #[error("Header.DataHash is different from Hash(block.Data) for block with id [{number}] on channel [{channel}]")]
    DataHash {
        /// The block.
        number: u64,
        /// The channel.
        channel: String,
    },
    /// A signature does not say whose it is.
    #[error("Failed unmarshalling signature header for block with id [{number}] on channel [{channel}]: [{source}]")]
    SignatureHeader {
        /// The block.
        number: u64,
        /// The channel.
        channel: String,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// Those who signed do not suffice.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// Checks that `block` is number `number` of the channel whose configuration `bundle` is, and that those signed it whom
/// the channel's policy BlockValidation names.
///
/// # Errors
/// [`BlockVerificationError`], the first thing that is wrong in Fabric's order.
pub fn verify_block(bundle: &Bundle, number: u64, block: &Block) -> Result<(), BlockVerificationError> {
    use BlockVerificationError as Error;
    let channel = || bundle.channel().to_owned();
    let header = block.header.as_ref().ok_or_else(|| Error::NoHeader { channel: channel() })?;
    if header.number != number {
        return Err(Error::Number { claimed: number, actual: header.number });
    }
    let given = channel_of_block(block).map_err(|reason| Error::NoChannel { number, channel: channel(), reason })?;
    if given != bundle.channel() {
        return Err(Error::OtherChannel { expected: channel(), given });
    }
    if block.metadata.as_ref().is_none_or(|metadata| metadata.metadata.is_empty()) {
        return Err(Error::NoMetadata { number, channel: channel() });
    }
    let metadata =
        Metadata::decode_as_go(block::metadata(block, BlockMetadataIndex::Signatures)).map_err(Error::Metadata)?;
    let data = block.data.clone().unwrap_or_default();
    if block::data_hash(&data)[..] != header.data_hash {
        return Err(Error::DataHash { number, channel: channel() });
    }
    let policy = bundle.policies().policy(BLOCK_VALIDATION)?;
    let signed_header = block::header_der(header);
    let mut signers = Signers::new(bundle.msps());
    for signature in &metadata.signatures {
        let creator = SignatureHeader::decode_as_go(signature.signature_header.clone())
            .map_err(|source| Error::SignatureHeader { number, channel: channel(), source })?
            .creator;
        signers.add(&creator, &signature.signature, || {
            Cow::Owned([&metadata.value[..], &signature.signature_header, &signed_header].concat())
        });
    }
    Ok(policy.evaluate(&signers.into_identities())?)
}

#[cfg(test)]
mod tests;
