//! The capability `policies`: what the transaction's channel says about instantiating chaincode.
//!
//! The host decides who somebody is, and speaks of the creator of the transaction's own proposal only.

/// What lscc has to know of the channel's application capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelCapabilities {
    /// Chaincode may be instantiated with collections.
    pub private_channel_data: bool,
    /// An upgrade may bring collections.
    pub collection_upgrade: bool,
}

/// Why collections cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectionsError {
    /// The bytes are no `CollectionConfigPackage`.
    #[error("no CollectionConfigPackage")]
    Undecodable,
    /// A collection whose members cannot be told. The text is Fabric's.
    #[error("{0}")]
    Refused(String),
}

/// The policies of the transaction's channel.
#[derive(Debug)]
pub struct Policies<'a> {
    stub: &'a crate::Stub,
}

impl crate::Stub {
    /// The policies of the transaction's channel. Needs the capability `policies`.
    pub fn policies(&self) -> Policies<'_> {
        Policies { stub: self }
    }
}

impl Policies<'_> {
    /// The application capabilities.
    ///
    /// # Errors
    /// When the transaction has no channel.
    pub fn capabilities(&self) -> Result<ChannelCapabilities, String> {
        self.stub.peer.channel_capabilities()
    }

    /// The endorsement policy of a chaincode that is instantiated without one: any member of an application organisation. A
    /// marshalled `SignaturePolicyEnvelope`.
    ///
    /// # Errors
    /// When the transaction has no channel.
    pub fn default_endorsement(&self) -> Result<Vec<u8>, String> {
        self.stub.peer.default_endorsement()
    }

    /// Whether the creator of the proposal satisfies an instantiation policy, a marshalled `SignaturePolicyEnvelope`.
    ///
    /// # Errors
    /// Fabric's text: that it does not, or that the policy is none.
    pub fn check_instantiation(&self, policy: &[u8]) -> Result<(), String> {
        self.stub.peer.check_instantiation(policy)
    }

    /// Whether the policies in a marshalled `CollectionConfigPackage` say who the collections' members are.
    ///
    /// # Errors
    /// [`CollectionsError`] for the first that does not.
    pub fn check_collections(&self, collections: &[u8]) -> Result<(), CollectionsError> {
        self.stub.peer.check_collections(collections)
    }
}
