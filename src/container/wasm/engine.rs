//! The wasmtime engine, each setting with its reason, and the thread that drives its epochs.
//!
//! Invariant: what two endorsers could disagree on is switched off or pinned here, feature by feature.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmFeatures};

use super::WasmConfig;

/// How often a running guest gives way to others, and how finely its time is measured.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Core instances of one component: a Rust guest has four (itself, the wasip1 adapter, and two that wire them up).
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
const MEMORIES_PER_COMPONENT: u32 = 2;
const TABLES_PER_COMPONENT: u32 = 6;

/// An engine with its tick thread, which ends when this is dropped.
pub(super) struct WasmEngine {
    engine: Engine,
    ticker: Ticker,
}

impl WasmEngine {
    /// # Errors
    /// wasmtime's, when the machine can't give what the configuration asks for (address space above all).
    pub(super) fn new(config: &WasmConfig) -> wasmtime::Result<Self> {
        // Older kernels cannot report dirty pages; they get the slower pool.
        let engine = Engine::new(&engine_config(config, DirtyPages::Scanned))
            .or_else(|_| Engine::new(&engine_config(config, DirtyPages::Unknown)))?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Self { engine, ticker })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Milliseconds since the engine was made, at its last epoch.
    pub(super) fn ticks(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.ticker.ticks)
    }
}

/// Whether the kernel says which pages a guest wrote (Linux 6.7 and newer: `PAGEMAP_SCAN`).
#[derive(Clone, Copy, PartialEq)]
enum DirtyPages {
    Scanned,
    Unknown,
}

fn engine_config(config: &WasmConfig, dirty_pages: DirtyPages) -> Config {
    let mut engine = Config::new();
    engine.cranelift_opt_level(OptLevel::Speed);
    // Asks for no async machinery inside components: 1.3 us less for each instance.
    engine.concurrency_support(false);
    // A backtrace names functions, which needs neither; a cached module is a third smaller without them.
    engine.generate_address_map(false).native_unwind_info(false);
    engine.epoch_interruption(true);
    engine.consume_fuel(config.limits.fuel.is_some());
    engine.max_wasm_stack(config.limits.stack);
    engine.async_stack_size(config.limits.stack + HOST_STACK);
    // A stack holds nothing of another transaction that a guest could read: wasm locals are always initialised.
    engine.async_stack_zeroing(false);
    determinism(&mut engine);
    engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config, dirty_pages)));
    engine
}

/// Room on a guest's stack for the host functions it calls.
const HOST_STACK: usize = 512 << 10;

fn determinism(engine: &mut Config) {
    engine.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    for (feature, on) in FEATURES {
        engine.wasm_features(feature, on);
    }
}

/// Every feature of WebAssembly that a module might use, on or off: what a node accepts must not change with wasmtime's
/// defaults. Off is what endorsers could disagree on (threads), what compilers do not ask for by themselves, and what is
/// not finished.
const FEATURES: [(WasmFeatures, bool); 27] = [
    (WasmFeatures::BULK_MEMORY, true),
    (WasmFeatures::COMPONENT_MODEL, true),
    (WasmFeatures::EXTENDED_CONST, true),
    (WasmFeatures::FLOATS, true),
    (WasmFeatures::MULTI_VALUE, true),
    (WasmFeatures::MUTABLE_GLOBAL, true),
    (WasmFeatures::REFERENCE_TYPES, true),
    (WasmFeatures::RELAXED_SIMD, true),
    (WasmFeatures::SATURATING_FLOAT_TO_INT, true),
    (WasmFeatures::SIGN_EXTENSION, true),
    (WasmFeatures::SIMD, true),
    (WasmFeatures::TAIL_CALL, true),
    (WasmFeatures::CM_ASYNC, false),
    (WasmFeatures::CM_ERROR_CONTEXT, false),
    (WasmFeatures::CM_GC, false),
    (WasmFeatures::CUSTOM_PAGE_SIZES, false),
    (WasmFeatures::EXCEPTIONS, false),
    (WasmFeatures::FUNCTION_REFERENCES, false),
    (WasmFeatures::GC, false),
    // `externref`; tables of functions are on.
    (WasmFeatures::GC_TYPES, false),
    (WasmFeatures::LEGACY_EXCEPTIONS, false),
    (WasmFeatures::MEMORY64, false),
    (WasmFeatures::MULTI_MEMORY, false),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, false),
    (WasmFeatures::STACK_SWITCHING, false),
    (WasmFeatures::THREADS, false),
    (WasmFeatures::WIDE_ARITHMETIC, false),
];

fn pool(config: &WasmConfig, dirty_pages: DirtyPages) -> PoolingAllocationConfig {
    let slots = config.slots();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * CORE_INSTANCES_PER_COMPONENT)
        .total_memories(slots * MEMORIES_PER_COMPONENT)
        .total_tables(slots * TABLES_PER_COMPONENT)
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memory_size(config.limits.memory)
        .table_elements(config.limits.table_elements);
    // Pages that a guest dirtied are wiped in place instead of being given back to the kernel. Only worth it where the
    // kernel says which pages those are; keep-resident without that is slower than neither.
    if dirty_pages == DirtyPages::Scanned {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(4 << 20).table_keep_resident(1 << 20);
    }
    pool
}

/// Advances the engine's epoch once per [`TICK`].
struct Ticker {
    ticks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let ticks = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("wasm-epoch".into()).spawn({
            let (ticks, stop) = (Arc::clone(&ticks), Arc::clone(&stop));
            move || {
                let started = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    // By the clock: a sleep takes longer than asked, on a busy machine much longer.
                    let now = started.elapsed().as_nanos() / TICK.as_nanos();
                    ticks.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
                    engine.increment_epoch();
                }
            }
        })?;
        Ok(Self { ticks, stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
