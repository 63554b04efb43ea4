//! What cscc and qscc refuse (Fabric 1.4: `core/scc/cscc`, `core/scc/qscc`).

use bytes::Bytes;
use prost::Message;
use selvedge::msp::SigningIdentity;
use selvedge_proto::common::{
    Block, BlockData, ChannelHeader, Config, ConfigEnvelope, ConfigGroup, Envelope, Header, HeaderType, Payload,
};

use super::draft::Draft;
use super::{CHANNEL, GOLDEN, Row, Signers, refused};

const EOF: &str = "unexpected EOF";
const GARBAGE: &[u8] = b"\x0a\xff";

pub(crate) fn rows(signers: &Signers) -> Vec<Row> {
    let mut rows = Vec::new();
    cscc(&mut rows, signers);
    join_chain(&mut rows, signers);
    qscc(&mut rows, signers);
    rows
}

/// A call on the channel, or on none.
fn call(
    rows: &mut Vec<Row>,
    (channel, chaincode): (&str, &'static str),
    args: &[&[u8]],
    signer: &SigningIdentity,
    expected: impl Into<String>,
) {
    let signed = Draft::call(channel, chaincode, args).sign(signer);
    rows.push(Row { name: chaincode, signed, expected: refused(expected) });
}

/// The text of the default access control list.
fn not_satisfied(policy: &str, channel: &str) -> String {
    let kind = policy.rsplit('/').next().unwrap_or_default();
    format!(
        "Failed evaluating policy on signed data during check policy on channel [{channel}] with policy [{policy}]: \
         [implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the '{kind}' \
         sub-policies to be satisfied]"
    )
}

fn cscc(rows: &mut Vec<Row>, signers: &Signers) {
    let (user, outsider) = (&signers.user, &signers.orderer_admin);
    let here = (CHANNEL, "cscc");
    call(rows, here, &[], user, "Incorrect number of arguments, 0");
    for function in ["JoinChain", "GetConfigBlock", "GetConfigTree", "SimulateConfigTreeUpdate", "Nope"] {
        call(rows, here, &[function.as_bytes()], user, "Incorrect number of arguments, 1");
    }
    call(rows, here, &[b"Nope", b"x"], user, "Requested function Nope not found.");
    for (function, policy) in [
        ("GetConfigBlock", "/Channel/Application/Readers"),
        ("GetConfigTree", "/Channel/Application/Readers"),
        ("SimulateConfigTreeUpdate", "/Channel/Application/Writers"),
    ] {
        let args: &[&[u8]] = &[function.as_bytes(), CHANNEL.as_bytes(), b""];
        let denied = not_satisfied(policy, CHANNEL);
        call(rows, here, args, outsider, format!("access denied for [{function}][{CHANNEL}]: {denied}"));
        let args: &[&[u8]] = &[function.as_bytes(), b"nowhere", b""];
        let denied =
            format!("access denied for [{function}][nowhere]: Failed to get policy manager for channel [nowhere]");
        call(rows, here, args, user, denied);
    }
    let denied = "access denied for [GetChannels]: Failed deserializing proposal creator during channelless check policy \
                  with policy [Members]: [expected MSP ID AlphaMSP, received BetaMSP]";
    call(rows, here, &[b"GetChannels"], &signers.other_org, denied);

    let simulate =
        |update: &Envelope| vec![b"SimulateConfigTreeUpdate".to_vec(), CHANNEL.into(), update.encode_to_vec()];
    let mut simulated = |update: &Envelope, expected: &str| {
        let signed = Draft::call(CHANNEL, "cscc", &simulate(update)).sign(user);
        rows.push(Row { name: "cscc simulate", signed, expected: refused(expected) });
    };
    simulated(&transaction(HeaderType::Config, Vec::new()), "invalid payload header type: 1");
    let payload = Envelope { payload: Bytes::from_static(GARBAGE), ..Envelope::default() };
    simulated(&payload, &format!("failed unmarshaling payload: {EOF}"));
}

/// An envelope of the channel that holds this.
fn transaction(kind: HeaderType, data: Vec<u8>) -> Envelope {
    let header = ChannelHeader { r#type: kind as i32, channel_id: CHANNEL.into(), ..ChannelHeader::default() };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: data.into() };
    Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() }
}

fn block(envelope: &[u8]) -> Vec<u8> {
    let data = BlockData { data: vec![Bytes::copy_from_slice(envelope)] };
    Block { data: Some(data), ..Block::default() }.encode_to_vec()
}

fn configuration(group: Option<ConfigGroup>) -> Vec<u8> {
    let config = Config { sequence: 0, channel_group: group };
    let envelope = ConfigEnvelope { config: Some(config), last_update: None };
    block(&transaction(HeaderType::Config, envelope.encode_to_vec()).encode_to_vec())
}

fn join_chain(rows: &mut Vec<Row>, signers: &Signers) {
    let no_channel =
        |cause: &str| format!("\"JoinChain\" request failed to extract channel id from the block due to [{cause}]");
    let invalid = |cause: &str| {
        format!(
            "\"JoinChain\" for chainID = {CHANNEL} failed because of validation of configuration block, because of {cause}"
        )
    };
    let headless = Envelope { payload: Payload::default().encode_to_vec().into(), ..Envelope::default() };
    let empty_config = block(&transaction(HeaderType::Config, Vec::new()).encode_to_vec());
    let other_group = [("Orderer".to_owned(), ConfigGroup::default())].into();
    let other_group = ConfigGroup { groups: other_group, ..ConfigGroup::default() };
    let genesis = GOLDEN.read("channel/channel-block0.block").expect("recorded");
    let table: Vec<(Vec<u8>, String)> = vec![
        (GARBAGE.into(), format!("Failed to reconstruct the genesis block, error unmarshaling block: {EOF}")),
        (Vec::new(), no_channel("failed to retrieve channel id - block is empty")),
        (
            Block { data: Some(BlockData::default()), ..Block::default() }.encode_to_vec(),
            no_channel("failed to retrieve channel id - block is empty"),
        ),
        (block(&headless.encode_to_vec()), no_channel("failed to retrieve channel id - payload header is empty")),
        (
            block(&transaction(HeaderType::EndorserTransaction, Vec::new()).encode_to_vec()),
            invalid("Bad configuration envelope: invalid type ENDORSER_TRANSACTION, expected CONFIG"),
        ),
        (
            block(&transaction(HeaderType::Config, GARBAGE.into()).encode_to_vec()),
            invalid(&format!("Bad configuration envelope: error unmarshaling message for type CONFIG: {EOF}")),
        ),
        (empty_config, invalid("Nil config envelope Config")),
        (configuration(None), invalid("Nil channel group")),
        (configuration(Some(ConfigGroup::default())), invalid("No channel configuration groups are available")),
        (
            configuration(Some(other_group)),
            invalid("Invalid configuration block, missing Application configuration group"),
        ),
        (genesis.to_vec(), "cannot create ledger from genesis block: LedgerID already exists".into()),
    ];
    for (block, expected) in table {
        call(rows, ("", "cscc"), &[b"JoinChain", &block], &signers.admin, expected);
    }
    let denied = format!(
        "access denied for [JoinChain][{CHANNEL}]: [Failed verifying that proposal's creator satisfies local MSP principal \
         during channelless check policy with policy [Admins]: [This identity is not an admin]]"
    );
    call(rows, ("", "cscc"), &[b"JoinChain", &genesis], &signers.user, denied);
}

fn qscc(rows: &mut Vec<Row>, signers: &Signers) {
    let (user, outsider) = (&signers.user, &signers.orderer_admin);
    for channel in [CHANNEL, ""] {
        let here = (channel, "qscc");
        call(rows, here, &[], user, "Incorrect number of arguments, 0");
        call(rows, here, &[b"GetChainInfo"], user, "Incorrect number of arguments, 1");
        call(rows, here, &[b"GetChainInfo", b"nowhere"], user, "Invalid chain ID, nowhere");
    }
    let here = (CHANNEL, "qscc");
    let channel = CHANNEL.as_bytes();
    for function in ["GetBlockByNumber", "GetBlockByHash", "GetTransactionByID", "GetBlockByTxID", "Nope"] {
        let expected = format!("missing 3rd argument for {function}");
        call(rows, here, &[function.as_bytes(), channel], user, expected);
    }
    for function in ["GetBlockByNumber", "GetBlockByHash", "GetTransactionByID"] {
        let denied = not_satisfied("/Channel/Application/Readers", CHANNEL);
        let expected = format!("access denied for [{function}][{CHANNEL}]: [{denied}]");
        call(rows, here, &[function.as_bytes(), channel, b"0"], outsider, expected);
    }
    // The channel's own list names policies for these two, and Fabric has another text for such policies.
    for (function, policy, required, signer) in
        [("GetChainInfo", "Readers", 1, outsider), ("GetBlockByTxID", "Admins", 2, user)]
    {
        let denied = format!(
            "access denied for [{function}][{CHANNEL}]: [failed evaluating policy on signed data during check policy \
             [/Channel/Application/{policy}]: [implicit policy evaluation failed - 0 sub-policies were satisfied, but this \
             policy requires {required} of the '{policy}' sub-policies to be satisfied]]"
        );
        call(rows, here, &[function.as_bytes(), channel, b"x"], signer, denied);
    }
    let denied = format!("access denied for [Nope][{CHANNEL}]: [Unmapped policy for qscc/Nope]");
    call(rows, here, &[b"Nope", channel, b"x"], user, denied);

    let parse = |text: &str, why: &str| {
        format!("Failed to parse block number with error strconv.ParseUint: parsing {text:?}: {why}")
    };
    for (text, why) in
        [("abc", "invalid syntax"), ("-1", "invalid syntax"), ("18446744073709551616", "value out of range")]
    {
        call(rows, here, &[b"GetBlockByNumber", channel, text.as_bytes()], user, parse(text, why));
    }
    call(rows, here, &[b"GetBlockByNumber", channel, b""], user, parse("", "invalid syntax"));
    let missing = "error Entry not found in index";
    call(rows, here, &[b"GetBlockByNumber", channel, b"99"], user, format!("Failed to get block number 99, {missing}"));
    call(rows, here, &[b"GetBlockByHash", channel, b"hash"], user, format!("Failed to get block hash hash, {missing}"));
    let expected = format!("Failed to get transaction with id abc, {missing}");
    call(rows, here, &[b"GetTransactionByID", channel, b"abc"], user, expected);
}
