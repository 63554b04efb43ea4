//! The disk refuses, at every operation from the making of a channel to its last block; the machine goes on.

use super::disk::{Disk, Loss, Plan};
use super::script::{Machine, Script};
use crate::ledger::LedgerError;

const EIO: i32 = 5;

/// Commits until the disk refuses. Then the channel has to be halted, or not made at all; and after a restart on a disk
/// that works, everything is there that was acknowledged, and the rest can follow.
fn halts_and_goes_on(script: &Script, plan: Plan, loss: Loss) {
    let disk = Disk::new(Vec::new(), plan);
    let mut acknowledged = 0;
    let case = format!("{plan:?}, {loss:?}");
    let transient = script.endorsed();
    if let Ok(machine) = Machine::create(disk.clone(), script.genesis(), &transient) {
        if let Err(error) = machine.go_on(script) {
            assert!(matches!(error, LedgerError::Storage(_)), "{case}: {error}");
            let (block, codes) = &script.blocks[machine.height()];
            let halted = machine.ledger.commit(block.clone(), codes).unwrap_err();
            assert!(matches!(halted, LedgerError::Halted { .. }), "{case}: {halted}");
        }
        acknowledged = machine.acknowledged();
    }
    let restarted = match Machine::open(Disk::new(disk.after(loss), Plan::Work), &transient) {
        Ok(machine) => machine,
        Err(_) if acknowledged == 0 => return,
        Err(error) => panic!("{case}: {error}"),
    };
    let height = restarted.height();
    assert!(
        height == acknowledged || height == acknowledged + 1,
        "{case}: {acknowledged} acknowledged, {height} there"
    );
    let report = restarted.verify();
    assert!(report.is_good(), "{case}: {:#?}", report.differences);
    restarted.go_on(script).unwrap();
    assert!(Some(&restarted.rows()) == script.rows.last(), "{case}: the end is another one");
}

fn operations(script: &Script) -> u64 {
    let disk = Disk::new(Vec::new(), Plan::Work);
    Machine::create(disk.clone(), script.genesis(), &script.endorsed()).unwrap().go_on(script).unwrap();
    disk.operations()
}

#[test]
fn an_error_of_any_operation_halts_the_channel_and_a_restart_goes_on() {
    let script = Script::new();
    for at in 1..=operations(&script) {
        halts_and_goes_on(&script, Plan::FailOnce(at, EIO), Loss::Nothing);
        halts_and_goes_on(&script, Plan::FailOnce(at, EIO), Loss::All);
    }
}

#[test]
fn a_disk_that_becomes_full_halts_the_channel_and_a_restart_goes_on() {
    let script = Script::with_private_data();
    for from in 1..=operations(&script) {
        halts_and_goes_on(&script, Plan::Full(from), Loss::Nothing);
    }
}
