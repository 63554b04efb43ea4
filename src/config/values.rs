//! Typed access to the values of a configuration: environment over file over default, each value checked.
//!
//! A value that cannot be used becomes a [`Problem`] and its default takes its place, so that one run finds every problem.
//! Invariant: only keys of `keys::SCALARS` are asked for (anything else is a programmer's error, and panics in the first
//! test that loads a configuration).

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::document::Document;
use super::error::{Origin, Problem};
use super::keys;
use super::units::{ByteSize, display_duration, parse_duration};

/// Reads values and gathers what is wrong with them.
pub(super) struct Values<'a> {
    document: &'a Document,
    variables: &'a BTreeMap<String, String>,
    /// Relative paths start here: the folder of core.yaml (Fabric: `config.TranslatePath`).
    base: &'a Path,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Values<'a> {
    pub(super) fn new(document: &'a Document, variables: &'a BTreeMap<String, String>, base: &'a Path) -> Self {
        Self { document, variables, base, problems: Vec::new(), warnings: Vec::new() }
    }

    /// The text of a value and where it comes from. As in viper, an empty variable overrides nothing.
    fn find(&self, key: &str) -> (String, Origin) {
        let variable = keys::variable(key);
        if let Some(text) = self.variables.get(&variable).filter(|text| !text.is_empty()) {
            return (text.clone(), Origin::Variable(variable));
        }
        match self.document.scalars.get(key) {
            Some(text) => (text.clone(), Origin::File),
            None => (default_of(key).to_owned(), Origin::Default),
        }
    }

    /// Whether somebody wrote the key down.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.find(key).1 != Origin::Default
    }

    /// Whether somebody wrote another value than the default.
    pub(super) fn is_changed(&self, key: &str) -> bool {
        self.find(key).0 != default_of(key)
    }

    /// Any text.
    pub(super) fn text(&self, key: &str) -> String {
        self.find(key).0
    }

    /// Any text but the empty one.
    pub(super) fn name(&mut self, key: &str) -> String {
        self.read(key, |text| match text {
            "" => Err("is empty; write a name".to_owned()),
            text => Ok(text.to_owned()),
        })
    }

    /// Reads a value with `parse`, whose error follows the value in the message.
    pub(super) fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let (text, origin) = self.find(key);
        match parse(&text) {
            Ok(value) => value,
            Err(reason) => {
                self.problems.push(Problem { key: key.to_owned(), value: text, origin, reason });
                parse(default_of(key)).unwrap_or_else(|e| panic!("the default of {key} is no good: {e}"))
            }
        }
    }

    pub(super) fn duration(&mut self, key: &str, limits: RangeInclusive<Duration>) -> Duration {
        self.read(key, |text| within(parse_duration(text)?, &limits, display_duration))
    }

    pub(super) fn size(&mut self, key: &str, limits: RangeInclusive<ByteSize>) -> ByteSize {
        self.read(key, |text| within(text.parse()?, &limits, |size| size.to_string()))
    }

    pub(super) fn number<T>(&mut self, key: &str, limits: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.read(key, |text| {
            let number = text
                .trim()
                .parse()
                .map_err(|_| format!("is not a whole number; write one from {} to {}", limits.start(), limits.end()))?;
            within(number, &limits, |number: T| number.to_string())
        })
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.read(key, parse_flag)
    }

    /// `host:port`.
    pub(super) fn address(&mut self, key: &str) -> String {
        self.read(key, parse_address)
    }

    /// `host:port`, or none where the value is empty.
    pub(super) fn optional_address(&mut self, key: &str) -> Option<String> {
        self.read(key, |text| if text.is_empty() { Ok(None) } else { parse_address(text).map(Some) })
    }

    /// A path, or none where the value is empty.
    pub(super) fn optional_path(&self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(|text| self.base.join(text))
    }

    /// A path.
    pub(super) fn path(&mut self, key: &str) -> PathBuf {
        self.base.join(self.name(key))
    }

    /// The paths of a list.
    pub(super) fn paths(&self, key: &str) -> Vec<PathBuf> {
        self.list(key).iter().map(|path| self.base.join(path)).collect()
    }

    /// The texts of a list, without empty ones. A variable holds them with blanks between, as for viper, or in YAML's form:
    /// `[a, b]`.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let written =
            match self.variables.get(&keys::variable(key)).map(|text| text.trim()).filter(|text| !text.is_empty()) {
                Some(text) => split_list(text),
                None => self.document.lists.get(key).cloned().unwrap_or_default(),
            };
        written.into_iter().filter(|item| !item.is_empty()).collect()
    }

    /// The texts of a map: what the file has replaces the default as a whole. As in Fabric, no variable overrides it.
    pub(super) fn map(&self, key: &str) -> BTreeMap<String, String> {
        let written = self.document.maps.get(key).cloned();
        written.unwrap_or_else(|| {
            let default = keys::MAPS.iter().find(|(known, _)| *known == key).map_or(&[][..], |(_, default)| *default);
            default.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        })
    }
}

/// Of a YAML boolean, in the spellings of Go's parsers.
pub(super) fn parse_flag(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "t" | "1" => Ok(true),
        "false" | "no" | "off" | "f" | "0" | "" => Ok(false),
        _ => Err("is neither true nor false; write one of them".to_owned()),
    }
}

fn split_list(text: &str) -> Vec<String> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(inside) => inside.split(',').map(|item| item.trim().trim_matches(['"', '\'']).to_owned()).collect(),
        None => text.split_whitespace().map(str::to_owned).collect(),
    }
}

fn parse_address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    match port {
        None => Err("is not an address; write host:port, for instance 127.0.0.1:7051".to_owned()),
        Some(port) if port.parse::<u16>().is_err() => {
            Err("has no port; write host:port with a port from 0 to 65535".to_owned())
        }
        Some(_) => Ok(text.to_owned()),
    }
}

fn within<T: PartialOrd + Copy>(
    value: T,
    limits: &RangeInclusive<T>,
    display: impl Fn(T) -> String,
) -> Result<T, String> {
    let (low, high) = (*limits.start(), *limits.end());
    if value < low {
        Err(format!("is below {}; write at least that", display(low)))
    } else if value > high {
        Err(format!("is above {}; write at most that", display(high)))
    } else {
        Ok(value)
    }
}

fn default_of(key: &str) -> &'static str {
    keys::SCALARS
        .iter()
        .find(|(known, _)| *known == key)
        .map(|(_, default)| *default)
        .unwrap_or_else(|| panic!("{key} is missing in config::keys::SCALARS"))
}
