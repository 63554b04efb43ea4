//! Whoever may sign may sign anything: each part of a transaction is spoilt before what encloses it is signed.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use selvedge_proto::common::SignaturePolicyEnvelope;
use selvedge_proto::protos::collection_config::Payload;
use selvedge_proto::protos::{
    CollectionConfig, CollectionConfigPackage, StaticCollectionConfig, TxValidationCode as Code,
};

use super::fixture::{Channel, Memory, Tx, definition, lscc, private_set, set, write};

/// What is done to some bytes.
#[derive(Clone, Debug)]
struct Spoil {
    at: prop::sample::Index,
    byte: u8,
    how: u8,
}

fn spoil() -> impl Strategy<Value = Spoil> {
    (any::<prop::sample::Index>(), any::<u8>(), 0..4u8).prop_map(|(at, byte, how)| Spoil { at, byte, how })
}

impl Spoil {
    fn apply(&self, bytes: &mut Bytes) {
        let mut spoilt = bytes.to_vec();
        let at = self.at.index(spoilt.len() + 1);
        match self.how {
            0 => spoilt.truncate(at),
            1 => spoilt.insert(at, self.byte),
            _ if at == spoilt.len() => spoilt.push(self.byte),
            2 => spoilt[at] = self.byte,
            _ => spoilt[at] ^= 1 << (self.byte % 8),
        }
        *bytes = spoilt.into();
    }
}

/// A call of kv that does everything that one can do, and a deploy with a collection, spoilt in one part.
fn spoilt(deploy: bool, part: u8, spoils: Vec<Spoil>) -> Tx {
    let change = move |bytes: &mut Bytes| spoils.iter().for_each(|spoil| spoil.apply(bytes));
    let collection = StaticCollectionConfig { name: "c".into(), maximum_peer_count: 1, ..Default::default() };
    let config = CollectionConfig { payload: Some(Payload::StaticCollectionConfig(collection)) };
    let package = Bytes::from(CollectionConfigPackage { config: vec![config] }.encode_to_vec());
    let data = || definition("new", "1", "OR('AlphaMSP.member')");
    let transaction = match deploy {
        true => lscc("deploy", &data(), Some(package.clone())),
        false => Tx::of("kv").writing("kv", "k").set(private_set("kvand", &[b"h"], &[b"h"])),
    };
    match part {
        0 => transaction.action(move |action| change(&mut action.results)),
        1 => transaction.action(move |action| {
            action.events = "\x0a\x02kv".into();
            change(&mut action.events);
        }),
        2 => transaction.response(move |response| change(&mut response.extension)),
        3 => transaction.channel_header(move |header| change(&mut header.extension)),
        4 => transaction.endorsed(move |endorsed| change(&mut endorsed.endorsements[0].endorser)),
        5 => transaction.transaction(move |transaction| change(&mut transaction.actions[0].payload)),
        6 => transaction.transaction(move |transaction| change(&mut transaction.actions[0].header)),
        7 => transaction.payload(move |payload| change(&mut payload.data)),
        8 => transaction.payload(move |payload| change(&mut payload.header.as_mut().expect("a header").channel_header)),
        9 => transaction.envelope(move |envelope| change(&mut envelope.payload)),
        10 => {
            let mut args = transaction.args.clone();
            if let Some(spec) = args.get_mut(2) {
                change(spec);
            }
            Tx { args, ..transaction }
        }
        11 => {
            let mut value = Bytes::from(data().encode_to_vec());
            change(&mut value);
            let writes = [write("new", &value), write("new~collection", &package)];
            Tx { sets: vec![set("lscc", &writes, &[])], ..transaction }
        }
        _ => {
            let mut spoilt = package.clone();
            change(&mut spoilt);
            if deploy { lscc("deploy", &data(), Some(spoilt)) } else { transaction }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_transaction_gets_a_code(
        deploy in any::<bool>(), part in 0..13u8, spoils in prop::collection::vec(spoil(), 1..4),
    ) {
        // Of another key: a write of the first may have become one of its key's policy.
        let block = [spoilt(deploy, part, spoils).make(), Tx::of("kv").nonce("good").writing("kv", "other").make()];
        let codes = Channel::newest().try_judge(&Memory::new(), &block, 1).expect("nothing in a block stops the channel");
        prop_assert_ne!(codes[0], Code::NotValidated);
        prop_assert_eq!(codes[1], Code::Valid);
    }

    #[test]
    fn a_policy_of_any_bytes_lets_pass_or_not(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut state = Memory::new();
        state.protect("kv", "", b"k", bytes.clone().into());
        let code = Channel::newest().judge(&state, &[Tx::of("kv").writing("kv", "k").make()])[0];
        let is_policy = SignaturePolicyEnvelope::decode(&bytes[..]).is_ok();
        prop_assert!(code == Code::EndorsementPolicyFailure || bytes.is_empty() || is_policy, "{:?}", code);
    }
}
