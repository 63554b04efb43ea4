//! From a configuration to the list of system chaincodes (Fabric 1.4: `scc.CreateSysCCs`, `loadSysCCs`).

use crate::config::{Config, PluginConfig};
use crate::scc::SystemChaincode;

/// The node's own system chaincodes, then the plug-ins, in the order of their deployment. A path is that of the module;
/// where there is none (`+lifecycle`) it is a name to show.
pub fn system_chaincodes(config: &Config) -> Vec<SystemChaincode> {
    let chaincode = &config.chaincode;
    let builtin = SystemChaincode::builtin(&chaincode.system).into_iter().map(|builtin| {
        if !builtin.enabled {
            return builtin;
        }
        let path = chaincode.wasm.system_path.join(format!("{}.wasm", builtin.name));
        SystemChaincode { path, ..builtin }
    });
    let plugins = chaincode.system_plugins.iter().map(|plugin| of_plugin(plugin).whitelist(&chaincode.system));
    builtin.chain(plugins).collect()
}

fn of_plugin(plugin: &PluginConfig) -> SystemChaincode {
    SystemChaincode {
        name: plugin.name.clone(),
        path: plugin.path.clone(),
        enabled: plugin.enabled,
        invokable_external: plugin.invokable_external,
        invokable_cc2cc: plugin.invokable_cc2cc,
        capabilities: plugin.capabilities.clone(),
        config: plugin.config.clone(),
        ..SystemChaincode::default()
    }
}
