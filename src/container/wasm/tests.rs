use std::time::Duration;

use selvedge_proto::Message;
use selvedge_proto::protos::{ChaincodeId, ChaincodeMessage};

use super::*;
use crate::container::{EndStream, PeerEnd, Pending, VmController, VmType};
use crate::platforms::{Platform, WASM_MODULE};
use crate::testing::{SmallGuest, targz};

/// The names that were registered.
#[derive(Clone, Default)]
struct Registered(Arc<Mutex<Vec<String>>>);

impl StreamAcceptor for Registered {
    fn accept(&self, _: Arc<dyn ChaincodeStream>) -> Arc<dyn PeerEnd> {
        Arc::new(self.clone())
    }
}

impl PeerEnd for Registered {
    fn receive(&self, message: ChaincodeMessage) -> Result<Option<Pending>, EndStream> {
        lock(&self.0).push(ChaincodeId::decode(message.payload).unwrap().name);
        Ok(None)
    }

    fn closed(&self) {
        lock(&self.0).push("closed".into());
    }
}

impl Registered {
    async fn wait_for(&self, expected: &[&str]) {
        for _ in 0..1000 {
            if *lock(&self.0) == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}, not {expected:?}", lock(&self.0));
    }
}

/// A capability that exists here.
struct Known(&'static str);

impl Capability for Known {
    fn name(&self) -> &str {
        self.0
    }

    fn link(&self, _: &mut wasmtime::component::Linker<InstanceState>) -> wasmtime::Result<()> {
        Ok(())
    }
}

struct Setting {
    vm: Arc<WasmVm>,
    controller: VmController,
    registered: Registered,
}

impl Setting {
    fn new() -> Self {
        let config = WasmConfig { instances: 9, init_instances: 1, ..WasmConfig::default() };
        let capabilities = ["messages", "ledger"].map(|name| Arc::new(Known(name)) as Arc<dyn Capability>).into();
        let vm = Arc::new(WasmVm::new(&config, capabilities, Handle::current()).unwrap());
        let registered = Registered::default();
        vm.set_acceptor(Arc::new(registered.clone()));
        let controller = VmController::new([(VmType::System, Arc::clone(&vm) as Arc<dyn Vm>)]);
        Self { vm, controller, registered }
    }

    async fn start(&self, ccid: &Ccid, module: &[u8]) -> Result<(), String> {
        let bytes = targz(&[(WASM_MODULE, module)]).unwrap().into();
        let code = Some(CodePackage { platform: Platform::Wasm, path: String::new(), bytes });
        let request = StartContainer { code, ..StartContainer::default() };
        self.controller.start(VmType::System, ccid, request).await.map_err(|error| error.to_string())
    }

    async fn stop(&self, ccid: &Ccid) -> Result<(), String> {
        let stopped = self.controller.stop(VmType::System, ccid, StopContainer::default()).await;
        stopped.map_err(|error| error.to_string())
    }
}

fn module() -> Vec<u8> {
    SmallGuest::new("(func $run)").module().unwrap()
}

#[tokio::test]
async fn a_chaincode_of_users_comes_with_its_code_and_leaves_nothing() {
    let setting = Setting::new();
    // Names and versions may have hyphens: these are two chaincodes.
    let (one, other) = (Ccid::new("a-b", "1"), Ccid::new("a", "b-1"));
    setting.start(&one, &module()).await.unwrap();
    setting.registered.wait_for(&["a-b:1"]).await;
    setting.start(&other, &module()).await.unwrap();
    setting.registered.wait_for(&["a-b:1", "a:b-1"]).await;
    let again = setting.start(&one, &module()).await.unwrap_err();
    assert_eq!(again, "error starting container: chaincode running a-b-1");

    let module = Arc::downgrade(lock(&setting.vm.containers)[&one].module());
    assert!(module.upgrade().is_some());
    setting.stop(&one).await.unwrap();
    setting.registered.wait_for(&["a-b:1", "a:b-1", "closed"]).await;
    assert!(module.upgrade().is_none(), "its memory is free");
    assert_eq!(setting.stop(&one).await.unwrap_err(), "error stopping container: a-b-1 not registered");
    setting.stop(&other).await.unwrap();
    assert!(lock(&setting.vm.containers).is_empty() && lock(&setting.vm.modules).is_empty());
}

#[tokio::test]
async fn a_module_that_cannot_run_says_why_and_nothing_is_started() {
    let setting = Setting::new();
    let ccid = Ccid::new("cc", "1");
    let failed = "error starting container: could not create instance for cc-1: chaincode cc:1";
    let refused = setting.start(&ccid, b"no module").await.unwrap_err();
    assert_eq!(
        refused,
        format!(
            "{failed} (src/chaincode.wasm): the file is no WebAssembly module: it starts with [6e, 6f, 20, 6d, 6f, 64, 75, \
             6c], not with \\0asm"
        )
    );
    let broken = setting.start(&ccid, &module()[..200]).await.unwrap_err();
    assert!(broken.starts_with(failed), "{broken}");

    for (interface, function) in
        [("selvedge:chaincode/messages@0.1.0", "exchange"), ("selvedge:peer/ledger@0.1.0", "chain-info")]
    {
        let greedy = SmallGuest {
            wit_imports: format!("import {interface};"),
            imports: format!(r#"(import "{interface}" "{function}" (func (param i32 i32 i32)))"#),
            ..SmallGuest::new("(func $run)")
        };
        let refused = setting.start(&ccid, &greedy.module().unwrap()).await.unwrap_err();
        let reason = format!("imports {interface}, which is for system chaincode alone");
        assert_eq!(refused, format!("{failed} (src/chaincode.wasm): {reason}"));
    }
    let code = CodePackage {
        platform: Platform::Wasm,
        path: String::new(),
        bytes: targz(&[("src/a.wasm", "")]).unwrap().into(),
    };
    let empty = StartContainer { code: Some(code), ..StartContainer::default() };
    let refused = setting.controller.start(VmType::System, &ccid, empty).await.unwrap_err().to_string();
    let reason = "no src/chaincode.wasm found in the chaincode package; a package of type WASM holds one module there";
    assert_eq!(refused, format!("{failed}: {reason}"));
    assert!(lock(&setting.vm.containers).is_empty());
    setting.start(&ccid, &module()).await.unwrap();
    setting.registered.wait_for(&["cc:1"]).await;
}

#[tokio::test]
async fn nobody_takes_the_name_of_a_system_chaincode() {
    let setting = Setting::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qscc.wasm");
    std::fs::write(&path, module()).unwrap();
    let (capabilities, config) = Default::default();
    let spec = ModuleSpec { ccid: Ccid::new("qscc", "1.4.12"), path, capabilities, config, owner: ModuleOwner::Node };
    setting.vm.register(setting.vm.load(spec).unwrap()).unwrap();
    let refused = setting.start(&Ccid::new("qscc", "2"), &module()).await.unwrap_err();
    assert_eq!(
        refused,
        "error starting container: could not create instance for qscc-2: qscc is the name of a system chaincode"
    );
}
