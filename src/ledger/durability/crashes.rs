//! The machine stops, at every change of the disk from the making of a channel to its last block.

use proptest::prelude::*;

use std::sync::Arc;

use super::disk::{Disk, Loss, Plan};
use super::script::{Machine, Script};
use crate::ledger::TransientStore;

/// Runs until the machine stops; returns how many blocks were acknowledged, and the transient store as it is then.
fn run(script: &Script, disk: &Disk) -> (usize, Arc<TransientStore>) {
    let transient = script.endorsed();
    let Ok(machine) = Machine::create(disk.clone(), script.genesis(), &transient) else { return (0, transient) };
    let finished = machine.go_on(script);
    assert_eq!(finished.is_ok(), machine.height() == script.blocks.len());
    (machine.acknowledged(), transient)
}

/// Starts again on what is left; the machine that comes up has to be right, and to end right.
fn recovers(script: &Script, disk: &Disk, run: &(usize, Arc<TransientStore>), loss: Loss, case: &str) {
    let left = Disk::new(disk.after(loss), Plan::Work);
    let (acknowledged, transient) = (run.0, script.left_in(&run.1));
    let machine = match Machine::open(left, &transient) {
        Ok(machine) => machine,
        // A channel that was not made is a file that the next start removes.
        Err(_) if acknowledged == 0 => return,
        Err(error) => panic!("{case}: {error}"),
    };
    let height = machine.height();
    assert!(
        height == acknowledged || height == acknowledged + 1,
        "{case}: {acknowledged} acknowledged, {height} there"
    );
    assert!(machine.rows() == script.rows[height - 1], "{case}: the rows are not those of height {height}");
    let report = machine.verify();
    assert!(report.is_good(), "{case}: {:#?}", report.differences);
    machine.go_on(script).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(Some(&machine.rows()) == script.rows.last(), "{case}: the end is another one");
    // Closed, and opened once more.
    let disk = machine.disk.clone();
    drop(machine);
    let machine = Machine::open(Disk::new(disk.after(Loss::All), Plan::Work), &transient).unwrap();
    assert!(Some(&machine.rows()) == script.rows.last(), "{case}: not after another start");
}

fn changes(script: &Script) -> u64 {
    let disk = Disk::new(Vec::new(), Plan::Work);
    assert_eq!(run(script, &disk).0, script.blocks.len());
    disk.changes()
}

#[test]
fn a_crash_at_any_change_of_the_disk_loses_nothing_and_doubles_nothing() {
    crash_at_any_change(&Script::new());
}

/// What was purged from the transient store before the crash is not there after it.
#[test]
fn a_crash_at_any_change_of_the_disk_loses_no_private_data() {
    crash_at_any_change(&Script::with_private_data());
}

fn crash_at_any_change(script: &Script) {
    let changes = changes(script);
    assert!(changes > 100, "only {changes} changes: there is nothing to interrupt");
    for at in 1..=changes {
        let disk = Disk::new(Vec::new(), Plan::Crash(at));
        let run = run(script, &disk);
        for loss in [Loss::All, Loss::Nothing, Loss::Torn(500), Loss::Torn(1), Loss::Random(at)] {
            recovers(script, &disk, &run, loss, &format!("change {at} of {changes}, {loss:?}"));
        }
    }
}

/// The second crash comes while the first one is repaired, or soon after.
#[test]
fn a_crash_while_a_crash_is_repaired_loses_nothing() {
    let script = Script::with_private_data();
    let changes = changes(&script);
    for at in (1..=changes).step_by(7) {
        let first = Disk::new(Vec::new(), Plan::Crash(at));
        let (acknowledged, transient) = run(&script, &first);
        for again in 1..=12 {
            let second = Disk::new(first.after(Loss::Random(at)), Plan::Crash(again));
            let transient = script.left_in(&transient);
            let acknowledged = match Machine::open(second.clone(), &transient) {
                Ok(machine) => {
                    let _ = machine.go_on(&script);
                    machine.acknowledged()
                }
                Err(_) => acknowledged,
            };
            let case = format!("change {at} of {changes}, then change {again}");
            recovers(&script, &second, &(acknowledged, transient), Loss::Random(again), &case);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_sectors_of_what_was_not_synced_may_be_there(at in 0.0..1.0, seeds in prop::collection::vec(any::<u64>(), 8)) {
        static SCRIPT: std::sync::LazyLock<(Script, u64)> = std::sync::LazyLock::new(|| {
            let script = Script::new();
            let changes = changes(&script);
            (script, changes)
        });
        let (script, changes) = &*SCRIPT;
        let at = 1 + (at * *changes as f64) as u64;
        let disk = Disk::new(Vec::new(), Plan::Crash(at));
        let run = run(script, &disk);
        for seed in seeds {
            recovers(script, &disk, &run, Loss::Random(seed), &format!("change {at}, seed {seed}"));
        }
    }
}
