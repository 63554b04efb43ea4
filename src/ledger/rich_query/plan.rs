//! Which index answers a query, and which part of it (CouchDB: `mango_idx_view:is_usable`, `field_ranges`).
//!
//! Invariant: every document that matches has a row in the part that is chosen. That there are others in it does no
//! harm: each document is matched. So the answer is the same with every index and with none; only a partial index that
//! the query names restricts it, as in CouchDB.

use std::collections::{BTreeMap, BTreeSet};

use super::collation;
use super::index::{Index, Partial};
use super::json::Value;
use super::path::Path;
use super::query::{Query, UseIndex};
use super::selector::{Comparison, Condition, Selector};

/// The part of an index that is read.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub index: &'a Index,
    /// All rows begin with these encoded fields, whose values the query gives.
    pub prefix: Vec<u8>,
    /// The least and the greatest beginning of a row, with the prefix.
    pub low: Vec<u8>,
    pub high: Vec<u8>,
    /// Where the rows stand in the order that the query asks for: the length of the part of the prefix that is no sort
    /// field.
    pub ordered_after: Option<usize>,
}

/// What a selector says of single fields, all of which holds.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Fields that every match has.
    required: BTreeSet<Path>,
    equal: BTreeMap<Path, Vec<u8>>,
    low: BTreeMap<Path, Vec<u8>>,
    high: BTreeMap<Path, Vec<u8>>,
}

impl Bounds {
    pub(super) fn of(query: &Query) -> Self {
        let mut bounds = Self::default();
        bounds.required.insert(Path::id());
        bounds.required.extend(query.sort.fields.iter().cloned());
        bounds.add(&query.selector);
        bounds
    }

    fn add(&mut self, selector: &Selector) {
        match selector {
            Selector::All(parts) => parts.iter().for_each(|part| self.add(part)),
            Selector::Field(path, condition) => self.add_condition(path, condition),
            Selector::Any(_) | Selector::Not(_) => {}
        }
    }

    fn add_condition(&mut self, path: &Path, condition: &Condition) {
        if matches!(condition, Condition::Exists(false)) {
            return;
        }
        self.required.insert(path.clone());
        match condition {
            Condition::Compare(comparison, value) => {
                let mut bytes = Vec::new();
                collation::encode(value, &mut bytes);
                match comparison {
                    // Of two, either is right.
                    Comparison::Equal => drop(self.equal.insert(path.clone(), bytes)),
                    Comparison::Greater | Comparison::GreaterOrEqual => self.raise(path, bytes),
                    Comparison::Less | Comparison::LessOrEqual => self.lower(path, bytes),
                    Comparison::NotEqual => {}
                }
            }
            Condition::BeginsWith(prefix) => {
                let bytes = collation::encode_prefix(prefix);
                self.raise(path, bytes.clone());
                self.lower(path, bytes);
            }
            _ => {}
        }
    }

    fn raise(&mut self, path: &Path, to: Vec<u8>) {
        let low = self.low.entry(path.clone()).or_default();
        if to > *low {
            *low = to;
        }
    }

    fn lower(&mut self, path: &Path, to: Vec<u8>) {
        let high = self.high.entry(path.clone()).or_insert_with(|| to.clone());
        if to < *high {
            *high = to;
        }
    }

    /// Whether all that match have a row in an index of these fields.
    fn cover(&self, fields: &[Path]) -> bool {
        fields.iter().all(|field| self.required.contains(field))
    }
}

/// The partial index that the query names, which restricts the answer.
pub(super) fn named_partial<'a>(query: &Query, bounds: &Bounds, indexes: &'a [Index]) -> Option<&'a Partial> {
    let named = query.use_index.as_ref()?;
    let mut indexes = indexes.iter().filter(|index| names(named, index) && bounds.cover(&index.fields));
    indexes.find_map(|index| index.partial.as_ref())
}

/// The index that leaves the least to look at; none where none leaves less than everything.
pub(super) fn choose<'a>(query: &Query, bounds: &Bounds, indexes: &'a [Index]) -> Option<Choice<'a>> {
    let restricted = named_partial(query, bounds, indexes);
    let mut best: Option<((bool, usize, bool, bool), Choice<'a>)> = None;
    for index in indexes.iter().filter(|index| bounds.cover(&index.fields) && passes_filter(query, restricted, index)) {
        let named = query.use_index.as_ref().is_some_and(|named| names(named, index));
        let Some((equal, ranged, choice)) = part_of(query, bounds, index) else { continue };
        let score = (named, equal, ranged, choice.ordered_after.is_some());
        // The first of equals, so that the choice does not depend on anything else.
        if best.as_ref().is_none_or(|(other, _)| score > *other) {
            best = Some((score, choice));
        }
    }
    best.map(|(_, choice)| choice)
}

/// The number of fields whose value is given, whether the next one has a bound, and the part.
fn part_of<'a>(query: &Query, bounds: &Bounds, index: &'a Index) -> Option<(usize, bool, Choice<'a>)> {
    let mut prefix = Vec::new();
    let mut ends = vec![0];
    for value in index.fields.iter().map_while(|field| bounds.equal.get(field)) {
        prefix.extend_from_slice(value);
        ends.push(prefix.len());
    }
    let equal = ends.len() - 1;
    let next = index.fields.get(equal);
    let bound = |of: &BTreeMap<Path, Vec<u8>>| next.and_then(|field| of.get(field)).cloned();
    let (low, high) = (bound(&bounds.low), bound(&bounds.high));
    let ranged = low.is_some() || high.is_some();
    let ordered_after = match query.sort.fields.is_empty() {
        true => None,
        false => {
            ends.iter().enumerate().find(|(skip, _)| index.fields[*skip..] == query.sort.fields).map(|(_, end)| *end)
        }
    };
    if equal == 0 && !ranged && ordered_after.is_none() {
        return None;
    }
    let with = |bound: Option<Vec<u8>>| [prefix.as_slice(), &bound.unwrap_or_default()].concat();
    let (low, high) = (with(low), with(high));
    Some((equal, ranged, Choice { index, prefix, low, high, ordered_after }))
}

fn names(named: &UseIndex, index: &Index) -> bool {
    named.design_document == index.design_document && named.name.as_ref().is_none_or(|name| *name == index.name)
}

/// Whether every match passes the index's filter: what it says, the query's selector says too.
fn passes_filter(query: &Query, restricted: Option<&Partial>, index: &Index) -> bool {
    let Some(partial) = &index.partial else { return true };
    // Such a query was restricted to this filter; a design document may have others.
    if restricted.is_some_and(|restricted| restricted.text == partial.text) {
        return true;
    }
    match (&partial.text, &query.selector_text) {
        (Value::Object(filter), Value::Object(selector)) => {
            filter.iter().all(|(name, value)| selector.get(name) == Some(value))
        }
        _ => false,
    }
}
