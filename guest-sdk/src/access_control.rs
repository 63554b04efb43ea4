//! The capability `access-control`: whether the creator of this transaction's proposal may use something.

/// A policy of the peer's own MSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalPolicy {
    /// An administrator of the peer's organisation.
    Admins,
    /// Any member of the peer's organisation.
    Members,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessQuery<'a> {
    /// The policy that guards a resource on a channel.
    Resource {
        /// Its name, such as `lscc/ChaincodeExists`.
        resource: &'a str,
        /// The channel, which may be another one than the transaction's.
        channel: &'a str,
    },
    /// A policy of the peer's own MSP.
    Local(LocalPolicy),
}

impl crate::Stub {
    /// Whether the creator of the proposal satisfies the policy that guards `resource` on `channel`. Needs the capability
    /// `access-control`.
    ///
    /// # Errors
    /// Fabric's text: the policy and why it is not satisfied. In an INIT, where there is no proposal, always one.
    pub fn check_access(&self, resource: &str, channel: &str) -> Result<(), String> {
        self.peer.access(AccessQuery::Resource { resource, channel })
    }

    /// Whether the creator of the proposal satisfies a policy of the peer's own MSP. Needs the capability
    /// `access-control`.
    ///
    /// # Errors
    /// As for [`Self::check_access`].
    pub fn check_local_access(&self, policy: LocalPolicy) -> Result<(), String> {
        self.peer.access(AccessQuery::Local(policy))
    }
}
