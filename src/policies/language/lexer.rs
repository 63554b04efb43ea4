//! The words of a policy's text.

use super::PolicyLanguageError;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    Comma,
    /// What stands between quotes.
    Quoted(&'a str),
    /// Anything else up to white space, a quote, a comma or a parenthesis.
    Word(&'a str),
}

impl Token<'_> {
    /// The word for an error.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Quoted(text) | Self::Word(text) => text,
        }
    }
}

/// Reads one word after the other.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// The next word and where it begins; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Token<'a>)>, PolicyLanguageError> {
        let rest = &self.text[self.position..];
        let start = self.text.len() - rest.trim_start().len();
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            self.position = self.text.len();
            return Ok(None);
        };
        let (length, token) = match first {
            '(' => (1, Token::Open),
            ')' => (1, Token::Close),
            ',' => (1, Token::Comma),
            quote if is_quote(quote) => {
                let length = rest[1..].find(is_quote).ok_or(PolicyLanguageError::UnclosedString(start))?;
                (length + 2, Token::Quoted(&rest[1..=length]))
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || is_quote(c) || matches!(c, '(' | ')' | ',');
                let length = rest.find(ends).unwrap_or(rest.len());
                (length, Token::Word(&rest[..length]))
            }
        };
        self.position = start + length;
        Ok(Some((start, token)))
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '"')
}
