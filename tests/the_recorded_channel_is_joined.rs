//! A node with an identity of a real Fabric 1.4.12 network joins that network's channel, and answers the recorded questions
//! about it as the Fabric peer did.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use selvedge::ledger::LedgerProvider;
use selvedge::msp::SigningIdentity;
use selvedge::testing::TestPeer;
use selvedge_proto::common::{Block, BlockMetadataIndex, ConfigEnvelope, Envelope, Payload, Status};
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::{ConfigTree, ProposalResponse, ProposalResponsePayload, SignedProposal, TxValidationCode};

const CHANNEL: &str = "goldchan";

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path)
}

fn read(path: &str) -> Bytes {
    let path = golden(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn block(number: u64) -> Block {
    Block::decode(read(&format!("blocks/block-{number:03}.block"))).expect("a block")
}

fn signer(folder: &str, mspid: &str) -> anyhow::Result<SigningIdentity> {
    Ok(SigningIdentity::load(&golden("msp").join(folder), mspid)?)
}

/// AlphaMSP's peer.
async fn peer(folder: &Path) -> anyhow::Result<TestPeer> {
    let msp = golden("msp/alpha-peer0");
    let settings = [
        ("PEER_MSPCONFIGPATH", msp.to_str().expect("a path")),
        ("PEER_LOCALMSPID", "AlphaMSP"),
        ("CHAINCODE_WASM_SYSTEMVERSION", "1.4.12"),
    ];
    TestPeer::start(folder, &[], &settings).await
}

fn args(args: &[&str]) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_channel_is_joined_with_its_first_block() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let genesis = read("channel/channel-block0.block");
    let (user, admin) = (signer("alpha-user1", "AlphaMSP")?, signer("alpha-admin", "AlphaMSP")?);
    for start in 0..2 {
        let peer = peer(folder.path()).await?;
        if start == 0 {
            assert!(peer.channels(&user).await?.is_empty(), "no development channel of another organisation");
            let refused = peer.join(&user, &genesis).await?;
            assert_eq!(
                refused.message,
                "access denied for [JoinChain][goldchan]: [Failed verifying that proposal's creator satisfies local MSP \
                 principal during channelless check policy with policy [Admins]: [This identity is not an admin]]"
            );
            let joined = peer.join(&admin, &genesis).await?;
            assert_eq!(joined.status, 200, "{joined:?}");
        }
        let again = peer.join(&admin, &genesis).await?;
        assert_eq!(again.message, "cannot create ledger from genesis block: LedgerID already exists");
        assert_eq!(peer.channels(&user).await?, [CHANNEL]);

        // BetaMSP tells clients from administrators by node OUs.
        for (folder, mspid) in [("alpha-user1", "AlphaMSP"), ("beta-user1", "BetaMSP"), ("beta-admin", "BetaMSP")] {
            let client = peer.client_on(std::sync::Arc::new(signer(folder, mspid)?), CHANNEL).await?;
            assert_eq!(client.height().await?, 1, "{folder}");
            let first = client.query("qscc", &["GetBlockByNumber", CHANNEL, "0"]).await?;
            assert_eq!(first, read("blocks/block-000.block"), "{folder}");
        }
        peer.stop().await;
    }
    Ok(())
}

/// The update that the orderer made a block of, with its sender's signature.
fn update_of(number: u64) -> anyhow::Result<Bytes> {
    let data = block(number).data.expect("data").data.remove(0);
    let payload = Payload::decode(Envelope::decode(data)?.payload)?;
    Ok(ConfigEnvelope::decode(payload.data)?.last_update.expect("an update").encode_to_vec().into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_the_channel_can_be_tried_and_are_not_ordered_here() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = peer(folder.path()).await?;
    let (user, admin) = (signer("alpha-user1", "AlphaMSP")?, signer("alpha-admin", "AlphaMSP")?);
    assert_eq!(peer.join(&admin, &read("channel/channel-block0.block")).await?.status, 200);
    let simulate = async |update: Bytes| -> anyhow::Result<(i32, String)> {
        let mut args = args(&["SimulateConfigTreeUpdate", CHANNEL]);
        args.push(update);
        let answer = peer.call(&user, "cscc", args).await?;
        Ok((answer.status, String::from_utf8([&answer.payload, answer.message.as_bytes()].concat())?))
    };
    for number in [1, 2, 3] {
        assert_eq!(simulate(update_of(number)?).await?, (200, "Simulation is successful".to_owned()), "block {number}");
    }
    // Its sender's signature was to be added on sending.
    let (status, text) = simulate(read("channel/anchor-Beta.update-tx.bin")).await?;
    assert_eq!(
        (status, text.as_str()),
        (
            500,
            "error authorizing update: error validating DeltaSet: policy for [Group]  /Channel/Application/BetaMSP not \
             satisfied: signature set did not satisfy policy"
        )
    );
    for (update, text) in [
        (Bytes::new(), "Config delta bytes must not be nil"),
        (Bytes::from_static(&[0x0a, 5]), "unexpected EOF"),
        (Bytes::from_static(&[0x0a, 2, 0x0a, 5]), "failed unmarshaling payload: unexpected EOF"),
        (Bytes::from_static(&[0x12, 1, 1]), "envelope must have a Header"),
        (block(1).data.expect("data").data.remove(0), "invalid payload header type: 1"),
    ] {
        assert_eq!(simulate(update).await?, (500, text.to_owned()));
    }

    let mut orderer = AtomicBroadcastClient::new(peer.connection().await?);
    let transaction = Envelope::decode(block(8).data.expect("data").data.remove(0))?;
    let of_nobody = Envelope { signature: Bytes::from_static(b"none"), ..transaction.clone() };
    let mut answers = Vec::new();
    for envelope in [of_nobody, transaction] {
        let mut stream = orderer.broadcast(tokio_stream::once(envelope)).await?.into_inner();
        answers.push(stream.message().await?.expect("an answer"));
    }
    assert!(answers.iter().all(|answer| answer.status() == Status::NotFound), "{answers:?}");
    assert_eq!(answers[0].info, "channel does not exist");
    let answer = &answers[1];
    let text = "channel goldchan is not ordered by this node; send its transactions to its ordering service at ";
    assert!(answer.info.starts_with(text) && answer.info.contains(':'), "{}", answer.info);
    peer.stop().await;
    Ok(())
}

/// What an endorsement says of the chaincode's answer, and the answer.
fn parts(response: ProposalResponse) -> anyhow::Result<(ProposalResponse, Bytes)> {
    let mut response = response;
    // Signatures are random.
    if let Some(endorsement) = &mut response.endorsement {
        endorsement.signature.clear();
    }
    let payload = std::mem::take(&mut response.response.as_mut().expect("a response").payload);
    Ok((response, payload))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_questions_get_the_recorded_answers() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // The channel as it was when the questions were recorded.
    {
        let ledgers = LedgerProvider::open(&folder.path().join("data/ledgers"))?;
        let ledger = ledgers.create(CHANNEL, &block(0))?;
        for number in 1..9 {
            let block = block(number);
            let flags =
                &block.metadata.as_ref().expect("metadata").metadata[BlockMetadataIndex::TransactionsFilter as usize];
            let codes: Vec<_> =
                flags.iter().map(|flag| TxValidationCode::try_from(i32::from(*flag))).collect::<Result<_, _>>()?;
            ledger.commit(block, &codes)?;
        }
    }
    let peer = peer(folder.path()).await?;
    for name in ["15-cscc-GetChannels", "16-cscc-GetConfigBlock", "17-cscc-GetConfigTree"] {
        let request = SignedProposal::decode(read(&format!("proposals/{name}.request.bin")))?;
        let recorded = ProposalResponse::decode(read(&format!("proposals/{name}.response.bin")))?;
        let (ours, answer) = parts(peer.endorse(request).await?)?;
        let (theirs, expected) = parts(recorded)?;
        if name == "17-cscc-GetConfigTree" {
            // Go writes the entries of a map in any order.
            assert_eq!(ConfigTree::decode(answer)?, ConfigTree::decode(expected)?);
            let payload = |response: ProposalResponse| ProposalResponsePayload::decode(response.payload);
            assert_eq!(payload(ours)?.proposal_hash, payload(theirs)?.proposal_hash);
        } else {
            assert_eq!(answer, expected, "{name}");
            assert_eq!(ours, theirs, "{name}");
        }
    }
    peer.stop().await;
    Ok(())
}
