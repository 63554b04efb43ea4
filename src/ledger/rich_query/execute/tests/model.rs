//! The plainest way to the answer of a query: read the selector anew for each document, compare JSON by the book, sort.
//!
//! Shares nothing with the engine but its input: another JSON library, and no normal form of selectors.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// Whether the document is what the selector says, or, when `negated`, the opposite of it. Negation goes down to the
/// conditions, which ask for the field either way.
pub(super) fn matches(selector: &Value, document: &Value, field: Option<&str>, negated: bool) -> bool {
    let Value::Object(members) = selector else { return holds("$eq", selector, document, field, negated) };
    if members.is_empty() {
        return match field {
            Some(_) => holds("$eq", selector, document, field, negated),
            None => true,
        };
    }
    let part = |(name, argument): (&String, &Value)| match (name.as_str(), argument) {
        ("$and", Value::Array(parts)) => quantified(parts, document, field, negated, !negated),
        ("$or", Value::Array(parts)) => quantified(parts, document, field, negated, negated),
        ("$nor", Value::Array(parts)) => quantified(parts, document, field, !negated, !negated),
        ("$not", argument) => matches(argument, document, field, !negated),
        (operator, argument) if operator.starts_with('$') => holds(operator, argument, document, field, negated),
        (name, argument) => {
            let name = field.map_or_else(|| name.to_owned(), |field| format!("{field}.{name}"));
            matches(argument, document, Some(&name), negated)
        }
    };
    if negated && members.len() > 1 { members.iter().any(part) } else { members.iter().all(part) }
}

/// All of the parts, or any of them; CouchDB takes no parts for true either way.
fn quantified(parts: &[Value], document: &Value, field: Option<&str>, negated: bool, all: bool) -> bool {
    let mut holds = parts.iter().map(|part| matches(part, document, field, negated));
    parts.is_empty() || if all { holds.all(|holds| holds) } else { holds.any(|holds| holds) }
}

/// What stands under a name with dots: the outer none where the way there ends in something without members.
fn find<'a>(document: &'a Value, field: &str) -> Option<Option<&'a Value>> {
    let mut at = document;
    for name in field.split('.') {
        at = match at {
            Value::Object(members) => match members.get(name) {
                Some(member) => member,
                None => return Some(None),
            },
            Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(Some(at))
}

fn holds(operator: &str, argument: &Value, document: &Value, field: Option<&str>, negated: bool) -> bool {
    let found = match find(document, field.expect("conditions are about fields")) {
        None => return false,
        Some(found) => found,
    };
    if operator == "$exists" {
        return found.is_some() == (*argument == Value::Bool(!negated));
    }
    let Some(value) = found else { return false };
    let order = compare(value, argument);
    let plain = match operator {
        "$eq" => order.is_eq(),
        "$ne" => order.is_ne(),
        "$lt" => order.is_lt(),
        "$lte" => order.is_le(),
        "$gt" => order.is_gt(),
        "$gte" => order.is_ge(),
        "$beginsWith" => value.as_str().is_some_and(|text| text.starts_with(argument.as_str().expect("a text"))),
        "$type" => argument == "number" && value.is_number(),
        other => panic!("the model does not know {other}"),
    };
    plain != negated
}

pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(value) => 1 + u8::from(*value),
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().expect("a double").partial_cmp(&b.as_f64().expect("a double")).expect("no NaN in JSON")
        }
        (Value::String(a), Value::String(b)) => a.chars().cmp(b.chars()),
        (Value::Array(a), Value::Array(b)) => {
            a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_members(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_members(a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
    let sorted = |members: &Map<String, Value>| {
        let mut members: Vec<_> = members.clone().into_iter().collect();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members
    };
    let (a, b) = (sorted(a), sorted(b));
    let pairs = a.iter().zip(&b);
    let mut orders = pairs.map(|((a, x), (b, y))| a.cmp(b).then_with(|| compare(x, y)));
    orders.find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
}

/// The keys of the whole answer.
pub(super) fn answer<'a>(
    rows: impl Iterator<Item = (&'a String, &'a [u8])>,
    selector: &str,
    sort: &[&str],
    descending: bool,
) -> Vec<String> {
    let selector: Value = serde_json::from_str(selector).expect("a selector");
    let mut found: Vec<(Vec<Value>, String)> = Vec::new();
    for (key, value) in rows {
        let Ok(Value::Object(mut members)) = serde_json::from_slice(value) else { continue };
        members.insert("_id".to_owned(), Value::String(key.clone()));
        let document = Value::Object(members);
        if !matches(&selector, &document, None, false) {
            continue;
        }
        let fields = sort.iter().map(|field| find(&document, field).flatten().cloned());
        found.extend(fields.collect::<Option<Vec<_>>>().map(|fields| (fields, key.clone())));
    }
    found.sort_by(|(a, x), (b, y)| {
        let fields = a.iter().zip(b).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
        fields.unwrap_or_else(|| x.cmp(y))
    });
    if descending {
        found.reverse();
    }
    found.into_iter().map(|(_, key)| key).collect()
}
