//! cscc, the configuration system chaincode (`core/scc/cscc`): joins channels, and tells their configurations.
//!
//! The host checks the caller's rights in each capability call, joins, reads and simulates; here are the arguments and
//! Fabric's texts. Invariant: a block, a configuration or an update passes as a blob and never enters this memory.
//!
//! The order is Fabric's: the number of arguments, for JoinChain then the block, then the caller's rights. Without an update, or
//! with an empty one, SimulateConfigTreeUpdate is refused, where it crashes in Fabric.

use selvedge_sdk::{Blob, Chaincode, ChannelError, ChannelQuery, JoinError, Level, Payload, Response, Stub};

/// The chaincode.
#[derive(Debug)]
pub struct Cscc;

selvedge_sdk::export!(Cscc);

impl Chaincode for Cscc {
    fn init(&self, stub: &Stub) -> Response {
        stub.log(Level::Info, "Init CSCC");
        Response::success(())
    }

    fn invoke(&self, stub: &Stub) -> Response {
        answer(stub).into()
    }
}

fn answer(stub: &Stub) -> Result<Payload, String> {
    let count = stub.arg_sizes().len();
    let incorrect = || format!("Incorrect number of arguments, {count}");
    let function = text(&stub.arg(0).ok_or_else(incorrect)?);
    if function == "GetChannels" {
        return channels(stub);
    }
    let argument = stub.arg(1).ok_or_else(incorrect)?;
    match function.as_str() {
        "JoinChain" => join(stub, &argument),
        "GetConfigBlock" => {
            let channel = text(&argument);
            configuration(stub, &function, &channel, ChannelQuery::ConfigBlock(&channel))
        }
        "GetConfigTree" => {
            let channel = text(&argument);
            configuration(stub, &function, &channel, ChannelQuery::ConfigTree(&channel))
        }
        "SimulateConfigTreeUpdate" => {
            let update = stub.arg(2).ok_or_else(incorrect)?;
            simulate(stub, &function, &text(&argument), &update)
        }
        _ => Err(format!("Requested function {function} not found.")),
    }
}

/// A name among the arguments.
fn text(argument: &Blob) -> String {
    String::from_utf8_lossy(&argument.read(0, u32::MAX)).into_owned()
}

fn channels(stub: &Stub) -> Result<Payload, String> {
    stub.channel_config(ChannelQuery::Channels).map(Payload::Blob).map_err(|error| match error {
        ChannelError::AccessDenied(reason) => format!("access denied for [GetChannels]: {reason}"),
        other => other.to_string(),
    })
}

fn configuration(stub: &Stub, function: &str, channel: &str, query: ChannelQuery<'_>) -> Result<Payload, String> {
    stub.channel_config(query).map(Payload::Blob).map_err(|error| refusal(function, channel, error))
}

fn simulate(stub: &Stub, function: &str, channel: &str, update: &Blob) -> Result<Payload, String> {
    let simulated = stub.simulate_config_update(channel, update);
    simulated.map_err(|error| refusal(function, channel, error))?;
    Ok("Simulation is successful".into())
}

fn refusal(function: &str, channel: &str, error: ChannelError) -> String {
    match error {
        ChannelError::AccessDenied(reason) => format!("access denied for [{function}][{channel}]: {reason}"),
        ChannelError::UnknownChannel => format!("Unknown chain ID, {channel}"),
        ChannelError::Refused(reason) => reason,
    }
}

fn join(stub: &Stub, block: &Blob) -> Result<Payload, String> {
    stub.join_channel(block).map(Payload::from).map_err(|error| match error {
        JoinError::NoBlock(reason) => format!("Failed to reconstruct the genesis block, {reason}"),
        JoinError::NoChannel(reason) => {
            format!("\"JoinChain\" request failed to extract channel id from the block due to [{reason}]")
        }
        JoinError::NoConfiguration { channel, reason } => format!(
            "\"JoinChain\" for chainID = {channel} failed because of validation of configuration block, because of {reason}"
        ),
        JoinError::AccessDenied { channel, reason } => format!("access denied for [JoinChain][{channel}]: [{reason}]"),
        JoinError::Refused(reason) => reason,
    })
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::mock::MockStub;

    use super::*;

    fn peer() -> MockStub {
        let peer = MockStub::new(Cscc);
        peer.on_channel_config(|query| match query {
            ChannelQuery::Channels => Ok(b"names".to_vec()),
            ChannelQuery::ConfigBlock("closed") | ChannelQuery::ConfigTree("closed") => {
                Err(ChannelError::AccessDenied("no policy".into()))
            }
            ChannelQuery::ConfigBlock("mychannel") => Ok(b"block".to_vec()),
            ChannelQuery::ConfigTree("mychannel") => Ok(b"tree".to_vec()),
            ChannelQuery::ConfigBlock("damaged") => Err(ChannelError::Refused("the ledger's database failed".into())),
            _ => Err(ChannelError::UnknownChannel),
        });
        peer.on_simulate_config_update(|channel, update| match (channel, update) {
            ("mychannel", b"good") => Ok(()),
            ("mychannel", _) => Err(ChannelError::Refused("it lacks signatures".into())),
            ("closed", _) => Err(ChannelError::AccessDenied("no policy".into())),
            _ => Err(ChannelError::UnknownChannel),
        });
        peer.on_join_channel(|block| {
            let (channel, reason) = ("c".to_owned(), "why".to_owned());
            match block {
                b"good" => Ok(()),
                b"no block" => Err(JoinError::NoBlock(reason)),
                b"no channel" => Err(JoinError::NoChannel(reason)),
                b"no configuration" => Err(JoinError::NoConfiguration { channel, reason }),
                b"denied" => Err(JoinError::AccessDenied { channel, reason }),
                _ => Err(JoinError::Refused(reason)),
            }
        });
        peer
    }

    fn payload(args: &[&str]) -> String {
        let response = peer().invoke(args);
        assert!(response.is_success() && response.message.is_empty(), "{response:?}");
        String::from_utf8(response.payload_bytes()).unwrap()
    }

    fn refused(args: &[&str]) -> String {
        let response = peer().invoke(args);
        assert_eq!(response.status, 500, "{response:?}");
        response.message
    }

    #[test]
    fn each_function_answers_with_what_the_peer_gives() {
        assert_eq!(payload(&["GetChannels"]), "names");
        assert_eq!(payload(&["GetChannels", "and more"]), "names");
        assert_eq!(payload(&["GetConfigBlock", "mychannel"]), "block");
        assert_eq!(payload(&["GetConfigTree", "mychannel"]), "tree");
        assert_eq!(payload(&["SimulateConfigTreeUpdate", "mychannel", "good"]), "Simulation is successful");
        assert_eq!(payload(&["JoinChain", "good"]), "");
        assert!(peer().init(&[] as &[&str]).is_success());
    }

    #[test]
    fn the_number_of_arguments_comes_before_everything_else() {
        assert_eq!(refused(&[]), "Incorrect number of arguments, 0");
        for function in ["JoinChain", "GetConfigBlock", "GetConfigTree", "SimulateConfigTreeUpdate", "nonsense"] {
            assert_eq!(refused(&[function]), "Incorrect number of arguments, 1", "{function}");
        }
        assert_eq!(refused(&["SimulateConfigTreeUpdate", "closed"]), "Incorrect number of arguments, 2");
        assert_eq!(refused(&["nonsense", "mychannel"]), "Requested function nonsense not found.");
        assert_eq!(refused(&["", ""]), "Requested function  not found.");
    }

    #[test]
    fn why_a_channel_is_not_joined() {
        let because = "failed because of validation of configuration block, because of why";
        for (block, text) in [
            ("no block", "Failed to reconstruct the genesis block, why"),
            ("no channel", "\"JoinChain\" request failed to extract channel id from the block due to [why]"),
            ("no configuration", &format!("\"JoinChain\" for chainID = c {because}")),
            ("denied", "access denied for [JoinChain][c]: [why]"),
            ("refused", "why"),
        ] {
            assert_eq!(refused(&["JoinChain", block]), text);
        }
    }

    #[test]
    fn a_denial_names_function_and_channel() {
        assert_eq!(refused(&["GetConfigBlock", "closed"]), "access denied for [GetConfigBlock][closed]: no policy");
        assert_eq!(refused(&["GetConfigTree", "closed"]), "access denied for [GetConfigTree][closed]: no policy");
        assert_eq!(
            refused(&["SimulateConfigTreeUpdate", "closed", "good"]),
            "access denied for [SimulateConfigTreeUpdate][closed]: no policy"
        );
        let peer = MockStub::new(Cscc);
        peer.on_channel_config(|_| Err(ChannelError::AccessDenied("no member".into())));
        assert_eq!(peer.invoke(&["GetChannels"]).message, "access denied for [GetChannels]: no member");
    }

    #[test]
    fn what_the_peer_does_not_have_or_take_is_said() {
        for function in ["GetConfigBlock", "GetConfigTree"] {
            assert_eq!(refused(&[function, "other"]), "Unknown chain ID, other");
        }
        assert_eq!(refused(&["GetConfigBlock", "damaged"]), "the ledger's database failed");
        assert_eq!(refused(&["SimulateConfigTreeUpdate", "other", "good"]), "Unknown chain ID, other");
        assert_eq!(refused(&["SimulateConfigTreeUpdate", "mychannel", "bad"]), "it lacks signatures");
    }
}
