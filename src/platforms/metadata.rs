//! Files that a package has for the state database (Fabric: `core/chaincode/platforms/ccmetadata`).
//!
//! There is one kind: definitions of indexes. The texts are Fabric's.

use std::ops::ControlFlow;

use bytes::Bytes;
use serde_json::{Map, Value};
use thiserror::Error;

use super::PlatformError;
use super::archive::{read_content, walk};

/// Where a package has what is for the state database.
const FOLDER: &str = "META-INF/statedb";
/// Bytes of one file; a definition is a few lines.
const MAX_FILE: u64 = 1 << 16;

/// Why a file cannot be in the folder.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// There is no database or no collection that its path could be for.
    #[error("{0}")]
    Place(String),
    /// It cannot be read.
    #[error("Index metadata file [{0}] is not a valid JSON")]
    Json(String),
    /// It defines no index.
    #[error("Index metadata file [{file}] is not a valid index definition: {reason}")]
    Definition {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// Checks everything that a package has for the state database, as lscc does when it installs one. Unpacks the code: not for
/// a thread that others wait for.
///
/// # Errors
/// The first file that does not belong there, as lscc words it.
pub fn check_metadata(code: &Bytes) -> Result<(), PlatformError> {
    if code.is_empty() {
        return Ok(());
    }
    walk(code, |head, content| {
        if head.regular && head.name.starts_with("META-INF/statedb/") {
            let content = read_content(head, content, MAX_FILE)?;
            validate_metadata_file(&head.name, &content).map_err(PlatformError::Artifact)?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Checks a file by its path in the package (Fabric: `ValidateMetadataFile`).
///
/// # Errors
/// When it is nowhere where an index can be, or defines none.
pub fn validate_metadata_file(name: &str, content: &[u8]) -> Result<(), MetadataError> {
    if !is_index(name) {
        return Err(MetadataError::Place(misplaced(name)));
    }
    // Go takes `null` for an object without members.
    let Ok(definition) = serde_json::from_slice::<Option<Map<String, Value>>>(content) else {
        return Err(MetadataError::Json(name.to_owned()));
    };
    let invalid = |reason| MetadataError::Definition { file: name.to_owned(), reason };
    check_definition(&definition.unwrap_or_default()).map_err(invalid)
}

fn is_index(name: &str) -> bool {
    let Some(name) = name.strip_prefix("META-INF/statedb/couchdb/") else { return false };
    if let Some(file) = name.strip_prefix("indexes/") {
        return file.contains(".json");
    }
    let Some((collection, file)) = name.strip_prefix("collections/").and_then(|name| name.split_once("/indexes/"))
    else {
        return false;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !collection.is_empty() && collection.chars().all(is_name) && file.contains(".json")
}

/// What is wrong with the path of a file that is no index.
fn misplaced(name: &str) -> String {
    let (folder, file) = name.rfind('/').map_or(("", name), |slash| name.split_at(slash + 1));
    if !name.starts_with(FOLDER) {
        return format!("metadata file path must begin with META-INF/statedb, found: {folder}");
    }
    let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let [_, _, database, kind, rest @ ..] = parts.as_slice() else {
        return format!("metadata file path must include a database and index directory: {folder}");
    };
    if *database != "couchdb" {
        return format!("database name [{database}] is not supported, valid options: [couchdb]");
    }
    match rest {
        [] if *kind != "indexes" => format!("metadata file path does not have an indexes directory: {folder}"),
        [collection, last] if *kind == "collections" && *last == "indexes" => {
            if !collection.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                format!("collection name is not valid: {collection}")
            } else if !file.contains(".json") {
                format!("artifact file name is not valid: {file}")
            } else {
                format!("metadata file path or name is not supported: {folder}")
            }
        }
        [_, _] => format!("metadata file path for collections must have a collections and indexes directory: {folder}"),
        _ => format!("metadata file path for collections must include a collections and index directory: {folder}"),
    }
}

fn check_definition(definition: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in definition {
        match (key.as_str(), value) {
            ("index", Value::Object(index)) => check_index(index)?,
            ("index", _) => return Err("Invalid entry, \"index\" must be a JSON".to_owned()),
            ("ddoc" | "name", Value::String(_)) => {}
            ("ddoc" | "name", _) => return Err(format!("Invalid entry, \"{key}\" must be a string")),
            ("type", Value::String(kind)) if kind == "json" => {}
            ("type", _) => return Err("Index type must be json".to_owned()),
            _ => return Err(format!("Invalid Entry.  Entry {key}")),
        }
    }
    match definition.contains_key("index") {
        true => Ok(()),
        false => Err("Index definition must include a \"fields\" definition".to_owned()),
    }
}

fn check_index(index: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in index {
        match (key.as_str(), value) {
            ("fields", Value::Array(fields)) => {
                fields.iter().filter_map(Value::as_object).try_for_each(check_field)?;
            }
            ("fields", _) => return Err("Expecting a JSON array of fields".to_owned()),
            ("partial_filter_selector", _) => {}
            _ => return Err(format!("Invalid Entry.  Entry {key}")),
        }
    }
    Ok(())
}

/// A field with its order.
fn check_field(field: &Map<String, Value>) -> Result<(), String> {
    for order in field.values() {
        match order.as_str().map(str::to_lowercase).as_deref() {
            Some("asc" | "desc") => {}
            Some(_) => {
                let order = order.as_str().unwrap_or_default();
                return Err(format!("Sort must be either \"asc\" or \"desc\".  \"{order}\" was found."));
            }
            None => {
                return Err("Invalid field definition, fields must be in the form \"fieldname\":\"sort\"".to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{"index":{"fields":["owner",{"size":"DESC"}]},"ddoc":"d","name":"n","type":"json"}"#;

    #[test]
    fn an_index_is_where_fabric_takes_it() {
        for name in ["indexes/a.json", "indexes/deep/a.json", "collections/coll-A_1/indexes/a.json"] {
            assert_eq!(validate_metadata_file(&format!("META-INF/statedb/couchdb/{name}"), INDEX.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn a_file_in_another_place_is_refused_in_fabrics_words() {
        let table = [
            ("META-INF/a.json", "metadata file path must begin with META-INF/statedb, found: META-INF/"),
            (
                "META-INF/statedb/a.json",
                "metadata file path must include a database and index directory: META-INF/statedb/",
            ),
            (
                "META-INF/statedb/goleveldb/indexes/a.json",
                "database name [goleveldb] is not supported, valid options: [couchdb]",
            ),
            (
                "META-INF/statedb/couchdb/index/a.json",
                "metadata file path does not have an indexes directory: META-INF/statedb/couchdb/index/",
            ),
            (
                "META-INF/statedb/couchdb/indexes/a.txt",
                "metadata file path for collections must include a collections and index directory: \
                 META-INF/statedb/couchdb/indexes/",
            ),
            (
                "META-INF/statedb/couchdb/collection/a/indexes/a.json",
                "metadata file path for collections must have a collections and indexes directory: \
                 META-INF/statedb/couchdb/collection/a/indexes/",
            ),
            ("META-INF/statedb/couchdb/collections/#a/indexes/a.json", "collection name is not valid: #a"),
            ("META-INF/statedb/couchdb/collections/a/indexes/a.txt", "artifact file name is not valid: a.txt"),
            (
                "META-INF/statedb/couchdb/collections/a#/indexes/a.json",
                "metadata file path or name is not supported: META-INF/statedb/couchdb/collections/a#/indexes/",
            ),
        ];
        for (name, expected) in table {
            let refused = validate_metadata_file(name, INDEX.as_bytes()).unwrap_err().to_string();
            assert_eq!(refused, expected, "{name}");
        }
    }

    #[test]
    fn what_defines_no_index_is_refused_in_fabrics_words() {
        const NAME: &str = "META-INF/statedb/couchdb/indexes/a.json";
        let not = |reason: &str| format!("Index metadata file [{NAME}] is not a valid index definition: {reason}");
        let table = [
            ("[]", format!("Index metadata file [{NAME}] is not a valid JSON")),
            ("{", format!("Index metadata file [{NAME}] is not a valid JSON")),
            ("{}", not("Index definition must include a \"fields\" definition")),
            ("null", not("Index definition must include a \"fields\" definition")),
            (r#"{"index":[]}"#, not("Invalid entry, \"index\" must be a JSON")),
            (r#"{"index":{"fields":"a"}}"#, not("Expecting a JSON array of fields")),
            (r#"{"index":{"field":["a"]}}"#, not("Invalid Entry.  Entry field")),
            (r#"{"index":{},"ddoc":1}"#, not("Invalid entry, \"ddoc\" must be a string")),
            (r#"{"index":{},"name":1}"#, not("Invalid entry, \"name\" must be a string")),
            (r#"{"index":{},"type":"text"}"#, not("Index type must be json")),
            (r#"{"index":{},"other":1}"#, not("Invalid Entry.  Entry other")),
            (
                r#"{"index":{"fields":[{"a":"up"}]}}"#,
                not("Sort must be either \"asc\" or \"desc\".  \"up\" was found."),
            ),
            (
                r#"{"index":{"fields":[{"a":1}]}}"#,
                not("Invalid field definition, fields must be in the form \"fieldname\":\"sort\""),
            ),
        ];
        for (definition, expected) in table {
            let refused = validate_metadata_file(NAME, definition.as_bytes()).unwrap_err().to_string();
            assert_eq!(refused, expected, "{definition}");
        }
    }
}
