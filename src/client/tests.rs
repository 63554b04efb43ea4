//! What `create_signed_tx` refuses, with Fabric's texts.

use bytes::Bytes;
use selvedge_proto::protos::{Endorsement, ProposalResponse, Response};

use super::create_signed_tx;
use crate::endorser::fixture::{CHANNEL, MSPID, Network};
use crate::msp::SigningIdentity;

fn response(status: i32, payload: &'static [u8], endorser: Option<&'static [u8]>) -> ProposalResponse {
    ProposalResponse {
        response: Some(Response { status, message: "m".into(), ..Response::default() }),
        payload: Bytes::from_static(payload),
        endorsement: endorser
            .map(|endorser| Endorsement { endorser: Bytes::from_static(endorser), ..Default::default() }),
        ..ProposalResponse::default()
    }
}

#[test]
fn responses_that_make_no_transaction_are_refused() {
    let network = Network::new();
    let created = network.propose(CHANNEL, "kv");
    let good = || response(200, b"p", Some(b"A"));
    for (responses, text) in [
        (vec![], "at least one proposal response is required"),
        (vec![good(), response(400, b"p", None)], "proposal response was not successful, error code 400, msg m"),
        (vec![response(199, b"p", None)], "proposal response was not successful, error code 199, msg m"),
        (vec![good(), response(200, b"q", Some(b"B"))], "ProposalResponsePayloads do not match"),
        (vec![response(200, b"p", None)], "no endorsements"),
    ] {
        let refused = create_signed_tx(&created.proposal, &network.user, &responses).expect_err(text);
        assert_eq!(refused.to_string(), text);
    }
    let admin = SigningIdentity::load(&network.msp.admin, MSPID).expect("a key");
    let refused = create_signed_tx(&created.proposal, &admin, &[good()]).expect_err("another signer");
    assert_eq!(refused.to_string(), "signer must be the same as the one referenced in the header");
    create_signed_tx(&created.proposal, &network.user, &[good(), good()]).expect("duplicates are dropped");
}
