//! What the INIT or TRANSACTION message brought: arguments, ids, and the proposal. Nothing here sends a message.

use std::collections::BTreeMap;

#[cfg(target_family = "wasm")]
use crate::peer::Peer;
use crate::{Blob, Error, SignedProposal, Stub, Timestamp};

impl Stub {
    /// All arguments, the function's name first. Where some may be large, ask by [`Stub::arg`].
    pub fn args(&self) -> Vec<Vec<u8>> {
        self.peer.args()
    }

    /// All arguments as text.
    pub fn string_args(&self) -> Result<Vec<String>, Error> {
        let text = |(index, arg)| String::from_utf8(arg).map_err(|_| Error::ArgumentNotText(index));
        self.args().into_iter().enumerate().map(text).collect()
    }

    /// The first argument and the others, as text. Without arguments the function is "".
    pub fn function_and_parameters(&self) -> Result<(String, Vec<String>), Error> {
        let mut args = self.string_args()?.into_iter();
        Ok((args.next().unwrap_or_default(), args.collect()))
    }

    /// All arguments, one after the other, as one slice (`GetArgsSlice`).
    pub fn args_slice(&self) -> Vec<u8> {
        self.args().concat()
    }

    /// Length in bytes of each argument.
    pub fn arg_sizes(&self) -> Vec<u64> {
        self.peer.arg_sizes()
    }

    /// One argument as a handle, whatever its size; none past the end.
    pub fn arg(&self, index: u32) -> Option<Blob> {
        self.peer.arg(index)
    }

    /// Lower-case hex of SHA-256 over nonce and creator.
    pub fn txid(&self) -> String {
        self.peer.txid()
    }

    /// Empty for a call that concerns no channel.
    pub fn channel_id(&self) -> String {
        self.peer.channel_id()
    }

    /// The marshalled `SerializedIdentity` that signed the proposal.
    pub fn creator(&self) -> Result<Vec<u8>, Error> {
        self.peer.creator().ok_or(Error::NoProposal("creator"))
    }

    /// The proposal's transient map: not part of the transaction.
    pub fn transient(&self) -> BTreeMap<String, Vec<u8>> {
        self.peer.transient().into_iter().collect()
    }

    /// What the peer's decorators added to the input.
    pub fn decorations(&self) -> BTreeMap<String, Vec<u8>> {
        self.peer.decorations().into_iter().collect()
    }

    /// SHA-256 of nonce, creator and epoch: binds what is in the transient map to this proposal.
    pub fn binding(&self) -> Result<Vec<u8>, Error> {
        self.peer.binding().ok_or(Error::NoProposal("binding"))
    }

    /// The proposal as the client signed it; none in the INIT of a system chaincode.
    pub fn signed_proposal(&self) -> Option<SignedProposal> {
        self.peer.signed_proposal()
    }

    /// When the client made the proposal, by its own clock.
    pub fn timestamp(&self) -> Result<Timestamp, Error> {
        self.peer.timestamp().ok_or(Error::NoProposal("timestamp"))
    }
}
