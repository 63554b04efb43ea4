use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::{ChaincodeDeploymentSpec, ChaincodeId, ChaincodeSpec};

use super::*;
use crate::container::VmType;
use crate::ledger::testing::TestChannel;
use crate::scc::{Registry, SystemChaincode};
use crate::testing::Golden;

/// A channel, and the packages of a peer that is in it.
struct Setting {
    channel: TestChannel,
    folder: tempfile::TempDir,
    lifecycle: Lifecycle,
}

impl Setting {
    fn new(mode: ChaincodeMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(PackageStore::open(folder.path()).unwrap());
        for package in ["packages/kv-1.cds", "packages/signedcc-7.scds"] {
            store.put(&Golden::V1_4.read(package).unwrap()).unwrap();
        }
        let whitelist = BTreeMap::from([("qscc".to_owned(), "enable".to_owned())]);
        let registry = Registry::new(SystemChaincode::builtin(&whitelist), "1.4.12");
        Self { channel: TestChannel::new(), folder, lifecycle: Lifecycle::new(Arc::new(registry), store, mode) }
    }

    /// What lscc would write for a package of the store.
    fn definition(&self, name: &str, version: &str) -> ChaincodeData {
        let package = self.lifecycle.packages.get(name, version).unwrap();
        ChaincodeData {
            name: name.into(),
            version: version.into(),
            data: package.fingerprint().data,
            instantiation_policy: package.instantiation_policy().cloned().unwrap_or_default(),
            ..ChaincodeData::default()
        }
    }

    fn commit(&mut self, key: &str, entry: impl Into<Bytes>) {
        let mut simulator = self.channel.ledger.new_tx_simulator("define").unwrap();
        simulator.set_state("lscc", key, entry.into()).unwrap();
        let results = simulator.results().unwrap().public;
        drop(simulator);
        self.channel.commit_results(&[results]);
    }

    fn simulator(&self) -> SharedSimulator {
        Arc::new(Mutex::new(self.channel.ledger.new_tx_simulator("tx").unwrap()))
    }

    async fn info(&self, name: &str) -> Result<(String, VmType), String> {
        let info = self.lifecycle.container_info(name, Some(&self.simulator())).await;
        info.map(|info| (info.ccid.to_string(), info.vm)).map_err(|error| error.to_string())
    }

    async fn policy(&self, definition: &ChaincodeData) -> Result<(), String> {
        let checked = self.lifecycle.check_instantiation_policy(&definition.name, definition).await;
        checked.map_err(|error| error.to_string())
    }
}

/// A package without code.
fn package(name: &str, version: &str, kind: i32) -> Bytes {
    let id = ChaincodeId { name: name.into(), version: version.into(), ..ChaincodeId::default() };
    let spec = ChaincodeSpec { r#type: kind, chaincode_id: Some(id), ..ChaincodeSpec::default() };
    let package = ChaincodeDeploymentSpec { chaincode_spec: Some(spec), ..ChaincodeDeploymentSpec::default() };
    package.encode_to_vec().into()
}

#[tokio::test]
async fn what_is_launched_is_the_package_that_the_channel_agreed_on() {
    let mut setting = Setting::new(ChaincodeMode::Net);
    let kv = setting.definition("kv", "1");
    let signed = setting.definition("signedcc", "7");
    setting.commit("kv", kv.encode_to_vec());
    setting.commit("signedcc", signed.encode_to_vec());
    assert_eq!(setting.info("kv").await, Ok(("kv:1".into(), VmType::Docker)));
    assert_eq!(setting.info("signedcc").await, Ok(("signedcc:7".into(), VmType::Docker)));
    assert_eq!(setting.info("qscc").await, Ok(("qscc:1.4.12".into(), VmType::System)));

    setting.commit("kv", ChaincodeData { data: signed.data.clone(), ..kv.clone() }.encode_to_vec());
    let changed = "could not get chaincode code: chaincode fingerprint mismatch: data mismatch";
    assert_eq!(setting.info("kv").await, Err(changed.into()));
    setting.commit("kv", ChaincodeData { name: "vk".into(), ..kv.clone() }.encode_to_vec());
    assert_eq!(setting.info("kv").await, Err("could not get chaincode code: chaincode name mismatch: kv!=vk".into()));
    setting.commit("kv", "\x0a\x05k");
    assert_eq!(setting.info("kv").await, Err("could not get chaincode code: error while marshalling: kv".into()));
    setting.commit("kv", ChaincodeData { version: "2".into(), ..kv.clone() }.encode_to_vec());
    let file = |name: &str| setting.folder.path().join(name).display().to_string();
    let missing = format!("open {}: no such file or directory", file("kv.2"));
    let expected = format!("could not get chaincode code: invalid deployment spec: {missing}");
    assert_eq!(setting.info("kv").await, Err(expected));
    fs::copy(file("kv.1"), file("kv.2")).unwrap();
    let renamed = setting.info("kv").await.unwrap_err();
    assert!(renamed.contains(r#"mismatch: invalid chaincode data name:"kv" version:"2"  (name:"kv" version:"1" )"#));

    assert_eq!(setting.info("none").await, Err("chaincode none not found".into()));
    assert_eq!(setting.info("").await, Err("chaincode  not found".into()));
    assert!(setting.info("lscc").await.unwrap_err().starts_with("chaincode lscc not found: it is a system chaincode"));
    let outside = setting.lifecycle.container_info("kv", None).await.unwrap_err().to_string();
    assert_eq!(outside, "could not get container info for chaincode kv without a ledger context\n");
}

#[tokio::test]
async fn the_platform_of_the_package_says_where_it_runs() {
    let mut setting = Setting::new(ChaincodeMode::Net);
    for (name, kind, expected) in [
        ("wasm", Type::Wasm, Ok(VmType::System)),
        ("service", Type::Ccaas, Ok(VmType::Server)),
        ("rust", Type::Rust, Ok(VmType::Docker)),
        ("car", Type::Car, Err("could not get chaincode code: Unknown chaincodeType: CAR".to_owned())),
    ] {
        setting.lifecycle.packages.put(&package(name, "1", kind as i32)).unwrap();
        let definition = setting.definition(name, "1");
        setting.commit(name, definition.encode_to_vec());
        assert_eq!(setting.info(name).await.map(|(_, vm)| vm), expected, "{name}");
        let installed = setting.lifecycle.installed(&Ccid::new(name, "1")).await;
        assert_eq!(installed.map(|info| info.vm).is_ok(), expected.is_ok(), "{name}");
    }
    let missing = setting.lifecycle.installed(&Ccid::new("wasm", "2")).await.unwrap_err();
    assert!(missing.ends_with("wasm.2: no such file or directory"), "{missing}");
}

#[tokio::test]
async fn a_definition_is_read_in_the_transaction() {
    let mut setting = Setting::new(ChaincodeMode::Net);
    let kv = setting.definition("kv", "1");
    setting.commit("kv", kv.encode_to_vec());
    setting.commit("broken", "\x0a\x05k");
    let simulator = setting.simulator();
    let definition = async |name| {
        let read = setting.lifecycle.definition(name, Some(&simulator)).await;
        read.map(|definition| definition.version).map_err(|error| error.to_string())
    };
    assert_eq!(definition("kv").await.unwrap(), "1");
    assert_eq!(definition("none").await.unwrap_err(), "chaincode none not found");
    assert_eq!(definition("broken").await.unwrap_err(), "chaincode broken has bad definition: unexpected EOF");
    let outside = setting.lifecycle.definition("kv", None).await.unwrap_err().to_string();
    assert_eq!(outside, "could not get definition for chaincode kv without a ledger context\n");
    let public = simulator.lock().unwrap().results().unwrap().public;
    let reads = selvedge_proto::rwset::TxReadWriteSet::decode(public).unwrap();
    assert_eq!(reads.ns_rwset[0].namespace, "lscc", "the reads are the transaction's");
}

#[tokio::test]
async fn the_policy_of_a_signed_package_is_that_of_the_definition_and_no_call_reads_the_package_again() {
    let setting = Setting::new(ChaincodeMode::Net);
    let (kv, signed) = (setting.definition("kv", "1"), setting.definition("signedcc", "7"));
    let other = ChaincodeData { instantiation_policy: "other".into(), ..signed.clone() };
    for _ in 0..2 {
        assert_eq!(setting.policy(&signed).await, Ok(()));
        assert_eq!(setting.policy(&other).await, Err("Instantiation policy mismatch for cc signedcc/7".into()));
        let any = ChaincodeData { instantiation_policy: "any".into(), ..kv.clone() };
        assert_eq!(setting.policy(&any).await, Ok(()), "a plain package has none");
        for file in ["kv.1", "signedcc.7"] {
            let _ = fs::remove_file(setting.folder.path().join(file));
        }
    }
}

#[tokio::test]
async fn a_package_that_is_missing_is_looked_for_again() {
    let setting = Setting::new(ChaincodeMode::Net);
    let definition = ChaincodeData { version: "2".into(), ..setting.definition("kv", "1") };
    let path = setting.folder.path().join("kv.2");
    let missing = format!(
        "cannot retrieve package for chaincode kv/2, error open {}: no such file or directory",
        Path::display(&path)
    );
    assert_eq!(setting.policy(&definition).await, Err(missing));
    setting.lifecycle.packages.put(&package("kv", "2", Type::Golang as i32)).unwrap();
    assert_eq!(setting.policy(&definition).await, Ok(()));
}

#[tokio::test]
async fn whoever_starts_chaincode_by_hand_need_not_install_it() {
    let setting = Setting::new(ChaincodeMode::Dev);
    let signed = setting.definition("signedcc", "7");
    assert_eq!(setting.policy(&ChaincodeData { version: "8".into(), ..signed.clone() }).await, Ok(()));
    let other = ChaincodeData { instantiation_policy: "other".into(), ..signed };
    assert!(setting.policy(&other).await.is_err(), "what he installed counts");
}
