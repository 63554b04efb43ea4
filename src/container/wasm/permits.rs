//! Places for root transactions, handed out in turn to the chaincodes that wait.
//!
//! Invariant: a chaincode with a thousand waiting transactions delays another's next one by at most one round, and the
//! task that reads a stream never waits here (transactions do, in tasks of their own).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// A fixed number of places.
#[derive(Clone)]
pub(super) struct Permits(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// One queue for each chaincode that waits; the front is served next and then moves to the back.
    queues: VecDeque<(String, VecDeque<oneshot::Sender<Permit>>)>,
}

/// One place; dropping it hands it on.
pub(super) struct Permit(Option<Permits>);

impl Permits {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: places, queues: VecDeque::new() })))
    }

    /// A place for a transaction of `chaincode`. Dropping the future leaves the queue.
    pub(super) async fn acquire(&self, chaincode: &str) -> Permit {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Permit(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            match state.queues.iter_mut().find(|(name, _)| name == chaincode) {
                Some((_, queue)) => queue.push_back(sender),
                None => state.queues.push_back((chaincode.to_owned(), VecDeque::from([sender]))),
            }
            receiver
        };
        // The sender is dropped unsent only with the last `Permits`, and `self` is one.
        turn.await.unwrap_or(Permit(None))
    }

    fn release(&self) {
        loop {
            let next = {
                let mut state = self.state();
                let Some((name, mut queue)) = state.queues.pop_front() else {
                    state.free += 1;
                    return;
                };
                let next = queue.pop_front();
                if !queue.is_empty() {
                    state.queues.push_back((name, queue));
                }
                next
            };
            let Some(next) = next else { continue };
            match next.send(Permit(Some(self.clone()))) {
                Ok(()) => return,
                // The waiter has given up: the place goes to the next one.
                Err(mut unsent) => unsent.0 = None,
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = self.0.take() {
            permits.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_go_round_among_the_chaincodes_that_wait() {
        let permits = Permits::new(1);
        let held = permits.acquire("busy").await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiters = Vec::new();
        for name in ["busy", "busy", "busy", "quiet"] {
            let (permits, order) = (permits.clone(), Arc::clone(&order));
            waiters.push(tokio::spawn(async move {
                let permit = permits.acquire(name).await;
                order.lock().unwrap().push(name);
                drop(permit);
            }));
            tokio::task::yield_now().await;
        }
        drop(held);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["busy", "quiet", "busy", "busy"]);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_does_not_keep_the_place() {
        let permits = Permits::new(1);
        let held = permits.acquire("a").await;
        let waiter = tokio::spawn({
            let permits = permits.clone();
            async move { permits.acquire("a").await }
        });
        tokio::task::yield_now().await;
        waiter.abort();
        assert!(waiter.await.is_err());
        drop(held);
        drop(permits.acquire("b").await);
        assert_eq!(permits.state().free, 1);
    }
}
