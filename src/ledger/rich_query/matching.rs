//! Whether a document is what a selector asks for (CouchDB: `mango_selector:match`).
//!
//! Invariant: a condition holds only of a field that exists, but for `{"$exists": false}`.

use super::collation::compare;
use super::effort::Effort;
use super::json::Value;
use super::operators::integer;
use super::path::Found;
use super::selector::{Comparison, Condition, Selector};

impl Selector {
    /// Of no use once `effort` is over.
    pub(super) fn matches(&self, value: &Value, effort: &Effort) -> bool {
        if !effort.step(1) {
            return false;
        }
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(value, effort)),
            Self::Any(parts) => parts.is_empty() || parts.iter().any(|part| part.matches(value, effort)),
            Self::Not(part) => !part.matches(value, effort),
            Self::Field(path, condition) => match path.find(value) {
                Found::Value(found) => condition.holds(found, effort),
                Found::Nothing => matches!(condition, Condition::Exists(false)),
                Found::NoWay => false,
            },
        }
    }
}

impl Condition {
    /// Of a field that exists.
    fn holds(&self, value: &Value, effort: &Effort) -> bool {
        match self {
            Self::Compare(comparison, argument) => comparison.holds(compare(value, argument)),
            Self::In(arguments) => is_in(value, arguments, effort),
            Self::NotIn(arguments) => !is_in(value, arguments, effort),
            Self::Exists(exists) => *exists,
            Self::Type(name) => name == type_name(value),
            Self::Modulo { divisor, remainder } => match value {
                Value::Number(number) => integer(*number).is_some_and(|number| number % divisor == *remainder),
                _ => false,
            },
            Self::Matches(regex) => {
                matches!(value, Value::String(text) if effort.step(text.len() / 16) && regex.is_match(text.as_bytes()))
            }
            Self::BeginsWith(prefix) => matches!(value, Value::String(text) if text.starts_with(prefix)),
            Self::HasAll(arguments) => match (arguments.as_slice(), value) {
                ([], _) => false,
                ([argument @ Value::Array(_)], value) if argument == value => true,
                (arguments, Value::Array(items)) => {
                    arguments.iter().all(|argument| effort.step(items.len()) && items.contains(argument))
                }
                _ => false,
            },
            Self::Size(size) => matches!(value, Value::Array(items) if items.len() as f64 == *size),
            Self::Element(selector) => match value {
                Value::Array(items) => items.iter().any(|item| selector.matches(item, effort)),
                _ => false,
            },
            Self::Elements(selector) => match value {
                Value::Array(items) => !items.is_empty() && items.iter().all(|item| selector.matches(item, effort)),
                _ => false,
            },
            Self::Name(selector) => match value {
                Value::Object(members) => {
                    members.keys().any(|name| selector.matches(&Value::String(name.clone()), effort))
                }
                _ => false,
            },
            Self::Not(condition) => !condition.holds(value, effort),
        }
    }
}

/// An array is in the arguments if one of its elements is.
fn is_in(value: &Value, arguments: &[Value], effort: &Effort) -> bool {
    let equal = |a: &Value, b: &Value| Comparison::Equal.holds(compare(a, b));
    match value {
        Value::Array(items) => {
            let is_there = |argument| effort.step(items.len()) && items.iter().any(|item| equal(item, argument));
            arguments.iter().any(is_there)
        }
        value => arguments.iter().any(|argument| equal(value, argument)),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests;
