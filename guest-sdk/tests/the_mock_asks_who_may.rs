//! The capabilities on the mock let through whom a peer would: nobody without a proposal, and whom the test lets.
#![cfg(feature = "peer")]

use selvedge_sdk::mock::MockStub;
use selvedge_sdk::{
    AccessQuery, Chaincode, ChannelError, ChannelQuery, JoinError, LedgerError, LocalPolicy, PackageError, Response,
    Stub,
};

/// Asks every capability something, and answers with the denials.
struct Curious;

impl Chaincode for Curious {
    fn init(&self, stub: &Stub) -> Response {
        Response::success(denials(stub).join("\n"))
    }

    fn invoke(&self, stub: &Stub) -> Response {
        self.init(stub)
    }
}

fn denials(stub: &Stub) -> Vec<String> {
    let block = stub.arg(0).expect("a block");
    let channel = |answer: Result<(), ChannelError>| match answer {
        Err(ChannelError::AccessDenied(reason)) => Some(reason),
        _ => None,
    };
    let package = |answer: Result<(), PackageError>| match answer {
        Err(PackageError::AccessDenied(reason)) => Some(reason),
        _ => None,
    };
    let ledger = match stub.ledger("c").block_by_number(0) {
        Err(LedgerError::AccessDenied(reason)) => Some(reason),
        _ => None,
    };
    let join = match stub.join_channel(&block) {
        Err(JoinError::AccessDenied { reason, .. }) => Some(reason),
        _ => None,
    };
    let denials = [
        stub.check_access("qscc/GetChainInfo", "c").err(),
        stub.check_local_access(LocalPolicy::Members).err(),
        channel(stub.channel_config(ChannelQuery::Channels).map(drop)),
        channel(stub.channel_config(ChannelQuery::ConfigBlock("c")).map(drop)),
        channel(stub.channel_config(ChannelQuery::ConfigTree("c")).map(drop)),
        channel(stub.simulate_config_update("c", &block)),
        package(stub.packages().list().map(drop)),
        package(stub.packages().describe("c", "n", "1").map(drop)),
        package(stub.packages().get("c", "n", "1").map(drop)),
        ledger,
        join,
    ];
    denials.into_iter().flatten().collect()
}

fn peer() -> MockStub {
    let peer = MockStub::new(Curious);
    peer.on_ledger(|_, _| Ok(Vec::new()));
    peer
}

fn lines(response: Response) -> Vec<String> {
    String::from_utf8(response.payload_bytes()).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn nobody_may_anything_in_an_init() {
    assert_eq!(lines(peer().init(&["block"])), ["there is no signed proposal"; 11]);
    assert_eq!(lines(peer().invoke(&["block"])), [""; 0]);
}

#[test]
fn every_capability_asks_for_a_right_of_its_own() {
    let peer = peer();
    peer.on_access(|query| match query {
        AccessQuery::Resource { resource, channel } => Err(format!("{resource} on {channel}")),
        AccessQuery::Local(policy) => Err(format!("{policy:?}")),
    });
    assert_eq!(
        lines(peer.invoke(&["block"])),
        [
            "qscc/GetChainInfo on c",
            "Members",
            "Members",
            "cscc/GetConfigBlock on c",
            "cscc/GetConfigTree on c",
            "cscc/SimulateConfigTreeUpdate on c",
            "Admins",
            "lscc/GetInstantiatedChaincodes on c",
            "lscc/GetDeploymentSpec on c",
            "qscc/GetBlockByNumber on c",
            "Admins",
        ]
    );
}

#[test]
fn an_unknown_ledger_is_told_to_anybody() {
    let peer = peer();
    peer.on_ledger(|_, _| Err(LedgerError::UnknownChannel));
    assert_eq!(lines(peer.init(&["block"])).len(), 10);
}
