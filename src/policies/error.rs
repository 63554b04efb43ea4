//! Why a policy was not satisfied, or cannot be one.

use thiserror::Error;

/// Why a policy was not satisfied. The texts are Fabric's and end up in ACL errors.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// Too few of the principals signed.
    #[error("signature set did not satisfy policy")]
    Signatures,
    /// An implicit meta policy found too few sub-policies satisfied.
    #[error(
        "implicit policy evaluation failed - {satisfied} sub-policies were satisfied, but this policy requires \
         {required} of the '{sub_policy}' sub-policies to be satisfied"
    )]
    Implicit {
        /// How many were.
        satisfied: usize,
        /// How many have to be.
        required: usize,
        /// The policy of each group below that counts.
        sub_policy: String,
    },
    /// There is no such policy.
    #[error("No such policy: '{0}'")]
    Unknown(String),
}

/// Why a policy cannot be used. The texts are Fabric's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyDefinitionError {
    /// A signature policy's bytes are none.
    #[error("Error unmarshaling to SignaturePolicy: {0}")]
    Signature(prost::DecodeError),
    /// An implicit meta policy's bytes are none.
    #[error("Error unmarshaling to ImplicitMetaPolicy: {0}")]
    Implicit(prost::DecodeError),
    /// A signature policy of a later format.
    #[error("This evaluator only understands messages of version 0, but version was {0}")]
    Version(i32),
    /// A rule that says nothing.
    #[error("Empty policy element")]
    Empty,
    /// A rule that names a principal which is not in the list.
    #[error("identity index out of range, requested {requested}, but identities length is {length}")]
    Index {
        /// The index.
        requested: i32,
        /// How many principals the policy has.
        length: usize,
    },
    /// A rule with more parts, or nested deeper, than any real policy. Fabric has no such limit, and its stack.
    #[error("the policy has {what}, the limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// An item of a configuration tree without its content.
    #[error("policy {name} at path {path} was nil")]
    Missing {
        /// The policy.
        name: String,
        /// Its group.
        path: String,
    },
    /// A policy of a type that nobody knows.
    #[error("policy {name} at path {path} has unknown policy type: {kind}")]
    Kind {
        /// The policy.
        name: String,
        /// Its group.
        path: String,
        /// The type's number.
        kind: i32,
    },
    /// A policy of a configuration tree that cannot be used.
    #[error("policy {name} at path {path} did not compile: {source}")]
    At {
        /// The policy.
        name: String,
        /// Its group.
        path: String,
        /// Why.
        source: Box<Self>,
    },
}
