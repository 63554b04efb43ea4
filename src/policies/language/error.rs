//! Why a text is no policy.

use thiserror::Error;

use super::{MAX_DEPTH, MAX_LENGTH};
use crate::policies::rule::MAX_PARTS;

/// Characters of a policy that an error repeats at most.
const EXCERPT: usize = 60;

/// Why a text is no policy. Where Fabric's text says what is wrong, this begins with it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyLanguageError {
    /// More text than any policy has.
    #[error("the policy has {0} bytes, the limit is {MAX_LENGTH}")]
    TooLong(usize),
    /// Gates within gates within gates.
    #[error("the policy nests more gates in each other than the limit, {MAX_DEPTH}")]
    TooDeep,
    /// More gates and principals than any policy has.
    #[error("the policy has more gates and principals than the limit, {MAX_PARTS}")]
    TooManyParts,
    /// The text ends where something has to follow.
    #[error("Unexpected end of expression: expected {0}")]
    End(&'static str),
    /// A quote that nothing closes.
    #[error("Unclosed string literal: the quote at position {0} has no other one after it")]
    UnclosedString(usize),
    /// Parentheses that do not match.
    #[error("Unbalanced parenthesis: {0}")]
    Unbalanced(&'static str),
    /// A gate that nobody knows.
    #[error("Undefined function {0}: the gates are AND, OR and OutOf")]
    Gate(String),
    /// A word that means nothing.
    #[error("unrecognized token '{token}' in policy string: {advice}")]
    Token {
        /// The word.
        token: String,
        /// What is wrong with it and what to write.
        advice: &'static str,
    },
    /// Something of the language, in the wrong place.
    #[error("unexpected '{found}' at position {position} of the policy: expected {expected}")]
    Misplaced {
        /// What is there.
        found: String,
        /// Where, in bytes from 0.
        position: usize,
        /// What can be there.
        expected: &'static str,
    },
    /// A gate without anybody in it.
    #[error(
        "Expected at least two arguments to NOutOf. Given {0}: a gate needs a principal or another gate, and OutOf a \
         number before them"
    )]
    Arguments(usize),
    /// Something else than a number where OutOf has one.
    #[error(
        "'{0}' is not how many of the rules OutOf asks for: write a whole number, as in OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer')"
    )]
    NotANumber(String),
    /// More than all and one, or fewer than none.
    #[error(
        "Invalid t-out-of-n predicate, t {t}, n {n}: t may be 0 (always satisfied) to n, or n + 1 (never satisfied)"
    )]
    Threshold {
        /// How many are asked for.
        t: String,
        /// How many there are.
        n: usize,
    },
    /// A principal or number by itself.
    #[error("invalid policy string '{0}': a policy is a gate, as in OR('Org1MSP.member')")]
    NotAGate(String),
}

/// As much of `text` as an error repeats.
pub(super) fn excerpt(text: &str) -> String {
    printable(text, EXCERPT)
}

/// At most `limit` characters of `text`, without those that would disturb a terminal or a log.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let mut characters = text.chars();
    let start = characters.by_ref().take(limit);
    let mut printable: String = start.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if characters.next().is_some() {
        printable.push('…');
    }
    printable
}
