//! Composite keys: `U+0000 type U+0000 attribute U+0000 ...`, byte for byte Fabric's, so that they order below all simple
//! keys and a prefix of the attributes is a range.

use crate::Error;

const NAMESPACE: char = '\0';
const SEPARATOR: char = '\0';
const LAST: char = char::MAX;

/// Stands for an empty start of a range over simple keys, so that composite keys are left out.
const FIRST_SIMPLE_KEY: &str = "\u{1}";

/// Makes a key of an object type and attributes, none of which may hold U+0000 or U+10FFFF.
pub fn create(object_type: &str, attributes: &[impl AsRef<str>]) -> Result<String, Error> {
    let mut key =
        String::with_capacity(object_type.len() + 2 + attributes.iter().map(|a| a.as_ref().len() + 1).sum::<usize>());
    key.push(NAMESPACE);
    for part in std::iter::once(object_type).chain(attributes.iter().map(AsRef::as_ref)) {
        check(part)?;
        key.push_str(part);
        key.push(SEPARATOR);
    }
    Ok(key)
}

/// The object type and the attributes of a composite key. Go's shim panics on a key that isn't one.
pub fn split(key: &str) -> Result<(String, Vec<String>), Error> {
    let not_composite = || Error::NotACompositeKey(key.to_owned());
    let parts = key.strip_prefix(NAMESPACE).and_then(|rest| rest.strip_suffix(SEPARATOR)).ok_or_else(not_composite)?;
    let mut parts = parts.split(SEPARATOR).map(str::to_owned);
    let object_type = parts.next().ok_or_else(not_composite)?;
    Ok((object_type, parts.collect()))
}

/// The range of all keys that start with these parts.
pub(crate) fn partial_range(object_type: &str, attributes: &[impl AsRef<str>]) -> Result<(String, String), Error> {
    let start = create(object_type, attributes)?;
    let mut end = start.clone();
    end.push(LAST);
    Ok((start, end))
}

/// A range over simple keys: an empty start skips composite keys, and no bound may be one.
pub(crate) fn simple_range<'a>(start: &'a str, end: &str) -> Result<&'a str, Error> {
    let start = if start.is_empty() { FIRST_SIMPLE_KEY } else { start };
    match [start, end].into_iter().find(|key| key.starts_with(NAMESPACE)) {
        Some(key) => Err(Error::NullCharacter(key.to_owned())),
        None => Ok(start),
    }
}

fn check(part: &str) -> Result<(), Error> {
    match part.char_indices().find(|(_, character)| matches!(*character, SEPARATOR | LAST)) {
        Some((position, character)) => Err(Error::CompositeKeyCharacter { character, position }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_into_what_it_was_made_of() {
        let key = create("owner~id", &["ada", "", "a1"]).unwrap();
        assert_eq!(key, "\0owner~id\0ada\0\0a1\0");
        assert_eq!(split(&key).unwrap(), ("owner~id".into(), vec!["ada".into(), String::new(), "a1".into()]));
        assert_eq!(split("\0t\0").unwrap(), ("t".into(), Vec::new()));
    }

    #[test]
    fn a_key_that_is_not_composite_is_refused() {
        for key in ["", "a1", "\0", "\0owner"] {
            assert_eq!(split(key), Err(Error::NotACompositeKey(key.into())));
        }
    }

    #[test]
    fn a_part_with_a_separator_is_refused_in_fabrics_words() {
        let text = create("t", &["ab\0c"]).unwrap_err().to_string();
        assert_eq!(
            text,
            "input contain unicode U+0000 starting at position [2]. U+0000 and U+10FFFF are not allowed in the input attribute of a composite key"
        );
        assert!(
            create("\u{10ffff}", &["x"])
                .unwrap_err()
                .to_string()
                .starts_with("input contain unicode U+10FFFF starting at position [0].")
        );
    }

    #[test]
    fn a_range_over_simple_keys_leaves_composite_keys_out() {
        assert_eq!(simple_range("", "").unwrap(), "\u{1}");
        assert_eq!(simple_range("a", "b").unwrap(), "a");
        assert_eq!(
            simple_range("a", "\0b").unwrap_err().to_string(),
            "first character of the key [\0b] contains a null character which is not allowed"
        );
    }

    #[test]
    fn a_partial_range_holds_every_key_with_the_prefix() {
        let (start, end) = partial_range("owner~id", &["ada"]).unwrap();
        let within = create("owner~id", &["ada", "\u{10fffe}"]).unwrap();
        let beyond = create("owner~id", &["adam", "a"]).unwrap();
        assert!(start <= within && within < end);
        assert!(beyond < start || beyond >= end);
    }
}
