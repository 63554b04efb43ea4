//! One function for each thing that a stub of crates.io's `fabric-shim` can do. `main` is the shim's own: it reads
//! `CHAINCODE_ID` and `CHAINCODE_SERVER_ADDRESS`, serves, and has no TLS.

use fabric_shim::{Chaincode, ChaincodeStub, Error, Response, Server, StateQueryIterator, async_trait};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

struct Everything;

#[async_trait]
impl Chaincode for Everything {
    async fn invoke(&self, stub: ChaincodeStub) -> Response {
        let (function, args) = stub.get_function_and_args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        call(&stub, &function, &args).await.into()
    }
}

async fn call(stub: &ChaincodeStub, function: &str, args: &[&str]) -> Result<Response, Error> {
    let done = || Ok(Response::success_empty());
    let answer = match (function, args) {
        ("put", [key, value]) => {
            stub.put_state(key, *value).await?;
            return done();
        }
        ("putMany", [prefix, count]) => {
            for number in 0..number(count)? {
                stub.put_state(&format!("{prefix}{number:06}"), format!("v{number}")).await?;
            }
            return done();
        }
        ("putLarge", [key, bytes]) => {
            stub.put_state(key, vec![b'x'; number(bytes)?]).await?;
            return done();
        }
        ("get", [key]) => return Ok(Response::success(stub.get_state(key).await?)),
        ("del", [key]) => {
            stub.del_state(key).await?;
            return done();
        }
        ("range", [start, end]) => summary(stub.get_state_by_range(start, end).await?).await?,
        ("half", [start, end, count]) => {
            let mut rows = stub.get_state_by_range(start, end).await?;
            let mut keys = Vec::new();
            while keys.len() < number(count)?
                && let Some(row) = rows.next().await?
            {
                keys.push(row.key);
            }
            rows.close().await?;
            json!({"n": keys.len(), "last": keys.last()})
        }
        ("twoRanges", [start, end]) => {
            let mut one = stub.get_state_by_range(start, end).await?;
            let mut other = stub.get_state_by_range(start, end).await?;
            let mut equal = 0;
            while let Some(row) = one.next().await? {
                equal += usize::from(other.next().await?.is_some_and(|twin| twin.key == row.key));
            }
            json!(equal)
        }
        ("page", [start, end, size, bookmark]) => {
            let size = i32::try_from(number(size)?).unwrap_or(i32::MAX);
            let (rows, page) = stub.get_state_by_range_with_pagination(start, end, size, bookmark).await?;
            let mut found = summary(rows).await?;
            found["fetched"] = page.fetched_records_count.into();
            found["bookmark"] = page.bookmark.into();
            found
        }
        ("putComposite", [kind, first, second, value]) => {
            let key = stub.create_composite_key(kind, &[first, second])?;
            stub.put_state(&key, *value).await?;
            return done();
        }
        ("partial", [kind, first]) => {
            let rows = stub.get_state_by_partial_composite_key(kind, &[first]).await?.collect_remaining().await?;
            let split = rows.iter().map(|row| Ok(stub.split_composite_key(&row.key)?.1));
            json!(split.collect::<Result<Vec<_>, Error>>()?)
        }
        ("query", [query]) => summary(stub.get_query_result(query).await?).await?,
        ("history", [key]) => {
            let mut rows = stub.get_history_for_key(key).await?;
            let mut values = Vec::new();
            while let Some(row) = rows.next().await? {
                values.push(json!([row.is_delete, String::from_utf8_lossy(&row.value)]));
            }
            rows.close().await?;
            json!(values)
        }
        ("putPrivate", [collection, key]) => {
            let value = stub.get_transient().get("value").cloned().unwrap_or_default();
            stub.put_private_data(collection, key, value).await?;
            return done();
        }
        ("getPrivate", [collection, key]) => {
            return Ok(Response::success(stub.get_private_data(collection, key).await?));
        }
        ("hashOfPrivate", [collection, key]) => {
            return Ok(Response::success(stub.get_private_data_hash(collection, key).await?));
        }
        ("delPrivate", [collection, key]) => {
            stub.del_private_data(collection, key).await?;
            return done();
        }
        ("purgePrivate", [collection, key]) => {
            stub.purge_private_data(collection, key).await?;
            return done();
        }
        ("rangeOfPrivate", [collection, start, end]) => {
            summary(stub.get_private_data_by_range(collection, start, end).await?).await?
        }
        ("event", [name, payload]) => {
            stub.set_event("replaced", "")?;
            stub.set_event(name, *payload)?;
            return done();
        }
        ("about", []) => json!({
            "txid": stub.get_tx_id(),
            "channel": stub.get_channel_id(),
            "mspid": stub.get_creator_identity()?.mspid,
            "timestamp": stub.get_tx_timestamp()?.seconds,
            "transient": stub.get_transient().get("value").map(|value| String::from_utf8_lossy(value).into_owned()),
            "signed": stub.get_signed_proposal().is_some_and(|signed| !signed.signature.is_empty()),
        }),
        ("call", [chaincode, channel, rest @ ..]) => {
            let rest = rest.iter().map(|arg| arg.as_bytes().to_vec()).collect();
            let answer = stub.invoke_chaincode(chaincode, rest, channel).await?;
            json!({
                "status": answer.status,
                "message": answer.message,
                "payload": String::from_utf8_lossy(&answer.payload),
            })
        }
        ("fail", [message]) => return Ok(Response::error(*message)),
        ("panic", []) => panic!("as a mistake would"),
        _ => return Ok(Response::error(format!("there is no function {function} of {} parameters", args.len()))),
    };
    Ok(Response::success(answer.to_string()))
}

/// What was found: how many rows, the first and the last key, and a hash of the values.
async fn summary(rows: StateQueryIterator) -> Result<Value, Error> {
    let rows = rows.collect_remaining().await?;
    let mut hash = Sha256::new();
    rows.iter().for_each(|row| hash.update(&row.value));
    let key = |row: Option<&fabric_shim::protos::queryresult::Kv>| row.map(|row| row.key.clone());
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({"n": rows.len(), "first": key(rows.first()), "last": key(rows.last()), "values": hash}))
}

fn number(text: &str) -> Result<usize, Error> {
    text.parse().map_err(|_| Error::InvalidArgument(format!("{text} is no number")))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    Server::from_env()?.start(Everything).await
}
