//! A query over rows in memory, with whatever indexes there are, against the plainest way to the same answer.

mod model;

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::super::collation::tests::values;
use super::super::index::Index;
use super::super::rows::IndexRow;
use super::*;

/// Rows with the indexes that were defined over them.
#[derive(Clone, Debug, Default)]
struct Memory {
    rows: BTreeMap<String, Bytes>,
    indexes: Vec<Index>,
}

impl Memory {
    fn state_value(value: &Bytes) -> StateValue {
        StateValue { version: Version { block: 1, tx: 2 }, metadata: Bytes::new(), value: value.clone() }
    }
}

impl Rows for Memory {
    fn get(&self, key: &str) -> Result<Option<StateValue>, LedgerError> {
        Ok(self.rows.get(key).map(Self::state_value))
    }

    fn scan(&self, after: Option<&str>) -> Result<RowIterator, LedgerError> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.to_owned()));
        let rows: Vec<_> =
            self.rows.range((from, Bound::Unbounded)).map(|(k, v)| Ok((k.clone(), Self::state_value(v)))).collect();
        Ok(Box::new(rows.into_iter()))
    }

    fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    fn index(&self, index: &Index, from: &[u8], to: Option<&[u8]>) -> Result<IndexIterator, LedgerError> {
        let mut rows: Vec<(Vec<u8>, IndexRow)> = Vec::new();
        for (key, value) in &self.rows {
            let fields = document(key, value).and_then(|document| index.row(&document));
            rows.extend(fields.map(|fields| ([&fields, key.as_bytes()].concat(), (fields, key.clone()))));
        }
        rows.retain(|(row, _)| row.as_slice() >= from && to.is_none_or(|to| row.as_slice() < to));
        rows.sort();
        Ok(Box::new(rows.into_iter().map(|(_, row)| Ok(row))))
    }
}

/// Keys and values of the whole answer.
fn answer(memory: &Memory, query: &str) -> Vec<(String, String)> {
    let mut rows = RichRows::new(Box::new(memory.clone()), query, "", None).unwrap();
    std::iter::from_fn(|| rows.next().unwrap())
        .map(|row| (row.key, String::from_utf8_lossy(&row.value).into()))
        .collect()
}

fn keys(memory: &Memory, query: &str) -> Vec<String> {
    answer(memory, query).into_iter().map(|(key, _)| key).collect()
}

fn index(id: u32, definition: &str) -> Index {
    Index::parse(id, &format!("index{id}.json"), definition).unwrap()
}

fn marbles() -> Memory {
    let rows = [
        ("m1", r#"{"docType":"marble","owner":"tom","size":35,"color":"blue"}"#),
        ("m2", r#"{"docType":"marble","owner":"jerry","size":50,"color":"red"}"#),
        ("m3", r#"{"docType":"marble","owner":"tom","size":5,"color":"red"}"#),
        ("m4", r#"{"docType":"marble","owner":"tom","color":"green"}"#),
        ("m5", r#"{"docType":"marble","owner":"tom","size":35}"#),
        ("p1", r#"{"docType":"person","owner":"tom","size":35}"#),
        ("x", "not JSON"),
        ("z", "[35]"),
    ];
    let rows = rows.into_iter().map(|(key, value)| (key.to_owned(), Bytes::from(value))).collect();
    Memory { rows, indexes: Vec::new() }
}

#[test]
fn rows_come_by_key_or_in_the_order_asked_for() {
    let memory = marbles();
    assert_eq!(keys(&memory, r#"{"selector":{"owner":"tom","docType":"marble"}}"#), ["m1", "m3", "m4", "m5"]);
    assert_eq!(keys(&memory, r#"{"selector":{"owner":"tom"},"skip":3}"#), ["m5", "p1"]);
    // What has no size has no place in the order.
    let by_size = r#"{"selector":{"docType":"marble"},"sort":["size"]}"#;
    assert_eq!(keys(&memory, by_size), ["m3", "m1", "m5", "m2"]);
    let largest_first = r#"{"selector":{"docType":"marble"},"sort":[{"size":"desc"}],"limit":1}"#;
    assert_eq!(keys(&memory, largest_first), ["m2", "m5", "m1", "m3"]);
    let value = answer(&memory, r#"{"selector":{"_id":"m3"},"fields":["size","_id"]}"#);
    assert_eq!(value, [("m3".to_owned(), r#"{"size":5}"#.to_owned())]);
}

#[test]
fn a_partial_index_restricts_only_the_query_that_names_it() {
    let mut memory = marbles();
    let definition = r#"{"index":{"fields":["owner"],"partial_filter_selector":{"color":{"$gt":"c"}}},"ddoc":"bright","name":"bright"}"#;
    memory.indexes = vec![index(0, definition)];
    assert_eq!(keys(&memory, r#"{"selector":{"owner":"tom"}}"#), ["m1", "m3", "m4", "m5", "p1"]);
    assert_eq!(keys(&memory, r#"{"selector":{"owner":"tom"},"use_index":"bright"}"#), ["m3", "m4"]);
    assert_eq!(keys(&memory, r#"{"selector":{"owner":"tom","color":{"$gt":"c"}}}"#), ["m3", "m4"]);
    // It cannot answer this, so CouchDB takes another index.
    assert_eq!(keys(&memory, r#"{"selector":{"size":50},"use_index":"bright"}"#), ["m2"]);
    assert_eq!(keys(&memory, r#"{"selector":{"size":50},"use_index":["no","such"]}"#), ["m2"]);
}

#[test]
fn of_several_partial_indexes_in_a_design_document_one_restricts_the_answer() {
    let mut memory = marbles();
    memory.indexes = vec![
        index(
            0,
            r#"{"index":{"fields":["owner"],"partial_filter_selector":{"color":{"$gt":"c"}}},"ddoc":"d","name":"a"}"#,
        ),
        index(
            1,
            r#"{"index":{"fields":["owner","size"],"partial_filter_selector":{"size":{"$gt":9}}},"ddoc":"d","name":"b"}"#,
        ),
    ];
    let query = r#"{"selector":{"owner":"tom","size":{"$gt":1}},"use_index":"d"}"#;
    assert_eq!(keys(&memory, query), ["m3"]);
    memory.indexes.swap(0, 1);
    assert_eq!(keys(&memory, query), ["m1", "m5", "p1"]);
}

/// Says that the transaction is over from the `calls`th time on that it is asked.
fn over_after(calls: usize) -> Option<Stop> {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let ask = move || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= calls;
    Some(std::sync::Arc::new(ask))
}

#[test]
fn a_query_ends_with_its_transaction_even_within_a_row() {
    let marbles = marbles();
    for query in [r#"{"selector":{"owner":"nobody"}}"#, r#"{"selector":{"owner":"nobody"},"sort":["size"]}"#] {
        let ended = RichRows::new(Box::new(marbles.clone()), query, "", over_after(3)).and_then(|mut rows| rows.next());
        assert!(matches!(ended, Err(LedgerError::Query(RichQueryError::Stopped))), "{ended:?}");
    }
    // One row: its clock is looked at before and after, and meanwhile only because it is large.
    let list = vec!["0"; 10_000].join(",");
    let rows = BTreeMap::from([("k".to_owned(), Bytes::from(format!(r#"{{"a":[{list}]}}"#)))]);
    let large = Memory { rows, indexes: Vec::new() };
    let values = (1..2_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for condition in [
        format!(r#"{{"$in":[{values}]}}"#),
        format!(r#"{{"$elemMatch":{{"$in":[{values}]}}}}"#),
        r#"{"$elemMatch":{"$gt":1}}"#.to_owned(),
    ] {
        let query = format!(r#"{{"selector":{{"a":{condition}}}}}"#);
        let mut rows = RichRows::new(Box::new(large.clone()), &query, "", over_after(2)).unwrap();
        let ended = rows.next();
        assert!(matches!(ended, Err(LedgerError::Query(RichQueryError::Stopped))), "{ended:?}");
    }
}

#[test]
fn a_bookmark_is_where_the_page_ended_and_nil_where_there_was_none() {
    let query = r#"{"selector":{"owner":"tom"}}"#;
    let mut rows = RichRows::new(Box::new(marbles()), query, "", None).unwrap();
    for _ in 0..2 {
        rows.next().unwrap().unwrap();
    }
    let mut rest = RichRows::new(Box::new(marbles()), query, &rows.bookmark(), None).unwrap();
    assert_eq!(rest.next().unwrap().unwrap().key, "m4");
    while rest.next().unwrap().is_some() {}
    let end = rest.bookmark();
    let mut after = RichRows::new(Box::new(marbles()), query, &end, None).unwrap();
    assert_eq!((after.next().unwrap(), after.bookmark()), (None, end));
    let none = RichRows::new(Box::new(Memory::default()), query, "", None).unwrap();
    assert_eq!(none.bookmark(), "nil");
    let in_text = format!(r#"{{"selector":{{"owner":"tom"}},"bookmark":"{}"}}"#, rows.bookmark());
    assert_eq!(keys(&marbles(), &in_text), ["m4", "m5", "p1"]);
}

#[test]
fn more_rows_than_may_be_sorted_are_an_error_and_an_index_takes_them() {
    let mut memory = Memory::default();
    for n in 0..=MAX_SORTED_ROWS {
        memory.rows.insert(format!("k{n:06}"), Bytes::from(format!("{{\"n\":{}}}", MAX_SORTED_ROWS - n)));
    }
    let sorted = r#"{"selector":{},"sort":["n"]}"#;
    let error = RichRows::new(Box::new(memory.clone()), sorted, "", None).unwrap_err().to_string();
    assert!(error.contains("the limit MAX_SORTED_ROWS is 100000; define an index"), "{error}");
    memory.indexes = vec![index(0, r#"{"index":{"fields":["n"]}}"#)];
    let mut rows = RichRows::new(Box::new(memory.clone()), sorted, "", None).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().key, format!("k{MAX_SORTED_ROWS:06}"));
    // So many keys of an index are no better than a scan.
    let mut all = RichRows::new(Box::new(memory), r#"{"selector":{"n":{"$gte":0}}}"#, "", None).unwrap();
    assert_eq!(all.next().unwrap().unwrap().key, "k000000");
}

fn memory() -> impl Strategy<Value = Memory> {
    let field = prop::sample::select(vec!["a", "b", "c"]);
    let document = prop::collection::btree_map(field.prop_map(str::to_owned), values(), 0..4);
    let value = prop_oneof![
        9 => document.prop_map(|members| Bytes::from(format::object_to_json(&members))),
        1 => Just(Bytes::from_static(b"no JSON")),
    ];
    prop::collection::btree_map("[a-d]{1,3}", value, 0..24).prop_map(|rows| Memory { rows, indexes: Vec::new() })
}

fn condition() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]);
    prop_oneof![
        6 => (operator, values()).prop_map(|(operator, value)| format!("{{\"{operator}\":{value}}}")),
        1 => any::<bool>().prop_map(|exists| format!("{{\"$exists\":{exists}}}")),
        1 => Just(r#"{"$beginsWith":"a"}"#.to_owned()),
        1 => Just(r#"{"$type":"number"}"#.to_owned()),
    ]
}

fn selector() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec!["a", "b", "c", "a.a", "_id"]);
    let leaf = (field, condition()).prop_map(|(field, condition)| format!("{{\"{field}\":{condition}}}"));
    leaf.prop_recursive(2, 8, 3, |inner| {
        let operator = prop::sample::select(vec!["$and", "$and", "$and", "$or", "$nor"]);
        let combined = (operator, prop::collection::vec(inner.clone(), 0..4))
            .prop_map(|(operator, parts)| format!("{{\"{operator}\":[{}]}}", parts.join(",")));
        prop_oneof![3 => combined, 1 => inner.prop_map(|part| format!("{{\"$not\":{part}}}"))]
    })
}

fn indexes() -> impl Strategy<Value = Vec<Index>> {
    let fields = prop::sample::subsequence(vec!["a", "b", "c"], 1..=3).prop_shuffle();
    let filter =
        prop_oneof![3 => Just(String::new()), 1 => Just(r#","partial_filter_selector":{"a":{"$gt":0}}"#.to_owned())];
    prop::collection::vec((fields, filter), 0..4).prop_map(|indexes| {
        let definitions = indexes
            .iter()
            .enumerate()
            .map(|(id, (fields, filter))| index(id as u32, &format!(r#"{{"index":{{"fields":{fields:?}{filter}}}}}"#)));
        definitions.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn indexes_and_pages_change_no_answer(
        mut memory in memory(),
        indexes in indexes(),
        selector in selector(),
        sort in prop::sample::subsequence(vec!["a", "b", "_id"], 0..=2).prop_shuffle(),
        descending in any::<bool>(),
        page in 1usize..5,
    ) {
        let rows = memory.rows.iter().map(|(key, value)| (key, &value[..]));
        let expected = model::answer(rows, &selector, &sort, descending && !sort.is_empty());
        let direction = if descending { "desc" } else { "asc" };
        let specs: Vec<_> = sort.iter().map(|field| format!("{{\"{field}\":\"{direction}\"}}")).collect();
        let query = format!(r#"{{"selector":{selector},"sort":[{}]}}"#, specs.join(","));
        prop_assert_eq!(keys(&memory, &query), expected.clone());
        memory.indexes = indexes;
        prop_assert_eq!(keys(&memory, &query), expected.clone());

        let (mut paged, mut bookmark) = (Vec::new(), String::new());
        loop {
            let mut rows = RichRows::new(Box::new(memory.clone()), &query, &bookmark, None).unwrap();
            let before = paged.len();
            while paged.len() < before + page && let Some(row) = rows.next().unwrap() {
                paged.push(row.key);
            }
            if paged.len() < before + page {
                break;
            }
            bookmark = rows.bookmark();
            prop_assert!(paged.len() <= expected.len());
        }
        prop_assert_eq!(paged, expected);
    }
}
