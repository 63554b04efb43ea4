//! Requests that are answered at once, by whoever reads the stream: reads and writes of public keys.
//!
//! To hand a request to another thread, and its answer back, wakes several threads one after the other, which takes many
//! times as long as these requests do. Invariant: whoever reads serves other connections too, so it waits for nobody (a
//! simulator that is in use makes the request another's work), and copies and computes little ([`LARGE`]). What it may meet
//! is a slow disk, from which the database reads a row as a whole, however large. Of several threads that serve sockets,
//! that holds up no more than half at a time ([`places`]), and after it no request is answered here for a [`PAUSE`].

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::TryLockError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{DelState, GetState, PutState};
use tokio::sync::Semaphore;

use super::super::RequestError;
use super::super::message::Type;
use super::super::transaction_context::TransactionContext;
use crate::ledger::TxSimulator;

/// Bytes of a request, and of the row that is read; a larger value may take long to check, to copy and to bring into the
/// form in which it is read.
const LARGE: usize = 64 << 10;
/// What is in memory takes a few microseconds. What takes as long as this came from a disk, or the processor is busy.
const SLOW: Duration = Duration::from_micros(500);
/// After a slow one, all requests go the other way for so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether requests are answered at once just now, on one peer.
pub(in super::super) struct AtOnce {
    epoch: Instant,
    /// Microseconds after `epoch`.
    paused_until: AtomicU64,
    /// One for each request that is being answered.
    places: Semaphore,
}

/// Half as many as threads serve sockets, which are as many as there are processors; one where there is no other.
fn places() -> usize {
    (thread::available_parallelism().map_or(1, NonZeroUsize::get) / 2).max(1)
}

impl Default for AtOnce {
    fn default() -> Self {
        Self { epoch: Instant::now(), paused_until: AtomicU64::new(0), places: Semaphore::new(places()) }
    }
}

impl AtOnce {
    /// The answer; none if the request is to go the other way.
    pub(super) fn answer(
        &self,
        kind: Type,
        context: &TransactionContext,
        payload: &Bytes,
    ) -> Option<Result<Bytes, RequestError>> {
        // First, so that what goes the other way takes no place from others.
        let request = Request::decode(kind, payload)?;
        // Who was slow gives its place back after the pause is set: whoever takes that place sees it.
        let _place = self.places.try_acquire().ok()?;
        let began = self.epoch.elapsed();
        if began < Duration::from_micros(self.paused_until.load(Ordering::Relaxed)) {
            return None;
        }
        let mut simulator = match context.params.simulator.as_ref()?.try_lock() {
            Ok(simulator) => simulator,
            // As after any request that failed.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let work = AssertUnwindSafe(|| request.answer(&mut simulator, &context.namespace));
        let answer = catch_unwind(work).unwrap_or(Some(Err(RequestError::Panic)));
        // To find that a row is large may have taken as long.
        self.took(began, self.epoch.elapsed());
        answer
    }

    fn took(&self, began: Duration, ended: Duration) {
        if ended - began >= SLOW {
            let until = u64::try_from((ended + PAUSE).as_micros()).unwrap_or(u64::MAX);
            self.paused_until.store(until, Ordering::Relaxed);
        }
    }
}

/// What may be answered at once.
enum Request {
    Get(GetState),
    Put(PutState),
    Delete(DelState),
}

impl Request {
    /// None for what goes the other way. One that cannot be read gets its error there, and who may use a collection takes long
    /// to say.
    fn decode(kind: Type, payload: &Bytes) -> Option<Self> {
        if payload.len() > LARGE {
            return None;
        }
        let payload = payload.clone();
        match kind {
            Type::GetState => GetState::decode(payload).ok().filter(|get| get.collection.is_empty()).map(Self::Get),
            Type::PutState => PutState::decode(payload).ok().filter(|put| put.collection.is_empty()).map(Self::Put),
            Type::DelState => {
                DelState::decode(payload).ok().filter(|delete| delete.collection.is_empty()).map(Self::Delete)
            }
            _ => None,
        }
    }

    /// None where the row is too large.
    fn answer(self, simulator: &mut TxSimulator, namespace: &str) -> Option<Result<Bytes, RequestError>> {
        let written = match self {
            Self::Get(get) => {
                return simulator.get_small_state(namespace, &get.key, LARGE).map_err(Into::into).transpose();
            }
            Self::Put(put) => simulator.set_state(namespace, &put.key, put.value),
            Self::Delete(delete) => simulator.delete_state(namespace, &delete.key),
        };
        Some(written.map(|()| Bytes::new()).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{CHANNEL, TestPeer, like, outcome};
    use super::*;

    fn get(key: &str) -> Vec<u8> {
        GetState { key: key.to_owned(), collection: String::new() }.encode_to_vec()
    }

    fn put(value: usize) -> Vec<u8> {
        PutState { key: "k".into(), value: vec![b'x'; value].into(), collection: String::new() }.encode_to_vec()
    }

    #[tokio::test]
    async fn small_reads_and_writes_are_done_on_return_and_others_are_work() {
        let peer = TestPeer::new();
        peer.put("cc", [("a".into(), "1".into()), ("large".into(), "x".repeat(LARGE))]);
        let mut cc = peer.chaincode("cc:1.0").await;
        let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
        let tx = cc.next().await;
        let private = GetState { key: "a".into(), collection: "c".into() }.encode_to_vec();
        let delete = DelState { key: "a".into(), collection: String::new() }.encode_to_vec();
        for (kind, payload, at_once) in [
            (Type::GetState, get("a"), true),
            (Type::GetState, get("large"), false),
            (Type::PutState, put(100), true),
            (Type::DelState, delete, true),
            (Type::PutState, put(LARGE), false),
            (Type::GetState, private, false),
            (Type::GetState, vec![0xff; 9], false),
            (Type::GetStateByRange, Vec::new(), false),
        ] {
            // Another test may have taken the processor away.
            peer.support.at_once().paused_until.store(0, Ordering::Relaxed);
            let work = cc.peer.receive(like(&tx, kind, payload)).unwrap();
            assert_eq!(work.is_none(), at_once, "{kind:?}");
            if let Some(work) = work {
                work.await;
            }
            cc.next().await;
        }
        cc.complete(&tx, "");
        outcome(execution).await.unwrap();
    }

    #[tokio::test]
    async fn half_of_those_who_read_are_never_held_up() {
        let peer = TestPeer::new();
        let mut cc = peer.chaincode("cc:1.0").await;
        let execution = peer.execute(peer.params("t1", CHANNEL), "cc");
        let tx = cc.next().await;
        let at_once = peer.support.at_once();
        let ask = || {
            at_once.paused_until.store(0, Ordering::Relaxed);
            cc.peer.receive(like(&tx, Type::GetState, get("a"))).unwrap()
        };

        assert!(places() == 1 || 2 * places() <= thread::available_parallelism().unwrap().get());
        let slow: Vec<_> = std::iter::from_fn(|| at_once.places.try_acquire().ok()).collect();
        assert_eq!(slow.len(), places());
        ask().expect("as many as may wait for the disk").await;
        drop(slow);
        for _ in 0..2 * places() {
            assert!(ask().is_none(), "whoever has an answer gives its place back");
        }
        for _ in 0..=2 * places() {
            assert_eq!(cc.next().await.r#type(), Type::Response);
        }
        cc.complete(&tx, "");
        outcome(execution).await.unwrap();
    }

    #[tokio::test]
    async fn who_reads_waits_for_no_simulator_and_after_a_slow_read_for_no_disk() {
        let peer = TestPeer::new();
        let mut cc = peer.chaincode("cc:1.0").await;
        let params = peer.params("t1", CHANNEL);
        let simulator = params.simulator.clone().unwrap();
        let execution = peer.execute(params, "cc");
        let tx = cc.next().await;
        let ask = || cc.peer.receive(like(&tx, Type::GetState, get("a"))).unwrap();

        let in_use = simulator.lock().unwrap();
        let work = ask().expect("somebody scans");
        drop(in_use);
        work.await;
        // As if it had taken that long, so that no pause of this test's own is longer.
        let at_once = peer.support.at_once();
        at_once.took(Duration::ZERO, Duration::from_secs(3600));
        ask().expect("the disk is slow").await;
        at_once.paused_until.store(0, Ordering::Relaxed);
        assert!(ask().is_none());
        for _ in 0..3 {
            assert_eq!(cc.next().await.r#type(), Type::Response);
        }
        cc.complete(&tx, "");
        outcome(execution).await.unwrap();
    }

    #[test]
    fn a_slow_answer_makes_a_pause_and_a_quick_one_none() {
        let at_once = AtOnce::default();
        let until = || Duration::from_micros(at_once.paused_until.load(Ordering::Relaxed));
        let second = Duration::from_secs(1);
        at_once.took(second, second + SLOW - Duration::from_micros(1));
        assert_eq!(until(), Duration::ZERO);
        at_once.took(second, second + SLOW);
        assert_eq!(until(), second + SLOW + PAUSE);
    }
}
