//! The language in which people write signature policies: `OutOf(2, 'Org1MSP.peer', OR('A.admin', 'B.admin'))`
//! (Fabric: `cauthdsl.FromString`, the `-P` of `peer chaincode instantiate`).
//!
//! ```text
//! policy    = gate
//! gate      = ("AND" | "OR") "(" rule { "," rule } ")" | "OutOf" "(" number "," rule { "," rule } ")"
//! rule      = gate | principal
//! principal = quote mspid "." ("admin" | "client" | "member" | "orderer" | "peer") quote
//! mspid     = letters, digits, "." and "-" of ASCII
//! ```
//!
//! A gate's name is written as above, in capitals or in lower case, or `And` and `Or`. Both kinds of quotes close each
//! other; a number may stand in quotes; white space separates.
//!
//! Invariant: a text that is accepted here is accepted by Fabric, and the envelopes are the same byte for byte. Fabric
//! accepts more, because it evaluates the text as an expression three times (sums of strings, policies quoted within
//! policies); that is refused here. What [`parse`] gives, [`super::SignaturePolicy::new`] takes.
//!
//! Fabric numbers principals when it evaluates a gate, and a gate's parts come before the gate. So those of the inner
//! gates have the lower numbers: in `OR('A.member', AND('B.member', 'C.member'))` B is 0, C is 1 and A is 2. A principal
//! that occurs twice is listed twice.

mod display;
mod error;
mod lexer;
mod parser;

pub use display::{PolicyText, display};
pub use error::PolicyLanguageError;
pub use parser::parse;

/// Bytes of a policy's text at most: more than the longest policy of [`super::rule::MAX_PARTS`] parts with names of
/// ordinary length.
const MAX_LENGTH: usize = 256 << 10;
/// Gates within gates at most. The protobuf decoder stops at 100 messages within each other; a gate is two of them, and
/// the envelope, the outermost rule and the leaf are three more.
const MAX_DEPTH: usize = 48;
/// Bytes of an MSP's id at most; Fabric has no limit. What is longer is shown cut.
const MAX_MSPID: usize = 255;

/// The roles of a principal by their names in the language.
const ROLES: [(&str, selvedge_proto::common::msp_role::MspRoleType); 5] = {
    use selvedge_proto::common::msp_role::MspRoleType;
    [
        ("admin", MspRoleType::Admin),
        ("client", MspRoleType::Client),
        ("member", MspRoleType::Member),
        ("orderer", MspRoleType::Orderer),
        ("peer", MspRoleType::Peer),
    ]
};

#[cfg(test)]
mod tests;
