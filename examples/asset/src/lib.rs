//! An asset registry: what most chaincode does, on the SDK.
//!
//! An asset is JSON under its id; a composite key `owner~id` lists what someone owns. The functions are the arms of
//! [`invoke`](Chaincode::invoke); two of them only measure: `empty` and `ops <n>`. What an asset is appraised at is private:
//! the functions of appraisals need a collection, which the chaincode is instantiated with.

use selvedge_sdk::{Chaincode, Error, KeyModification, KeyValue, Page, Payload, Response, Rows, Stub};
use serde::{Deserialize, Serialize};

/// The object type of the index by owner.
const OWNER_INDEX: &str = "owner~id";

/// The chaincode.
#[derive(Debug)]
pub struct Asset;

selvedge_sdk::export!(Asset);

/// What is kept for each asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its key in the state.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// What it is worth.
    pub value: u64,
}

impl Chaincode for Asset {
    fn init(&self, stub: &Stub) -> Response {
        stub.log(selvedge_sdk::Level::Info, "asset registry ready");
        Response::success(())
    }

    fn invoke(&self, stub: &Stub) -> Response {
        route(stub).into()
    }
}

fn route(stub: &Stub) -> Result<Payload, Error> {
    let (function, parameters) = stub.function_and_parameters()?;
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    match (function.as_str(), parameters.as_slice()) {
        ("create", [id, owner, value]) => create(stub, id, owner, number(value)?),
        ("read", [id]) => json(&read(stub, id)?),
        ("update", [id, value]) => update(stub, id, number(value)?),
        ("transfer", [id, owner]) => transfer(stub, id, owner),
        ("delete", [id]) => delete(stub, id),
        ("list", [start, end]) => json(&records(stub.get_state_by_range(start, end)?)?),
        ("page", [start, end, size, bookmark]) => page(stub, start, end, number(size)?, bookmark),
        ("ownedBy", [owner]) => owned_by(stub, owner),
        ("find", [query]) => json(&records(stub.get_query_result(query)?)?),
        ("findPage", [query, size, bookmark]) => find_page(stub, query, number(size)?, bookmark),
        ("history", [id]) => history(stub, id),
        ("height", [channel]) => height(stub, channel),
        ("appraise", [collection, id]) => appraise(stub, collection, id),
        ("appraisal", [collection, id]) => appraisal(stub, collection, id),
        ("appraisalHash", [collection, id]) => appraisal_hash(stub, collection, id),
        ("withdraw", [collection, id]) => Ok(stub.del_private_data(collection, id)?.into()),
        ("empty", []) => Ok(().into()),
        ("ops", [count]) => operations(stub, number(count)?),
        (function, parameters) => {
            Err(Error::new(format!("there is no function {function} of {} parameters", parameters.len())))
        }
    }
}

fn create(stub: &Stub, id: &str, owner: &str, value: u64) -> Result<Payload, Error> {
    if stub.get_state(id)?.is_some() {
        return Err(Error::new(format!("asset {id} exists already")));
    }
    let record = Record { id: id.to_owned(), owner: owner.to_owned(), value };
    stub.put_state(&stub.create_composite_key(OWNER_INDEX, &[owner, id])?, [0])?;
    store(stub, &record)?;
    announce(stub, "created", &record)
}

fn read(stub: &Stub, id: &str) -> Result<Record, Error> {
    parse(&stub.get_state(id)?.ok_or_else(|| Error::new(format!("asset {id} does not exist")))?)
}

fn update(stub: &Stub, id: &str, value: u64) -> Result<Payload, Error> {
    let record = Record { value, ..read(stub, id)? };
    store(stub, &record)?;
    announce(stub, "updated", &record)
}

fn transfer(stub: &Stub, id: &str, owner: &str) -> Result<Payload, Error> {
    let before = read(stub, id)?;
    let record = Record { owner: owner.to_owned(), ..before.clone() };
    stub.del_state(&stub.create_composite_key(OWNER_INDEX, &[&before.owner, id])?)?;
    stub.put_state(&stub.create_composite_key(OWNER_INDEX, &[owner, id])?, [0])?;
    store(stub, &record)?;
    announce(stub, "transferred", &record)
}

fn delete(stub: &Stub, id: &str) -> Result<Payload, Error> {
    let record = read(stub, id)?;
    stub.del_state(&stub.create_composite_key(OWNER_INDEX, &[&record.owner, id])?)?;
    stub.del_state(id)?;
    announce(stub, "deleted", &record)
}

fn page(stub: &Stub, start: &str, end: &str, size: i32, bookmark: &str) -> Result<Payload, Error> {
    answer(&stub.get_state_by_range_with_pagination(start, end, size, bookmark)?)
}

/// A query in CouchDB's language, as `{"selector":{"owner":"Ada","value":{"$gt":5}}}`.
fn find_page(stub: &Stub, query: &str, size: i32, bookmark: &str) -> Result<Payload, Error> {
    answer(&stub.get_query_result_with_pagination(query, size, bookmark)?)
}

fn answer(page: &Page) -> Result<Payload, Error> {
    #[derive(Serialize)]
    struct Answer<'a> {
        records: Vec<Record>,
        bookmark: &'a str,
    }
    let records = page.rows.iter().map(|row| parse(&row.value)).collect::<Result<_, _>>()?;
    json(&Answer { records, bookmark: &page.bookmark })
}

fn owned_by(stub: &Stub, owner: &str) -> Result<Payload, Error> {
    let mut ids = Vec::new();
    for row in stub.get_state_by_partial_composite_key(OWNER_INDEX, &[owner])? {
        let (_, parts) = stub.split_composite_key(&row?.key)?;
        ids.extend(parts.into_iter().nth(1));
    }
    json(&ids)
}

fn history(stub: &Stub, id: &str) -> Result<Payload, Error> {
    #[derive(Serialize)]
    struct Change {
        txid: String,
        seconds: i64,
        record: Option<Record>,
    }
    let change = |change: Result<KeyModification, Error>| {
        let change = change?;
        let record = if change.is_delete { None } else { Some(parse(&change.value)?) };
        Ok(Change { txid: change.txid, seconds: change.timestamp.map_or(0, |time| time.seconds), record })
    };
    json(&stub.get_history_for_key(id)?.map(change).collect::<Result<Vec<_>, Error>>()?)
}

/// Keeps the appraisal of an asset for the members of a collection. It comes in the transient map, because arguments stand in
/// the block.
fn appraise(stub: &Stub, collection: &str, id: &str) -> Result<Payload, Error> {
    read(stub, id)?;
    let transient = stub.transient();
    let value = transient.get("appraisal").ok_or("the transient map has no entry `appraisal`")?;
    stub.put_private_data(collection, id, value)?;
    Ok(().into())
}

fn appraisal(stub: &Stub, collection: &str, id: &str) -> Result<Payload, Error> {
    let value = stub.get_private_data(collection, id)?;
    Ok(value.ok_or_else(|| Error::new(format!("asset {id} has no appraisal in {collection}")))?.into())
}

/// In hexadecimal; works for everybody.
fn appraisal_hash(stub: &Stub, collection: &str, id: &str) -> Result<Payload, Error> {
    let hash = stub.get_private_data_hash(collection, id)?.unwrap_or_default();
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

/// Asks qscc: a chaincode that invokes another.
fn height(stub: &Stub, channel: &str) -> Result<Payload, Error> {
    let answer = stub.invoke_chaincode("qscc", &["GetChainInfo", channel], channel)?;
    if !answer.is_success() {
        return Err(Error::new(format!("qscc: {}", answer.message)));
    }
    let info = answer.payload_bytes();
    let height = varint_of_field_one(&info).ok_or("qscc answered with something else than BlockchainInfo")?;
    Ok(height.to_string().into())
}

/// `BlockchainInfo.height`, without a protobuf library for one number.
fn varint_of_field_one(message: &[u8]) -> Option<u64> {
    let bytes = message.strip_prefix(&[0x08])?.iter().take(10);
    let mut number = 0_u64;
    for (index, byte) in bytes.enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// `count` reads and `count` writes of 100 bytes: the benchmark's transaction.
fn operations(stub: &Stub, count: u32) -> Result<Payload, Error> {
    for index in 0..count {
        let key = format!("ops{index}");
        let _ = stub.get_state(&key)?;
        stub.put_state(&key, [b'x'; 100])?;
    }
    Ok(().into())
}

fn store(stub: &Stub, record: &Record) -> Result<(), Error> {
    stub.put_state(&record.id, to_json(record)?)
}

fn announce(stub: &Stub, what: &str, record: &Record) -> Result<Payload, Error> {
    stub.set_event(what, to_json(record)?)?;
    json(record)
}

fn records(rows: Rows<KeyValue>) -> Result<Vec<Record>, Error> {
    rows.filter(|row| row.as_ref().map_or(true, |row| !row.key.starts_with("ops")))
        .map(|row| parse(&row?.value))
        .collect()
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::new(format!("{text} is not a number that fits here")))
}

fn parse(bytes: &[u8]) -> Result<Record, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::new(format!("not an asset: {error}")))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::new(error.to_string()))
}

fn json(value: &impl Serialize) -> Result<Payload, Error> {
    to_json(value).map(Payload::from)
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::mock::MockStub;

    use super::*;

    fn registry() -> MockStub {
        let peer = MockStub::new(Asset);
        for (id, owner) in [("a1", "Ada"), ("a2", "Ada"), ("b1", "Bob")] {
            text(&peer, &["create", id, owner, "7"]);
        }
        peer
    }

    fn text(peer: &MockStub, args: &[&str]) -> String {
        let response = peer.invoke(args);
        assert!(response.is_success(), "{args:?}: {response:?}");
        String::from_utf8(response.payload_bytes()).unwrap()
    }

    #[test]
    fn an_asset_lives_from_create_to_delete() {
        let peer = registry();
        assert_eq!(text(&peer, &["read", "a1"]), r#"{"id":"a1","owner":"Ada","value":7}"#);
        assert_eq!(text(&peer, &["update", "a1", "9"]), r#"{"id":"a1","owner":"Ada","value":9}"#);
        text(&peer, &["delete", "a1"]);
        assert_eq!(peer.invoke(&["read", "a1"]).message, "asset a1 does not exist");
        assert_eq!(peer.invoke(&["create", "a2", "Bob", "1"]).message, "asset a2 exists already");
    }

    #[test]
    fn a_transfer_moves_the_index_and_says_so() {
        let peer = registry();
        assert_eq!(text(&peer, &["ownedBy", "Ada"]), r#"["a1","a2"]"#);
        text(&peer, &["transfer", "a1", "Bob"]);
        let event = peer.event().unwrap();
        assert_eq!((event.0.as_str(), event.1), ("transferred", br#"{"id":"a1","owner":"Bob","value":7}"#.to_vec()));
        assert_eq!(text(&peer, &["ownedBy", "Ada"]), r#"["a2"]"#);
        assert_eq!(text(&peer, &["ownedBy", "Bob"]), r#"["a1","b1"]"#);
    }

    #[test]
    fn ranges_list_assets_only() {
        let peer = registry();
        text(&peer, &["ops", "3"]);
        let all: Vec<Record> = serde_json::from_str(&text(&peer, &["list", "", ""])).unwrap();
        assert_eq!(all.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["a1", "a2", "b1"]);
        let page = text(&peer, &["page", "a", "b", "1", ""]);
        assert!(page.ends_with(r#""bookmark":"a2"}"#), "{page}");
    }

    #[test]
    fn a_rich_query_finds_assets() {
        let peer = registry();
        assert_eq!(peer.invoke(&["find", "{}"]).message, "ExecuteQuery not supported for leveldb");
        peer.on_query(|query| {
            assert_eq!(query, r#"{"selector":{"owner":"Bob"}}"#);
            let value = br#"{"id":"b1","owner":"Bob","value":7}"#.to_vec();
            Ok(vec![KeyValue { key: "b1".into(), value }])
        });
        let found = text(&peer, &["find", r#"{"selector":{"owner":"Bob"}}"#]);
        assert_eq!(found, r#"[{"id":"b1","owner":"Bob","value":7}]"#);
    }

    #[test]
    fn history_tells_every_change() {
        let peer = registry();
        text(&peer, &["update", "a1", "9"]);
        text(&peer, &["delete", "a1"]);
        let history = text(&peer, &["history", "a1"]);
        assert_eq!(history.matches("txid").count(), 3);
        assert!(history.ends_with(r#""record":null}]"#), "{history}");
    }

    #[test]
    fn the_height_comes_from_qscc() {
        let peer = registry();
        peer.on_invoke_chaincode("qscc", |args| {
            assert_eq!(args, [b"GetChainInfo".to_vec(), b"mychannel".to_vec()]);
            Response::success(vec![0x08, 0xac, 0x02, 0x12, 0x00])
        });
        assert_eq!(text(&peer, &["height", "mychannel"]), "300");
    }

    #[test]
    fn an_appraisal_comes_by_the_transient_map_and_is_in_its_collection_alone() {
        let peer = registry();
        let missing = peer.invoke(&["appraise", "appraisals", "a1"]).message;
        assert_eq!(missing, "the transient map has no entry `appraisal`");
        peer.set_transient("appraisal", "40");
        assert_eq!(peer.invoke(&["appraise", "appraisals", "c1"]).message, "asset c1 does not exist");
        text(&peer, &["appraise", "appraisals", "a1"]);
        assert_eq!(peer.private_state("appraisals", "a1"), Some(b"40".to_vec()));
        assert_eq!(text(&peer, &["appraisal", "appraisals", "a1"]), "40");
        assert_eq!(text(&peer, &["appraisalHash", "appraisals", "a1"]).len(), 64);
        text(&peer, &["withdraw", "appraisals", "a1"]);
        let gone = peer.invoke(&["appraisal", "appraisals", "a1"]).message;
        assert_eq!(gone, "asset a1 has no appraisal in appraisals");
    }

    #[test]
    fn a_wrong_call_is_refused() {
        let peer = registry();
        assert_eq!(peer.invoke(&["read"]).message, "there is no function read of 0 parameters");
        assert_eq!(peer.invoke(&["update", "a1", "x"]).message, "x is not a number that fits here");
    }
}
