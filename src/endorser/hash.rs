//! Hashes that endorsers, committers and clients have to agree on (Fabric: `protos/utils/proputils.go`).

use bytes::BufMut;
use prost::encode_length_delimiter;
use sha2::{Digest, Sha256};

/// A transaction's id: SHA-256 of nonce and creator, in lower-case hexadecimal.
pub fn transaction_id(nonce: &[u8], creator: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(nonce).chain_update(creator).finalize())
}

/// What an endorsement commits to: the headers as they were received, and the payload without its transient map.
/// `payload` is the marshalled `ChaincodeProposalPayload` that goes into the transaction
/// ([`payload_without_transient`]).
pub fn proposal_hash(channel_header: &[u8], signature_header: &[u8], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(channel_header).chain_update(signature_header).chain_update(payload).finalize().into()
}

/// A `ChaincodeProposalPayload` of nothing but `input`, marshalled.
pub fn payload_without_transient(input: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(input.len() + 11);
    if !input.is_empty() {
        payload.put_u8(0x0a);
        // It fails only if the buffer cannot grow, and a Vec can.
        let _ = encode_length_delimiter(input.len(), &mut payload);
        payload.put_slice(input);
    }
    payload
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use selvedge_proto::protos::ChaincodeProposalPayload;

    use super::*;

    #[test]
    fn the_payload_is_what_the_encoder_makes_of_the_input_alone() {
        for length in [0, 1, 127, 128, 20_000] {
            let input = vec![7; length];
            let message = ChaincodeProposalPayload { input: input.clone().into(), ..Default::default() };
            assert_eq!(payload_without_transient(&input), message.encode_to_vec());
        }
    }
}
