//! What a node gives to wasm chaincode (`chaincode.wasm` in core.yaml), and how a limit reports itself.
//!
//! Every limit is named after its key in core.yaml, so that an error can say which setting to change.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Settings of the wasm VM.
#[derive(Clone, Debug)]
pub struct WasmConfig {
    /// Folder of compiled modules, made when missing; none compiles anew at each start.
    pub cache_path: Option<PathBuf>,
    /// Bytes that compiled modules have there together; those loaded count, and stay (`chaincode.wasm.cacheSize`).
    pub cache_size: u64,
    /// Slots of the instance pool for transactions (`chaincode.wasm.instances`).
    pub instances: u32,
    /// Slots for INIT, beside those for transactions (`chaincode.wasm.initInstances`).
    pub init_instances: u32,
    /// What one transaction may use.
    pub limits: Limits,
}

impl Default for WasmConfig {
    fn default() -> Self {
        Self { cache_path: None, cache_size: 1 << 30, instances: 256, init_instances: 16, limits: Limits::default() }
    }
}

impl WasmConfig {
    /// Root transactions that may run at once. Each may nest `call_depth` executions, and every one of them holds a
    /// slot while it waits for the next: with this many roots no nested execution ever waits for a slot.
    pub fn roots(&self) -> usize {
        usize::try_from(self.instances / (self.limits.call_depth + 1)).unwrap_or(usize::MAX).max(1)
    }

    /// Slots the pool needs so that [`Self::roots`] holds, INIT included.
    pub fn slots(&self) -> u32 {
        self.instances.max(self.limits.call_depth + 1) + self.init_instances
    }
}

/// What one transaction may use; keys under `chaincode.wasm.limits`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of one instance in bytes, all its memories together (`memory`).
    pub memory: usize,
    /// Elements of one table (`tables`).
    pub table_elements: usize,
    /// Stack of the guest in bytes (`stack`).
    pub stack: usize,
    /// Time that the guests of one transaction may run, waiting for the peer not counted (`time`).
    pub time: Duration,
    /// Fuel for one transaction, about one unit for each wasm instruction; none leaves it unmetered (`fuel`).
    pub fuel: Option<u64>,
    /// Length in bytes of one state value, event or response (`value`).
    pub value: usize,
    /// Bytes that a guest may hand over in one call of the host (`hostCallBytes`).
    pub host_call_bytes: usize,
    /// Bytes that the node may hold for one transaction beside its instances: keys it read, keys and values it wrote, rows
    /// of its queries, blocks it asked for (`hostMemory`).
    pub host_memory: u64,
    /// Bytes of one log line; the rest of a longer one is dropped (`logLine`).
    pub log_line: usize,
    /// Log lines of one transaction; later ones are dropped (`logLines`).
    pub log_lines: u32,
    /// How deep executions may nest below the proposal's own (`callDepth`).
    pub call_depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Fabric's own benchmark chaincodes stay below 10 MiB; a std guest starts with about 2.
            memory: 64 << 20,
            table_elements: 20_000,
            stack: 512 << 10,
            time: Duration::from_secs(5),
            fuel: None,
            value: 64 << 20,
            host_call_bytes: 4 << 20,
            // An endorsement of more than 100 MiB cannot be sent; what was read for it may be as much again.
            host_memory: 256 << 20,
            log_line: 8 << 10,
            log_lines: 1_000,
            call_depth: 8,
        }
    }
}

/// A transaction used more than it may. The text names the key to change.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LimitError {
    /// A memory would have grown past its limit.
    #[error("asked for {asked} bytes of memory, the limit is {limit} (chaincode.wasm.limits.memory)")]
    Memory {
        /// Size asked for, in bytes.
        asked: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A table would have grown past its limit.
    #[error("asked for {asked} table elements, the limit is {limit} (chaincode.wasm.limits.tables)")]
    TableElements {
        /// Elements asked for.
        asked: usize,
        /// The limit.
        limit: usize,
    },
    /// The guests of the transaction ran too long.
    #[error("ran for {} ms, the limit is {} ms (chaincode.wasm.limits.time)", .ran.as_millis(), .limit.as_millis())]
    Time {
        /// Time that guests of the transaction ran.
        ran: Duration,
        /// The limit.
        limit: Duration,
    },
    /// The transaction's deadline passed while a guest ran.
    #[error("was still running when the transaction's time was up (chaincode.executetimeout)")]
    Deadline,
    /// The client's transaction ended; nobody waits for the result.
    #[error("was cancelled, as its transaction has ended")]
    Cancelled,
    /// The transaction burnt its fuel.
    #[error("used up its fuel of {limit} (chaincode.wasm.limits.fuel)")]
    Fuel {
        /// The limit.
        limit: u64,
    },
    /// The guest's stack grew past its limit. How much a call takes is the compiler's choice, so another endorser's may
    /// suffice.
    #[error("used up its stack of {limit} bytes (chaincode.wasm.limits.stack)")]
    Stack {
        /// The limit in bytes.
        limit: usize,
    },
    /// One call of the host handed over too much.
    #[error("handed over more than {limit} bytes in one call of the host (chaincode.wasm.limits.hostCallBytes)")]
    HostCall {
        /// The limit in bytes.
        limit: usize,
    },
    /// The node holds too much for the transaction.
    #[error(
        "had the node hold {held} bytes for its transaction, the limit is {limit} (chaincode.wasm.limits.hostMemory)"
    )]
    HostMemory {
        /// What the node would hold.
        held: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A value, event or response is too large.
    #[error("{what} of {size} bytes, the limit is {limit} (chaincode.wasm.limits.value)")]
    Value {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// No place in the pool before the deadline.
    #[error(
        "waited for one of {roots} places until the transaction's time was up \
         (chaincode.wasm.instances {instances}, chaincode.wasm.limits.callDepth {call_depth})"
    )]
    Places {
        /// Root transactions that may run at once.
        roots: usize,
        /// Slots of the pool.
        instances: u32,
        /// Depth of nesting that slots are kept for.
        call_depth: u32,
    },
    /// No place for an INIT before the deadline.
    #[error("waited for one of {places} places for INIT until the time was up (chaincode.wasm.initInstances)")]
    InitPlaces {
        /// INITs that may run at once.
        places: usize,
    },
    /// The machine has no more memory for the instance.
    #[error(
        "got no more memory from this machine: {0}; lower chaincode.wasm.instances or chaincode.wasm.limits.memory"
    )]
    Machine(String),
    /// The pool was empty although a place was granted.
    #[error("found no free slot in the instance pool (chaincode.wasm.instances): {0}")]
    Pool(String),
}

impl LimitError {
    /// Whether another endorser might have got further: such a failure dooms the whole transaction, as a caller that
    /// swallowed it would endorse a write set that others do not.
    pub fn depends_on_this_node(&self) -> bool {
        match self {
            Self::Time { .. }
            | Self::Deadline
            | Self::Cancelled
            | Self::Stack { .. }
            | Self::Places { .. }
            | Self::InitPlaces { .. }
            | Self::Machine(_)
            | Self::Pool(_) => true,
            Self::Memory { .. }
            | Self::TableElements { .. }
            | Self::Fuel { .. }
            | Self::HostCall { .. }
            | Self::HostMemory { .. }
            | Self::Value { .. } => false,
        }
    }
}
