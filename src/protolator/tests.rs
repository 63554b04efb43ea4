use bytes::Bytes;
use prost::Message;
use selvedge_proto::common::{
    Block, BlockData, ChannelHeader, Envelope, Header, HeaderType, Metadata, Payload, SignaturePolicy, signature_policy,
};
use selvedge_proto::{Timestamp, protos};
use serde_json::{Value, json};

use super::{ProtolatorError, text, to_json};
use crate::testing::Golden;

#[test]
fn recorded_blocks_read_as_configtxlator_printed_them() {
    for number in [0, 1, 9, 12, 16, 21, 35, 40, 41] {
        let file = |ending: &str| Golden::V1_4.read(&format!("blocks/block-{number:03}.{ending}")).expect(ending);
        let printed = text(&to_json("common.Block", &file("block")).expect("a block"));
        let expected = file("json");
        let expected = std::str::from_utf8(&expected).expect("text");
        let different = printed.lines().zip(expected.lines()).find(|(ours, fabrics)| ours != fabrics);
        assert_eq!(different, None, "block {number}");
        assert_eq!(printed.len(), expected.len(), "block {number}");
    }
}

/// The last transaction of this block is of type MESSAGE, whose content can be anything. Fabric's tool takes it for a
/// `ConfigValue`, and shows one without a value.
#[test]
fn what_a_message_of_no_type_holds_is_not_lost() {
    let file = |ending: &str| Golden::V1_4.read(&format!("blocks/block-024.{ending}")).expect(ending);
    let mut printed = to_json("common.Block", &file("block")).expect("a block");
    let mut expected: Value = serde_json::from_slice(&file("json")).expect("JSON");
    let content = |block: &mut Value| block.pointer_mut("/data/data/4/payload/data").expect("a message").take();
    assert!(content(&mut printed).as_str().is_some_and(|data| data.starts_with("CvMNCrQGCpcG")));
    assert_eq!(content(&mut expected), json!({ "mod_policy": "", "value": null, "version": "0" }));
    assert_eq!(printed, expected);
}

#[test]
fn a_recorded_creation_of_a_channel_reads_as_configtxlator_printed_it() {
    let file = |ending: &str| Golden::V1_4.read(&format!("channel/channel-create.{ending}")).expect(ending);
    let printed = text(&to_json("common.Envelope", &file("tx")).expect("an envelope"));
    assert_eq!(printed.as_bytes(), &file("json")[..]);
}

/// configtxlator gives such blocks up.
#[test]
fn every_recorded_block_can_be_read_whatever_clients_sent() {
    for number in 0..42 {
        let file = Golden::V1_4.read(&format!("blocks/block-{number:03}.block")).expect("a block");
        let block = to_json("common.Block", &file).unwrap_or_else(|error| panic!("block {number}: {error}"));
        assert_eq!(block["header"]["number"], json!(number.to_string()));
    }
}

fn envelope(kind: HeaderType, data: Bytes) -> Bytes {
    let header = ChannelHeader {
        r#type: kind as i32,
        timestamp: Some(Timestamp { seconds: i64::MAX, nanos: i32::MIN }),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data };
    Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() }.encode_to_vec().into()
}

#[test]
fn what_does_not_decode_inside_stands_in_base64() {
    let data = vec![
        envelope(HeaderType::EndorserTransaction, Bytes::from_static(&[0x0a, 9])),
        envelope(HeaderType::Message, Bytes::from_static(b"free")),
        Bytes::from_static(&[0xff]),
        Bytes::new(),
    ];
    let block = Block { data: Some(BlockData { data }), ..Block::default() };
    let json = to_json("common.Block", &block.encode_to_vec().into()).expect("a block");
    let data = &json["data"]["data"];
    assert_eq!(data[0]["payload"]["data"], json!("Cgk="));
    assert_eq!(data[1]["payload"]["data"], json!("ZnJlZQ=="));
    assert_eq!(data[2], json!("/w=="));
    assert_eq!(data[3], json!(null));
    assert_eq!((&json["header"], &json["metadata"]), (&json!(null), &json!(null)));
}

#[test]
fn messages_may_not_stand_inside_each_other_without_end() {
    let mut rule = SignaturePolicy { r#type: Some(signature_policy::Type::SignedBy(0)) };
    for _ in 0..200 {
        let gate = signature_policy::NOutOf { n: 1, rules: vec![rule] };
        rule = SignaturePolicy { r#type: Some(signature_policy::Type::NOutOf(gate)) };
    }
    let refused = to_json("common.SignaturePolicy", &rule.encode_to_vec().into()).expect_err("too deep").to_string();
    assert_eq!(refused, "error unmarshaling common.SignaturePolicy: too many messages inside each other");
}

#[test]
fn only_messages_of_a_known_type_are_read() {
    let unknown = to_json("common.Nothing", &Bytes::new());
    assert_eq!(unknown, Err(ProtolatorError::UnknownType("common.Nothing".to_owned())));
    for bytes in [&[0x0a, 5, 1][..], &[0xff], &[0x0b]] {
        let refused = to_json("common.Block", &Bytes::copy_from_slice(bytes));
        assert!(matches!(refused, Err(ProtolatorError::Undecodable { .. })), "{bytes:?}: {refused:?}");
    }
}

/// A field that comes twice, one that nobody knows, and one of another wire type.
#[test]
fn bytes_are_read_as_a_decoder_reads_them() {
    let first = Metadata { value: Bytes::from_static(b"a"), ..Metadata::default() }.encode_to_vec();
    let second = Metadata { value: Bytes::from_static(b"b"), ..Metadata::default() }.encode_to_vec();
    let unknown = [0x78, 1, 0x10, 1];
    let json = to_json("common.Metadata", &[first, second, unknown.to_vec()].concat().into()).expect("metadata");
    assert_eq!(json, json!({ "value": "Yg==", "signatures": [] }));
}

#[test]
fn letters_that_html_or_a_terminal_knows_are_escaped() {
    let message = "<a> & b\u{2028}\u{7f}\u{9b}2J\u{1b}";
    let response = protos::Response { status: 200, message: message.to_owned(), payload: Bytes::new() };
    let json = to_json("protos.Response", &response.encode_to_vec().into()).expect("a response");
    let expected = "{\n\t\"message\": \"\\u003ca\\u003e \\u0026 b\\u2028\\u007f\\u009b2J\\u001b\",\n\t\"payload\": null,\n\t\"status\": 200\n}\n";
    assert_eq!(text(&json), expected);
}
