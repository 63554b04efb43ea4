//! Section `chaincode.wasm` of core.yaml, which is ours.

use std::path::PathBuf;
use std::time::Duration;

use super::Environment;
use super::peer::PeerConfig;
use super::units::{ByteSize, display_duration};
use super::values::Values;

/// `chaincode.wasm`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasmConfig {
    /// `chaincode.wasm.systemPath`: the folder with `lscc.wasm`, `cscc.wasm` and `qscc.wasm`.
    pub system_path: PathBuf,
    /// `chaincode.wasm.systemVersion`: the version that system chaincodes carry into endorsements.
    pub system_version: String,
    /// `chaincode.wasm.cachePath`: compiled modules.
    pub cache_path: PathBuf,
    /// `chaincode.wasm.cacheSize`: bytes of all of them together; those loaded count, and stay.
    pub cache_size: ByteSize,
    /// `chaincode.wasm.workers`: threads that run guests.
    pub workers: usize,
    /// `chaincode.wasm.instances`: slots of the pool, nested calls included.
    pub instances: u32,
    /// `chaincode.wasm.initInstances`: further slots for INIT.
    pub init_instances: u32,
    /// `chaincode.wasm.limits`
    pub limits: WasmLimits,
}

/// `chaincode.wasm.limits`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasmLimits {
    /// `memory`: linear memory of one instance.
    pub memory: ByteSize,
    /// `tables`: elements in one table of an instance.
    pub tables: u32,
    /// `stack`: the guest's call stack on the host.
    pub stack: ByteSize,
    /// `time`: how long the guests of one transaction may run, waiting for the host not counted.
    pub time: Duration,
    /// `fuel`: instructions that the guests of one transaction may use, or none where fuel is not metered.
    pub fuel: Option<u64>,
    /// `value`: one value, argument or payload.
    pub value: ByteSize,
    /// `hostCallBytes`: what one call may copy out of a guest.
    pub host_call_bytes: ByteSize,
    /// `hostMemory`: what the node may hold for one transaction.
    pub host_memory: ByteSize,
    /// `logLine`: a longer line is cut.
    pub log_line: ByteSize,
    /// `logLines`: lines that one transaction may log.
    pub log_lines: u32,
    /// `callDepth`: how deep chaincode may call chaincode below the proposal's own.
    pub call_depth: u32,
}

pub(super) fn read(
    values: &mut Values<'_>,
    environment: &Environment,
    peer: &PeerConfig,
    execute_timeout: Duration,
) -> WasmConfig {
    let limits = limits(values, execute_timeout);
    let call_depth = limits.call_depth;
    let instances = values.read("chaincode.wasm.instances", |text| {
        let number: u32 = text.trim().parse().map_err(|_| "is not a whole number; write for instance 256".to_owned())?;
        match number {
            n if n <= call_depth => Err(format!(
                "is too few for one transaction with calls {call_depth} deep (chaincode.wasm.limits.callDepth); write at \
                 least {}",
                call_depth + 1
            )),
            n if n > MAX_INSTANCES => Err(format!("is above {MAX_INSTANCES}; write at most that")),
            n => Ok(n),
        }
    });
    WasmConfig {
        system_path: values.optional_path("chaincode.wasm.systemPath").unwrap_or_else(|| beside(environment)),
        system_version: Some(values.text("chaincode.wasm.systemVersion"))
            .filter(|version| !version.is_empty())
            .unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        cache_path: values
            .optional_path("chaincode.wasm.cachePath")
            .unwrap_or_else(|| peer.file_system_path.join("wasm-cache")),
        cache_size: values.size("chaincode.wasm.cacheSize", ByteSize::bytes(0)..=ByteSize::mib(1 << 20)),
        workers: match values.number("chaincode.wasm.workers", 0..=1024) {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        },
        instances,
        init_instances: values.number("chaincode.wasm.initInstances", 1..=MAX_INSTANCES),
        limits,
    }
}

/// Each instance reserves address space (more than 4 GiB), of which a 64-bit machine gives a process 128 TiB.
const MAX_INSTANCES: u32 = 10_000;

fn limits(values: &mut Values<'_>, execute_timeout: Duration) -> WasmLimits {
    let message = ByteSize::mib(100);
    let limits = WasmLimits {
        // 4 GiB is what 32-bit addresses reach.
        memory: values.size("chaincode.wasm.limits.memory", ByteSize::mib(1)..=ByteSize::mib(4096)),
        tables: values.number("chaincode.wasm.limits.tables", 100..=10_000_000),
        stack: values.size("chaincode.wasm.limits.stack", ByteSize::kib(64)..=ByteSize::mib(64)),
        time: values.duration("chaincode.wasm.limits.time", Duration::from_millis(10)..=Duration::from_secs(3600)),
        fuel: Some(values.number("chaincode.wasm.limits.fuel", 0..=u64::MAX)).filter(|fuel| *fuel > 0),
        value: values.size("chaincode.wasm.limits.value", ByteSize::kib(1)..=message),
        host_call_bytes: values.size("chaincode.wasm.limits.hostCallBytes", ByteSize::kib(64)..=message),
        host_memory: values.size("chaincode.wasm.limits.hostMemory", ByteSize::mib(1)..=ByteSize::mib(65_536)),
        log_line: values.size("chaincode.wasm.limits.logLine", ByteSize::bytes(80)..=ByteSize::mib(1)),
        log_lines: values.number("chaincode.wasm.limits.logLines", 0..=1_000_000),
        call_depth: values.number("chaincode.wasm.limits.callDepth", 0..=64),
    };
    if limits.time > execute_timeout {
        values.warnings.push(format!(
            "chaincode.wasm.limits.time is {}, longer than chaincode.executetimeout ({}), which ends a transaction first",
            display_duration(limits.time),
            display_duration(execute_timeout),
        ));
    }
    limits
}

/// The folder `scc` beside the program.
fn beside(environment: &Environment) -> PathBuf {
    let folder = environment.executable.as_deref().and_then(|path| path.parent());
    folder.unwrap_or(&environment.directory).join("scc")
}
