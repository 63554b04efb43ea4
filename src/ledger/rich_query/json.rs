//! JSON as Fabric and CouchDB take it: values, and a parser that agrees with Go's `encoding/json` about what is JSON.
//!
//! Whether a value is a JSON object decides between a valid transaction and an invalid one, so every peer must come to
//! the same. Go's peculiarities are kept: the last of two equal names wins, bytes that are not UTF-8 become U+FFFD, and
//! a number that no double can hold makes the whole thing no JSON. Invariant: nothing here recurses, however deep the
//! input is, and a [`Value`] is never nested deeper than [`MAX_VALUE_DEPTH`].

use std::collections::BTreeMap;
use std::fmt;

use super::format;
use super::limits::MAX_VALUE_DEPTH;

/// How deep Go's decoder goes.
const GO_MAX_DEPTH: usize = 10_000;

/// The members of an object, in the order in which Go writes them.
pub(super) type Object = BTreeMap<String, Value>;

/// A JSON value. Numbers are doubles, as they are in a Fabric peer on their way to CouchDB.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&format::to_json(self))
    }
}

/// Why some bytes are no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    pub what: &'static str,
    pub at: usize,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub value: Value,
    /// How deep it is nested: 0 for a scalar.
    pub depth: usize,
    /// Where the value ends.
    pub end: usize,
}

/// A state value as CouchDB would keep it: none for what is no JSON object (Fabric keeps that as an attachment). The
/// second part says whether it is whole: where it is nested too deep, the members of its root are right, and what is
/// far below is not.
pub(super) fn document(bytes: &[u8]) -> Option<(Object, bool)> {
    object(bytes, MAX_VALUE_DEPTH)
}

/// The members of such a value's root; what is nested in them is not kept. A value of many small objects takes a hundred
/// times its bytes otherwise.
pub(super) fn root(bytes: &[u8]) -> Option<Object> {
    object(bytes, 1).map(|(members, _)| members)
}

fn object(bytes: &[u8], keep: usize) -> Option<(Object, bool)> {
    // Most of what is no JSON is told by its first byte.
    let first = bytes.iter().find(|byte| !is_space(**byte))?;
    if *first != b'{' {
        return None;
    }
    let parsed = Parser { bytes, at: 0, keep }.value().ok()?;
    if bytes[parsed.end..].iter().any(|byte| !is_space(*byte)) {
        return None;
    }
    match parsed.value {
        Value::Object(members) => Some((members, parsed.depth <= MAX_VALUE_DEPTH)),
        _ => None,
    }
}

/// Reads the first JSON value; what follows it is the caller's matter.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Syntax> {
    Parser { bytes, at: 0, keep: MAX_VALUE_DEPTH }.value()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// An object or array of which the end has not been read.
enum Open {
    Array(Vec<Value>),
    Object(Object, String),
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// So many levels of objects and arrays are kept; of those below, only the shape counts.
    keep: usize,
}

impl Parser<'_> {
    fn value(mut self) -> Result<Parsed, Syntax> {
        let mut open: Vec<Open> = Vec::new();
        let mut depth = 0;
        loop {
            let mut value = match self.next_byte("a value is missing")? {
                b'{' => match self.next_byte("the object does not end")? {
                    b'}' => self.nested(Value::Object(Object::new()), open.len() + 1, &mut depth)?,
                    first => {
                        let name = self.name(first)?;
                        self.enter(&mut open, Open::Object(Object::new(), name), &mut depth)?;
                        continue;
                    }
                },
                b'[' => match self.next_byte("the array does not end")? {
                    b']' => self.nested(Value::Array(Vec::new()), open.len() + 1, &mut depth)?,
                    _ => {
                        self.at -= 1;
                        self.enter(&mut open, Open::Array(Vec::new()), &mut depth)?;
                        continue;
                    }
                },
                first => self.scalar(first)?,
            };
            // Gives the value to what it stands in, which may end with it.
            loop {
                let is_kept = open.len() <= self.keep;
                let Some(innermost) = open.last_mut() else { return Ok(Parsed { value, depth, end: self.at }) };
                match innermost {
                    Open::Array(items) => {
                        if is_kept {
                            items.push(value);
                        }
                        match self.next_byte("the array does not end")? {
                            b',' => break,
                            b']' => {}
                            _ => return self.fail("a comma or the array's end is missing"),
                        }
                    }
                    Open::Object(members, name) => {
                        let name = std::mem::take(name);
                        if is_kept {
                            members.insert(name, value);
                        }
                        match self.next_byte("the object does not end")? {
                            b',' => {
                                let first = self.next_byte("a name is missing")?;
                                let next = self.name(first)?;
                                if let Some(Open::Object(_, name)) = open.last_mut() {
                                    *name = next;
                                }
                                break;
                            }
                            b'}' => {}
                            _ => return self.fail("a comma or the object's end is missing"),
                        }
                    }
                }
                value = match open.pop() {
                    _ if open.len() >= self.keep => Value::Null,
                    Some(Open::Array(items)) => Value::Array(items),
                    Some(Open::Object(members, _)) => Value::Object(members),
                    None => Value::Null,
                };
            }
        }
    }

    fn enter(&self, open: &mut Vec<Open>, container: Open, depth: &mut usize) -> Result<(), Syntax> {
        open.push(container);
        *depth = (*depth).max(open.len());
        if open.len() > GO_MAX_DEPTH { self.fail("it is nested too deep") } else { Ok(()) }
    }

    fn nested(&self, value: Value, at: usize, depth: &mut usize) -> Result<Value, Syntax> {
        *depth = (*depth).max(at);
        match at {
            at if at > GO_MAX_DEPTH => self.fail("it is nested too deep"),
            at if at > self.keep => Ok(Value::Null),
            _ => Ok(value),
        }
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, Syntax> {
        Err(Syntax { what, at: self.at.saturating_sub(1) })
    }

    /// The next byte that is no space.
    fn next_byte(&mut self, missing: &'static str) -> Result<u8, Syntax> {
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            if !is_space(*byte) {
                return Ok(*byte);
            }
        }
        Err(Syntax { what: missing, at: self.at })
    }

    /// A member's name and the colon after it.
    fn name(&mut self, first: u8) -> Result<String, Syntax> {
        if first != b'"' {
            return self.fail("a name is missing");
        }
        let name = self.string()?;
        match self.next_byte("a colon is missing")? {
            b':' => Ok(name),
            _ => self.fail("a colon is missing"),
        }
    }

    fn scalar(&mut self, first: u8) -> Result<Value, Syntax> {
        match first {
            b'"' => self.string().map(Value::String),
            b't' => self.word(b"rue", Value::Bool(true)),
            b'f' => self.word(b"alse", Value::Bool(false)),
            b'n' => self.word(b"ull", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.fail("no value begins like this"),
        }
    }

    fn word(&mut self, rest: &[u8], value: Value) -> Result<Value, Syntax> {
        match self.bytes[self.at..].starts_with(rest) {
            true => {
                self.at += rest.len();
                Ok(value)
            }
            false => self.fail("no value begins like this"),
        }
    }

    fn number(&mut self) -> Result<Value, Syntax> {
        let start = self.at - 1;
        self.at = start + usize::from(self.bytes[start] == b'-');
        let leading_zero = self.bytes.get(self.at) == Some(&b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return self.fail("a number begins with a zero");
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        let number = std::str::from_utf8(&self.bytes[start..self.at]).ok().and_then(|text| text.parse::<f64>().ok());
        match number {
            // A negative zero comes back from CouchDB without its sign.
            Some(number) if number.is_finite() => Ok(Value::Number(number + 0.0)),
            _ => Err(Syntax { what: "a number is too large", at: start }),
        }
    }

    fn digits(&mut self) -> Result<usize, Syntax> {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        match count {
            0 => Err(Syntax { what: "a digit is missing", at: self.at }),
            count => Ok(count),
        }
    }

    /// What follows an opening quote, up to the closing one.
    fn string(&mut self) -> Result<String, Syntax> {
        let mut text = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let Some(plain) = plain else {
                return Err(Syntax { what: "the string does not end", at: self.bytes.len() });
            };
            push_lossy(&mut text, &rest[..plain]);
            self.at += plain + 1;
            match rest[plain] {
                b'"' => return Ok(text),
                b'\\' => text.push(self.escape()?),
                _ => return self.fail("a string holds a control character"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Syntax> {
        let kind = self.bytes.get(self.at).copied();
        self.at += 1;
        Ok(match kind {
            Some(c @ (b'"' | b'\\' | b'/')) => c.into(),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fail("there is no such escape"),
        })
    }

    /// `\uXXXX`, or two of them; half of a pair is U+FFFD.
    fn unicode(&mut self) -> Result<char, Syntax> {
        let unit = self.hex4(self.at).ok_or(Syntax { what: "\\u needs four hexadecimal digits", at: self.at })?;
        self.at += 4;
        let paired = (0xd800..0xdc00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u");
        if paired && let Some(low @ 0xdc00..0xe000) = self.hex4(self.at + 2) {
            self.at += 6;
            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }
}

/// Each byte that is not part of UTF-8 becomes U+FFFD, as Go has it; the standard library takes several for one.
fn push_lossy(text: &mut String, mut bytes: &[u8]) {
    loop {
        match std::str::from_utf8(bytes) {
            Ok(valid) => return text.push_str(valid),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = &rest[1..];
            }
        }
    }
}

#[cfg(test)]
mod tests;
