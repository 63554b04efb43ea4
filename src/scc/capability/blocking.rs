//! What capabilities do that reads large files or uses the processor for long: the threads that run guests must not wait
//! for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Places for such work.
#[derive(Clone)]
pub(super) struct Blocking(Arc<Semaphore>);

impl Blocking {
    /// So much at a time.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// Does the work on a thread that may block; none if it panicked. Who no longer waits for the answer still holds a place
    /// until it is there.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = Arc::clone(&self.0).acquire_owned().await;
        let working = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        working.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_place_and_a_panic_gives_it_back() {
        let blocking = Blocking::new(1);
        let (go, held) = mpsc::channel::<()>();
        let abandoned = blocking.run(move || held.recv());
        tokio::time::timeout(Duration::from_millis(20), abandoned).await.unwrap_err();
        tokio::time::timeout(Duration::from_millis(20), blocking.run(|| ())).await.unwrap_err();
        go.send(()).unwrap();
        assert_eq!(blocking.run(|| panic!("the work fails")).await, None::<()>);
        assert_eq!(blocking.run(|| 1).await, Some(1));
    }
}
