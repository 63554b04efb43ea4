//! A chaincode's arguments as JSON on the command line (Fabric: `peer/chaincode.checkChaincodeCmdParams`,
//! `chaincodeInput.UnmarshalJSON`).
//!
//! Keys are compared without case, as Go's decoder does. The texts of errors are Fabric's up to the JSON parser's own part.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

/// What to write instead.
const EXAMPLE: &str = r#"write for instance '{"Args":["f","a"]}'"#;

/// `{"Args":[...]}`, or `{"Function":"f","Args":[...]}`, which puts the function in front.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Bytes>> {
    const KEYS: &str = "JSON chaincode parameters must contain the following keys: 'Args' or 'Function' and 'Args'";
    if text == "{}" {
        bail!("empty {KEYS}");
    }
    let value =
        serde_json::from_str(text).map_err(|e| anyhow!("chaincode argument error: {e} of {text}; {EXAMPLE}"))?;
    let Value::Object(object) = value else {
        bail!("chaincode argument error: {text} is not an object; {EXAMPLE}");
    };
    let given = object.len();
    let mut fields: BTreeMap<String, Value> =
        object.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect();
    let function = fields.remove("function");
    let Some(args) = fields.remove("args") else { bail!("non-empty {KEYS}") };
    if given > 1 + usize::from(function.is_some()) {
        bail!("non-empty {KEYS}");
    }
    let Value::Array(args) = args else { bail!("chaincode argument error: 'Args' is not a list of texts; {EXAMPLE}") };
    function
        .into_iter()
        .map(|function| (function, "'Function' is not a text"))
        .chain(args.into_iter().map(|arg| (arg, "'Args' is not a list of texts")))
        .map(|(value, otherwise)| match value {
            Value::String(text) => Ok(Bytes::from(text)),
            _ => bail!("chaincode argument error: {otherwise}; {EXAMPLE}"),
        })
        .collect()
}

/// `{"key":"base64 of the value"}`.
pub(super) fn parse_transient(text: &str) -> anyhow::Result<BTreeMap<String, Bytes>> {
    let fields: BTreeMap<String, String> = serde_json::from_str(text).context("error parsing transient string")?;
    fields
        .into_iter()
        .map(|(key, value)| {
            let bytes = STANDARD
                .decode(&value)
                .with_context(|| format!("error parsing transient string: {key} is not base64"))?;
            Ok((key, Bytes::from(bytes)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_in_two_shapes() {
        let table: [(&str, &[&str]); 6] = [
            (r#"{"Args":["f","a"]}"#, &["f", "a"]),
            (r#"{"Function":"f","Args":["a"]}"#, &["f", "a"]),
            (r#"{"args":["f"]}"#, &["f"]),
            (r#"{"FUNCTION":"f","aRgS":[]}"#, &["f"]),
            (r#"{"Args":[]}"#, &[]),
            (r#"{"Args":["{\"a\":1}","é"]}"#, &["{\"a\":1}", "é"]),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap_or_else(|e| panic!("{text}: {e:#}")), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let keys = "JSON chaincode parameters must contain the following keys: 'Args' or 'Function' and 'Args'";
        let table = [
            ("{}", format!("empty {keys}")),
            (r#"{"Function":"f"}"#, format!("non-empty {keys}")),
            (r#"{"Args":["f"],"Other":1}"#, format!("non-empty {keys}")),
            (r#"{"Function":"f","Args":["f"],"Other":1}"#, format!("non-empty {keys}")),
            (r#"{"Args":"f"}"#, format!("chaincode argument error: 'Args' is not a list of texts; {EXAMPLE}")),
            (r#"{"Args":[1]}"#, format!("chaincode argument error: 'Args' is not a list of texts; {EXAMPLE}")),
            (r#"{"Function":1,"Args":[]}"#, format!("chaincode argument error: 'Function' is not a text; {EXAMPLE}")),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).map_err(|e| format!("{e:#}")), Err(expected), "{text}");
        }
        for text in ["", "[]", "{", "f"] {
            let error = parse(text).map_err(|e| format!("{e:#}"));
            assert!(error.as_ref().is_err_and(|e| e.starts_with("chaincode argument error: ")), "{text}: {error:?}");
        }
    }

    #[test]
    fn the_transient_map_is_base64() {
        let map = parse_transient(r#"{"key":"dmFsdWU="}"#).expect("is valid");
        assert_eq!(map, BTreeMap::from([("key".to_owned(), Bytes::from_static(b"value"))]));
        for text in ["", "[]", r#"{"key":1}"#, r#"{"key":"?"}"#] {
            assert!(parse_transient(text).is_err(), "{text}");
        }
    }
}
