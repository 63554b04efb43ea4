//! 64 transactions at a time over one stream of a native chaincode, of which some fail and some panic: each gets its own
//! answers, and is answered once.
#![cfg(feature = "native")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::chaincode_support_server::{ChaincodeSupport, ChaincodeSupportServer};
use selvedge_proto::protos::{ChaincodeMessage, GetState, PutState, Response};
use selvedge_sdk::native::{self, Environment};
use selvedge_sdk::{Chaincode, Stub};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::Server;
use tonic::{Request, Status, Streaming};

const CHANNELS: [&str; 2] = ["red", "blue"];
const ON_EACH: usize = 32;

/// Reads a key, and ends as its value says.
struct Moody;

impl Chaincode for Moody {
    fn invoke(&self, stub: &Stub) -> selvedge_sdk::Response {
        let own = format!("{}/{}", stub.channel_id(), stub.txid());
        let end = || -> Result<String, selvedge_sdk::Error> {
            let value = stub.get_state(&own)?.unwrap_or_default();
            let value = String::from_utf8_lossy(&value).into_owned();
            stub.set_event(&own, &value)?;
            match value.split(' ').next() {
                Some("fail") => Err(value.into()),
                Some("panic") => panic!("{value}"),
                _ => stub.put_state(&own, &value).map(|()| value),
            }
        };
        end().into()
    }
}

/// A peer that hands its one stream to the test.
struct Peer(mpsc::UnboundedSender<Stream>);

struct Stream {
    from: Streaming<ChaincodeMessage>,
    to: mpsc::UnboundedSender<Result<ChaincodeMessage, Status>>,
}

#[tonic::async_trait]
impl ChaincodeSupport for Peer {
    type RegisterStream = UnboundedReceiverStream<Result<ChaincodeMessage, Status>>;

    async fn register(
        &self,
        request: Request<Streaming<ChaincodeMessage>>,
    ) -> Result<tonic::Response<Self::RegisterStream>, Status> {
        let (to, messages) = mpsc::unbounded_channel();
        let _ = self.0.send(Stream { from: request.into_inner(), to });
        Ok(tonic::Response::new(UnboundedReceiverStream::new(messages)))
    }
}

impl Stream {
    async fn next(&mut self) -> Result<ChaincodeMessage, Box<dyn Error>> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.from.message()).await??;
        next.ok_or_else(|| "the chaincode ended the stream".into())
    }

    fn send(&self, kind: Type, of: &Id, payload: impl Into<Bytes>) -> Result<(), Box<dyn Error>> {
        let (channel_id, txid) = of.clone();
        let payload = payload.into();
        Ok(self.to.send(Ok(ChaincodeMessage {
            r#type: kind.into(),
            payload,
            txid,
            channel_id,
            ..Default::default()
        }))?)
    }
}

/// Channel and transaction id. Each id is used on both channels.
type Id = (String, String);

fn id(message: &ChaincodeMessage) -> Id {
    (message.channel_id.clone(), message.txid.clone())
}

fn own(id: &Id) -> String {
    format!("{}/{}", id.0, id.1)
}

/// What the state holds for a transaction.
fn value(number: usize, id: &Id) -> String {
    let mood = ["write", "fail", "panic"][number % 3];
    format!("{mood} of {}", own(id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_mixes() -> Result<(), Box<dyn Error>> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?.to_string();
    let (sender, mut streams) = mpsc::unbounded_channel();
    let server = Server::builder().add_service(ChaincodeSupportServer::new(Peer(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(socket)));
    let environment = Environment {
        arguments: vec!["--peer.address".into(), address],
        variables: BTreeMap::from([
            ("CORE_CHAINCODE_ID_NAME".into(), "moody:1.0".into()),
            ("CORE_CHAINCODE_LOGGING_SHIM".into(), "critical".into()),
        ]),
    };
    let chaincode = std::thread::spawn(move || native::run(|| Moody, &environment));
    let mut stream = streams.recv().await.ok_or("nobody registered")?;
    assert_eq!(stream.next().await?.r#type(), Type::Register);
    let nobody = Id::default();
    stream.send(Type::Registered, &nobody, "")?;
    stream.send(Type::Ready, &nobody, "")?;

    let ids = CHANNELS
        .iter()
        .flat_map(|channel| (0..ON_EACH).map(|number| ((*channel).to_owned(), format!("{number:064x}"))));
    let values: BTreeMap<Id, String> = ids.enumerate().map(|(number, id)| (id.clone(), value(number, &id))).collect();
    for id in values.keys() {
        stream.send(Type::Transaction, id, "")?;
    }
    // All have asked before the first is answered.
    let mut waiting = Vec::new();
    for _ in 0..values.len() {
        let request = stream.next().await?;
        assert_eq!(request.r#type(), Type::GetState);
        let id = id(&request);
        assert_eq!(GetState::decode(request.payload)?.key, own(&id));
        waiting.push(id);
    }
    for id in waiting.iter().rev() {
        stream.send(Type::Response, id, values[id].clone())?;
    }
    let mut ended = BTreeMap::new();
    while ended.len() < values.len() {
        let message = stream.next().await?;
        let id = id(&message);
        let expected = &values[&id];
        if message.r#type() == Type::PutState {
            let put = PutState::decode(message.payload)?;
            assert_eq!((put.key, put.value), (own(&id), Bytes::from(expected.clone())));
            stream.send(Type::Response, &id, "")?;
            continue;
        }
        let mood = expected.split(' ').next().unwrap_or_default();
        match message.r#type() {
            Type::Completed => {
                let event = message.chaincode_event.clone().ok_or("an event")?;
                assert_eq!((event.event_name, event.payload), (own(&id), Bytes::from(expected.clone())));
                let response = Response::decode(message.payload)?;
                let (status, text) = match mood {
                    "write" => (200, response.payload),
                    _ => (500, Bytes::from(response.message)),
                };
                assert_eq!((response.status, text), (status, Bytes::from(expected.clone())), "{mood}");
            }
            Type::Error => {
                let text = String::from_utf8(message.payload.into())?;
                assert!(mood == "panic" && text.starts_with("chaincode moody:1.0 trapped: panicked at "), "{text}");
                assert!(text.ends_with(expected), "{text}");
            }
            other => panic!("{other:?}"),
        }
        assert!(ended.insert(id, ()).is_none(), "answered twice");
    }

    drop(stream);
    let end = chaincode.join().map_err(|_| "the chaincode's thread panicked")?;
    assert_eq!(end.expect_err("its peer has gone").to_string(), "received EOF, ending chaincode stream");
    Ok(())
}
