//! ProcessProposal from socket to socket: the node is one process, the client another, over one connection on loopback.
//!
//! The client has signed its proposals before the clock starts. It still takes its part of the same processors, so a rate
//! says what node and client do together, and the node's own processor time says what a proposal costs.

use selvedge::testing::Plugin;

use crate::load::{Call, Load, QSCC};
use crate::measure::{Better, Row, TURNS, table};
use crate::node::NodeProcess;

const CALLS: [Call; 3] = [
    QSCC,
    Call { name: "asset, empty", chaincode: "asset", args: &["empty"] },
    Call { name: "asset, 10 get + 10 put", chaincode: "asset", args: &["ops", "10"] },
];

/// How many are in flight, and how many a turn has.
const LOADS: [(usize, usize); 2] = [(1, 1000), (16, 4000)];

// Fabric 1.4's peer did 4,456 of these a second on two processors, at 326 us of its own processor time for each. The aim
// is 2.5 times that.
const RATE: f64 = 11_140.0;
const COST: f64 = 130.0;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // The log as an operator has it: a line for each proposal.
    let settings = [("FABRIC_LOGGING_SPEC", "info"), ("CORE_CHAINCODE_WASM_INSTANCES", "288")];
    let node = NodeProcess::start(folder.path(), &[Plugin::guest("asset", "asset")?], &settings)?;
    let load = Load::new(node.user()?)?;
    let target = load.connect(node.id(), node.peer)?;
    for (in_flight, count) in LOADS {
        let mut rates = CALLS.map(|call| Row::new(call.name));
        let mut costs = CALLS.map(|call| Row::new(call.name));
        let mut client = CALLS.map(|call| Row::new(call.name));
        if in_flight > 1 {
            rates[0] = Row::new(QSCC.name).must(RATE);
        }
        costs[0] = Row::new(QSCC.name).must(COST);
        for _ in 0..TURNS {
            for (index, call) in CALLS.iter().enumerate() {
                let turn = load.turn(&target, call, in_flight, count)?;
                rates[index].add(turn.rate);
                costs[index].add(turn.target);
                client[index].add(turn.client);
            }
        }
        let title = format!("ProcessProposal, {in_flight} in flight, signed in advance");
        table(&title, "a second", Better::More, &rates);
        table(&format!("{title}: processor time of the node for each"), "us", Better::Less, &costs);
        table(&format!("{title}: processor time of the client for each"), "us", Better::Less, &client);
    }
    node.stop()
}
