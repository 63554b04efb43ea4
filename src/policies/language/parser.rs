//! From words to an envelope.

use prost::Message;
use selvedge_proto::common::signature_policy::{NOutOf, Type};
use selvedge_proto::common::{MspPrincipal, MspRole, SignaturePolicy, SignaturePolicyEnvelope, msp_principal};

use super::error::excerpt;
use super::lexer::{Lexer, Token};
use super::{MAX_DEPTH, MAX_LENGTH, MAX_MSPID, PolicyLanguageError, ROLES};
use crate::policies::rule::MAX_PARTS;

const A_GATE: &str = "a gate, as in OR('Org1MSP.member')";
const A_RULE: &str = "a principal in quotes, as 'Org1MSP.member', or a gate";
const A_PARENTHESIS: &str = "'('";
const COMMA_OR_CLOSE: &str = "',' or ')'";

/// Reads a policy's text; see the module for the language.
///
/// # Errors
/// [`PolicyLanguageError`], which says what to write.
pub fn parse(text: &str) -> Result<SignaturePolicyEnvelope, PolicyLanguageError> {
    if text.len() > MAX_LENGTH {
        return Err(PolicyLanguageError::TooLong(text.len()));
    }
    let mut parser = Parser { lexer: Lexer::new(text), principals: Vec::new(), parts: 0 };
    let rule = match parser.next(A_GATE)? {
        (_, Token::Word(word)) if !word.starts_with(|c: char| c.is_ascii_digit()) => parser.gate(word, 1)?,
        (_, Token::Close) => return Err(PolicyLanguageError::Unbalanced("a ')' closes nothing")),
        _ => return Err(PolicyLanguageError::NotAGate(excerpt(text))),
    };
    match parser.lexer.next()? {
        None => Ok(SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: parser.principals }),
        Some((_, Token::Close)) => Err(PolicyLanguageError::Unbalanced("there is a ')' after the last gate's own")),
        Some((position, token)) => Err(misplaced(position, token, "the end: one gate holds the whole policy")),
    }
}

/// A part of a gate before its principals are numbered.
enum Part {
    Principal(MspPrincipal),
    Gate(SignaturePolicy),
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    principals: Vec<MspPrincipal>,
    parts: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self, expected: &'static str) -> Result<(usize, Token<'a>), PolicyLanguageError> {
        self.lexer.next()?.ok_or(PolicyLanguageError::End(expected))
    }

    /// A gate whose name was read already.
    fn gate(&mut self, name: &str, depth: usize) -> Result<SignaturePolicy, PolicyLanguageError> {
        self.count_part()?;
        if depth > MAX_DEPTH {
            return Err(PolicyLanguageError::TooDeep);
        }
        match self.lexer.next()? {
            Some((_, Token::Open)) => {}
            // Fabric finds a word without a parenthesis to mean nothing, whatever it is.
            _ if !is_gate(name) => return Err(bare_word(name)),
            None => return Err(PolicyLanguageError::End(A_PARENTHESIS)),
            Some((position, token)) => return Err(misplaced(position, token, A_PARENTHESIS)),
        }
        let (threshold, parts) = match name {
            "AND" | "And" | "and" => (None, self.parts(depth)?),
            "OR" | "Or" | "or" => (Some("1"), self.parts(depth)?),
            "OUTOF" | "OutOf" | "outof" => {
                let number = self.number()?;
                (Some(number), self.parts(depth)?)
            }
            _ => return Err(PolicyLanguageError::Gate(excerpt(name))),
        };
        let n = match threshold {
            Some(text) => check_threshold(text, parts.len())?,
            // No more than MAX_PARTS.
            None => parts.len() as i32,
        };
        let rules = parts.into_iter().map(|part| self.numbered(part)).collect();
        Ok(SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules })) })
    }

    /// The number that OutOf begins with, and the comma after it.
    fn number(&mut self) -> Result<&'a str, PolicyLanguageError> {
        let (_, token) = self.next("a number")?;
        let text = match token {
            Token::Close => return Err(PolicyLanguageError::Arguments(0)),
            Token::Word(text) | Token::Quoted(text) => text,
            other => return Err(PolicyLanguageError::NotANumber(other.text().into())),
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(PolicyLanguageError::NotANumber(excerpt(text)));
        }
        match self.next(COMMA_OR_CLOSE)? {
            (_, Token::Comma) => Ok(text),
            (_, Token::Close) => Err(PolicyLanguageError::Arguments(1)),
            (position, token) => Err(misplaced(position, token, COMMA_OR_CLOSE)),
        }
    }

    /// The rules of a gate up to its closing parenthesis.
    fn parts(&mut self, depth: usize) -> Result<Vec<Part>, PolicyLanguageError> {
        let mut parts = Vec::new();
        loop {
            let (position, token) = self.next(A_RULE)?;
            parts.push(match token {
                Token::Quoted(text) => {
                    self.count_part()?;
                    Part::Principal(principal(text)?)
                }
                Token::Word(word) => Part::Gate(self.gate(word, depth + 1)?),
                // What Fabric says of `OR()`, where it has put the number in already.
                Token::Close if parts.is_empty() => return Err(PolicyLanguageError::Arguments(1)),
                Token::Open | Token::Close | Token::Comma => return Err(misplaced(position, token, A_RULE)),
            });
            match self.lexer.next()? {
                Some((_, Token::Comma)) => {}
                Some((_, Token::Close)) => return Ok(parts),
                Some((position, token)) => return Err(misplaced(position, token, COMMA_OR_CLOSE)),
                None => return Err(PolicyLanguageError::Unbalanced("a ')' is missing at the end")),
            }
        }
    }

    fn numbered(&mut self, part: Part) -> SignaturePolicy {
        match part {
            Part::Gate(gate) => gate,
            Part::Principal(principal) => {
                // No more than MAX_PARTS.
                let index = self.principals.len() as i32;
                self.principals.push(principal);
                SignaturePolicy { r#type: Some(Type::SignedBy(index)) }
            }
        }
    }

    fn count_part(&mut self) -> Result<(), PolicyLanguageError> {
        self.parts += 1;
        if self.parts > MAX_PARTS { Err(PolicyLanguageError::TooManyParts) } else { Ok(()) }
    }
}

fn is_gate(name: &str) -> bool {
    matches!(name, "AND" | "And" | "and" | "OR" | "Or" | "or" | "OUTOF" | "OutOf" | "outof")
}

fn misplaced(position: usize, token: Token<'_>, expected: &'static str) -> PolicyLanguageError {
    PolicyLanguageError::Misplaced { found: excerpt(token.text()), position, expected }
}

fn bare_word(word: &str) -> PolicyLanguageError {
    let advice = if principal(word).is_ok() {
        "a principal stands in quotes, which a shell takes away unless the whole policy is quoted too"
    } else if word.parse::<f64>().is_ok() {
        "only OutOf has a number, before its rules"
    } else {
        "expected a principal in quotes, as 'Org1MSP.member', or a gate"
    };
    PolicyLanguageError::Token { token: excerpt(word), advice }
}

/// How many of `n` rules have to be satisfied.
fn check_threshold(text: &str, n: usize) -> Result<i32, PolicyLanguageError> {
    let t = text.parse::<i32>().ok().filter(|t| usize::try_from(*t).is_ok_and(|t| t <= n + 1));
    t.ok_or_else(|| PolicyLanguageError::Threshold { t: excerpt(text), n })
}

fn principal(text: &str) -> Result<MspPrincipal, PolicyLanguageError> {
    let refuse = |advice| Err(PolicyLanguageError::Token { token: excerpt(text), advice });
    let Some((mspid, role)) = text.rsplit_once('.') else {
        return refuse("a principal is an MSP's id, a '.' and a role, as 'Org1MSP.member'");
    };
    let Some((_, role)) = ROLES.into_iter().find(|(name, _)| *name == role) else {
        return refuse("after the last '.' of a principal stands a role: admin, client, member, orderer or peer");
    };
    if mspid.is_empty() || !mspid.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-')) {
        return refuse("the id of an MSP in a policy has letters, digits, '.' and '-' only, and at least one of them");
    }
    if mspid.len() > MAX_MSPID {
        return refuse("the id of an MSP in a policy has at most 255 characters");
    }
    let role = MspRole { msp_identifier: mspid.to_owned(), role: role as i32 };
    Ok(MspPrincipal {
        principal_classification: msp_principal::Classification::Role as i32,
        principal: role.encode_to_vec().into(),
    })
}
