//! Which keys and values a peer with CouchDB takes, and the form in which it gives values back
//! (Fabric: `statecouchdb.validateKey`, `validateValue`, `couchDocToKeyValue`).
//!
//! A write set that breaks them is invalid (code 24) on every peer of such a network, so they are Fabric's to the
//! letter.

use bytes::Bytes;

use super::{format, json};

/// The member under which Fabric keeps a value's version in CouchDB.
const VERSION: &str = "~version";

/// What CouchDB has against a write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CouchDbRule {
    /// The empty key.
    #[error("invalid key. Empty string is not supported as a key by couchdb")]
    EmptyKey,
    /// A key that CouchDB keeps for itself.
    #[error("invalid key [{0}], cannot begin with \"_\"")]
    ReservedKey(String),
    /// A member of a JSON object that CouchDB or Fabric keeps for itself.
    #[error("field [{0}] is not valid for the CouchDB state database")]
    ReservedField(String),
}

/// Whether CouchDB takes this write; an empty value deletes.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_write(key: &str, value: &[u8]) -> Result<(), CouchDbRule> {
    if key.starts_with('_') {
        return Err(CouchDbRule::ReservedKey(key.to_owned()));
    }
    if key.is_empty() {
        return Err(CouchDbRule::EmptyKey);
    }
    let Some(members) = json::root(value) else { return Ok(()) };
    match members.keys().find(|name| *name == VERSION || name.starts_with('_')) {
        Some(name) => Err(CouchDbRule::ReservedField(name.clone())),
        None => Ok(()),
    }
}

/// A value as chaincode reads it: a JSON object in one form, whatever the form it was written in; anything else as it
/// is.
pub(in crate::ledger) fn as_read(value: &[u8]) -> Bytes {
    match json::document(value) {
        Some((members, true)) => format::object_to_json(&members).into(),
        _ => Bytes::copy_from_slice(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fabric_refuses_with_couchdb_is_refused_with_its_text() {
        let table: &[(&str, &str, Option<&str>)] = &[
            ("k", "{\"a\":{\"_b\":1,\"~version\":2}}", None),
            ("k", "not {\"_json\"}", None),
            ("k", "[{\"_a\":1}]", None),
            ("k", "{\"_a\":1", None),
            ("k", "{\"_a\":1e999}", None),
            ("k", "", None),
            ("\0type\0", "{}", None),
            ("", "{}", Some("invalid key. Empty string is not supported as a key by couchdb")),
            ("_k", "x", Some("invalid key [_k], cannot begin with \"_\"")),
            ("k", " {\"b\":1,\"_a\":1}", Some("field [_a] is not valid for the CouchDB state database")),
            ("k", "{\"~version\":1}", Some("field [~version] is not valid for the CouchDB state database")),
            ("k", "{\"\\u005fa\":1}", Some("field [_a] is not valid for the CouchDB state database")),
        ];
        for (key, value, refusal) in table {
            let checked = check_write(key, value.as_bytes()).map_err(|rule| rule.to_string());
            assert_eq!(checked.err().as_deref(), *refusal, "{key:?} {value}");
        }
    }

    #[test]
    fn a_json_object_is_read_in_one_form() {
        assert_eq!(as_read(br#" {"b":1.0, "a":"<"}"#), r#"{"a":"\u003c","b":1}"#);
        for unchanged in ["", "[ 1 ]", "{ broken", " text"] {
            assert_eq!(as_read(unchanged.as_bytes()), unchanged);
        }
    }
}
