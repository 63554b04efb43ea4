//! The stub's rules and texts, and what the mock does with reads and writes.

use selvedge_sdk::mock::MockStub;
use selvedge_sdk::{Chaincode, Error, KeyValue, Level, Response, Stub};

/// A chaincode that is one closure.
struct Script<F>(F);

impl<F: Fn(&Stub) -> Result<String, Error>> Chaincode for Script<F> {
    fn invoke(&self, stub: &Stub) -> Response {
        (self.0)(stub).into()
    }
}

const NO_ARGS: &[&str] = &[];

fn run(script: impl Fn(&Stub) -> Result<String, Error> + 'static) -> Response {
    peer(script).invoke(NO_ARGS)
}

fn peer(script: impl Fn(&Stub) -> Result<String, Error> + 'static) -> MockStub {
    let peer = MockStub::new(Script(script));
    for key in ["a", "b", "c", "\0t\0x\0a\0", "\0t\0x\0b\0", "\0t\0y\0a\0"] {
        peer.set_state(key, "value");
    }
    peer
}

#[test]
fn a_read_sees_what_is_committed_and_a_later_transaction_the_write() {
    let peer = MockStub::new(Script(|stub: &Stub| {
        let before = stub.get_state("k")?.unwrap_or_default();
        stub.put_state("k", "new")?;
        assert_eq!(stub.get_state("k")?.unwrap_or_default(), before);
        Ok(String::from_utf8_lossy(&before).into_owned())
    }));
    assert_eq!(peer.invoke(NO_ARGS).payload_bytes(), b"");
    assert_eq!(peer.invoke(NO_ARGS).payload_bytes(), b"new");
}

#[test]
fn a_refused_transaction_leaves_nothing() {
    let peer = MockStub::new(Script(|stub: &Stub| {
        stub.put_state("k", "v")?;
        Err("no".into())
    }));
    let response = peer.invoke(NO_ARGS);
    assert_eq!((response.status, response.message.as_str()), (500, "no"));
    assert_eq!(peer.state("k"), None);
}

#[test]
fn names_must_not_be_empty() {
    let response = run(|stub| {
        assert_eq!(stub.put_state("", "v").unwrap_err().to_string(), "key must not be an empty string");
        assert_eq!(stub.put_private_data("c", "", "v"), Err(Error::EmptyKey));
        let collection = "collection must not be an empty string";
        assert_eq!(stub.put_private_data("", "k", "v").unwrap_err().to_string(), collection);
        assert_eq!(stub.get_private_data("", "k").unwrap_err().to_string(), collection);
        assert_eq!(stub.get_private_data_hash("", "k").unwrap_err().to_string(), collection);
        assert_eq!(stub.set_event("", "p").unwrap_err().to_string(), "event name can not be empty string");
        Ok(String::new())
    });
    assert!(response.is_success(), "{response:?}");
}

#[test]
fn a_range_over_simple_keys_skips_composite_ones() {
    let response = run(|stub| {
        let keys = |rows: selvedge_sdk::Rows<KeyValue>| rows.map(|row| Ok(row?.key)).collect::<Result<Vec<_>, Error>>();
        assert_eq!(keys(stub.get_state_by_range("", "")?)?, ["a", "b", "c"]);
        assert_eq!(keys(stub.get_state_by_range("a", "c")?)?, ["a", "b"]);
        assert_eq!(keys(stub.get_state_by_partial_composite_key("t", &["x"])?)?, ["\0t\0x\0a\0", "\0t\0x\0b\0"]);
        assert_eq!(keys(stub.get_state_by_partial_composite_key("t", &[] as &[&str])?)?.len(), 3);
        assert!(matches!(stub.get_state_by_range("\0", ""), Err(Error::NullCharacter(_))));
        Ok(String::new())
    });
    assert!(response.is_success(), "{response:?}");
}

#[test]
fn pages_follow_each_other_by_bookmark() {
    let response = run(|stub| {
        let first = stub.get_state_by_range_with_pagination("", "", 2, "")?;
        assert_eq!((first.fetched_records_count, first.bookmark.as_str()), (2, "c"));
        let last = stub.get_state_by_range_with_pagination("", "", 2, &first.bookmark)?;
        assert_eq!((last.fetched_records_count, last.bookmark.as_str(), last.rows[0].key.as_str()), (1, "", "c"));
        let page = stub.get_state_by_partial_composite_key_with_pagination("t", &["x"], 1, "")?;
        assert_eq!(page.bookmark, "\0t\0x\0b\0");
        Ok(String::new())
    });
    assert!(response.is_success(), "{response:?}");
}

#[test]
fn history_lists_writes_and_deletes_oldest_first() {
    let peer = MockStub::new(Script(|stub: &Stub| {
        let (function, parameters) = stub.function_and_parameters()?;
        match function.as_str() {
            "put" => stub.put_state("k", &parameters[0])?,
            "delete" => stub.del_state("k")?,
            _ => {
                let changes = stub.get_history_for_key("k")?;
                let line = |change: Result<selvedge_sdk::KeyModification, Error>| {
                    change.map(|c| format!("{}:{}", String::from_utf8_lossy(&c.value), c.is_delete))
                };
                return Ok(changes.map(line).collect::<Result<Vec<_>, _>>()?.join(" "));
            }
        }
        Ok(String::new())
    }));
    peer.invoke(&["put", "1"]);
    peer.invoke(&["put", "2"]);
    peer.invoke(&["delete"]);
    assert_eq!(peer.invoke(&["history"]).payload_bytes(), b"1:false 2:false :true");
}

#[test]
fn private_data_has_hashes_and_a_name_space_of_its_own() {
    let peer = peer(|stub| {
        assert_eq!(stub.get_private_data("secret", "a")?.as_deref(), Some(&b"abc"[..]));
        assert_eq!(stub.get_private_data_by_range("secret", "", "")?.count(), 1);
        let hash = stub.get_private_data_hash("secret", "a")?.unwrap_or_default();
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
        stub.purge_private_data("secret", "a")?;
        Ok(String::new())
    });
    peer.set_private_state("secret", "a", "abc");
    assert!(peer.invoke(NO_ARGS).is_success());
    assert_eq!(peer.private_state("secret", "a"), None);
    assert!(peer.state("a").is_some());
}

#[test]
fn a_validation_parameter_goes_with_its_key() {
    let peer = peer(|stub| {
        let before = stub.get_state_validation_parameter("a")?;
        if before.is_none() {
            stub.set_state_validation_parameter("a", "policy")?;
        } else {
            stub.del_state("a")?;
        }
        Ok(String::from_utf8_lossy(&before.unwrap_or_default()).into_owned())
    });
    assert_eq!(peer.invoke(NO_ARGS).payload_bytes(), b"");
    assert_eq!(peer.invoke(NO_ARGS).payload_bytes(), b"policy");
    assert_eq!(peer.invoke(NO_ARGS).payload_bytes(), b"");
}

#[test]
fn another_chaincode_answers_or_is_not_found() {
    let peer = MockStub::new(Script(|stub: &Stub| {
        let answer = stub.invoke_chaincode("other", &["hello"], "")?;
        assert_eq!(
            stub.invoke_chaincode("nobody", &["x"], "").unwrap_err().to_string().split(':').next(),
            Some("chaincode nobody not found")
        );
        Ok(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.payload_bytes())))
    }));
    let other = MockStub::new(Script(|stub: &Stub| Ok(stub.string_args()?.join(","))));
    peer.on_invoke_chaincode("other", move |args| other.invoke(args));
    assert_eq!(peer.invoke(NO_ARGS).payload_bytes(), b"200 hello");
}

#[test]
fn the_transaction_shows_what_the_proposal_brought() {
    let peer = peer(|stub| {
        stub.log(Level::Info, format!("on {}", stub.channel_id()));
        stub.set_event("first", "1")?;
        stub.set_event("second", "2")?;
        assert_eq!(stub.arg_sizes(), [1, 2]);
        assert_eq!(stub.args_slice(), b"\xffab");
        assert_eq!(stub.string_args(), Err(Error::ArgumentNotText(0)));
        assert_eq!(stub.arg(1).map(|blob| blob.read(1, 10)), Some(b"b".to_vec()));
        assert!(stub.arg(2).is_none());
        assert_eq!(stub.transient()["secret"], b"s");
        assert_eq!(stub.config("limit").as_deref(), Some("7"));
        assert_eq!(stub.creator()?, b"Ada");
        assert_eq!(stub.timestamp()?.seconds, 1);
        assert!(stub.get_query_result("{}").is_err_and(|e| e.to_string() == "ExecuteQuery not supported for leveldb"));
        Ok(stub.txid())
    });
    peer.set_channel("trade");
    peer.set_creator("Ada");
    peer.set_transient("secret", "s");
    peer.set_config("limit", "7");
    let response = peer.invoke(&[&b"\xff"[..], b"ab"]);
    assert!(response.is_success(), "{response:?}");
    assert_eq!(response.payload_bytes().len(), 64);
    assert_eq!(peer.event(), Some(("second".into(), b"2".to_vec())));
    assert_eq!(peer.log(), [(Level::Info, "on trade".into())]);
}
