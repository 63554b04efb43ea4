//! Cuts the rows of a query into batches (Fabric: `QueryResponseGenerator`, `PendingQueryResult`).
//!
//! Invariant: `has_more` promises at least one more row. So a full batch is only cut when the row after it was fetched, and
//! that row is part of the transaction's read set even if the chaincode never asks for it: every endorser does the same.

use selvedge_proto::protos::QueryResultBytes;

/// The most rows in one answer (Fabric: `MaxResultLimit`).
pub(super) const BATCH: usize = 100;

/// Whether the shim or the chaincode asks for the next rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    /// The shim does, batch by batch.
    Shim,
    /// The chaincode does, a page at a time: one answer, whatever its size.
    Page,
}

/// Where a query stands between two batches.
#[derive(Debug, Default)]
pub(super) struct Progress {
    ahead: Option<QueryResultBytes>,
    returned: u32,
}

/// One answer's worth of rows.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) rows: Vec<QueryResultBytes>,
    pub(super) has_more: bool,
}

impl Progress {
    /// How many rows the query has yielded so far.
    pub(super) fn returned(&self) -> u32 {
        self.returned
    }

    /// The next batch of a query that may yield `limit` rows in all.
    pub(super) fn next_batch<E>(
        &mut self,
        limit: u32,
        batching: Batching,
        mut next: impl FnMut() -> Result<Option<QueryResultBytes>, E>,
    ) -> Result<Batch, E> {
        let mut rows: Vec<_> = self.ahead.take().into_iter().collect();
        // At the limit nothing more is fetched: a fetched row would be in the read set.
        while self.returned < limit {
            let Some(row) = next()? else { break };
            self.returned += 1;
            if batching == Batching::Shim && rows.len() == BATCH {
                self.ahead = Some(row);
                return Ok(Batch { rows, has_more: true });
            }
            rows.push(row);
        }
        Ok(Batch { rows, has_more: false })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The sizes of all batches of a query over `rows` rows, and how many rows were fetched for the first of them.
    fn batches(rows: u32, limit: u32, batching: Batching) -> (Vec<usize>, u32) {
        let mut left = rows;
        let mut progress = Progress::default();
        let (mut sizes, mut fetched_for_first) = (Vec::new(), 0);
        loop {
            let batch = progress.next_batch(limit, batching, || {
                let row = (left > 0).then(QueryResultBytes::default);
                left = left.saturating_sub(1);
                Ok::<_, Infallible>(row)
            });
            let Batch { rows: batch, has_more } = batch.unwrap();
            if sizes.is_empty() {
                fetched_for_first = rows - left;
            }
            sizes.push(batch.len());
            if !has_more {
                return (sizes, fetched_for_first);
            }
        }
    }

    #[test]
    fn a_batch_has_100_rows_and_one_is_fetched_ahead() {
        let all = 10_000;
        for (rows, limit, sizes, fetched) in [
            (0, all, vec![0], 0),
            (49, all, vec![49], 49),
            (50, all, vec![50], 50),
            (51, all, vec![51], 51),
            (99, all, vec![99], 99),
            (100, all, vec![100], 100),
            (101, all, vec![100, 1], 101),
            (200, all, vec![100, 100], 101),
            (250, all, vec![100, 100, 50], 101),
            (250, 100, vec![100], 100),
            (250, 101, vec![100, 1], 101),
            (250, 30, vec![30], 30),
        ] {
            assert_eq!(batches(rows, limit, Batching::Shim), (sizes, fetched), "{rows} rows, limit {limit}");
        }
        assert_eq!(batches(250, 170, Batching::Page), (vec![170], 170));
    }
}
