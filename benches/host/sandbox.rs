//! The container alone: its stream ends in a peer that answers from memory, without Handler or ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use selvedge::container::wasm::{Limits, ModuleOwner, ModuleSpec, WasmConfig, WasmVm};
use selvedge::container::{
    Budget, Ccid, ChaincodeStream, EndStream, PeerEnd, Pending, StartContainer, StreamAcceptor, Vm,
};
use selvedge::testing::guest_path;
use selvedge_proto::Message;
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage};

use crate::measure::{Better, Row, TURNS, serial, table};

/// What the peer does with a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    Answered,
    /// Never: the instance stays alive, waiting.
    Pending,
}

/// Accepts the one stream of a bench's container.
pub(crate) struct Peer {
    reads: Reads,
    stream: Mutex<Option<Arc<dyn ChaincodeStream>>>,
}

struct End {
    reads: Reads,
    stream: Arc<dyn ChaincodeStream>,
}

impl StreamAcceptor for Peer {
    fn accept(&self, stream: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd> {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&stream));
        Arc::new(End { reads: self.reads, stream })
    }
}

impl PeerEnd for End {
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
        let (stream, reads) = (Arc::clone(&self.stream), self.reads);
        match message.r#type() {
            Type::Register | Type::Completed | Type::Error => Ok(None),
            kind => Ok(Some(Box::pin(async move {
                if reads == Reads::Pending {
                    std::future::pending::<()>().await;
                }
                let payload = if kind == Type::GetState { Bytes::from(vec![b'x'; 100]) } else { Bytes::new() };
                let answer = ChaincodeMessage { r#type: Type::Response.into(), payload, ..message };
                let _ = stream.send(answer);
            }))),
        }
    }

    fn closed(&self) {}
}

/// A container of one guest.
pub(crate) struct Container {
    peer: Arc<Peer>,
    _vm: Arc<WasmVm>,
}

impl Container {
    pub(crate) async fn start(guest: &str, limits: Limits, reads: Reads) -> anyhow::Result<Self> {
        let config = WasmConfig { limits, ..WasmConfig::default() };
        let vm = Arc::new(WasmVm::new(&config, Vec::new(), tokio::runtime::Handle::current())?);
        let peer = Arc::new(Peer { reads, stream: Mutex::default() });
        vm.set_acceptor(peer.clone());
        let ccid = Ccid::new(guest, "1");
        vm.register(vm.load(spec(&ccid, guest)?)?)?;
        vm.start(&ccid, StartContainer::default()).await?;
        Ok(Self { peer, _vm: vm })
    }

    /// The work of one transaction.
    pub(crate) fn transaction(&self, number: u64, args: &[&'static str]) -> Pending {
        let input = ChaincodeInput { args: args.iter().map(|arg| (*arg).into()).collect(), ..Default::default() };
        let message = ChaincodeMessage {
            r#type: Type::Transaction.into(),
            payload: input.encode_to_vec().into(),
            txid: format!("{number:064x}"),
            channel_id: "mychannel".into(),
            ..Default::default()
        };
        let stream = self.peer.stream.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let budget = Budget::root(Instant::now() + Duration::from_secs(30), None);
        let work = stream.expect("the container is started").execute(message, budget);
        work.expect("the container runs").expect("the chaincode is in this process")
    }
}

pub(crate) fn spec(ccid: &Ccid, guest: &str) -> anyhow::Result<ModuleSpec> {
    Ok(ModuleSpec {
        ccid: ccid.clone(),
        path: guest_path(guest)?,
        capabilities: BTreeSet::new(),
        config: BTreeMap::new(),
        owner: ModuleOwner::Node,
    })
}

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
    let task = async {
        let asset = Container::start("asset", Limits::default(), Reads::Answered).await?;
        let limits = Limits { time: Duration::from_millis(20), ..Limits::default() };
        let mischief = Container::start("mischief", limits, Reads::Answered).await?;
        let mut rows = [
            Row::new("empty transaction").must(10.0),
            Row::new("10 get + 10 put, answered from memory"),
            Row::new("a panic"),
        ];
        let mut past = [Row::new("past its 20 ms").must(5000.0)];
        for turn in 0..TURNS as u64 {
            rows[0].add(serial(|| asset.transaction(turn, &["empty"])).await);
            rows[1].add(serial(|| asset.transaction(turn, &["ops", "10"])).await);
            rows[2].add(serial(|| mischief.transaction(turn, &["panic"])).await);
            let started = Instant::now();
            mischief.transaction(turn, &["loop"]).await;
            past[0].add((started.elapsed().as_secs_f64() - 0.02) * 1e6);
        }
        table("The container alone, a fresh instance each", "us", Better::Less, &rows);
        table("An endless loop is stopped", "us", Better::Less, &past);
        anyhow::Ok(())
    };
    runtime.block_on(async { tokio::spawn(task).await? })
}
