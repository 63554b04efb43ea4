//! Whether what a package has for the state database can be used (Fabric: `lscc.isValidStatedbArtifactsTar`,
//! `ccmetadata.ValidateMetadataFile`): checked at install, so that whoever made the package hears of it.
//!
//! Of what Fabric takes nothing is refused but what is beyond the limits of [`super::indexes`]. The texts are Fabric's; a file
//! in the right folder that is no `.json` is told so, where Fabric asks for the folder of a collection. An entry for a folder
//! is no artifact; Fabric refuses it.

use std::io;
use std::ops::ControlFlow;

use serde_json::{Map, Value};
use tar::EntryType;
use thiserror::Error;

use super::indexes::{MAX_FILE, MAX_FILES, collection, definition};
use super::{ChaincodePackage, PackageError};

type Members = Map<String, Value>;

/// Why a package is not installed for its artifacts.
#[derive(Debug, Error)]
enum ArtifactError {
    /// The code cannot be searched.
    #[error(transparent)]
    Code(#[from] io::Error),
    /// A file cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl ChaincodePackage {
    /// Whether the package's files for the state database are index definitions in their places. Unpacks the whole code: not
    /// for a thread that others wait for.
    ///
    /// # Errors
    /// [`PackageError::Code`] when the code cannot be unpacked, [`PackageError::Artifact`] for the first file that is
    /// anything else.
    pub fn check_artifacts(&self) -> Result<(), PackageError> {
        if self.code().is_empty() {
            return Err(PackageError::Code("nil code package".to_owned()));
        }
        let mut files = 0;
        let checked = self.visit_artifacts(|name, file| {
            if file.header().entry_type() == EntryType::Directory || name.ends_with('/') {
                return Ok(ControlFlow::Continue(()));
            }
            files += 1;
            if files > MAX_FILES {
                return Err(ArtifactError::Invalid(format!("more than {MAX_FILES} files are for the state database")));
            }
            check_place(name).map_err(ArtifactError::Invalid)?;
            let Some(text) = definition(file)? else {
                let size = file.size();
                return Err(ArtifactError::Invalid(format!("{name} has {size} bytes, the limit is {MAX_FILE}")));
            };
            check_definition(name, &text).map_err(ArtifactError::Invalid)?;
            Ok(ControlFlow::Continue(()))
        });
        checked.map_err(|error| match error {
            ArtifactError::Code(cause) => PackageError::Code(in_gos_words(&cause)),
            ArtifactError::Invalid(reason) => PackageError::Artifact(reason),
        })
    }
}

/// The causes that Go names otherwise.
fn in_gos_words(error: &io::Error) -> String {
    match (error.kind(), error.to_string()) {
        (io::ErrorKind::UnexpectedEof, _) => "unexpected EOF".to_owned(),
        (_, text) if text.contains("gzip header") => "gzip: invalid header".to_owned(),
        (_, text) => text,
    }
}

/// Whether the file is where index definitions are.
fn check_place(name: &str) -> Result<(), String> {
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
    let parts: Vec<_> = folder.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let below = name.strip_prefix("META-INF/statedb/couchdb/");
    if below.is_some_and(|below| collection(below).is_some()) {
        return Ok(());
    }
    let folder = format!("{folder}/");
    Err(match parts[..] {
        [] | [_] | [_, _] | [_, _, _] => {
            format!("metadata file path must include a database and index directory: {folder}")
        }
        [_, _, database, ..] if database != "couchdb" => {
            format!("database name [{database}] is not supported, valid options: [couchdb]")
        }
        [_, _, _, "indexes"] => format!("artifact file name is not valid: {file}"),
        [_, _, _, _] => format!("metadata file path does not have an indexes directory: {folder}"),
        [_, _, _, "collections", name, "indexes"] if !is_collection(name) => {
            format!("collection name is not valid: {name}")
        }
        [_, _, _, "collections", _, "indexes"] => format!("artifact file name is not valid: {file}"),
        [_, _, _, _, _, _] => {
            format!("metadata file path for collections must have a collections and indexes directory: {folder}")
        }
        _ => format!("metadata file path for collections must include a collections and index directory: {folder}"),
    })
}

fn is_collection(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Whether the text is a definition of an index (Fabric: `couchdbIndexFileValidator`). What CouchDB thinks of it beyond that,
/// the channel's log says once the chaincode is instantiated.
fn check_definition(name: &str, text: &str) -> Result<(), String> {
    // Go takes `null` for an object without members.
    let Ok(definition) = serde_json::from_str::<Option<Members>>(text) else {
        return Err(format!("Index metadata file [{name}] is not a valid JSON"));
    };
    check_members(&definition.unwrap_or_default())
        .map_err(|reason| format!("Index metadata file [{name}] is not a valid index definition: {reason}"))
}

fn check_members(definition: &Members) -> Result<(), String> {
    for (entry, value) in definition {
        match (entry.as_str(), value) {
            ("index", Value::Object(index)) => check_index(index)?,
            ("index", _) => return Err("Invalid entry, \"index\" must be a JSON".to_owned()),
            ("ddoc" | "name", Value::String(_)) => {}
            ("ddoc" | "name", _) => return Err(format!("Invalid entry, \"{entry}\" must be a string")),
            ("type", Value::String(kind)) if kind == "json" => {}
            ("type", _) => return Err("Index type must be json".to_owned()),
            _ => return Err(format!("Invalid Entry.  Entry {entry}")),
        }
    }
    match definition.contains_key("index") {
        true => Ok(()),
        false => Err("Index definition must include a \"fields\" definition".to_owned()),
    }
}

fn check_index(index: &Members) -> Result<(), String> {
    for (entry, value) in index {
        match (entry.as_str(), value) {
            ("fields", Value::Array(fields)) => fields.iter().filter_map(Value::as_object).try_for_each(check_field)?,
            ("fields", _) => return Err("Expecting a JSON array of fields".to_owned()),
            ("partial_filter_selector", _) => {}
            _ => return Err(format!("Invalid Entry.  Entry {entry}")),
        }
    }
    Ok(())
}

fn check_field(field: &Members) -> Result<(), String> {
    for direction in field.values() {
        match direction {
            Value::String(direction) if matches!(direction.to_lowercase().as_str(), "asc" | "desc") => {}
            Value::String(other) => {
                return Err(format!("Sort must be either \"asc\" or \"desc\".  \"{other}\" was found."));
            }
            _ => return Err("Invalid field definition, fields must be in the form \"fieldname\":\"sort\"".to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use selvedge_proto::protos::ChaincodeDeploymentSpec;

    use super::*;
    use crate::testing::{chaincode_package, targz};

    const INDEXES: &str = "META-INF/statedb/couchdb/indexes/";
    const DEFINITION: &str = r#"{"index":{"fields":["docType",{"size":"DESC"}]},"ddoc":"d","name":"n","type":"json"}"#;

    fn package(code: Vec<u8>) -> ChaincodePackage {
        let mut spec = ChaincodeDeploymentSpec::decode(chaincode_package("cc", "1", &[]).unwrap()).unwrap();
        spec.code_package = code.into();
        ChaincodePackage::parse(&Bytes::from(spec.encode_to_vec())).unwrap()
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        package(targz(files).unwrap()).check_artifacts().unwrap_err().to_string()
    }

    #[test]
    fn definitions_in_their_places_are_taken() {
        let collection = "META-INF/statedb/couchdb/collections/coll-A_1/indexes/a.json";
        let file = format!("{INDEXES}below/a.json.orig");
        let files = [
            ("src/index.js", "code"),
            ("META-INF/LICENSE", "of no database"),
            (&*file, DEFINITION),
            (collection, r#"{"index":{"fields":[7],"partial_filter_selector":{}}}"#),
        ];
        package(targz(&files).unwrap()).check_artifacts().unwrap();
        package(targz(&[("", ""); 0]).unwrap()).check_artifacts().unwrap();
    }

    #[test]
    fn another_place_is_refused_with_fabrics_text() {
        let table = [
            ("a.json", "metadata file path must include a database and index directory: META-INF/statedb/"),
            (
                "couchdb/a.json",
                "metadata file path must include a database and index directory: META-INF/statedb/couchdb/",
            ),
            ("leveldb/indexes/a.json", "database name [leveldb] is not supported, valid options: [couchdb]"),
            (
                "couchdb/index/a.json",
                "metadata file path does not have an indexes directory: META-INF/statedb/couchdb/index/",
            ),
            ("couchdb/indexes/a.md", "artifact file name is not valid: a.md"),
            (
                "couchdb/collections/c/a.json",
                "metadata file path for collections must include a collections and index directory: \
                 META-INF/statedb/couchdb/collections/c/",
            ),
            (
                "couchdb/collections/c/index/a.json",
                "metadata file path for collections must have a collections and indexes directory: \
                 META-INF/statedb/couchdb/collections/c/index/",
            ),
            ("couchdb/collections/a b/indexes/a.json", "collection name is not valid: a b"),
            ("couchdb/collections/c/indexes/a", "artifact file name is not valid: a"),
        ];
        for (place, reason) in table {
            let name = format!("META-INF/statedb/{place}");
            assert_eq!(
                refusal(&[(&name, DEFINITION)]),
                format!("invalid state database artifact: {reason}"),
                "{place}"
            );
        }
    }

    #[test]
    fn another_content_is_refused_with_fabrics_text() {
        let name = format!("{INDEXES}a.json");
        let table = [
            ("[]", "is not a valid JSON"),
            ("{\"index\":", "is not a valid JSON"),
            ("null", "is not a valid index definition: Index definition must include a \"fields\" definition"),
            (r#"{"index":null}"#, "is not a valid index definition: Invalid entry, \"index\" must be a JSON"),
            (r#"{"index":{"fields":1}}"#, "is not a valid index definition: Expecting a JSON array of fields"),
            (r#"{"index":{"more":1}}"#, "is not a valid index definition: Invalid Entry.  Entry more"),
            (r#"{"index":{},"w":1}"#, "is not a valid index definition: Invalid Entry.  Entry w"),
            (r#"{"ddoc":1}"#, "is not a valid index definition: Invalid entry, \"ddoc\" must be a string"),
            (r#"{"name":1}"#, "is not a valid index definition: Invalid entry, \"name\" must be a string"),
            (r#"{"type":"text"}"#, "is not a valid index definition: Index type must be json"),
            (
                r#"{"index":{"fields":[{"a":"up"}]}}"#,
                "is not a valid index definition: Sort must be either \"asc\" or \"desc\".  \"up\" was found.",
            ),
            (
                r#"{"index":{"fields":[{"a":1}]}}"#,
                "is not a valid index definition: Invalid field definition, fields must be in the form \
                 \"fieldname\":\"sort\"",
            ),
        ];
        for (text, reason) in table {
            let expected = format!("invalid state database artifact: Index metadata file [{name}] {reason}");
            assert_eq!(refusal(&[(&name, text)]), expected, "{text}");
        }
        let large = " ".repeat(MAX_FILE as usize + 1);
        let expected = format!("invalid state database artifact: {name} has 65537 bytes, the limit is 65536");
        assert_eq!(refusal(&[(&name, &large)]), expected);
    }

    #[test]
    fn code_that_cannot_be_unpacked_says_why() {
        let broken = |code: Vec<u8>| package(code).check_artifacts().unwrap_err().to_string();
        assert_eq!(broken(Vec::new()), "nil code package");
        assert_eq!(broken(b"this is no gzip stream".to_vec()), "gzip: invalid header");
        let mut cut = targz(&[("src/a", "a")]).unwrap();
        cut.truncate(30);
        assert_eq!(broken(cut), "unexpected EOF");
    }
}
