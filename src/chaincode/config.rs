//! The settings of the chaincode side (Fabric: `chaincode.Config`), already read and checked.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::ChaincodeAdditionalParams;

/// What `core.yaml` says about running chaincode.
#[derive(Clone, Debug)]
pub struct ChaincodeConfig {
    /// How long an Init or Invoke may take, with everything that it calls (`chaincode.executetimeout`).
    pub execute_timeout: Duration,
    /// How long the installation of a package may take, where that is longer (`chaincode.installTimeout`).
    pub install_timeout: Duration,
    /// How long a chaincode may take from the start of its container to its READY (`chaincode.startuptimeout`).
    pub startup_timeout: Duration,
    /// Who starts chaincode (`chaincode.mode`).
    pub mode: ChaincodeMode,
    /// How many rows one query may return in all (`ledger.state.totalQueryLimit`).
    pub total_query_limit: u32,
    /// What READY offers to the chaincode (`chaincode.runtimeParams`); none for a READY without payload, as before 3.0.
    pub runtime_params: Option<RuntimeParams>,
    /// How deep chaincode may call chaincode below the proposal's own (`chaincode.wasm.limits.callDepth`).
    pub call_depth: u32,
    /// What the guests of one transaction may burn together, where fuel is metered (`chaincode.wasm.limits.fuel`).
    pub fuel: Option<u64>,
    /// What a chaincode that is launched learns of this peer.
    pub launch: LaunchSettings,
}

/// What a chaincode that is launched learns of its peer, beside its own name and its certificate.
#[derive(Clone, Debug, Default)]
pub struct LaunchSettings {
    /// `host:port` to register at.
    pub peer_address: String,
    /// `peer.localMspId`
    pub local_msp_id: String,
    /// `chaincode.logging.level`
    pub log_level: String,
    /// `chaincode.logging.shim`
    pub shim_log_level: String,
    /// `chaincode.logging.format`
    pub log_format: String,
}

impl Default for ChaincodeConfig {
    fn default() -> Self {
        Self {
            execute_timeout: Duration::from_secs(30),
            install_timeout: Duration::from_secs(300),
            startup_timeout: Duration::from_secs(300),
            mode: ChaincodeMode::Net,
            total_query_limit: 10_000,
            runtime_params: Some(RuntimeParams::default()),
            call_depth: 8,
            fuel: None,
            launch: LaunchSettings::default(),
        }
    }
}

/// Who starts chaincode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChaincodeMode {
    /// The peer: only a chaincode that is being launched may register.
    #[default]
    Net,
    /// A developer, by hand: any chaincode may register.
    Dev,
}

/// Batching that a 3.x shim may use towards this peer. Older shims ignore the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeParams {
    /// The most records in one WRITE_BATCH_STATE; none to refuse batches.
    pub write_batch: Option<u32>,
    /// The most keys in one GET_STATE_MULTIPLE; none to refuse them.
    pub get_multiple_keys: Option<u32>,
}

impl Default for RuntimeParams {
    /// Fabric 3's values.
    fn default() -> Self {
        Self { write_batch: Some(1000), get_multiple_keys: Some(1000) }
    }
}

impl RuntimeParams {
    /// The payload of READY.
    pub(super) fn encode(self) -> Bytes {
        let params = ChaincodeAdditionalParams {
            use_write_batch: self.write_batch.is_some(),
            max_size_write_batch: self.write_batch.unwrap_or_default(),
            use_get_multiple_keys: self.get_multiple_keys.is_some(),
            max_size_get_multiple_keys: self.get_multiple_keys.unwrap_or_default(),
        };
        params.encode_to_vec().into()
    }
}
