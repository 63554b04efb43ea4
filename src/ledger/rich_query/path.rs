//! Names of fields: `a.b` is `b` in `a`, `a\.b` is one name with a dot.
//!
//! Fabric: none; CouchDB: `mango_util:parse_field`, `mango_doc:get_field`.

use std::sync::Arc;

use super::RichQueryError;
use super::json::{Object, Value};
use super::limits::MAX_VALUE_DEPTH;

/// The way to a field; empty for the value itself, as the elements of `$elemMatch` are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Path(Vec<Arc<str>>);

/// What stands at the end of a path.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    Value(&'a Value),
    /// The last object on the way has no such member.
    Nothing,
    /// What stands on the way has no members. No condition holds there, not even that nothing exists.
    NoWay,
}

impl Path {
    /// The document's own name, the key.
    pub(super) fn id() -> Self {
        Self(vec!["_id".into()])
    }

    pub(super) fn parse(field: &str) -> Result<Self, RichQueryError> {
        let mut names = vec![String::new()];
        let mut escaped = false;
        for c in field.chars() {
            match (c, names.last_mut()) {
                ('.', _) if !escaped => names.push(String::new()),
                ('\\', _) => {}
                (c, Some(name)) => name.push(c),
                (_, None) => {}
            }
            escaped = c == '\\';
        }
        if names.iter().any(String::is_empty) {
            let field = Value::String(field.to_owned());
            return Err(RichQueryError::refused("invalid_field_name", format!("Invalid field name: {field}")));
        }
        Self(names.into_iter().map(Arc::from).collect()).bounded()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Further down by `more`.
    pub(super) fn join(&self, more: Self) -> Result<Self, RichQueryError> {
        Self(self.0.iter().cloned().chain(more.0).collect()).bounded()
    }

    /// A longer one leads nowhere in any document, and each condition has one.
    fn bounded(self) -> Result<Self, RichQueryError> {
        match self.0.len() {
            0..=MAX_VALUE_DEPTH => Ok(self),
            needed => Err(RichQueryError::Limit {
                what: "a field name with a number of parts",
                needed,
                name: "MAX_VALUE_DEPTH",
                limit: MAX_VALUE_DEPTH,
                advice: "no value that is nested deeper is found",
            }),
        }
    }

    pub(super) fn find<'a>(&self, value: &'a Value) -> Found<'a> {
        let mut at = value;
        for name in &self.0 {
            at = match at {
                Value::Object(members) => match members.get(&**name) {
                    Some(member) => member,
                    None => return Found::Nothing,
                },
                // A name that is a number is a place in an array.
                Value::Array(items) => match place(name).and_then(|place| items.get(place)) {
                    Some(item) => item,
                    None => return Found::NoWay,
                },
                _ => return Found::NoWay,
            };
        }
        Found::Value(at)
    }

    /// Puts a value where this path leads, making the objects on the way. What is in the way stays.
    pub(super) fn put(&self, into: &mut Object, value: Value) {
        let Some((last, way)) = self.0.split_last() else { return };
        let mut at = into;
        for name in way {
            let next = at.entry(String::from(&**name)).or_insert_with(|| Value::Object(Object::new()));
            match next {
                Value::Object(members) => at = members,
                _ => return,
            }
        }
        at.insert(String::from(&**last), value);
    }
}

/// Each place has one name: `00` is none, or a query could name the first a thousand times.
fn place(name: &str) -> Option<usize> {
    let is_plain = name == "0" || name.starts_with(|first| matches!(first, '1'..='9'));
    name.parse().ok().filter(|_| is_plain)
}

impl std::fmt::Display for Path {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_part_names_unless_they_are_escaped() {
        let names = |field: &str| {
            Path::parse(field).map(|path| path.0.iter().map(|name| String::from(&**name)).collect::<Vec<_>>()).ok()
        };
        let list = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(names("ab"), list(&["ab"]));
        assert_eq!(names("a.b.c"), list(&["a", "b", "c"]));
        assert_eq!(names(r"a.b\.c"), list(&["a", "b.c"]));
        assert_eq!(names(r"\$a"), list(&["$a"]));
        for bad in ["", "a..b", ".a", "a."] {
            let error = Path::parse(bad).unwrap_err().to_string();
            assert!(
                error.contains(&format!(
                    "Error:invalid_field_name,  Status Code:400,  Reason:Invalid field name: \"{bad}\""
                )),
                "{error}"
            );
        }
    }

    #[test]
    fn a_field_is_found_in_objects_and_arrays() {
        let value = super::super::json::parse(br#"{"a":{"b":[1,{"c":2}]},"n":null}"#).unwrap().value;
        let find = |field: &str| Path::parse(field).unwrap().find(&value);
        assert_eq!(find("a.b.0"), Found::Value(&Value::Number(1.0)));
        assert_eq!(find("a.b.1.c"), Found::Value(&Value::Number(2.0)));
        assert_eq!(find("n"), Found::Value(&Value::Null));
        assert_eq!(find("x"), Found::Nothing);
        assert_eq!(find("a.x"), Found::Nothing);
        for nowhere in ["n.x", "a.b.2", "a.b.-1", "a.b.x", "a.b.0.x", "a.b.00", "a.b.+1"] {
            assert_eq!(find(nowhere), Found::NoWay, "{nowhere}");
        }
    }
}
