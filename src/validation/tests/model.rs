//! Whole blocks against a model that knows no signatures and no threads.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use selvedge_proto::protos::TxValidationCode as Code;

use super::fixture::{ALPHA, BETA, Channel, Memory, Tx, metadata, policy, set, write};

const NAMESPACES: [&str; 2] = ["kv", "kvand"];
const KEYS: [&str; 3] = ["a", "b", "beta"];

/// A transaction as the model sees it.
#[derive(Clone, Debug)]
struct Call {
    id: u8,
    chaincode: usize,
    alpha: bool,
    beta: bool,
    old_version: bool,
    signed: bool,
    /// Namespace and key of what is written, and whether it is the key's metadata.
    writes: Vec<(usize, usize, bool)>,
}

fn call() -> impl Strategy<Value = Call> {
    let often = prop::bool::weighted(0.9);
    let writes = prop::collection::vec((0..2usize, 0..3usize, prop::bool::weighted(0.3)), 0..4);
    (0..12u8, 0..2usize, often, any::<bool>(), prop::bool::weighted(0.1), often, writes).prop_map(
        |(id, chaincode, alpha, beta, old_version, signed, writes)| Call {
            id,
            chaincode,
            alpha,
            beta,
            old_version,
            signed,
            writes,
        },
    )
}

impl Call {
    fn make(&self) -> selvedge_proto::common::Envelope {
        let endorsers: Vec<_> = [(self.alpha, ALPHA), (self.beta, BETA)].into_iter().filter(|(is, _)| *is).collect();
        let mut transaction = Tx::of(NAMESPACES[self.chaincode])
            .nonce(&self.id.to_string())
            .endorsed_by(&endorsers.into_iter().map(|(_, who)| who).collect::<Vec<_>>());
        for (index, namespace) in NAMESPACES.into_iter().enumerate() {
            let of = |is_metadata: bool| {
                let keys = self.writes.iter().filter(move |write| write.0 == index && write.2 == is_metadata);
                keys.map(|write| KEYS[write.1])
            };
            let writes: Vec<_> = of(false).map(|key| write(key, b"v")).collect();
            let changes: Vec<_> = of(true).map(metadata).collect();
            transaction = transaction.set(set(namespace, &writes, &changes));
        }
        transaction.version = if self.old_version { "0" } else { "1" }.into();
        if !self.signed {
            transaction = transaction.envelope(|envelope| envelope.signature.clear());
        }
        transaction.make()
    }
}

/// What Fabric's peer would say, one transaction after the other. Key `beta` is Beta's alone; ids from 10 on are on the
/// ledger.
fn model(block: &[Call]) -> Vec<Code> {
    let mut changed: HashSet<(usize, usize)> = HashSet::new();
    let mut codes: Vec<Code> = block.iter().map(|call| judge(call, &mut changed)).collect();
    let mut first: HashMap<u8, usize> = HashMap::new();
    for (index, call) in block.iter().enumerate() {
        if codes[index] == Code::Valid && *first.entry(call.id).or_insert(index) != index {
            codes[index] = Code::DuplicateTxid;
        }
    }
    codes
}

fn judge(call: &Call, changed: &mut HashSet<(usize, usize)>) -> Code {
    if !call.signed {
        return Code::BadCreatorSignature;
    }
    if call.id >= 10 {
        return Code::DuplicateTxid;
    }
    let other = 1 - call.chaincode;
    for namespace in [call.chaincode, other] {
        let writes: Vec<_> = call.writes.iter().filter(|write| write.0 == namespace).collect();
        if namespace == other && writes.is_empty() {
            continue;
        }
        if namespace == call.chaincode && call.old_version {
            return Code::ExpiredChaincode;
        }
        let of_chaincode =
            if NAMESPACES[namespace] == "kv" { call.alpha || call.beta } else { call.alpha && call.beta };
        let may_write = |key: usize| if KEYS[key] == "beta" { call.beta } else { of_chaincode };
        let fits = |write: &&(usize, usize, bool)| may_write(write.1) && !changed.contains(&(namespace, write.1));
        if !writes.iter().all(fits) || (writes.is_empty() && !of_chaincode) {
            return Code::EndorsementPolicyFailure;
        }
        changed.extend(writes.iter().filter(|write| write.2).map(|write| (namespace, write.1)));
    }
    Code::Valid
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_block_is_judged_as_its_transactions_one_after_the_other(block in prop::collection::vec(call(), 1..12)) {
        let mut state = Memory::new();
        for namespace in NAMESPACES {
            state.protect(namespace, "", b"beta", policy("OR('BetaMSP.peer')"));
        }
        for id in 10..12u8 {
            state.ids.insert(Tx::of("kv").nonce(&id.to_string()).txid());
        }
        let envelopes: Vec<_> = block.iter().map(Call::make).collect();
        let channel = Channel::newest();
        let expected = model(&block);
        for threads in [1, 2, 5] {
            let codes = channel.try_judge(&state, &envelopes, threads).expect("it can be judged");
            prop_assert_eq!(&codes, &expected, "on {} threads", threads);
        }
    }
}
