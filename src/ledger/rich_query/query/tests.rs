use super::super::execute::document;
use super::super::format::object_to_json;
use super::super::limits;
use super::*;

fn refusal(text: &str) -> String {
    Query::parse(text).unwrap_err().to_string()
}

#[test]
fn a_query_as_chaincode_writes_it() {
    let query = Query::parse(
        r#"{"selector":{"docType":"marble"},"fields":["docType","size"],"sort":[{"size":"desc"}],"limit":3,"skip":2,
            "use_index":["_design/indexSizeSortDoc","indexSizeSortDesc"],"bookmark":null,"execution_stats":true} trailing"#,
    )
    .unwrap();
    assert_eq!(query.sort, Sort { fields: vec![Path::parse("size").unwrap()], descending: true });
    assert_eq!((query.skip, query.bookmark.as_str()), (2, ""));
    let named = |name: Option<&str>| {
        Some(UseIndex { design_document: "indexSizeSortDoc".into(), name: name.map(str::to_owned) })
    };
    assert_eq!(query.use_index, named(Some("indexSizeSortDesc")));
    for (text, expected) in [
        (r#""indexSizeSortDoc""#, named(None)),
        (r#""_design/indexSizeSortDoc""#, named(None)),
        (r#""_design/indexSizeSortDoc/a""#, named(Some("a"))),
        (r#"["indexSizeSortDoc","a"]"#, named(Some("a"))),
        ("null", None),
        ("[]", None),
    ] {
        let query = Query::parse(&format!(r#"{{"selector":{{}},"use_index":{text}}}"#)).unwrap();
        assert_eq!(query.use_index, expected, "{text}");
    }
}

#[test]
fn a_text_that_is_no_query_is_refused_with_what_and_where() {
    let table = [
        ("", "the rich query is not a JSON object: a value is missing at byte 0"),
        ("{\"selector\":{}", "the rich query is not a JSON object: the object does not end at byte 14"),
        ("{\"selector\":nil}", "no value begins like this at byte 12"),
        ("[]", "the rich query is not a JSON object: it is another value at byte 0"),
        ("{}", "Error:missing_required_key,  Status Code:400,  Reason:Missing required key: selector"),
        (r#"{"selector":[]}"#, "Reason:Selector must be a JSON object, not: []"),
        (
            r#"{"selector":{},"selectr":1}"#,
            "Error:invalid_key,  Status Code:400,  Reason:Invalid key selectr for this request.",
        ),
        (r#"{"selector":{},"fields":"a"}"#, "fields definition must be an array"),
        (
            r#"{"selector":{},"fields":[1]}"#,
            "Error:invalid_field,  Status Code:400,  Reason:Invalid JSON for field spec: 1",
        ),
        (
            r#"{"selector":{},"sort":"a"}"#,
            "Error:invalid_sort_json,  Status Code:400,  Reason:Sort must be an array of sort specs, not: \"a\"",
        ),
        (r#"{"selector":{},"sort":[1]}"#, "Error:invalid_sort_field,  Status Code:400,  Reason:Invalid sort field: 1"),
        (
            r#"{"selector":{},"sort":[{"a":"up"}]}"#,
            "Error:invalid_sort_dir,  Status Code:400,  Reason:Invalid sort direction: {\"a\":\"up\"}",
        ),
        (r#"{"selector":{},"sort":["a",{"b":"desc"}]}"#, "Error:unsupported_mixed_sort"),
        (r#"{"selector":{},"skip":-1}"#, "Reason:-1 is not an integer greater than or equal to zero"),
        (r#"{"selector":{},"skip":"2"}"#, "Reason:\"2\" is not an integer greater than or equal to zero"),
        (
            r#"{"selector":{},"bookmark":1}"#,
            "Error:invalid_bookmark,  Status Code:400,  Reason:Invalid bookmark value: 1",
        ),
        (
            r#"{"selector":{},"use_index":["a","b","c"]}"#,
            "Error:invalid_index_name,  Status Code:400,  Reason:Invalid index name: [\"a\",\"b\",\"c\"]",
        ),
    ];
    for (text, expected) in table {
        let refusal = refusal(text);
        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
}

#[test]
fn a_query_of_a_hostile_size_meets_a_limit_that_is_named() {
    let long = format!("{{\"selector\":{{\"a\":\"{}\"}}}}", "x".repeat(MAX_QUERY_SIZE));
    assert!(refusal(&long).contains("MAX_QUERY_SIZE is 1048576"));
    let deep = format!("{{\"selector\":{}{{}}{}}}", "{\"$not\":".repeat(70), "}".repeat(70));
    assert!(refusal(&deep).contains("a depth of 72, the limit MAX_QUERY_DEPTH is 64"));
    let bottomless = format!("{{\"selector\":{}", "{\"$not\":".repeat(100_000));
    assert!(refusal(&bottomless).contains("it is nested too deep"));
}

#[test]
fn the_answer_is_the_document_or_the_fields_that_were_asked_for() {
    let answer = |fields: &str| {
        let Value::Object(document) = document("k", br#"{"b":{"x":1,"y":[1,{"z":2}]},"a":"1"}"#).unwrap() else {
            panic!("an object")
        };
        object_to_json(&Query::parse(&format!("{{\"selector\":{{}}{fields}}}")).unwrap().project(document))
    };
    assert_eq!(answer(""), r#"{"a":"1","b":{"x":1,"y":[1,{"z":2}]}}"#);
    assert_eq!(answer(r#","fields":[]"#), "{}");
    assert_eq!(answer(r#","fields":["a","missing","_id"]"#), r#"{"a":"1"}"#);
    assert_eq!(answer(r#","fields":["b.x"]"#), r#"{"b":{"x":1}}"#);
    assert_eq!(answer(r#","fields":["b.x","b.y.1.z"]"#), r#"{"b":{"x":1,"y":{"1":{"z":2}}}}"#);
}

#[test]
fn a_query_that_would_cost_far_more_than_its_text_is_refused() {
    let selector = |selector: &str| refusal(&format!(r#"{{"selector":{selector}}}"#));
    let regexes = vec![r#"{"$regex":"^(ab){99}$"}"#; limits::MAX_REGEXES + 1].join(",");
    let refused = selector(&format!(r#"{{"a":{{"$or":[{regexes}]}}}}"#));
    assert!(refused.contains("a number of $regex of 33, the limit MAX_REGEXES is 32"), "{refused}");
    // Each condition has its whole path.
    let long = vec!["a"; limits::MAX_VALUE_DEPTH].join(".");
    Query::parse(&format!(r#"{{"selector":{{"{long}":1}}}}"#)).unwrap();
    for too_long in [format!(r#"{{"{long}.a":1}}"#), format!(r#"{{"{long}":{{"a":1}}}}"#)] {
        let refused = selector(&too_long);
        assert!(refused.contains("of 201, the limit MAX_VALUE_DEPTH is 200"), "{refused}");
    }
    // Each row that is sorted has all its sort fields.
    let sorts = vec![r#""a""#; limits::MAX_INDEX_FIELDS + 1].join(",");
    let refused = refusal(&format!(r#"{{"selector":{{}},"sort":[{sorts}]}}"#));
    assert!(refused.contains("sort fields of 33, the limit MAX_INDEX_FIELDS is 32"), "{refused}");
    // Each field of the answer is a copy.
    let query = Query::parse(r#"{"selector":{},"fields":["b","a","b","a","a"]}"#).unwrap();
    assert_eq!(query.fields.map(|fields| fields.len()), Some(2));
}
