//! What a chaincode may do, over few enough keys that transactions get in each other's way.

use proptest::prelude::*;

/// Two chaincodes' public keys and, behind them, a collection of each.
pub(super) const PLACES: usize = 4;
pub(super) const NAMESPACES: [&str; 2] = ["cc", "cc2"];
pub(super) const COLLECTION: &str = "secret";

/// Number of a place in [`PLACES`].
pub(super) type Place = usize;

/// The namespace of a place, and its collection, empty for the public keys.
pub(super) fn space(place: Place) -> (&'static str, &'static str) {
    (NAMESPACES[place % 2], if place < 2 { "" } else { COLLECTION })
}

pub(super) fn key(number: u8) -> String {
    format!("k{number:03}")
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Read(Place, String),
    /// None deletes, and so does the empty value.
    Write(Place, String, Option<&'static str>),
    /// A value for the one name that keys' metadata has here; none removes all metadata.
    Metadata(Place, String, Option<&'static str>),
    /// Public keys of `[from, to)`, an empty `to` being the end; how many rows are asked for, at least one.
    Range(Place, String, String, usize),
}

pub(super) type Program = Vec<Step>;

/// Often one of a few keys, else any; beyond the rows of the start there are keys that do not exist.
fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![0u8..6, 60u8..63, 0u8..150].prop_map(key)
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..PLACES;
    let value =
        prop_oneof![4 => prop_oneof![Just("a"), Just("b")].prop_map(Some), 1 => Just(Some("")), 1 => Just(None)];
    let metadata = prop_oneof![2 => prop_oneof![Just("m"), Just("n")].prop_map(Some), 1 => Just(None)];
    let end = prop_oneof![5 => any_key(), 1 => Just(String::new())];
    let rows = prop_oneof![3 => 1usize..5, 2 => 40usize..130, 2 => Just(usize::MAX)];
    prop_oneof![
        3 => (place(), any_key()).prop_map(|(place, key)| Step::Read(place, key)),
        4 => (place(), any_key(), value).prop_map(|(place, key, value)| Step::Write(place, key, value)),
        2 => (place(), any_key(), metadata).prop_map(|(place, key, value)| Step::Metadata(place, key, value)),
        3 => (0..2usize, any_key(), end, rows).prop_map(|(place, from, to, rows)| Step::Range(place, from, to, rows)),
    ]
}

pub(super) fn program() -> impl Strategy<Value = Program> {
    prop::collection::vec(step(), 1..6)
}
