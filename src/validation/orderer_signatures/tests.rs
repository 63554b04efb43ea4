use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{BlockHeader, ConfigEnvelope, MetadataSignature};

use super::*;
use crate::ledger::transaction::BlockTransaction;
use crate::msp::{Signer, SigningIdentity};
use crate::testing::{GOLDEN_CHANNEL, Golden};

/// The configuration that a block brings.
fn configuration(block: &Block) -> Option<Bundle> {
    let transaction = BlockTransaction::decode(block.data.as_ref()?.data.first()?)?;
    if transaction.header_type() != Some(selvedge_proto::common::HeaderType::Config) {
        return None;
    }
    let config = ConfigEnvelope::decode(transaction.data).expect("a configuration").config?;
    Some(Bundle::from_config(GOLDEN_CHANNEL, &config).expect("a channel"))
}

/// Goes through the blocks of these files, each with the configuration in force; returns how many were verified.
fn verify(golden: Golden, files: impl Iterator<Item = String>) -> usize {
    let mut bundle = None;
    let mut verified = 0;
    for file in files {
        let block = Block::decode(golden.read(&file).expect("a file")).expect("a block");
        let number = block.header.as_ref().expect("a header").number;
        if let Some(bundle) = &bundle {
            verify_block(bundle, number, &block).unwrap_or_else(|error| panic!("{file}: {error}"));
            verified += 1;
        }
        bundle = configuration(&block).or(bundle);
    }
    verified
}

#[test]
fn recorded_blocks_are_what_their_ordering_services_made() {
    let blocks = |until: u64| (0..until).map(|number| format!("blocks/block-{number:03}.block"));
    assert_eq!(verify(Golden::V1_4, blocks(42)), 41);
    let refused = ["refused/block-40.block", "refused/block-41-from-orderer.block"].map(str::to_owned);
    assert_eq!(verify(Golden::V2_5, blocks(40).chain(refused)), 41);
}

/// Block 41 of 1.4, and the configuration in force.
fn recorded() -> (Bundle, Block) {
    let bundle = configuration(&Golden::V1_4.block(37).expect("a block")).expect("a configuration");
    (bundle, Golden::V1_4.block(41).expect("a block"))
}

fn refusal(change: impl FnOnce(&mut Block)) -> String {
    let (bundle, mut block) = recorded();
    change(&mut block);
    verify_block(&bundle, 41, &block).expect_err("refused").to_string()
}

fn change_metadata(block: &mut Block, change: impl FnOnce(&mut Metadata)) {
    let mut metadata = Metadata::decode(block::metadata(block, BlockMetadataIndex::Signatures)).expect("metadata");
    change(&mut metadata);
    block::set_metadata(block, BlockMetadataIndex::Signatures, metadata.encode_to_vec().into());
}

fn header(block: &mut Block) -> &mut BlockHeader {
    block.header.as_mut().expect("a header")
}

const NOBODY: &str = "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the \
                      'Writers' sub-policies to be satisfied";

#[test]
fn a_block_that_was_changed_is_refused_in_fabrics_words() {
    assert_eq!(
        refusal(|block| block.header = None),
        "Invalid Block on channel [goldchan]. Header must be different from nil."
    );
    assert_eq!(
        refusal(|block| header(block).number = 40),
        "Claimed seqNum is [41] but actual seqNum inside block is [40]"
    );
    assert_eq!(
        refusal(|block| block.data = None),
        "Failed getting channel id from block with id [41] on channel [goldchan]: [failed to retrieve channel id - block is \
         empty]"
    );
    for change in [(|block: &mut Block| block.metadata = None) as fn(&mut Block), |block| {
        block.metadata = Some(Default::default())
    }] {
        assert_eq!(
            refusal(change),
            "Block with id [41] on channel [goldchan] does not have metadata. Block not valid."
        );
    }
    let cut =
        refusal(|block| block::set_metadata(block, BlockMetadataIndex::Signatures, Bytes::from_static(&[0x0a, 9])));
    assert!(cut.starts_with("Failed unmarshalling medatata for signatures ["), "{cut}");
    let data_hash = "Header.DataHash is different from Hash(block.Data) for block with id [41] on channel [goldchan]";
    assert_eq!(refusal(|block| header(block).data_hash = Bytes::from_static(&[0; 32])), data_hash);
    let twice = |block: &mut Block| {
        let data = &mut block.data.as_mut().expect("data").data;
        data.push(data[0].clone());
    };
    assert_eq!(refusal(twice), data_hash);
    let bad_header = |metadata: &mut Metadata| metadata.signatures[0].signature_header = Bytes::from_static(&[0x0a, 9]);
    let bad_header = refusal(|block| change_metadata(block, bad_header));
    let expected = "Failed unmarshalling signature header for block with id [41] on channel [goldchan]: [";
    assert!(bad_header.starts_with(expected), "{bad_header}");
}

#[test]
fn a_block_of_another_channel_is_refused() {
    let (bundle, block) = recorded();
    let other = Bundle::from_config("other", bundle.config()).expect("a channel");
    let refused = verify_block(&other, 41, &block).expect_err("refused").to_string();
    assert_eq!(refused, "Invalid block's channel id. Expected [other]. Given [goldchan]");
}

#[test]
fn what_is_signed_cannot_be_changed() {
    assert_eq!(refusal(|block| header(block).previous_hash = Bytes::from_static(&[0; 32])), NOBODY);
    let changes: [fn(&mut Metadata); 4] = [
        |metadata| metadata.value = Bytes::from_static(&[0x0a, 2, 8, 36]),
        |metadata| metadata.signatures.clear(),
        |metadata| metadata.signatures[0].signature = Bytes::from_static(b"no signature"),
        |metadata| {
            let mut header =
                SignatureHeader::decode(metadata.signatures[0].signature_header.clone()).expect("a header");
            header.nonce = Bytes::from_static(b"another one");
            metadata.signatures[0].signature_header = header.encode_to_vec().into();
        },
    ];
    for change in changes {
        assert_eq!(refusal(|block| change_metadata(block, change)), NOBODY);
    }
}

#[test]
fn only_those_may_sign_whom_the_policy_names() {
    let (bundle, block) = recorded();
    let signed_by = |folder: &str, mspid: &str| {
        let mut block = block.clone();
        let signer = SigningIdentity::load(&Golden::V1_4.path(folder), mspid).expect("its key");
        let header_bytes = block::header_der(header(&mut block));
        change_metadata(&mut block, |metadata| {
            let signature_header = SignatureHeader { creator: signer.serialize(), nonce: Bytes::from_static(b"n") };
            let signature_header = Bytes::from(signature_header.encode_to_vec());
            let message = [&metadata.value[..], &signature_header, &header_bytes].concat();
            let signature = signer.sign(&message).expect("signs");
            metadata.signatures = vec![MetadataSignature { signature_header, signature, ..Default::default() }];
        });
        verify_block(&bundle, 41, &block).map_err(|error| error.to_string())
    };
    assert_eq!(signed_by("msp/orderer0", "OrdererMSP"), Ok(()));
    assert_eq!(signed_by("msp/alpha-admin", "AlphaMSP"), Err(NOBODY.to_owned()));
}
