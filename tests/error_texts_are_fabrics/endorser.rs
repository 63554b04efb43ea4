//! The endorser's own checks, in its order (Fabric 1.4: `core/endorser`, `core/common/validation`, `core/handlers/auth`).
//!
//! Where later releases check more (a name or an input that is missing), the row says what this peer does.

use bytes::Bytes;
use prost::Message;
use selvedge::msp::Signer;
use selvedge::testing::{base64_at, text_at};
use selvedge_proto::common::{Header, SerializedIdentity};
use selvedge_proto::protos::{
    ChaincodeHeaderExtension, ChaincodeId, ChaincodeInput, ChaincodeProposalPayload, ChaincodeSpec, SignedProposal,
};

use super::draft::{Draft, payload};
use super::{Answer, CHANNEL, GOLDEN, Row, Signers, failed, grpc};

const GARBAGE: &[u8] = b"\x0a\xff";

fn user_chaincode() -> Draft {
    Draft::call(CHANNEL, "kv", &["get", "a"])
}

pub(crate) fn rows(signers: &Signers) -> Vec<Row> {
    let mut rows = Vec::new();
    messages(&mut rows, signers);
    headers(&mut rows, signers);
    identities(&mut rows, signers);
    chaincodes(&mut rows, signers);
    inputs(&mut rows, signers);
    rows
}

fn row(rows: &mut Vec<Row>, name: &'static str, signed: SignedProposal, expected: Answer) {
    rows.push(Row { name, signed, expected });
}

/// Rows 1 and 2: what cannot be read.
fn messages(rows: &mut Vec<Row>, signers: &Signers) {
    let user = &signers.user;
    row(rows, "nothing at all", SignedProposal::default(), grpc("invalid header type MESSAGE"));
    let proposal_bytes = Bytes::from_static(GARBAGE);
    let signed = SignedProposal { signature: user.sign(&proposal_bytes).expect("a signature"), proposal_bytes };
    row(rows, "no proposal", signed, grpc("failed parsing proposal: error unmarshaling Proposal: unexpected EOF"));
    let header = |header: &[u8]| {
        let header = Bytes::copy_from_slice(header);
        user_chaincode().but(|draft| draft.header = Some(header)).sign(user)
    };
    let expected = grpc("failed parsing header: error unmarshaling Header: unexpected EOF");
    row(rows, "no header", header(GARBAGE), expected);
    let broken = Header { signature_header: Bytes::from_static(GARBAGE), ..Header::default() }.encode_to_vec();
    let expected = grpc("failed parsing signature header: error unmarshaling SignatureHeader: unexpected EOF");
    row(rows, "no signature header", header(&broken), expected);
    // Its first field of that form is the third, the timestamp.
    let broken = Header { channel_header: Bytes::from_static(b"\x1a\xff"), ..Header::default() }.encode_to_vec();
    let expected = grpc("error unmarshaling ChannelHeader: unexpected EOF");
    row(rows, "no channel header", header(&broken), expected);
}

/// Rows 3 to 5, 7 and 8: fields of the headers.
fn headers(rows: &mut Vec<Row>, signers: &Signers) {
    let user = &signers.user;
    let signed = |change: &dyn Fn(&mut Draft)| user_chaincode().but(|draft| change(draft)).sign(user);
    for (kind, name) in [
        (0, "MESSAGE"),
        (4, "ORDERER_TRANSACTION"),
        (5, "DELIVER_SEEK_INFO"),
        (6, "CHAINCODE_PACKAGE"),
        (8, "PEER_ADMIN_OPERATION"),
        (77, "77"),
    ] {
        let signed = signed(&|draft| draft.channel_header.r#type = kind);
        row(rows, "header type", signed, grpc(format!("invalid header type {name}")));
    }
    for kind in [2, 9] {
        let signed = signed(&|draft| draft.channel_header.r#type = kind);
        row(rows, "a header type without chaincode", signed, grpc(format!("unsupported proposal type {kind}")));
    }
    let epoch = signed(&|draft| draft.channel_header.epoch = 7);
    row(rows, "epoch", epoch, grpc("invalid Epoch in ChannelHeader. Expected 0, got [7]"));
    let nonce = signed(&|draft| draft.nonce = Some(Bytes::new()));
    row(rows, "nonce", nonce, grpc("invalid nonce specified in the header"));
    let creator = signed(&|draft| draft.creator = Some(Bytes::new()));
    row(rows, "creator", creator, grpc("invalid creator specified in the header"));

    let draft = user_chaincode().but(|draft| draft.nonce = Some(Bytes::from_static(b"nonce")));
    let expected = selvedge::endorser::hash::transaction_id(b"nonce", &user.serialize());
    let txid = draft.but(|draft| draft.txid = Some("abc".into())).sign(user);
    row(rows, "txid", txid, grpc(format!("invalid txid. got [abc], expected [{expected}]")));

    let extension = |bytes: Vec<u8>| signed(&move |draft| draft.extension = Some(bytes.clone().into()));
    let expected = || grpc("ChaincodeHeaderExtension.ChaincodeId is nil");
    row(rows, "extension without a chaincode", extension(Vec::new()), expected());
    row(rows, "extension", extension(GARBAGE.to_vec()), grpc("invalid header extension for type CHAINCODE"));
    let visible = ChaincodeHeaderExtension {
        chaincode_id: Some(ChaincodeId { name: "kv".into(), ..ChaincodeId::default() }),
        payload_visibility: Bytes::from_static(b"x"),
    };
    row(rows, "visibility", extension(visible.encode_to_vec()), grpc("invalid payload visibility field"));
}

/// Row 6, expiry before it, and rows 10 and 11: who asks.
fn identities(rows: &mut Vec<Row>, signers: &Signers) {
    let denied = |channel: &str, mspid: &str| grpc(format!("access denied: channel [{channel}] creator org [{mspid}]"));
    let user = &signers.user;
    let forged = user_chaincode().but(|draft| draft.signature = Some(Bytes::from_static(b"x"))).sign(user);
    row(rows, "signature", forged, denied(CHANNEL, "AlphaMSP"));
    let unsigned = user_chaincode().but(|draft| draft.signature = Some(Bytes::new())).sign(user);
    row(rows, "no signature", unsigned, denied(CHANNEL, "AlphaMSP"));
    let other_key = user_chaincode().but(|draft| draft.creator = Some(signers.admin.serialize())).sign(user);
    row(rows, "another's key", other_key, denied(CHANNEL, "AlphaMSP"));
    row(rows, "revoked", user_chaincode().sign(&signers.revoked), denied(CHANNEL, "AlphaMSP"));
    let creator = |identity: SerializedIdentity| {
        let creator = Bytes::from(identity.encode_to_vec());
        user_chaincode().but(|draft| draft.creator = Some(creator)).sign(user)
    };
    let identity = SerializedIdentity::decode(user.serialize()).expect("an identity");
    let elsewhere = SerializedIdentity { mspid: "NowhereMSP".into(), ..identity.clone() };
    row(rows, "unknown MSP", creator(elsewhere), denied(CHANNEL, "NowhereMSP"));
    let other = SerializedIdentity { mspid: "BetaMSP".into(), ..identity };
    row(rows, "another MSP's certificate", creator(other), denied(CHANNEL, "BetaMSP"));
    let garbage = user_chaincode().but(|draft| draft.creator = Some(Bytes::from_static(GARBAGE))).sign(user);
    row(rows, "creator that is none", garbage, denied(CHANNEL, ""));
    let nowhere = Draft::call("nowhere", "kv", &["get"]).sign(user);
    row(rows, "unknown channel", nowhere, denied("nowhere", "AlphaMSP"));
    let foreign = Draft::call("", "qscc", &["GetChainInfo", CHANNEL]).sign(&signers.other_org);
    row(rows, "no channel, another organisation", foreign, denied("", "BetaMSP"));

    let expected = grpc(
        "Failed evaluating policy on signed data during check policy on channel [goldchan] with policy \
         [/Channel/Application/Writers]: [implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy \
         requires 1 of the 'Writers' sub-policies to be satisfied]",
    );
    row(rows, "no writer", user_chaincode().sign(&signers.orderer_admin), expected);

    // These two need what only the recording has: a key whose certificate has run out, a transaction on the ledger.
    for name in ["creator-expired", "replay-committed"] {
        let cases = GOLDEN.json("proposals/rejected.json").expect("recorded");
        let case = cases.as_array().into_iter().flatten().find(|case| text_at(case, "/name") == name);
        let case = case.unwrap_or_else(|| panic!("{name} is recorded"));
        let signed = SignedProposal::decode(base64_at(case, "/request_base64").expect("base64")).expect("a proposal");
        row(rows, name, signed, grpc(text_at(case, "/grpc/details")));
    }
}

/// Rows 9 and 12, and what is said of chaincodes that are not there.
fn chaincodes(rows: &mut Vec<Row>, signers: &Signers) {
    let user = &signers.user;
    for name in ["escc", "vscc"] {
        let expected = grpc(format!("chaincode {name} cannot be invoked through a proposal"));
        row(rows, "not for clients", Draft::call(CHANNEL, name, &["f"]).sign(user), expected);
    }
    let missing = |name: &str, cause: &str| {
        failed(format!("make sure the chaincode {name} has been successfully instantiated and try again: {cause}"))
    };
    let unknown = Draft::call(CHANNEL, "nosuch", &["f"]).sign(user);
    row(rows, "unknown chaincode", unknown, missing("nosuch", "chaincode nosuch not found"));
    row(rows, "no name", Draft::call(CHANNEL, "", &["f"]).sign(user), missing("", "chaincode  not found"));
    let cause = "could not get definition for chaincode kv without a ledger context\n";
    row(rows, "no channel", Draft::call("", "kv", &["f"]).sign(user), missing("kv", cause));
}

/// What is wrong with the payload. Three of these end a Fabric 1.4 peer; the texts are those of 2.5.
fn inputs(rows: &mut Vec<Row>, signers: &Signers) {
    let user = &signers.user;
    let with = |payload: Bytes| user_chaincode().but(|draft| draft.payload = Some(payload)).sign(user);
    let no_spec = || failed("chaincode invocation spec did not contain chaincode spec");
    row(rows, "empty payload", with(Bytes::new()), no_spec());
    row(rows, "no spec", with(payload(None)), no_spec());
    let no_input = with(payload(Some(ChaincodeSpec::default())));
    row(rows, "no input", no_input, failed("chaincode input did not contain any input"));
    let expected = failed("error unmarshaling ChaincodeProposalPayload: unexpected EOF");
    row(rows, "payload", with(Bytes::from_static(GARBAGE)), expected);
    let invocation = ChaincodeProposalPayload { input: Bytes::from_static(GARBAGE), ..Default::default() };
    let expected = failed("error unmarshaling ChaincodeInvocationSpec: unexpected EOF");
    row(rows, "invocation", with(invocation.encode_to_vec().into()), expected);
    // An input without arguments is the chaincode's to refuse.
    let spec = ChaincodeSpec { input: Some(ChaincodeInput::default()), ..ChaincodeSpec::default() };
    let signed =
        Draft::call(CHANNEL, "qscc", &[] as &[&str]).but(|draft| draft.payload = Some(payload(Some(spec)))).sign(user);
    row(rows, "no arguments", signed, super::refused("Incorrect number of arguments, 0"));
}
