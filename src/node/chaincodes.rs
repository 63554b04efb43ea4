//! The modules of a node's system chaincodes, and the settings of what runs chaincode.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Semaphore;

use crate::chaincode::{ChaincodeConfig, ChaincodeMode, LaunchSettings, RuntimeParams, SystemChaincodes};
use crate::config::{self, Config};
use crate::container::server::{Redial, ServerConfig};
use crate::container::wasm::{Limits, ModuleOwner, ModuleSpec, WasmConfig, WasmVm};
use crate::scc::Registry;

/// Loads the modules of all chaincodes that run, and registers them with the VM.
pub(super) async fn load(registry: &Arc<Registry>, vm: &Arc<WasmVm>) -> anyhow::Result<()> {
    let (registry, vm) = (Arc::clone(registry), Arc::clone(vm));
    tokio::task::spawn_blocking(move || {
        for chaincode in registry.chaincodes().iter().filter(|chaincode| chaincode.runs()) {
            let module = vm.load(ModuleSpec {
                ccid: registry.ccid(chaincode),
                path: chaincode.path.clone(),
                capabilities: chaincode.capabilities.iter().cloned().collect::<BTreeSet<_>>(),
                config: chaincode.config.clone(),
                owner: ModuleOwner::Node,
            });
            let module = module.with_context(|| match chaincode.is_builtin() {
                true => format!(
                    "system chaincode {name} cannot be loaded (its module is looked for in chaincode.wasm.systemPath, the \
                     folder `scc` beside the program where that is empty; `{name}: disable` under chaincode.system does \
                     without)",
                    name = chaincode.name
                ),
                false => {
                    format!("system chaincode {} cannot be loaded (see its entry in chaincode.systemPlugins)", chaincode.name)
                }
            })?;
            tracing::info!(
                "system chaincode {}({}) version {} digest {} registered",
                chaincode.name,
                chaincode.path.display(),
                registry.version(),
                hex::encode(module.digest())
            );
            vm.register(module)?;
        }
        Ok(())
    })
    .await?
}

/// The settings of the wasm VM.
pub(crate) fn wasm_config(config: &Config) -> WasmConfig {
    let wasm = &config.chaincode.wasm;
    let limits = &wasm.limits;
    WasmConfig {
        cache_path: Some(wasm.cache_path.clone()),
        cache_size: wasm.cache_size.as_u64(),
        instances: wasm.instances,
        init_instances: wasm.init_instances,
        limits: Limits {
            memory: limits.memory.as_usize(),
            table_elements: usize::try_from(limits.tables).unwrap_or(usize::MAX),
            stack: limits.stack.as_usize(),
            time: limits.time,
            fuel: limits.fuel,
            value: limits.value.as_usize(),
            host_call_bytes: limits.host_call_bytes.as_usize(),
            host_memory: limits.host_memory.as_u64(),
            log_line: limits.log_line.as_usize(),
            log_lines: limits.log_lines,
            call_depth: limits.call_depth,
        },
    }
}

/// The settings of the VM of services.
pub(super) fn server_config(config: &Config) -> ServerConfig {
    let ccaas = &config.chaincode.ccaas;
    ServerConfig {
        values: ccaas.values.clone(),
        redial: Redial { min_delay: ccaas.min_delay, max_delay: ccaas.max_delay, give_up_after: ccaas.give_up_after },
    }
}

/// The settings of the chaincode side of a peer where chaincode registers at `peer_address`.
pub(super) fn support_config(config: &Config, peer_address: String) -> ChaincodeConfig {
    let chaincode = &config.chaincode;
    let params = chaincode.runtime_params;
    ChaincodeConfig {
        execute_timeout: chaincode.execute_timeout,
        install_timeout: chaincode.install_timeout,
        startup_timeout: chaincode.startup_timeout,
        mode: match chaincode.mode {
            config::ChaincodeMode::Net => ChaincodeMode::Net,
            config::ChaincodeMode::Dev => ChaincodeMode::Dev,
        },
        total_query_limit: config.ledger.total_query_limit,
        runtime_params: Some(RuntimeParams {
            write_batch: params.use_write_batch.then_some(params.max_size_write_batch),
            get_multiple_keys: params.use_get_multiple_keys.then_some(params.max_size_get_multiple_keys),
        }),
        call_depth: chaincode.wasm.limits.call_depth,
        fuel: chaincode.wasm.limits.fuel,
        launch: LaunchSettings {
            peer_address,
            local_msp_id: config.peer.local_msp_id.clone(),
            log_level: chaincode.logging.level.clone(),
            shim_log_level: chaincode.logging.shim.clone(),
            log_format: chaincode.logging.format.clone(),
        },
    }
}

/// Requests to a service at once, of which 0 are no limit.
pub(super) fn slots(concurrency: usize) -> usize {
    match concurrency {
        0 => Semaphore::MAX_PERMITS,
        slots => slots.min(Semaphore::MAX_PERMITS),
    }
}
