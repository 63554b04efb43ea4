//! Bytes on the disk change while nobody looks.

use prost::Message;

use super::disk::{Disk, Loss, Plan};
use super::script::{CHANNEL, Machine, Rows, Script};
use crate::ledger::guard::guarded;
use crate::ledger::store::Snapshot;
use crate::ledger::testing::endorser_transaction;
use crate::ledger::{LedgerError, block};
use selvedge_proto::protos::TxValidationCode;
use selvedge_proto::rwset::TxReadWriteSet;

/// Distances between the bytes that are changed, over the bytes that are not zero.
const STRIDE: usize = 151;

/// The disk after the script, and what is in its tables.
fn image(script: &Script) -> (Vec<u8>, Rows) {
    let disk = Disk::new(Vec::new(), Plan::Work);
    let machine = Machine::create(disk.clone(), script.genesis(), &script.endorsed()).unwrap();
    machine.go_on(script).unwrap();
    let rows = machine.verified_rows();
    drop(machine);
    (disk.after(Loss::All), rows)
}

/// Reads all blocks; one that cannot be read is an error, and one that can is that of the script.
fn blocks_are_good_or_refused(script: &Script, machine: &Machine, case: &str) {
    for (number, (expected, _)) in script.blocks.iter().enumerate() {
        let read = guarded(|| machine.ledger.block_by_number(number as u64));
        match read {
            Ok(Some(block)) => {
                assert!((&block.header, &block.data) == (&expected.header, &expected.data), "{case}: block {number}");
                let filter = block.metadata.as_ref().unwrap().metadata[2].len();
                assert_eq!(filter, block::validation_codes(&block).len(), "{case}: block {number}");
            }
            // The way to it is damaged.
            Ok(None) => {}
            Err(error) => assert!(error.is_fault(), "{case}: {error}"),
        }
    }
}

#[test]
fn a_changed_byte_is_never_a_block_and_never_a_panic() {
    let script = Script::new();
    let (image, verified) = image(&script);
    let transient = script.endorsed();
    let used = (0..image.len()).filter(|at| image[*at] != 0).step_by(STRIDE);
    let (mut unopened, mut found, mut harmless) = (0, 0, 0);
    for at in used {
        let case = format!("byte {at}");
        let mut damaged = image.clone();
        damaged[at] ^= 0x55;
        let machine = match guarded(|| Machine::open_damaged(Disk::new(damaged, Plan::Work), &transient)) {
            Ok(machine) => machine,
            Err(_) => {
                unopened += 1;
                continue;
            }
        };
        blocks_are_good_or_refused(&script, &machine, &case);
        let same = guarded(|| Ok(machine.verified_rows() == verified)).unwrap_or(false);
        let report = machine.ledger.verify(&std::env::temp_dir(), |_| ());
        let good = report.is_ok_and(|report| report.is_good());
        assert_eq!(good, same, "{case}: whether it is damaged and whether that is found");
        if good {
            harmless += 1
        } else {
            found += 1
        }
        // A commit on it succeeds, or halts the channel.
        let info = machine.ledger.chain_info().unwrap();
        let envelope = endorser_transaction(CHANNEL, "next", TxReadWriteSet::default().encode_to_vec().into());
        let next = block::new_block(info.height, info.current_block_hash, vec![envelope]);
        match machine.ledger.commit(next, &[TxValidationCode::Valid]) {
            Ok(_) => assert_eq!(machine.ledger.halted(), None, "{case}"),
            Err(error) => assert!(error.is_fault() && machine.ledger.halted().is_some(), "{case}: {error}"),
        }
    }
    assert!(unopened > 0 && found > 4 * harmless, "{unopened} unopened, {found} found, {harmless} harmless");
}

#[test]
fn a_panic_of_the_database_is_an_error_that_halts_the_channel() {
    let script = Script::new();
    let machine = Machine::create(Disk::new(Vec::new(), Plan::Work), script.genesis(), &script.endorsed()).unwrap();
    let (block, codes) = &script.blocks[1];
    let error = machine.ledger.commit_with(block.clone(), codes, |_| panic!("entered unreachable code")).unwrap_err();
    assert!(matches!(error, LedgerError::Corrupted(_)), "{error}");
    let halted = machine.ledger.halted().unwrap();
    assert!(halted.contains("working on it panicked (entered unreachable code)"), "{halted}");
    let again = machine.ledger.commit(block.clone(), codes).unwrap_err();
    assert!(matches!(again, LedgerError::Halted { .. }), "{again}");
    // The disk had it.
    assert_eq!(Snapshot::open(&machine.ledger.database).unwrap().tip.height, 2);
}
