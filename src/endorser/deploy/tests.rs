use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use prost::Message;
use selvedge_proto::protos::chaincode_spec::Type;
use selvedge_proto::protos::{
    ChaincodeAction, ChaincodeEvent, ChaincodeId, ChaincodeSpec, ProposalResponse, ProposalResponsePayload, Response,
};
use selvedge_proto::rwset::TxReadWriteSet;

use super::*;
use crate::chaincode::{ContainerInfo, ExecuteError, Executed, InvokeError, SendingError};
use crate::client::create_chaincode_proposal;
use crate::container::VmType;
use crate::endorser::fixture::{CHANNEL, Network};
use crate::endorser::{ChaincodeExecutor, Endorser};
use crate::testing::chaincode_package;

/// lscc that answers with this status, and a chaincode whose Init does this.
struct Deploys {
    status: i32,
    init: Init,
    inits: Mutex<Vec<(ContainerInfo, ChaincodeInput)>>,
}

#[derive(Clone, Copy)]
enum Init {
    Writes,
    AnswersWith(i32),
    Fails,
}

impl Deploys {
    fn new(status: i32, init: Init) -> Arc<Self> {
        Arc::new(Self { status, init, inits: Mutex::default() })
    }
}

fn executed(status: i32, payload: &'static str) -> Executed {
    let event = ChaincodeEvent { event_name: payload.into(), ..ChaincodeEvent::default() };
    Executed { response: Response { status, message: "m".into(), payload: payload.into() }, event: Some(event) }
}

fn write(params: &TransactionParams, namespace: &str) {
    let simulator = params.simulator.as_ref().expect("a simulator");
    let mut simulator = simulator.lock().unwrap_or_else(PoisonError::into_inner);
    simulator.set_state(namespace, "mycc", "v".into()).expect("written");
}

#[async_trait]
impl ChaincodeExecutor for Deploys {
    async fn execute(&self, params: &TransactionParams, _: &Ccid, _: ChaincodeInput) -> Result<Executed, ExecuteError> {
        write(params, "lscc");
        Ok(executed(self.status, "of lscc"))
    }

    async fn execute_init(
        &self,
        params: &TransactionParams,
        info: &ContainerInfo,
        input: ChaincodeInput,
    ) -> Result<Executed, ExecuteError> {
        self.inits.lock().expect("nobody panics").push((info.clone(), input));
        match self.init {
            Init::Writes => write(params, "mycc"),
            Init::AnswersWith(status) => return Ok(executed(status, "of Init")),
            Init::Fails => {
                let source = Box::new(InvokeError::Sending(SendingError::Timeout));
                return Err(ExecuteError::Failed { txid: params.txid.clone(), source });
            }
        }
        Ok(executed(200, "of Init"))
    }
}

fn spec(name: &str, kind: Type) -> Bytes {
    let id = ChaincodeId { name: name.into(), version: "1".into(), path: "elsewhere".into() };
    let decorations = [("d".to_owned(), Bytes::from("forged"))].into();
    let input = ChaincodeInput { args: vec!["init".into()], decorations, ..ChaincodeInput::default() };
    let spec = ChaincodeSpec { r#type: kind as i32, chaincode_id: Some(id), input: Some(input), timeout: 0 };
    ChaincodeDeploymentSpec { chaincode_spec: Some(spec), ..ChaincodeDeploymentSpec::default() }.encode_to_vec().into()
}

async fn propose(network: &Network, deploys: &Arc<Deploys>, args: Vec<Bytes>) -> ProposalResponse {
    let parts = EndorserParts { executor: deploys.clone(), ..network.parts.clone() };
    let proposal = create_chaincode_proposal(CHANNEL, "lscc", args, Default::default(), &network.user);
    let answer = Endorser::new(parts, 1, None).process(proposal.expect("a proposal").signed).await;
    answer.expect("a response")
}

fn deploy(spec: &Bytes) -> Vec<Bytes> {
    vec!["deploy".into(), CHANNEL.into(), spec.clone()]
}

fn action(answer: ProposalResponse) -> ChaincodeAction {
    let payload = ProposalResponsePayload::decode(answer.payload).expect("a payload");
    ChaincodeAction::decode(payload.extension).expect("an action")
}

fn network() -> Network {
    let network = Network::new();
    for name in ["mycc", "cscc"] {
        network.packages.put(&chaincode_package(name, "1", &[]).expect("a package")).expect("stored");
    }
    network
}

#[tokio::test]
async fn what_lscc_and_init_write_is_one_transaction_and_the_answer_is_lsccs() {
    let network = network();
    for function in ["deploy", "upgrade"] {
        let deploys = Deploys::new(200, Init::Writes);
        let args = vec![function.into(), CHANNEL.into(), spec("mycc", Type::Golang)];
        let answer = propose(&network, &deploys, args).await;
        assert!(answer.endorsement.is_some());
        let action = action(answer);
        assert_eq!(action.response.expect("a response").payload, "of lscc");
        assert_eq!(ChaincodeEvent::decode(action.events).expect("an event").event_name, "of lscc");
        let sets = TxReadWriteSet::decode(action.results).expect("a set").ns_rwset;
        assert_eq!(sets.iter().map(|set| set.namespace.as_str()).collect::<Vec<_>>(), ["lscc", "mycc"]);

        let inits = deploys.inits.lock().expect("nobody panics");
        let (info, input) = &inits[..][0];
        assert_eq!(
            (info.ccid.to_string().as_str(), info.vm),
            ("mycc:1", VmType::Docker),
            "the package says what it is"
        );
        assert_eq!((input.args.clone(), input.decorations.len()), (vec![Bytes::from("init")], 0));
    }
}

#[tokio::test]
async fn only_the_end_of_init_counts_and_only_after_lscc_agreed() {
    let network = network();
    let spec = spec("mycc", Type::Golang);
    for status in [0, 404, 500] {
        let answer = propose(&network, &Deploys::new(200, Init::AnswersWith(status)), deploy(&spec)).await;
        assert_eq!(action(answer).response.expect("a response").status, 200, "Init answers {status}");
    }
    for (status, args) in [
        (500, deploy(&spec)),
        (400, deploy(&spec)),
        (200, vec!["getid".into(), CHANNEL.into(), spec.clone()]),
        (200, vec!["deploy".into(), CHANNEL.into()]),
    ] {
        let deploys = Deploys::new(status, Init::Fails);
        let answer = propose(&network, &deploys, args).await;
        assert_eq!(answer.response.expect("a response").status, status);
        assert!(deploys.inits.lock().expect("nobody panics").is_empty(), "{status}");
    }
}

#[tokio::test]
async fn what_keeps_a_chaincode_from_being_deployed_is_told_as_fabric_tells_it() {
    let network = network();
    let refusal = async |init, args| {
        let answer = propose(&network, &Deploys::new(200, init), args).await;
        assert!(answer.payload.is_empty() && answer.endorsement.is_none());
        let response = answer.response.expect("a response");
        assert_eq!(response.status, 500);
        response.message
    };
    let missing = refusal(Init::Writes, deploy(&spec("none", Type::Node))).await;
    let text = "cannot deploy a chaincode which is not installed: could not get chaincode from fs: open /";
    assert!(missing.starts_with(text) && missing.ends_with("none.1: no such file or directory"), "{missing}");
    let system = refusal(Init::Writes, deploy(&spec("cscc", Type::Node))).await;
    assert_eq!(system, "attempting to deploy a system chaincode cscc/mychannel");
    assert_eq!(refusal(Init::Writes, deploy(&spec("mycc", Type::Car))).await, "Unknown chaincodeType: CAR");
    let code = crate::testing::targz(&[("bin/sh", "")]).expect("an archive").into();
    let illegal = ChaincodeDeploymentSpec::decode(spec("mycc", Type::Golang)).expect("a spec");
    let illegal = ChaincodeDeploymentSpec { code_package: code, ..illegal }.encode_to_vec().into();
    let illegal = refusal(Init::Writes, deploy(&illegal)).await;
    assert_eq!(illegal, "illegal file detected in payload: \"bin/sh\"");
    let garbage = refusal(Init::Writes, deploy(&Bytes::from_static(b"\xff"))).await;
    assert_eq!(garbage, "error unmarshaling ChaincodeDeploymentSpec: unexpected EOF");

    assert_eq!(network.parts.metrics.instantiation_failures(CHANNEL, "mycc:1"), 0);
    let failed = refusal(Init::Fails, deploy(&spec("mycc", Type::Golang))).await;
    assert!(failed.ends_with("error sending: timeout expired while executing transaction"), "{failed}");
    assert_eq!(network.parts.metrics.instantiation_failures(CHANNEL, "mycc:1"), 1);
}
