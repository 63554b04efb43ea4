//! The text of a rich query (CouchDB: `mango_opts:validate_find`; Fabric: `applyAdditionalQueryOptions`).
//!
//! Fabric puts its own limit and, for a page, its own bookmark into the query, so a `limit` in the text means nothing.
//! What says how CouchDB is to work (`execution_stats`, `r`, `stale` and their like) is taken and means nothing either.

use std::collections::BTreeSet;

use super::RichQueryError;
use super::json::{self, Object, Value};
use super::limits::{MAX_INDEX_FIELDS, MAX_QUERY_DEPTH, MAX_QUERY_SIZE};
use super::path::Path;
use super::selector::Selector;

/// Members of a query that change nothing here.
const WITHOUT_EFFECT: [&str; 9] =
    ["limit", "partition", "r", "conflicts", "stale", "update", "stable", "execution_stats", "allow_fallback"];

/// What CouchDB and Fabric add to a document; no value that chaincode reads has them.
const HIDDEN: [&str; 3] = ["_id", "_rev", "~version"];

/// A query that can be answered.
#[derive(Debug)]
pub(super) struct Query {
    pub selector: Selector,
    /// As it was written.
    pub selector_text: Value,
    /// None for whole values.
    pub fields: Option<Vec<Path>>,
    pub sort: Sort,
    pub skip: u64,
    /// Where to go on; empty for the beginning.
    pub bookmark: String,
    pub use_index: Option<UseIndex>,
}

/// The order that is asked for: of these fields, then of the keys; of the keys alone where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    pub fields: Vec<Path>,
    pub descending: bool,
}

/// `use_index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UseIndex {
    pub design_document: String,
    pub name: Option<String>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, RichQueryError> {
        if text.len() > MAX_QUERY_SIZE {
            return Err(RichQueryError::Limit {
                what: "a text",
                needed: text.len(),
                name: "MAX_QUERY_SIZE",
                limit: MAX_QUERY_SIZE,
                advice: "ask several queries",
            });
        }
        let not_json = |json::Syntax { what, at }| RichQueryError::NotJson { what, at };
        let parsed = json::parse(text.as_bytes()).map_err(not_json)?;
        if parsed.depth > MAX_QUERY_DEPTH {
            return Err(RichQueryError::too_deep(parsed.depth));
        }
        let Value::Object(mut members) = parsed.value else {
            return Err(RichQueryError::NotJson { what: "it is another value", at: 0 });
        };
        let missing = || RichQueryError::refused("missing_required_key", "Missing required key: selector".into());
        let fields = members.remove("fields").map(fields).transpose()?;
        let selector_text = members.remove("selector").ok_or_else(missing)?;
        let query = Self {
            fields,
            selector: Selector::parse(&selector_text)?,
            selector_text,
            sort: members.remove("sort").map(sort).transpose()?.unwrap_or_default(),
            skip: members.remove("skip").map(|value| skip(&value)).transpose()?.unwrap_or(0),
            bookmark: members.remove("bookmark").map(bookmark).transpose()?.unwrap_or_default(),
            use_index: members.remove("use_index").map(|value| use_index(&value)).transpose()?.flatten(),
        };
        match members.keys().find(|name| !WITHOUT_EFFECT.contains(&name.as_str())) {
            Some(name) => Err(RichQueryError::refused("invalid_key", format!("Invalid key {name} for this request."))),
            None => Ok(query),
        }
    }

    /// What of a matching document the query is answered with.
    pub(super) fn project(&self, document: Object) -> Object {
        let mut answer = match &self.fields {
            None => document,
            Some(fields) => {
                let document = Value::Object(document);
                let mut answer = Object::new();
                for field in fields {
                    if let super::path::Found::Value(value) = field.find(&document) {
                        field.put(&mut answer, value.clone());
                    }
                }
                answer
            }
        };
        for name in HIDDEN {
            answer.remove(name);
        }
        answer
    }
}

fn fields(value: Value) -> Result<Vec<Path>, RichQueryError> {
    let Value::Array(items) = value else { return Err(RichQueryError::Fields) };
    let field = |item: &Value| match item {
        Value::String(field) => Path::parse(field),
        other => Err(RichQueryError::refused("invalid_field", format!("Invalid JSON for field spec: {other}"))),
    };
    // Each costs a copy of what it names, and naming it twice gives nothing more.
    let fields = items.iter().map(field).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(fields.into_iter().collect())
}

fn sort(value: Value) -> Result<Sort, RichQueryError> {
    let Value::Array(items) = &value else {
        let reason = format!("Sort must be an array of sort specs, not: {value}");
        return Err(RichQueryError::refused("invalid_sort_json", reason));
    };
    if items.len() > MAX_INDEX_FIELDS {
        return Err(RichQueryError::Limit {
            what: "a number of sort fields",
            needed: items.len(),
            name: "MAX_INDEX_FIELDS",
            limit: MAX_INDEX_FIELDS,
            advice: "sort by fewer",
        });
    }
    let fields = items.iter().map(sorted_field).collect::<Result<Vec<_>, _>>()?;
    let descending = fields.first().is_some_and(|(_, descending)| *descending);
    if fields.iter().any(|(_, other)| *other != descending) {
        let reason = format!("Sorts currently only support a single direction for all fields: {value}");
        return Err(RichQueryError::refused("unsupported_mixed_sort", reason));
    }
    Ok(Sort { fields: fields.into_iter().map(|(path, _)| path).collect(), descending })
}

/// A field of a sort or of an index: its name, or an object that maps the name to a direction. The flag says
/// descending.
pub(super) fn sorted_field(value: &Value) -> Result<(Path, bool), RichQueryError> {
    let invalid = || RichQueryError::refused("invalid_sort_field", format!("Invalid sort field: {value}"));
    match value {
        Value::String(field) if !field.is_empty() => Ok((Path::parse(field)?, false)),
        Value::Object(members) => match members.first_key_value() {
            Some((field, Value::String(direction))) if members.len() == 1 => {
                let descending = match direction.as_str() {
                    "asc" => false,
                    "desc" => true,
                    _ => {
                        let reason = format!("Invalid sort direction: {value}");
                        return Err(RichQueryError::refused("invalid_sort_dir", reason));
                    }
                };
                Ok((Path::parse(field)?, descending))
            }
            _ => Err(invalid()),
        },
        _ => Err(invalid()),
    }
}

fn skip(value: &Value) -> Result<u64, RichQueryError> {
    let number = match value {
        Value::Number(number) => super::operators::integer(*number).and_then(|number| u64::try_from(number).ok()),
        _ => None,
    };
    number.ok_or_else(|| {
        let reason = format!("{value} is not an integer greater than or equal to zero (skip)");
        RichQueryError::refused("invalid_non_neg_integer", reason)
    })
}

fn bookmark(value: Value) -> Result<String, RichQueryError> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(bookmark) => Ok(bookmark),
        other => Err(RichQueryError::refused("invalid_bookmark", format!("Invalid bookmark value: {other}"))),
    }
}

fn use_index(value: &Value) -> Result<Option<UseIndex>, RichQueryError> {
    let invalid = || RichQueryError::refused("invalid_index_name", format!("Invalid index name: {value}"));
    let parts: Vec<&str> = match value {
        Value::Null => Vec::new(),
        Value::String(name) => name.strip_prefix("_design/").unwrap_or(name).split('/').collect(),
        Value::Array(items) => {
            let names = items.iter().map(|item| match item {
                Value::String(name) => Ok(name.strip_prefix("_design/").unwrap_or(name)),
                _ => Err(invalid()),
            });
            names.collect::<Result<_, _>>()?
        }
        _ => return Err(invalid()),
    };
    match parts.as_slice() {
        [] => Ok(None),
        [document] => Ok(Some(UseIndex { design_document: (*document).to_owned(), name: None })),
        [document, name] => {
            Ok(Some(UseIndex { design_document: (*document).to_owned(), name: Some((*name).to_owned()) }))
        }
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests;
