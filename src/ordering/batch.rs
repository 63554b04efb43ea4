//! Cuts a stream of envelopes into batches (Fabric: `orderer/common/blockcutter`).
//!
//! When the time is up is for the caller to know. Invariant: the order of envelopes never changes, and none is lost or
//! doubled.

use std::time::Duration;

use prost::Message;
use selvedge_proto::common::Envelope;

use crate::channel::OrdererSettings;

/// When a block is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Envelopes in a block.
    pub max_message_count: usize,
    /// Bytes of one envelope; a larger one is refused.
    pub absolute_max_bytes: usize,
    /// Bytes of a block's envelopes; an envelope that is larger alone gets a block of its own.
    pub preferred_max_bytes: usize,
    /// How long an envelope waits for others.
    pub batch_timeout: Duration,
}

impl BatchConfig {
    /// What a channel's configuration says.
    pub fn of(orderer: &OrdererSettings) -> Self {
        let size = |value| usize::try_from(value).unwrap_or(usize::MAX);
        let limits = orderer.batch_size();
        Self {
            max_message_count: size(limits.max_message_count),
            absolute_max_bytes: size(limits.absolute_max_bytes),
            preferred_max_bytes: size(limits.preferred_max_bytes),
            batch_timeout: orderer.batch_timeout(),
        }
    }
}

impl Default for BatchConfig {
    /// The sizes of Fabric's sample `configtx.yaml`. The timeout there is 2 s, which suits many organisations far
    /// apart; in one process it is only a client that waits.
    fn default() -> Self {
        Self {
            max_message_count: 500,
            absolute_max_bytes: 10 << 20,
            preferred_max_bytes: 2 << 20,
            batch_timeout: Duration::from_millis(200),
        }
    }
}

/// The size that the limits count.
pub(super) fn size(envelope: &Envelope) -> usize {
    envelope.payload.len() + envelope.signature.len()
}

/// A batch: marshalled envelopes, as a block's data holds them.
pub(super) type Batch = Vec<bytes::Bytes>;

/// Collects envelopes until there are enough for a block.
#[derive(Debug)]
pub(super) struct BatchCutter {
    config: BatchConfig,
    pending: Batch,
    pending_bytes: usize,
}

impl BatchCutter {
    pub(super) fn new(config: BatchConfig) -> Self {
        Self { config, pending: Vec::new(), pending_bytes: 0 }
    }

    /// Follows another configuration; what is pending stays.
    pub(super) fn configure(&mut self, config: BatchConfig) {
        self.config = config;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds an envelope; returns the batches, at most two, that are full now.
    pub(super) fn add(&mut self, envelope: &Envelope) -> Vec<Batch> {
        let mut batches = Vec::new();
        let size = size(envelope);
        if !self.pending.is_empty() && self.pending_bytes + size > self.config.preferred_max_bytes {
            batches.push(self.cut());
        }
        self.pending.push(envelope.encode_to_vec().into());
        self.pending_bytes += size;
        if self.pending.len() >= self.config.max_message_count || size > self.config.preferred_max_bytes {
            batches.push(self.cut());
        }
        batches
    }

    /// Takes what has come so far.
    pub(super) fn cut(&mut self) -> Batch {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG: BatchConfig = BatchConfig {
        max_message_count: 3,
        absolute_max_bytes: 100,
        preferred_max_bytes: 10,
        batch_timeout: Duration::ZERO,
    };

    fn envelope(id: u8, size: usize) -> Envelope {
        Envelope { payload: vec![id; size].into(), ..Default::default() }
    }

    fn lengths(sizes: &[usize]) -> Vec<usize> {
        let mut cutter = BatchCutter::new(CONFIG);
        sizes.iter().flat_map(|size| cutter.add(&envelope(0, *size))).map(|batch| batch.len()).collect()
    }

    #[test]
    fn a_batch_is_cut_by_count_by_size_and_around_a_large_envelope() {
        assert_eq!(lengths(&[1, 1, 1, 1]), [3]);
        assert_eq!(lengths(&[6, 4]), [0; 0], "exactly the preferred size stays open");
        assert_eq!(lengths(&[6, 5]), [1]);
        assert_eq!(lengths(&[1, 11, 1]), [1, 1], "what waited goes first, the large one alone");
    }

    #[test]
    fn another_configuration_counts_from_the_next_envelope_on() {
        let mut cutter = BatchCutter::new(CONFIG);
        assert!(cutter.add(&envelope(0, 1)).is_empty());
        cutter.configure(BatchConfig { max_message_count: 2, ..CONFIG });
        assert_eq!(cutter.add(&envelope(1, 1)).iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    }

    proptest! {
        #[test]
        fn every_envelope_is_in_one_batch_in_its_order(sizes in proptest::collection::vec(1usize..20, 0..50)) {
            let envelopes: Vec<_> = sizes.iter().enumerate().map(|(id, size)| envelope(id as u8, *size)).collect();
            let mut cutter = BatchCutter::new(CONFIG);
            let mut batches: Vec<_> = envelopes.iter().flat_map(|envelope| cutter.add(envelope)).collect();
            batches.push(cutter.cut());
            prop_assert!(batches.iter().all(|batch| batch.len() <= CONFIG.max_message_count));
            let out: Vec<_> = batches.concat().into_iter().map(|bytes| Envelope::decode(bytes).unwrap()).collect();
            prop_assert_eq!(out, envelopes);
        }
    }
}
