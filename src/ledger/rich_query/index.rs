//! Definitions of indexes, as chaincode packages bring them (Fabric: `ccmetadata.validateIndexJSON`; CouchDB:
//! `mango_idx_view`), and the row that a document has in one.
//!
//! Invariant: a document has a row in an index if and only if it has every field of the index and the index's partial
//! selector matches it.

use super::collation;
use super::effort::Effort;
use super::json::{self, Object, Value};
use super::limits::MAX_INDEX_FIELDS;
use super::path::{Found, Path};
use super::query::sorted_field;
use super::selector::Selector;
use super::{IndexError, RichQueryError};

/// An index of one chaincode or collection.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Index {
    /// Unique in its chaincode or collection, for as long as it exists.
    pub(super) id: u32,
    pub(super) design_document: String,
    pub(super) name: String,
    pub(super) fields: Vec<Path>,
    pub(super) partial: Option<Partial>,
    /// The file's name in the package, and its text.
    pub(super) file: String,
    pub(super) definition: String,
}

/// `partial_filter_selector`.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub selector: Selector,
    pub text: Value,
}

impl Index {
    /// Reads a definition. `file` names it in an error, and gives it a name where it has none.
    pub(super) fn parse(id: u32, file: &str, text: &str) -> Result<Self, IndexError> {
        let not_json = || IndexError::NotJson { file: file.to_owned() };
        let (members, whole) = json::document(text.as_bytes()).ok_or_else(not_json)?;
        let invalid = |reason: String| IndexError::Invalid { file: file.to_owned(), reason };
        if !whole {
            return Err(invalid("it is nested too deep".into()));
        }
        let base = file.rsplit('/').next().unwrap_or(file);
        let mut index = Self {
            id,
            design_document: base.to_owned(),
            name: base.strip_suffix(".json").unwrap_or(base).to_owned(),
            fields: Vec::new(),
            partial: None,
            file: file.to_owned(),
            definition: text.to_owned(),
        };
        let mut found = false;
        for (entry, value) in &members {
            match (entry.as_str(), value) {
                ("index", Value::Object(definition)) => {
                    index.read_definition(definition).map_err(invalid)?;
                    found = true;
                }
                ("index", _) => return Err(invalid("Invalid entry, \"index\" must be a JSON".into())),
                ("ddoc", Value::String(name)) => {
                    index.design_document = name.strip_prefix("_design/").unwrap_or(name).to_owned();
                }
                ("name", Value::String(name)) => index.name.clone_from(name),
                ("ddoc" | "name", _) => return Err(invalid(format!("Invalid entry, \"{entry}\" must be a string"))),
                ("type", Value::String(kind)) if kind == "json" => {}
                ("type", _) => return Err(invalid("Index type must be json".into())),
                _ => return Err(invalid(format!("Invalid Entry.  Entry {entry}"))),
            }
        }
        match found {
            true => Ok(index),
            false => Err(invalid("Index definition must include a \"fields\" definition".into())),
        }
    }

    pub(in crate::ledger) fn full_name(&self) -> String {
        format!("{}/{}", self.design_document, self.name)
    }

    fn read_definition(&mut self, definition: &Object) -> Result<(), String> {
        for (entry, value) in definition {
            match (entry.as_str(), value) {
                ("fields", Value::Array(items)) => {
                    if items.is_empty() || items.len() > MAX_INDEX_FIELDS {
                        let count = items.len();
                        return Err(format!(
                            "it has {count} fields, from 1 to {MAX_INDEX_FIELDS} (MAX_INDEX_FIELDS) can be"
                        ));
                    }
                    let field = |item| sorted_field(item).map(|(path, _)| path).map_err(|error| reason(&error));
                    self.fields = items.iter().map(field).collect::<Result<_, _>>()?;
                }
                ("fields", _) => return Err("Expecting a JSON array of fields".into()),
                ("partial_filter_selector", text) => {
                    let selector = Selector::parse(text).map_err(|error| reason(&error))?;
                    let everything = matches!(text, Value::Object(members) if members.is_empty());
                    self.partial = (!everything).then(|| Partial { selector, text: text.clone() });
                }
                _ => return Err(format!("Invalid Entry.  Entry {entry}")),
            }
        }
        match self.fields.is_empty() {
            true => Err("Index definition must include a \"fields\" definition".into()),
            false => Ok(()),
        }
    }

    /// The encoded fields of a document; none if it has no row here.
    pub(super) fn row(&self, document: &Value) -> Option<Vec<u8>> {
        if self.partial.as_ref().is_some_and(|partial| !partial.selector.matches(document, &Effort::unlimited())) {
            return None;
        }
        encode_fields(&self.fields, document)
    }
}

/// The fields' values, encoded one after the other; none if the document lacks one.
pub(super) fn encode_fields(fields: &[Path], document: &Value) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    for field in fields {
        match field.find(document) {
            Found::Value(value) => collation::encode(value, &mut row),
            Found::Nothing | Found::NoWay => return None,
        }
    }
    Some(row)
}

/// What CouchDB has against it, without the words around.
fn reason(error: &RichQueryError) -> String {
    match error {
        RichQueryError::Refused { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "META-INF/statedb/couchdb/indexes/indexOwner.json";

    #[test]
    fn a_definition_as_fabrics_samples_have_it() {
        let text = r#"{"index":{"fields":["docType",{"size":"desc"}]},"ddoc":"_design/indexOwnerDoc","name":"indexOwner","type":"json"}"#;
        let index = Index::parse(1, FILE, text).unwrap();
        assert_eq!((index.design_document.as_str(), index.name.as_str()), ("indexOwnerDoc", "indexOwner"));
        assert_eq!(index.fields, [Path::parse("docType").unwrap(), Path::parse("size").unwrap()]);
        let unnamed = Index::parse(1, FILE, r#"{"index":{"fields":["a"]}}"#).unwrap();
        assert_eq!((unnamed.design_document.as_str(), unnamed.name.as_str()), ("indexOwner.json", "indexOwner"));
    }

    #[test]
    fn another_definition_is_refused_with_fabrics_text() {
        let table = [
            ("{", "Index metadata file [F] is not a valid JSON"),
            ("{}", "is not a valid index definition: Index definition must include a \"fields\" definition"),
            (r#"{"index":1}"#, ": Invalid entry, \"index\" must be a JSON"),
            (r#"{"index":{"fields":1}}"#, ": Expecting a JSON array of fields"),
            (r#"{"index":{"fields":[]}}"#, ": it has 0 fields"),
            (r#"{"index":{"fields":[1]}}"#, ": Invalid sort field: 1"),
            (r#"{"index":{"fields":[{"a":"up"}]}}"#, ": Invalid sort direction: {\"a\":\"up\"}"),
            (r#"{"index":{"fields":["a"],"more":1}}"#, ": Invalid Entry.  Entry more"),
            (r#"{"index":{"fields":["a"]},"ddoc":1}"#, ": Invalid entry, \"ddoc\" must be a string"),
            (r#"{"index":{"fields":["a"]},"type":"text"}"#, ": Index type must be json"),
            (r#"{"index":{"fields":["a"]},"w":1}"#, ": Invalid Entry.  Entry w"),
            (r#"{"index":{"fields":["a"],"partial_filter_selector":{"a":{"$x":1}}}}"#, ": Invalid operator: $x"),
        ];
        for (text, expected) in table {
            let error = Index::parse(1, "F", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_document_has_a_row_if_it_has_the_fields_and_passes_the_filter() {
        let text = r#"{"index":{"fields":["a","b.c"],"partial_filter_selector":{"a":{"$gt":1}}}}"#;
        let index = Index::parse(1, FILE, text).unwrap();
        let has_row = |text: &str| index.row(&json::parse(text.as_bytes()).unwrap().value).is_some();
        assert!(has_row(r#"{"a":2,"b":{"c":null}}"#));
        assert!(!has_row(r#"{"a":1,"b":{"c":null}}"#));
        assert!(!has_row(r#"{"a":2,"b":{}}"#));
        assert!(!has_row(r#"{"a":2,"b":1}"#));
    }
}
