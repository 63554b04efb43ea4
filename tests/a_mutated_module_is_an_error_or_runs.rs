//! Modules are outside data. However one is damaged, making a component of it and loading it end soon, in an error or in a
//! chaincode that starts and is then as well contained as any.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selvedge::container::Ccid;
use selvedge::container::wasm::{ModuleOwner, ModuleSpec, WasmConfig, WasmVm, componentize};
use selvedge::testing::{SmallGuest, guest_path};

/// One case may take so long, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Where to damage (in thousandths of the length), and with what: a byte, a run of a byte, a cut or a repetition.
fn damage() -> impl Strategy<Value = Vec<(u16, u8, u8)>> {
    proptest::collection::vec((0_u16..1000, any::<u8>(), any::<u8>()), 1..4)
}

fn damaged(module: &[u8], damage: &[(u16, u8, u8)]) -> Vec<u8> {
    let mut module = module.to_vec();
    for &(place, how, byte) in damage {
        let at = (module.len() * usize::from(place) / 1000 + usize::from(how)).min(module.len().saturating_sub(1));
        match how % 8 {
            0 => module.truncate(at),
            1 => drop(module.drain(at..(at + usize::from(byte)).min(module.len()))),
            2 => {
                let piece = module[at..(at + usize::from(byte)).min(module.len())].to_vec();
                module.splice(at..at, piece);
            }
            3 => (at..(at + 5).min(module.len())).for_each(|index| module[index] = byte | 0x80),
            _ if at < module.len() => module[at] = byte,
            _ => {}
        }
    }
    module
}

fn check(cases: u32, module: &[u8], make: impl Fn(Vec<u8>) -> String) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&damage(), |damage| {
        let module = damaged(module, &damage);
        let began = Instant::now();
        let outcome = make(module);
        prop_assert!(began.elapsed() < SOON, "it took {:?}: {outcome}", began.elapsed());
        Ok(())
    });
    result.expect("every damaged module ends soon");
}

#[test]
fn componentize_ends_whatever_the_module() {
    let asset = std::fs::read(guest_path("asset").unwrap()).unwrap();
    check(60, &asset, |module| componentize(&module).map_or_else(|error| error.to_string(), |_| "fine".to_owned()));
    let small = SmallGuest::new("(func $run)").module().unwrap();
    check(600, &small, |module| componentize(&module).map_or_else(|error| error.to_string(), |_| "fine".to_owned()));
}

#[tokio::test]
async fn loading_ends_whatever_the_component() {
    let folder = tempfile::tempdir().unwrap();
    let vm = WasmVm::new(&WasmConfig::default(), Vec::new(), tokio::runtime::Handle::current()).unwrap();
    let load = |module: Vec<u8>| {
        let path = folder.path().join("guest.wasm");
        std::fs::write(&path, module).unwrap();
        let (capabilities, config) = Default::default();
        let loaded =
            vm.load(ModuleSpec { ccid: Ccid::new("guest", ""), path, capabilities, config, owner: ModuleOwner::Node });
        loaded.map_or_else(|error| error.to_string(), |_| "fine".to_owned())
    };
    let small = componentize(&SmallGuest::new("(func $run)").module().unwrap()).unwrap();
    assert_eq!(load(small.clone()), "fine");
    check(300, &small, load);
    let asset = componentize(&std::fs::read(guest_path("asset").unwrap()).unwrap()).unwrap();
    check(20, &asset, load);
}
