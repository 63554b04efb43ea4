//! core.yaml as it is written: which keys stand in it, and the text of each value.
//!
//! Scalars are kept as they stand in the file (`1.10` does not become a float), because types are `values.rs`'s matter.
//! Invariant: nothing in a file is passed over silently; what has no effect is listed in `unused` or `unknown`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::keys::{self, Kind};

/// What a core.yaml says.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Values by the key as Fabric writes it. A key without a value is not in here.
    pub(super) scalars: BTreeMap<&'static str, String>,
    /// Lists by the key as Fabric writes it.
    pub(super) lists: BTreeMap<&'static str, Vec<String>>,
    /// Maps of texts by the key as Fabric writes it.
    pub(super) maps: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// `chaincode.system`, where it is there.
    pub(super) system: Option<BTreeMap<String, String>>,
    /// `chaincode.systemPlugins`.
    pub(super) plugins: Vec<PluginEntry>,
    /// Keys of Fabric's without an effect here, as written.
    pub(super) unused: Vec<String>,
    /// Keys that nobody knows, as written.
    pub(super) unknown: Vec<String>,
}

/// An entry of `chaincode.systemPlugins`.
#[derive(Debug, Default)]
pub(super) struct PluginEntry {
    /// Values by field name in lower case.
    pub(super) scalars: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
    pub(super) config: BTreeMap<String, String>,
}

/// The fields of a plug-in that hold one value each, in lower case.
pub(super) const PLUGIN_SCALARS: [&str; 5] = ["enabled", "name", "path", "invokableexternal", "invokablecc2cc"];

/// Reads the text of a core.yaml.
///
/// # Errors
/// The YAML parser's text, with line and column.
pub(super) fn parse(text: &str) -> Result<Document, String> {
    let mut document = Document::default();
    serde_saphyr::with_deserializer_from_str(text, |deserializer| {
        Section { path: String::new(), document: &mut document }.deserialize(deserializer)
    })
    .map_err(|e| e.to_string())?;
    Ok(document)
}

struct Section<'a> {
    path: String,
    document: &'a mut Document,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // An empty file and an empty section are nulls.
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str("the sections of core.yaml"),
            path => write!(f, "the keys of section {path}"),
        }
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(name) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
            match keys::classify(&path) {
                Kind::Scalar(key) => {
                    if let Some(text) = entries.next_value::<Option<String>>()? {
                        self.document.scalars.insert(key, text);
                    }
                }
                Kind::List(key) => {
                    let list = entries.next_value::<Option<Vec<String>>>()?.unwrap_or_default();
                    self.document.lists.insert(key, list);
                }
                Kind::Map(key) => {
                    if let Some(map) = entries.next_value::<Option<TextMap>>()? {
                        self.document.maps.insert(key, map.0);
                    }
                }
                Kind::System => self.document.system = entries.next_value::<Option<TextMap>>()?.map(|map| map.0),
                Kind::Plugins => self.document.plugins = entries.next_value::<Option<_>>()?.unwrap_or_default(),
                Kind::Section => entries.next_value_seed(Section { path, document: &mut *self.document })?,
                Kind::Unused => {
                    entries.next_value::<IgnoredAny>()?;
                    self.document.unused.push(path);
                }
                Kind::Unknown => {
                    entries.next_value::<IgnoredAny>()?;
                    self.document.unknown.push(path);
                }
            }
        }
        Ok(())
    }
}

/// A map of texts in which a key without a value has the empty one.
#[derive(Default)]
struct TextMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Option<String>>::deserialize(deserializer)?;
        Ok(Self(map.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()))
    }
}

impl<'de> Deserialize<'de> for PluginEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = PluginEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry of chaincode.systemPlugins: enabled, name, path, ...")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<PluginEntry, A::Error> {
                let mut entry = PluginEntry::default();
                while let Some(name) = entries.next_key::<String>()? {
                    let lower = name.to_ascii_lowercase();
                    match lower.as_str() {
                        "capabilities" => {
                            entry.capabilities = entries.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "config" => entry.config = entries.next_value::<Option<TextMap>>()?.unwrap_or_default().0,
                        field if PLUGIN_SCALARS.contains(&field) => {
                            if let Some(text) = entries.next_value::<Option<String>>()? {
                                entry.scalars.insert(lower, text);
                            }
                        }
                        // Refused, not reported: a misspelt flag here would open or close a door.
                        _ => {
                            return Err(A::Error::custom(format!(
                                "an entry of chaincode.systemPlugins has no field `{name}`; it has enabled, name, path, \
                                 invokableExternal, invokableCC2CC, capabilities and config"
                            )));
                        }
                    }
                }
                Ok(entry)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_text_and_keys_lose_their_case() {
        let document = parse(
            "PEER:\n  ListenAddress: 0.0.0.0:7051\n  id: 007\nchaincode:\n  system:\n    cscc: enable\n    qscc:\n  \
             systemPlugins:\n    - Name: asset\n      enabled: yes\n      config: {version: 1.10, Mixed: 0x10}\n      capabilities: [ledger]\n",
        )
        .expect("parses");
        assert_eq!(document.scalars["peer.listenAddress"], "0.0.0.0:7051");
        assert_eq!(document.scalars["peer.id"], "007");
        let system = document.system.expect("is there");
        assert_eq!((system["cscc"].as_str(), system["qscc"].as_str()), ("enable", ""));
        let plugin = &document.plugins[0];
        assert_eq!(plugin.scalars["name"], "asset");
        assert_eq!(plugin.scalars["enabled"], "yes");
        assert_eq!((plugin.config["version"].as_str(), plugin.config["Mixed"].as_str()), ("1.10", "0x10"));
        assert_eq!(plugin.capabilities, ["ledger"]);
    }

    #[test]
    fn nothing_is_passed_over_silently() {
        let document =
            parse("peer:\n  gossip: {bootstrap: [a, b]}\n  wrong: 1\nelse: {a: 1}\nlogging:\n").expect("parses");
        assert_eq!(document.unused, ["peer.gossip.bootstrap", "logging"]);
        assert_eq!(document.unknown, ["peer.wrong", "else"]);
    }

    #[test]
    fn empty_files_and_sections_say_nothing() {
        for text in ["", "---\n", "# only a comment\n", "peer:\nchaincode:\n"] {
            let document = parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert!(document.scalars.is_empty() && document.system.is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_an_error_with_its_line() {
        for text in ["peer:\n  id: [a]\n", "peer: text\n", "chaincode:\n  systemPlugins:\n    - nme: asset\n"] {
            assert!(parse(text).is_err_and(|e| e.contains("line")), "{text:?}: {:?}", parse(text));
        }
    }
}
