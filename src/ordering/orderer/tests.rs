use std::time::Duration;

use bytes::Bytes;
use selvedge_proto::common::{Block, BlockMetadataIndex, Metadata, SignatureHeader};
use selvedge_proto::protos::TxValidationCode;

use super::*;
use crate::ledger::testing::{TestChannel, endorser_transaction, envelope};
use crate::ledger::{Ledger, block};
use crate::ordering::BatchConfig;
use crate::ordering::block_writer::NONCE_BYTES;
use crate::ordering::testing::{AllValid, Rules, orderer};
use crate::validation::{BlockValidator, ValidationError};

const PATIENT: BatchConfig = BatchConfig {
    max_message_count: 2,
    absolute_max_bytes: 2000,
    preferred_max_bytes: 1000,
    batch_timeout: Duration::from_secs(3600),
};

fn start(channel: &TestChannel, config: BatchConfig, validator: Arc<dyn BlockValidator>) -> Orderer {
    orderer(channel, Rules::new(config), validator)
}

fn transaction(txid: &str) -> Envelope {
    Envelope::decode(endorser_transaction(TestChannel::NAME, txid, Bytes::new())).unwrap()
}

fn success() -> BroadcastResponse {
    response(Status::Success, "")
}

async fn height(channel: &TestChannel, height: u64) {
    let mut heights = channel.ledger.subscribe();
    let waited = tokio::time::timeout(Duration::from_secs(20), heights.wait_for(|at| *at >= height)).await;
    waited.expect("the block comes").unwrap();
}

#[tokio::test]
async fn a_full_batch_is_a_signed_block_that_names_the_last_configuration() {
    let channel = TestChannel::new();
    let orderer = start(&channel, PATIENT, Arc::new(AllValid));
    for txid in ["a", "b", "c"] {
        assert_eq!(orderer.broadcast(transaction(txid)).await, success());
    }
    height(&channel, 2).await;
    assert_eq!(channel.ledger.height().unwrap(), 2, "the third envelope waits for company");
    let committed = channel.ledger.block_by_number(1).unwrap().unwrap();
    assert_eq!(committed.data.as_ref().unwrap().data.len(), 2);
    assert_eq!(block::validation_codes(&committed), [TxValidationCode::Valid; 2]);
    assert_eq!(block::last_config_index(&committed), Some(0));

    let signed = Metadata::decode(block::metadata(&committed, BlockMetadataIndex::Signatures)).unwrap();
    let signature = &signed.signatures[0];
    let header = block::header_der(committed.header.as_ref().unwrap());
    assert_eq!(signature.signature, [&signed.value[..], &signature.signature_header, &header].concat());
    assert_eq!(SignatureHeader::decode(signature.signature_header.clone()).unwrap().nonce.len(), NONCE_BYTES);

    orderer.shutdown().await;
    assert_eq!(channel.ledger.height().unwrap(), 3, "shutting down orders what is left");
    let answer = orderer.broadcast(transaction("d")).await;
    assert_eq!(answer.status(), Status::ServiceUnavailable);
}

#[tokio::test]
async fn a_lonely_envelope_is_ordered_when_its_time_is_up() {
    let channel = TestChannel::new();
    let config = BatchConfig { batch_timeout: Duration::from_millis(20), ..PATIENT };
    let orderer = start(&channel, config, Arc::new(AllValid));
    for (index, txid) in ["a", "b"].into_iter().enumerate() {
        assert_eq!(orderer.broadcast(transaction(txid)).await, success());
        height(&channel, index as u64 + 2).await;
    }
}

#[tokio::test]
async fn a_queue_that_is_never_empty_does_not_put_a_block_off() {
    let channel = TestChannel::new();
    let config = BatchConfig { batch_timeout: Duration::from_nanos(1), ..PATIENT };
    let orderer = start(&channel, config, Arc::new(AllValid));
    // Both wait when the owner looks: there is one thread here.
    for txid in ["a", "b"] {
        assert_eq!(orderer.broadcast(transaction(txid)).await, success());
    }
    orderer.shutdown().await;
    assert_eq!(channel.ledger.height().unwrap(), 3, "the time of the first was up before the second came");
}

#[tokio::test]
async fn an_orderer_whose_task_dies_says_so() {
    struct Deadly;
    impl crate::ordering::processor::Processor for Deadly {
        fn sequence(&self) -> u64 {
            panic!("nobody knows")
        }
        fn batch_config(&self) -> BatchConfig {
            PATIENT
        }
        fn process_normal(&self, _: &Envelope) -> Result<u64, Refusal> {
            Ok(0)
        }
        fn process_config_update(&self, _: &Envelope) -> Result<(Envelope, u64), Refusal> {
            unreachable!("no configuration comes")
        }
    }
    let channel = TestChannel::new();
    let committer = Committer::new(Arc::clone(&channel.ledger), Arc::default(), Arc::new(AllValid));
    let orderer = Orderer::start_with(committer, Arc::new(crate::ordering::testing::PlainSigner), Arc::new(Deadly));
    assert_eq!(orderer.failure(), None);
    assert_eq!(orderer.broadcast(transaction("a")).await, success());
    let died = async {
        while orderer.failure().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), died).await.expect("it is noticed");
    assert_eq!(orderer.failure(), Some("its task ended"));
    orderer.shutdown().await;
    assert_eq!(orderer.failure(), None, "it was shut down");
}

#[tokio::test]
async fn what_cannot_be_ordered_is_refused_at_once() {
    let channel = TestChannel::new();
    let orderer = start(&channel, PATIENT, Arc::new(AllValid));
    let of_type = |kind| envelope(TestChannel::NAME, "t", kind, Bytes::new());
    let cases = [
        (Envelope::default(), Status::BadRequest, "could not determine channel ID: "),
        (
            Envelope { payload: "\x0a".into(), ..Default::default() },
            Status::BadRequest,
            "could not determine channel ID: ",
        ),
        (envelope("other", "t", HeaderType::Message, Bytes::new()), Status::NotFound, "channel does not exist"),
        (of_type(HeaderType::Config), Status::BadRequest, "message is of type that cannot be processed directly"),
        (
            of_type(HeaderType::OrdererTransaction),
            Status::BadRequest,
            "message is of type that cannot be processed directly",
        ),
    ];
    for (envelope, status, info) in cases {
        let answer = orderer.broadcast(envelope).await;
        assert_eq!(answer.status(), status, "{}", answer.info);
        assert!(answer.info.starts_with(info), "{}", answer.info);
    }
    orderer.shutdown().await;
    assert_eq!(channel.ledger.height().unwrap(), 1);
}

#[tokio::test]
async fn an_orderer_whose_ledger_refuses_a_block_stops_and_says_why() {
    struct Mute;
    impl BlockValidator for Mute {
        fn validate(&self, _: &Ledger, _: &Block) -> Result<Vec<TxValidationCode>, ValidationError> {
            Ok(Vec::new())
        }
    }
    let channel = TestChannel::new();
    let orderer = start(&channel, BatchConfig { max_message_count: 1, ..PATIENT }, Arc::new(Mute));
    assert_eq!(orderer.broadcast(transaction("a")).await, success());
    let answer = loop {
        let answer = orderer.broadcast(transaction("b")).await;
        if answer.status() != Status::Success {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(answer.status(), Status::ServiceUnavailable);
    assert!(answer.info.contains("0 validation codes came"), "{}", answer.info);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_envelopes_wait_for_room_in_the_queue() {
    /// Validates nothing until it is told to.
    struct Patient(Mutex<std::sync::mpsc::Receiver<()>>);
    impl BlockValidator for Patient {
        fn validate(&self, ledger: &Ledger, block: &Block) -> Result<Vec<TxValidationCode>, ValidationError> {
            let _ = self.0.lock().unwrap().recv();
            AllValid.validate(ledger, block)
        }
    }
    let channel = TestChannel::new();
    let (go_on, wait) = std::sync::mpsc::channel();
    let validator = Arc::new(Patient(Mutex::new(wait)));
    let orderer = Arc::new(start(&channel, BatchConfig { max_message_count: 1, ..PATIENT }, validator));
    let large = envelope(TestChannel::NAME, "", HeaderType::Message, vec![0; 40 << 20].into());
    // One is with the validator then, and one in the queue.
    for _ in 0..2 {
        assert_eq!(orderer.broadcast(large.clone()).await, success());
    }
    let mut third = tokio::spawn({
        let orderer = Arc::clone(&orderer);
        async move { orderer.broadcast(large).await }
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(early.is_err(), "two of them do not fit: {early:?}");
    drop(go_on);
    assert_eq!(third.await.unwrap(), success());
    orderer.shutdown().await;
    assert_eq!(channel.ledger.height().unwrap(), 4, "none is lost");
}

#[tokio::test]
async fn what_a_new_configuration_forbids_is_not_ordered_although_it_was_acknowledged() {
    let channel = TestChannel::new();
    let rules = Rules::new(BatchConfig { max_message_count: 3, ..PATIENT });
    let orderer = orderer(&channel, Arc::clone(&rules), Arc::new(AllValid));
    // The owner has not looked at any of them yet: there is one thread here, and nothing that waits.
    for txid in ["a", "x", "b"] {
        assert_eq!(orderer.broadcast(transaction(txid)).await, success());
    }
    rules.change();
    let answer = orderer.broadcast(transaction("x")).await;
    assert_eq!(answer, response(Status::Forbidden, "no x today: permission denied"));
    orderer.shutdown().await;
    let ordered = channel.ledger.block_by_number(1).unwrap().unwrap();
    assert_eq!(ordered.data.unwrap().data, [transaction("a").encode_to_vec(), transaction("b").encode_to_vec()]);
}

#[tokio::test]
async fn a_configuration_has_a_block_of_its_own_and_stops_the_orderer_if_it_cannot_be_applied() {
    let channel = TestChannel::new();
    let orderers = crate::ordering::Orderers::default();
    let orderer = Arc::new(start(&channel, PATIENT, Arc::new(AllValid)));
    orderers.insert(TestChannel::NAME, Arc::clone(&orderer));
    assert_eq!(orderer.broadcast(transaction("a")).await, success());
    let update = envelope(TestChannel::NAME, "", HeaderType::ConfigUpdate, Bytes::new());
    assert_eq!(orderer.broadcast(update).await, success());
    orderer.shutdown().await;
    assert_eq!(channel.ledger.height().unwrap(), 2, "what waited is in a block before it");
    let reason = "channel testchannel: channel testchannel is not open on this node";
    assert_eq!(orderers.failure().as_deref(), Some(reason), "this is what the health check says");
}
