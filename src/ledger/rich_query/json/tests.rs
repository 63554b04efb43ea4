use super::*;

fn parsed(text: &str) -> Result<Value, Syntax> {
    parse(text.as_bytes()).map(|parsed| parsed.value)
}

#[test]
fn what_go_takes_for_json_is_json_and_nothing_else() {
    let table: &[(&str, bool)] = &[
        ("{}", true),
        (" {\"a\":1}\n", true),
        ("{\"a\":[1,-0.5e+3,true,false,null,\"x\"],\"b\":{\"c\":{}}}", true),
        ("{\"a\":1}}", false),
        ("{\"a\":1,}", false),
        ("{\"a\":01}", false),
        ("{\"a\":1.}", false),
        ("{\"a\":.5}", false),
        ("{\"a\":+1}", false),
        ("{\"a\":1e999}", false),
        ("{\"a\":1e-999}", true),
        ("{'a':1}", false),
        ("{\"a\" 1}", false),
        ("{\"a\":tru}", false),
        ("{\"a\":\"\t\"}", false),
        ("{\"a\":\"\\x\"}", false),
        ("{\"a\":\"\\ud800\"}", true),
        ("{\"a\":\"\\u12\"}", false),
        ("[1]", false),
        ("\"text\"", false),
        ("null", false),
        ("", false),
        ("{", false),
        ("{\"a\":[}", false),
    ];
    for (text, is_document) in table {
        assert_eq!(document(text.as_bytes()).is_some(), *is_document, "{text}");
    }
}

#[test]
fn strings_are_decoded_as_go_decodes_them() {
    assert_eq!(parsed(r#""\u00e9\n\ud83d\ude00\ud83d!""#), Ok(Value::String("é\n😀\u{fffd}!".into())));
    let bytes = parse(b"\"a\xff\xc3(\"").unwrap().value;
    assert_eq!(bytes, Value::String("a\u{fffd}\u{fffd}(".into()));
    let twice = document(br#"{"a":1,"a":2}"#).unwrap().0;
    assert_eq!(twice, Object::from([("a".into(), Value::Number(2.0))]));
}

#[test]
fn depth_is_bounded_and_what_lies_beyond_keeps_its_root() {
    let nested = |depth: usize| format!("{{\"_x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    for (depth, whole) in [(1, Some(true)), (MAX_VALUE_DEPTH - 1, Some(true)), (MAX_VALUE_DEPTH, Some(false))] {
        assert_eq!(document(nested(depth).as_bytes()).map(|(_, whole)| whole), whole, "{depth}");
    }
    let (root, whole) = document(nested(9_999).as_bytes()).unwrap();
    assert!(root.contains_key("_x") && !whole);
    assert!(document(nested(10_000).as_bytes()).is_none());
    assert!(document(format!("{{\"a\":{}", "[".repeat(5_000_000)).as_bytes()).is_none());
}

#[test]
fn of_a_root_only_its_own_members_are_kept_and_the_whole_is_read() {
    let text = br#"{"a":{"b":[1]},"c":[{"d":1},[]],"e":"f"}"#;
    let expected: Object = [("a", Value::Null), ("c", Value::Null), ("e", Value::String("f".into()))]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    assert_eq!(root(text), Some(expected));
    for none in ["{\"a\":{\"b\":[1e999]}}", "{\"a\":{\"b\":[1,]}}", "[]", "{} {}"] {
        assert_eq!(root(none.as_bytes()), None, "{none}");
    }
}
