//! Hashes and metadata slots of blocks (Fabric: `protoutil/blockutils.go`).
//!
//! Who made a block and whether its signatures hold is not asked here. Invariant: a block made or changed here has its
//! metadata padded to [`METADATA_SLOTS`].

use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    Block, BlockData, BlockHeader, BlockMetadata, BlockMetadataIndex, LastConfig, Metadata, OrdererBlockMetadata,
};
use selvedge_proto::protos::TxValidationCode;
use sha2::{Digest, Sha256};

/// Slots of a block's metadata, whoever made it.
pub const METADATA_SLOTS: usize = 5;

const DER_INTEGER: u8 = 0x02;
const DER_OCTET_STRING: u8 = 0x04;
const DER_SEQUENCE: u8 = 0x30;

/// The ASN.1 DER form of a header, which is what is hashed and what an orderer signs.
pub fn header_der(header: &BlockHeader) -> Vec<u8> {
    let number = header.number.to_be_bytes();
    let skip = number.iter().take_while(|byte| **byte == 0).count().min(7);
    let mut integer = Vec::with_capacity(9);
    if number[skip] >= 0x80 {
        integer.push(0); // DER integers are signed
    }
    integer.extend_from_slice(&number[skip..]);

    let mut content = Vec::with_capacity(80);
    der_element(&mut content, DER_INTEGER, &integer);
    der_element(&mut content, DER_OCTET_STRING, &header.previous_hash);
    der_element(&mut content, DER_OCTET_STRING, &header.data_hash);
    let mut sequence = Vec::with_capacity(content.len() + 4);
    der_element(&mut sequence, DER_SEQUENCE, &content);
    sequence
}

fn der_element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => out.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let skip = length.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (length.len() - skip) as u8);
            out.extend_from_slice(&length[skip..]);
        }
    }
    out.extend_from_slice(content);
}

/// The hash by which the next block names this one.
pub fn header_hash(header: &BlockHeader) -> [u8; 32] {
    Sha256::digest(header_der(header)).into()
}

/// The hash over all transactions, one after the other.
pub fn data_hash(data: &BlockData) -> [u8; 32] {
    let mut hash = Sha256::new();
    for transaction in &data.data {
        hash.update(transaction);
    }
    hash.finalize().into()
}

/// A block with nothing in its metadata.
pub fn new_block(number: u64, previous_hash: impl Into<Bytes>, data: Vec<Bytes>) -> Block {
    let data = BlockData { data };
    let data_hash = Bytes::copy_from_slice(&data_hash(&data));
    Block {
        header: Some(BlockHeader { number, previous_hash: previous_hash.into(), data_hash }),
        data: Some(data),
        metadata: Some(BlockMetadata { metadata: vec![Bytes::new(); METADATA_SLOTS] }),
    }
}

/// What a slot of the metadata holds; empty when the block has no such slot.
pub fn metadata(block: &Block, slot: BlockMetadataIndex) -> &[u8] {
    block.metadata.as_ref().and_then(|metadata| metadata.metadata.get(slot as usize)).map_or(&[], |slot| slot)
}

/// Fills a slot of the metadata, and pads the others.
pub fn set_metadata(block: &mut Block, slot: BlockMetadataIndex, value: Bytes) {
    let slots = &mut block.metadata.get_or_insert_default().metadata;
    if slots.len() < METADATA_SLOTS {
        slots.resize(METADATA_SLOTS, Bytes::new());
    }
    slots[slot as usize] = value;
}

/// The verdict over each transaction. What the filter does not say, as in an orderer's copy, counts as not validated.
pub fn validation_codes(block: &Block) -> Vec<TxValidationCode> {
    let filter = metadata(block, BlockMetadataIndex::TransactionsFilter);
    let transactions = block.data.as_ref().map_or(0, |data| data.data.len());
    (0..transactions)
        .map(|index| match filter.get(index) {
            Some(code) => TxValidationCode::try_from(i32::from(*code)).unwrap_or(TxValidationCode::InvalidOtherReason),
            None => TxValidationCode::NotValidated,
        })
        .collect()
}

/// The number of the newest configuration block as the orderer names it: in the signed slot since 1.4.2, in a slot of its
/// own before.
pub fn last_config_index(block: &Block) -> Option<u64> {
    let value = |slot| Some(Metadata::decode(metadata(block, slot)).ok()?.value).filter(|value| !value.is_empty());
    let signed = value(BlockMetadataIndex::Signatures).and_then(|value| OrdererBlockMetadata::decode(value).ok());
    if let Some(last) = signed.and_then(|metadata| metadata.last_config) {
        return Some(last.index);
    }
    Some(LastConfig::decode(value(BlockMetadataIndex::LastConfig)?).ok()?.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_integers_are_signed_and_minimal() {
        let der = |number| header_der(&BlockHeader { number, ..Default::default() })[2..].to_vec();
        assert_eq!(der(0), [2, 1, 0, 4, 0, 4, 0]);
        assert_eq!(der(127)[..3], [2, 1, 127]);
        assert_eq!(der(128)[..4], [2, 2, 0, 128]);
        assert_eq!(der(256)[..4], [2, 2, 1, 0]);
        assert_eq!(der(u64::MAX)[..3], [2, 9, 0]);
    }

    #[test]
    fn a_long_previous_hash_gets_a_long_length() {
        let header = BlockHeader { previous_hash: vec![7; 300].into(), ..Default::default() };
        let der = header_der(&header);
        assert_eq!(der[..4], [0x30, 0x82, 1, 53]);
        assert_eq!(der[7..11], [4, 0x82, 1, 44]);
    }
}
