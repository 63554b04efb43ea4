//! Each operator against a handful of documents, with the answers that CouchDB's documentation gives.

use super::super::execute::document;
use super::super::json::parse;
use super::*;

const DOCUMENTS: [(&str, &str); 8] = [
    ("ant", r#"{"n":1,"s":"abc","a":[1,2,3],"o":{"x":1,"y":{"z":true}},"t":"2020-01-01"}"#),
    ("bee", r#"{"n":2.5,"s":"Abd","a":[],"o":{"x":2},"dotted.name":5,"$cash":7}"#),
    ("cat", r#"{"n":-3,"s":"","a":[{"x":1,"y":"p"},{"x":5}],"o":{}}"#),
    ("dog", r#"{"n":"1","s":null,"a":["x",["y"]],"o":[1]}"#),
    ("eel", r#"{"n":null,"s":true,"a":{"k1":1,"k2":2}}"#),
    ("fox", r#"{"n":10,"s":"xabcx","a":[4,8]}"#),
    ("gnu", r#"{"s":false}"#),
    ("hen", r#"["no","document"]"#),
];

/// The initials of the documents that match.
fn found(selector: &str) -> String {
    let selector = Selector::parse(&parse(selector.as_bytes()).expect(selector).value).expect(selector);
    let documents = DOCUMENTS.iter().filter_map(|(key, value)| Some((key, document(key, value.as_bytes())?)));
    documents
        .filter(|(_, document)| selector.matches(document, &Effort::unlimited()))
        .map(|(key, _)| &key[..1])
        .collect()
}

fn assert_found(table: &[(&str, &str)]) {
    for (selector, expected) in table {
        assert_eq!(found(selector), *expected, "{selector}");
    }
}

#[test]
fn comparisons_follow_the_order_of_types() {
    assert_found(&[
        (r#"{}"#, "abcdefg"),
        (r#"{"n":1}"#, "a"),
        (r#"{"n":1.0}"#, "a"),
        (r#"{"n":{"$eq":1}}"#, "a"),
        (r#"{"n":{"$ne":1}}"#, "bcdef"),
        (r#"{"n":{"$gt":1}}"#, "bdf"),
        (r#"{"n":{"$gte":1}}"#, "abdf"),
        (r#"{"n":{"$lt":1}}"#, "ce"),
        (r#"{"n":{"$lte":1}}"#, "ace"),
        (r#"{"n":{"$gt":null}}"#, "abcdf"),
        (r#"{"n":{"$gte":1,"$lt":10}}"#, "ab"),
        (r#"{"n":null}"#, "e"),
        (r#"{"s":true}"#, "e"),
        (r#"{"s":{"$lt":true}}"#, "dg"),
        // By code point: capitals first.
        (r#"{"s":{"$gt":"Z"}}"#, "af"),
        (r#"{"s":{"$lt":"a","$gte":""}}"#, "bc"),
        (r#"{"a":{"$gt":[1,2]}}"#, "acdef"),
        (r#"{"a":[1,2,3]}"#, "a"),
        (r#"{"a":{"$lt":[1,3]}}"#, "ab"),
        (r#"{"o":{}}"#, "c"),
        (r#"{"o":{"$eq":{"x":2}}}"#, "b"),
        (r#"{"_id":"cat"}"#, "c"),
        (r#"{"_id":{"$gt":"dog"}}"#, "efg"),
        (r#"{"_id":{"$gt":null}}"#, "abcdefg"),
    ]);
}

#[test]
fn fields_are_reached_by_name_by_path_and_by_place() {
    assert_found(&[
        (r#"{"o":{"x":1}}"#, "a"),
        (r#"{"o.x":1}"#, "a"),
        (r#"{"o":{"x":{"$gte":1}}}"#, "ab"),
        (r#"{"o":{"y":{"z":true}}}"#, "a"),
        (r#"{"o.y.z":true}"#, "a"),
        (r#"{"o":{"x":1,"y.z":true}}"#, "a"),
        (r#"{"dotted\\.name":5}"#, "b"),
        (r#"{"dotted.name":5}"#, ""),
        (r#"{"\\$cash":7}"#, "b"),
        (r#"{"a.0":1}"#, "a"),
        (r#"{"a.1.x":5}"#, "c"),
        (r#"{"a.k1":1}"#, "e"),
        (r#"{"n":1,"s":"abc"}"#, "a"),
        (r#"{"n":1,"s":"abd"}"#, ""),
    ]);
}

#[test]
fn existence_and_type_are_of_fields() {
    assert_found(&[
        (r#"{"n":{"$exists":true}}"#, "abcdef"),
        (r#"{"n":{"$exists":false}}"#, "g"),
        (r#"{"o.x":{"$exists":true}}"#, "ab"),
        // Any name on the way may be missing; but where something else than an object is on the way, nothing holds.
        (r#"{"o.x":{"$exists":false}}"#, "cefg"),
        (r#"{"o.x.y":{"$exists":false}}"#, "cefg"),
        (r#"{"n":{"$type":"number"}}"#, "abcf"),
        (r#"{"n":{"$type":"string"}}"#, "d"),
        (r#"{"n":{"$type":"null"}}"#, "e"),
        (r#"{"s":{"$type":"boolean"}}"#, "eg"),
        (r#"{"a":{"$type":"array"}}"#, "abcdf"),
        (r#"{"a":{"$type":"object"}}"#, "e"),
        (r#"{"a":{"$type":"list"}}"#, ""),
    ]);
}

#[test]
fn lists_numbers_and_texts() {
    assert_found(&[
        (r#"{"n":{"$in":[1,10,"1"]}}"#, "adf"),
        (r#"{"n":{"$in":[]}}"#, ""),
        (r#"{"n":{"$nin":[1,10,"1"]}}"#, "bce"),
        (r#"{"n":{"$nin":[]}}"#, "abcdef"),
        // An array is in the list if one of its elements is.
        (r#"{"a":{"$in":[3,8]}}"#, "af"),
        (r#"{"a":{"$nin":[3,8]}}"#, "bcde"),
        (r#"{"a":{"$size":0}}"#, "b"),
        (r#"{"a":{"$size":2}}"#, "cdf"),
        (r#"{"s":{"$size":3}}"#, ""),
        (r#"{"n":{"$mod":[2,0]}}"#, "f"),
        (r#"{"n":{"$mod":[2,1]}}"#, "a"),
        // The remainder has the sign of the number.
        (r#"{"n":{"$mod":[2,-1]}}"#, "c"),
        (r#"{"n":{"$mod":[-2,1]}}"#, "a"),
        (r#"{"s":{"$regex":"^a"}}"#, "a"),
        (r#"{"s":{"$regex":"ab"}}"#, "af"),
        (r#"{"s":{"$regex":"(?i)^AB[a-d]$"}}"#, "ab"),
        (r#"{"s":{"$regex":""}}"#, "abcf"),
        (r#"{"n":{"$regex":"1"}}"#, "d"),
        (r#"{"t":{"$regex":"^\\d{4}-\\d\\d"}}"#, "a"),
        (r#"{"s":{"$beginsWith":"ab"}}"#, "a"),
        (r#"{"n":{"$beginsWith":""}}"#, "d"),
        (r#"{"a":{"$all":[1,3]}}"#, "a"),
        (r#"{"a":{"$all":[]}}"#, ""),
        (r#"{"a":{"$all":[[4,8]]}}"#, "f"),
        (r#"{"a":{"$all":[["y"]]}}"#, "d"),
        (r#"{"s":{"$all":["abc"]}}"#, ""),
    ]);
}

#[test]
fn elements_and_names() {
    assert_found(&[
        (r#"{"a":{"$elemMatch":{"$gt":2}}}"#, "acdf"),
        (r#"{"a":{"$elemMatch":{"$gte":2,"$lt":3}}}"#, "a"),
        (r#"{"a":{"$elemMatch":{"x":1}}}"#, "c"),
        (r#"{"a":{"$elemMatch":{"x":1,"y":"p"}}}"#, "c"),
        (r#"{"a":{"$elemMatch":{"x":5,"y":"p"}}}"#, ""),
        (r#"{"a":{"$elemMatch":{"$or":[{"x":5},{"$eq":"x"}]}}}"#, "cd"),
        (r#"{"a":{"$allMatch":{"$gt":0}}}"#, "acdf"),
        (r#"{"a":{"$allMatch":{"$type":"number"}}}"#, "af"),
        // Of an empty array, nothing.
        (r#"{"a":{"$allMatch":{"$lt":2}}}"#, ""),
        // Within, $not is the opposite and takes no field for granted.
        (r#"{"a":{"$elemMatch":{"$not":{"y":"p"}}}}"#, "acdf"),
        (r#"{"a":{"$elemMatch":{"$nor":[{"x":1},{"x":5}]}}}"#, "adf"),
        (r#"{"a":{"$keyMapMatch":{"$eq":"k1"}}}"#, "e"),
        (r#"{"o":{"$keyMapMatch":{"$gt":"x"}}}"#, "a"),
        (r#"{"o":{"$keyMapMatch":{"$regex":"^[xy]$"}}}"#, "ab"),
        (r#"{"a":{"$elemMatch":{"$elemMatch":{"$eq":"y"}}}}"#, "d"),
    ]);
}

#[test]
fn combinations_and_their_opposites() {
    assert_found(&[
        (r#"{"$and":[{"n":{"$gt":0}},{"n":{"$lt":3}}]}"#, "ab"),
        (r#"{"$and":[]}"#, "abcdefg"),
        (r#"{"$or":[{"n":1},{"s":false}]}"#, "ag"),
        (r#"{"$or":[]}"#, "abcdefg"),
        (r#"{"n":{"$or":[1,{"$gt":5}]}}"#, "adf"),
        (r#"{"n":{"$and":[{"$gt":0},{"$lt":3}]}}"#, "ab"),
        (r#"{"n":{"$gt":0},"$or":[{"s":"abc"},{"s":"Abd"}]}"#, "ab"),
        // A negated condition still asks for the field: gnu has no n.
        (r#"{"$not":{"n":1}}"#, "bcdef"),
        (r#"{"n":{"$not":{"$gt":1}}}"#, "ace"),
        (r#"{"$not":{"n":{"$not":{"$gt":1}}}}"#, "bdf"),
        (r#"{"$nor":[{"n":1},{"n":10}]}"#, "bcde"),
        (r#"{"$nor":[]}"#, "abcdefg"),
        (r#"{"$not":{"$nor":[{"n":1},{"n":10}]}}"#, "af"),
        (r#"{"$not":{"$or":[{"n":1},{"s":"abc"}]}}"#, "bcdef"),
        (r#"{"$not":{"n":1,"s":"abc"}}"#, "bcdefg"),
        (r#"{"$not":{"n":{"$exists":true}}}"#, "g"),
        (r#"{"$not":{"n":{"$in":[1,10]}}}"#, "bcde"),
        (r#"{"s":{"$not":{"$regex":"b"}}}"#, "cdeg"),
        (r#"{"a":{"$not":{"$size":2}}}"#, "abe"),
        (r#"{"$not":{"a":{"$elemMatch":{"$gt":2}}}}"#, "be"),
    ]);
}

#[test]
fn what_couchdb_refuses_is_refused_with_its_reason_and_the_value() {
    let table = [
        (r#"[]"#, "invalid_selector_json", "Selector must be a JSON object, not: []"),
        (r#"{"$eq":5}"#, "invalid_selector", "One or more conditions is missing a field name."),
        (r#"{"$and":[{"$gt":5}]}"#, "invalid_selector", "One or more conditions is missing a field name."),
        (r#"{"$and":[{}]}"#, "invalid_selector", "One or more conditions is missing a field name."),
        (r#"{"a":{"$like":"x"}}"#, "invalid_operator", "Invalid operator: $like"),
        (r#"{"a":{"$where":"x"}}"#, "not_supported", "Unsupported operator: $where"),
        (r#"{"$text":"x"}"#, "not_supported", "Unsupported operator: $text"),
        (r#"{"$and":{"a":1}}"#, "bad_arg", "Bad argument for operator $and: {\"a\":1}"),
        (r#"{"$or":1}"#, "bad_arg", "Bad argument for operator $or: 1"),
        (r#"{"$nor":{}}"#, "bad_arg", "Bad argument for operator $nor: {}"),
        (r#"{"a":{"$not":[1]}}"#, "bad_arg", "Bad argument for operator $not: [1]"),
        (r#"{"a":{"$in":1}}"#, "bad_arg", "Bad argument for operator $in: 1"),
        (r#"{"a":{"$nin":"x"}}"#, "bad_arg", "Bad argument for operator $nin: \"x\""),
        (r#"{"a":{"$all":1}}"#, "bad_arg", "Bad argument for operator $all: 1"),
        (r#"{"a":{"$exists":1}}"#, "bad_arg", "Bad argument for operator $exists: 1"),
        (r#"{"a":{"$type":1}}"#, "bad_arg", "Bad argument for operator $type: 1"),
        (r#"{"a":{"$size":-1}}"#, "bad_arg", "Bad argument for operator $size: -1"),
        (r#"{"a":{"$size":1.5}}"#, "bad_arg", "Bad argument for operator $size: 1.5"),
        (r#"{"a":{"$mod":[2]}}"#, "bad_arg", "Bad argument for operator $mod: [2]"),
        (r#"{"a":{"$mod":[0,1]}}"#, "bad_arg", "Bad argument for operator $mod: [0,1]"),
        (r#"{"a":{"$mod":[2.5,1]}}"#, "bad_arg", "Bad argument for operator $mod: [2.5,1]"),
        (r#"{"a":{"$regex":5}}"#, "bad_arg", "Bad argument for operator $regex: 5"),
        (r#"{"a":{"$regex":"(x"}}"#, "bad_arg", "Bad argument for operator $regex: \"(x\": unclosed group"),
        (r#"{"a":{"$regex":"(x)\\1"}}"#, "bad_arg", "backreferences are not supported"),
        (r#"{"a":{"$regex":"x(?=y)"}}"#, "bad_arg", "look-around"),
        (r#"{"a":{"$elemMatch":1}}"#, "bad_arg", "Bad argument for operator $elemMatch: 1"),
        (r#"{"a":{"$allMatch":[1]}}"#, "bad_arg", "Bad argument for operator $allMatch: [1]"),
        (r#"{"a":{"$keyMapMatch":"x"}}"#, "bad_arg", "Bad argument for operator $keyMapMatch: \"x\""),
        (r#"{"a..b":1}"#, "invalid_field_name", "Invalid field name: \"a..b\""),
        (r#"{"":1}"#, "invalid_field_name", "Invalid field name: \"\""),
    ];
    for (selector, error, reason) in table {
        let refusal = Selector::parse(&parse(selector.as_bytes()).unwrap().value).unwrap_err().to_string();
        let begin = format!("error handling CouchDB request. Error:{error},  Status Code:400,  Reason:");
        assert!(refusal.starts_with(&begin) && refusal.contains(reason), "{selector}: {refusal}");
    }
}

#[test]
fn hostile_selectors_meet_a_limit_that_is_named() {
    let parse = |text: &str| Selector::parse(&parse(text.as_bytes()).unwrap().value).map(|_| ());
    let many = vec!["1"; 20_000].join(",");
    let error = parse(&format!("{{\"a\":{{\"$in\":[{many}]}}}}")).unwrap_err().to_string();
    assert!(error.contains("MAX_SELECTOR_TERMS is 10000"), "{error}");
    let error = parse(r#"{"a":{"$regex":"((x{100}){100}){100}"}}"#).unwrap_err().to_string();
    assert!(error.contains("MAX_REGEX_SIZE is 1048576"), "{error}");
    // What takes PCRE forever is linear here.
    let selector = r#"{"a":{"$regex":"^(x+x+)+y$"}}"#;
    let selector = Selector::parse(&super::super::json::parse(selector.as_bytes()).unwrap().value).unwrap();
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    assert!(!selector.matches(&document("k", text.as_bytes()).unwrap(), &Effort::unlimited()));
}
