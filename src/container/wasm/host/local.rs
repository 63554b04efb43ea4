//! What the host answers by itself, without a message: the transaction, blobs, settings and the log.

use tracing::Level;
use wasmtime::component::Resource;

use crate::container::wasm::bindings::selvedge::chaincode::{blobs, config, logging, transaction};
use crate::container::wasm::instance::{Blob, InstanceState};

impl transaction::Host for InstanceState {
    fn channel_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.transaction.channel_id.clone())
    }

    fn txid(&mut self) -> wasmtime::Result<String> {
        Ok(self.transaction.txid.clone())
    }

    fn args(&mut self) -> wasmtime::Result<Vec<Vec<u8>>> {
        Ok(self.transaction.input.args.iter().map(|arg| arg.to_vec()).collect())
    }

    fn arg_sizes(&mut self) -> wasmtime::Result<Vec<u64>> {
        Ok(self.transaction.input.args.iter().map(|arg| arg.len() as u64).collect())
    }

    fn arg(&mut self, index: u32) -> wasmtime::Result<Option<Resource<Blob>>> {
        let arg = self.transaction.input.args.get(index as usize).cloned();
        // The message holds it already.
        Ok(arg.map(|bytes| self.table.push(Blob { bytes, held: 0 })).transpose()?)
    }

    fn transient(&mut self) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let Some(proposal) = self.transaction.proposal() else { return Ok(Vec::new()) };
        Ok(proposal.transient.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect())
    }

    fn decorations(&mut self) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let decorations = &self.transaction.input.decorations;
        Ok(decorations.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect())
    }

    fn creator(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.transaction.proposal().map(|proposal| proposal.creator.to_vec()))
    }

    fn signed_proposal(&mut self) -> wasmtime::Result<Option<transaction::SignedBytes>> {
        Ok(self.transaction.signed_proposal.as_ref().map(|signed| transaction::SignedBytes {
            proposal_bytes: signed.proposal_bytes.to_vec(),
            signature: signed.signature.to_vec(),
        }))
    }

    fn binding(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.transaction.proposal().map(|proposal| proposal.binding().to_vec()))
    }

    fn timestamp(&mut self) -> wasmtime::Result<Option<transaction::Instant>> {
        let timestamp = self.transaction.proposal().and_then(|proposal| proposal.timestamp);
        Ok(timestamp.map(|time| transaction::Instant { seconds: time.seconds, nanos: time.nanos }))
    }
}

impl blobs::Host for InstanceState {}

impl blobs::HostBlob for InstanceState {
    fn size(&mut self, this: Resource<Blob>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&this)?.bytes.len() as u64)
    }

    fn read(&mut self, this: Resource<Blob>, offset: u64, length: u32) -> wasmtime::Result<Vec<u8>> {
        let bytes = &self.table.get(&this)?.bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(length as usize).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn drop(&mut self, this: Resource<Blob>) -> wasmtime::Result<()> {
        let blob = self.table.delete(this)?;
        self.meter.budget().let_go(blob.held as u64);
        Ok(())
    }
}

impl config::Host for InstanceState {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.module.config().get(&key).cloned())
    }
}

impl logging::Host for InstanceState {
    fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            logging::Level::Trace => Level::TRACE,
            logging::Level::Debug => Level::DEBUG,
            logging::Level::Info => Level::INFO,
            logging::Level::Warn => Level::WARN,
            logging::Level::Error => Level::ERROR,
        };
        self.log_lines(level, &message);
        Ok(())
    }
}

impl InstanceState {
    /// Lines into the peer's log, under the chaincode's name. Each stands alone, so that no guest can forge another's.
    pub(in crate::container::wasm) fn log_lines(&self, level: Level, text: &str) {
        let chaincode = &self.module.ccid().name;
        let (budget, limits) = (self.meter.budget(), self.meter.limits());
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let txid = &self.transaction.txid;
            if let Some(line) = self.output.log(chaincode, txid, budget, limits, level, line) {
                self.module.log().push(format!("{level:5} {} {line}", txid.get(..8).unwrap_or(txid)));
            }
        }
    }
}
