//! The arguments of the condition operators, and what each of them takes.

use super::RichQueryError;
use super::format::INTEGER_LIMIT;
use super::json::Value;
use super::limits::MAX_REGEX_SIZE;
use super::selector::{Comparison, Condition};

/// Operators of MongoDB and of CouchDB's search that no index of this kind can serve.
const UNSUPPORTED: [&str; 6] = ["$text", "$where", "$geoWithin", "$geoIntersects", "$near", "$nearSphere"];

pub(super) fn condition(operator: &str, argument: &Value) -> Result<Condition, RichQueryError> {
    let comparison = match operator {
        "$lt" => Some(Comparison::Less),
        "$lte" => Some(Comparison::LessOrEqual),
        "$eq" => Some(Comparison::Equal),
        "$ne" => Some(Comparison::NotEqual),
        "$gte" => Some(Comparison::GreaterOrEqual),
        "$gt" => Some(Comparison::Greater),
        _ => None,
    };
    if let Some(comparison) = comparison {
        return Ok(Condition::Compare(comparison, argument.clone()));
    }
    match (operator, argument) {
        ("$in", Value::Array(values)) => Ok(Condition::In(values.clone())),
        ("$nin", Value::Array(values)) => Ok(Condition::NotIn(values.clone())),
        ("$all", Value::Array(values)) => Ok(Condition::HasAll(values.clone())),
        ("$exists", Value::Bool(exists)) => Ok(Condition::Exists(*exists)),
        ("$type", Value::String(name)) => Ok(Condition::Type(name.clone())),
        ("$size", Value::Number(size)) if integer(*size).is_some_and(|size| size >= 0) => Ok(Condition::Size(*size)),
        ("$beginsWith", Value::String(prefix)) => Ok(Condition::BeginsWith(prefix.clone())),
        ("$regex", Value::String(pattern)) => regex(pattern),
        ("$mod", Value::Array(values)) => match values.as_slice() {
            [Value::Number(divisor), Value::Number(remainder)] => match (integer(*divisor), integer(*remainder)) {
                (Some(divisor), Some(remainder)) if divisor != 0 => Ok(Condition::Modulo { divisor, remainder }),
                _ => Err(RichQueryError::bad_argument(operator, argument)),
            },
            _ => Err(RichQueryError::bad_argument(operator, argument)),
        },
        ("$in" | "$nin" | "$all" | "$exists" | "$type" | "$size" | "$beginsWith" | "$regex" | "$mod", _) => {
            Err(RichQueryError::bad_argument(operator, argument))
        }
        _ if UNSUPPORTED.contains(&operator) => {
            Err(RichQueryError::refused("not_supported", format!("Unsupported operator: {operator}")))
        }
        _ => Err(RichQueryError::refused("invalid_operator", format!("Invalid operator: {operator}"))),
    }
}

/// The number, if CouchDB would keep it as an integer.
pub(super) fn integer(number: f64) -> Option<i128> {
    if number.fract() != 0.0 || number.abs() >= INTEGER_LIMIT {
        return None;
    }
    // CouchDB has the digits that Fabric writes, which above 2^53 are not the double's own.
    format!("{number}").parse().ok()
}

/// Erlang's `re` matches bytes, and its classes are those of ASCII. It is PCRE; this takes no back references and no
/// look around, and so never takes more than linear time.
fn regex(pattern: &str) -> Result<Condition, RichQueryError> {
    let compiled = regex::bytes::RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(MAX_REGEX_SIZE)
        .dfa_size_limit(MAX_REGEX_SIZE)
        .build();
    match compiled {
        Ok(regex) => Ok(Condition::Matches(regex)),
        Err(regex::Error::CompiledTooBig(_)) => Err(RichQueryError::Limit {
            what: "a compiled $regex",
            needed: MAX_REGEX_SIZE + 1,
            name: "MAX_REGEX_SIZE",
            limit: MAX_REGEX_SIZE,
            advice: "use smaller repetitions",
        }),
        Err(error) => {
            // The last line says what it is, those before it point into the pattern.
            let error = error.to_string();
            let cause = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let pattern = Value::String(pattern.to_owned());
            let reason = format!("Bad argument for operator $regex: {pattern}: {cause}");
            Err(RichQueryError::refused("bad_arg", reason))
        }
    }
}
