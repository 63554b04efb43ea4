//! How long to wait before a lost connection is dialled again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::Redial;

/// The pauses between the tries.
#[derive(Debug)]
pub(super) struct Backoff {
    redial: Redial,
    tries: u32,
}

impl Backoff {
    pub(super) fn new(redial: Redial) -> Self {
        Self { redial, tries: 0 }
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let grown = self.redial.min_delay.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX));
        self.tries = self.tries.saturating_add(1);
        let longest = grown.min(self.redial.max_delay);
        longest.mul_f64(0.5 + random() / 2.0)
    }

    /// The connection stood for this long. One that lasted was good.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time >= self.redial.max_delay {
            self.tries = 0;
        }
    }
}

/// Between 0 and 1, another one each time. Each `RandomState` has keys of its own.
fn random() -> f64 {
    f64::from((RandomState::new().build_hasher().finish() >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_good_connection() {
        let seconds = Duration::from_secs;
        let redial = Redial { min_delay: seconds(1), max_delay: seconds(20), give_up_after: seconds(60) };
        let mut backoff = Backoff::new(redial);
        for longest in [1, 2, 4, 8, 16, 20, 20] {
            let pause = backoff.next();
            assert!(pause >= seconds(longest) / 2 && pause <= seconds(longest), "{pause:?} of {longest}");
        }
        for _ in 0..100 {
            let _ = backoff.next();
        }
        assert!(backoff.next() >= seconds(10), "no overflow");
        backoff.lasted(seconds(19));
        assert!(backoff.next() >= seconds(10));
        backoff.lasted(seconds(20));
        assert!(backoff.next() <= seconds(1));
        let pauses: Vec<_> = (0..8).map(|_| Backoff::new(redial).next()).collect();
        assert!(pauses.iter().any(|pause| pause != &pauses[0]), "{pauses:?}");
    }
}
