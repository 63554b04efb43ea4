//! Where a page ended: opaque to chaincode and clients, and good for the same query at any height.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::RichQueryError;
use super::json::Value;

/// The first byte, so that another form can be told from this.
const FORM: u8 = 1;

/// The place of a row in the order of its query. Ordered as ascending rows are.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The encoded sort fields; empty in the order of keys.
    pub fields: Vec<u8>,
    /// The row's key.
    pub key: String,
}

impl Place {
    pub(super) fn to_bookmark(&self) -> String {
        let mut bytes = vec![FORM];
        // A row's fields are far below 4 GiB.
        bytes.extend_from_slice(&(self.fields.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.fields);
        bytes.extend_from_slice(self.key.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// None for the beginning.
    pub(super) fn from_bookmark(bookmark: &str) -> Result<Option<Self>, RichQueryError> {
        // CouchDB answers "nil" where a first page is empty, and clients send back what they got.
        if bookmark.is_empty() || bookmark == "nil" {
            return Ok(None);
        }
        let place = URL_SAFE_NO_PAD.decode(bookmark).ok().and_then(|bytes| Self::decode(&bytes));
        place.map(Some).ok_or_else(|| {
            let bookmark = Value::String(bookmark.to_owned());
            RichQueryError::refused("invalid_bookmark", format!("Invalid bookmark value: {bookmark}"))
        })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (fields, key) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let key = std::str::from_utf8(key).ok()?.to_owned();
        (*form == FORM).then(|| Self { fields: fields.to_vec(), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_is_read_back_and_another_text_is_refused() {
        let place = Place { fields: vec![0, 1, 255], key: "\0key\u{10ffff}".into() };
        assert_eq!(Place::from_bookmark(&place.to_bookmark()).unwrap(), Some(place));
        assert_eq!(Place::from_bookmark("").unwrap(), None);
        for bad in ["x", "g1AAAA", "!!", "AQAAAAU"] {
            let error = Place::from_bookmark(bad).unwrap_err().to_string();
            assert!(error.contains("Error:invalid_bookmark,  Status Code:400"), "{error}");
        }
    }
}
