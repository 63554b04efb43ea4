//! Private data of a users' chaincode in WebAssembly, as its developer meets it: installed and instantiated with
//! collections by the command line, put by the transient map and read back across a restart. The channel has hashes, and
//! whoever is no member of a collection has Fabric's words for it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use selvedge::client::create_chaincode_proposal;
use selvedge::msp::Signer;
use selvedge::testing::{CommandLine, TestPeer, guest_path};
use selvedge_proto::kvrwset::{HashedRwSet, KvReadHash};
use selvedge_proto::protos::{ChaincodeAction, ProposalResponsePayload};
use selvedge_proto::rwset::TxReadWriteSet;
use selvedge_proto::{DecodeAsGo, Message};
use sha2::{Digest, Sha256};

const PROGRAM: &str = env!("CARGO_BIN_EXE_selvedge");
const CHANNEL: &str = "mychannel";
const SECRET: &str = "forty thousand";
/// The secret in base64.
const TRANSIENT: &str = r#"{"appraisal":"Zm9ydHkgdGhvdXNhbmQ="}"#;
/// One collection of everybody here, one of the administrators alone, and two of an organisation that this peer is not of.
const COLLECTIONS: &str = r#"[
    {"name":"appraisals","policy":"OR('SampleOrg.member')","requiredPeerCount":0,"maxPeerCount":1,"memberOnlyRead":true},
    {"name":"board","policy":"OR('SampleOrg.admin')","requiredPeerCount":0,"maxPeerCount":1,"memberOnlyRead":true},
    {"name":"theirs","policy":"OR('OtherOrg.member')","requiredPeerCount":0,"maxPeerCount":1,"memberOnlyRead":true},
    {"name":"theirsToRead","policy":"OR('OtherOrg.member')","requiredPeerCount":0,"maxPeerCount":1}
]"#;

fn tool(peer: &TestPeer, folder: &Path) -> CommandLine {
    CommandLine::new(PROGRAM, folder, peer.node().peer_address().to_string())
}

/// A call by name and arguments, as the command line takes it.
fn call(args: &[&str]) -> String {
    serde_json::json!({ "Args": args }).to_string()
}

async fn invoke(tool: &CommandLine, args: &[&str], transient: &str) -> anyhow::Result<()> {
    let ctor = call(args);
    let invoke = ["chaincode", "invoke", "-C", CHANNEL, "-n", "users", "-c", &ctor, "--waitForEvent"];
    tool.done(&[&invoke[..], &["--transient", transient]].concat()).await.map(drop)
}

async fn query(tool: &CommandLine, args: &[&str]) -> anyhow::Result<String> {
    let ctor = call(args);
    let answer = tool.done(&["chaincode", "query", "-C", CHANNEL, "-n", "users", "-c", &ctor]).await?.0;
    Ok(answer.trim_end().to_owned())
}

async fn refusal(tool: &CommandLine, verb: &str, args: &[&str], user: Option<&str>) -> anyhow::Result<String> {
    let ctor = call(args);
    let variables: Vec<_> = user.map(|folder| ("CORE_PEER_MSPCONFIGPATH", folder)).into_iter().collect();
    let command = ["chaincode", verb, "-C", CHANNEL, "-n", "users", "-c", &ctor, "--transient", TRANSIENT];
    tool.refusal(&command, &variables).await
}

/// What an endorsement of this call has of a collection.
async fn endorsed(
    peer: &TestPeer,
    signer: &dyn Signer,
    args: &[&str],
    collection: &str,
) -> anyhow::Result<HashedRwSet> {
    let args = args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect();
    let transient = BTreeMap::from([("appraisal".to_owned(), Bytes::from_static(SECRET.as_bytes()))]);
    let proposal = create_chaincode_proposal(CHANNEL, "users", args, transient, signer)?;
    let answer = peer.endorse(proposal.signed).await?;
    let action = ChaincodeAction::decode(ProposalResponsePayload::decode(answer.payload)?.extension)?;
    anyhow::ensure!(!contains(&action.results, SECRET), "the secret is in the read-write set");
    let sets = TxReadWriteSet::decode_as_go(action.results)?.ns_rwset;
    let own = sets.into_iter().find(|set| set.namespace == "users").context("the chaincode's namespace")?;
    let own = own.collection_hashed_rwset.into_iter().find(|set| set.collection_name == collection);
    Ok(HashedRwSet::decode(own.context("the collection")?.hashed_rwset)?)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn sha256(text: &str) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_put_and_read_by_members_and_the_channel_has_hashes() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let command = tool(&peer, folder.path());
    std::fs::write(folder.path().join("collections.json"), COLLECTIONS)?;
    let module = guest_path("asset")?;
    let module = module.to_str().context("a path of a test is text")?;
    command.done(&["chaincode", "install", "-n", "users", "-v", "1", "-l", "wasm", "-p", module]).await?;
    let instantiate = ["chaincode", "instantiate", "-n", "users", "-v", "1", "-C", CHANNEL, "-c", r#"{"Args":[]}"#];
    let collections = ["--collections-config", "collections.json", "--waitForEvent"];
    command.done(&[&instantiate[..], &collections].concat()).await?;

    invoke(&command, &["create", "a1", "Ada", "7"], "{}").await?;
    invoke(&command, &["appraise", "appraisals", "a1"], TRANSIENT).await?;
    let (hash, read) = (["appraisalHash", "appraisals", "a1"], ["appraisal", "appraisals", "a1"]);
    assert_eq!(query(&command, &read).await?, SECRET);
    assert_eq!(query(&command, &hash).await?, hex::encode(sha256(SECRET)));

    // What is endorsed and signed has hashes of key and value, and the version of what was read.
    let admin = peer.admin()?;
    let write = endorsed(&peer, &*admin, &["appraise", "appraisals", "a1"], "appraisals").await?;
    let written: Vec<_> = write.hashed_writes.into_iter().map(|write| (write.key_hash, write.value_hash)).collect();
    assert_eq!(written, [(sha256("a1"), sha256(SECRET))]);
    let ledger = peer.node().ledgers().get(CHANNEL).context("a ledger")?;
    let newest = ledger.height()? - 1;
    let reads = endorsed(&peer, &*admin, &read, "appraisals").await?.hashed_reads;
    let [KvReadHash { key_hash, version: Some(version) }] = &reads[..] else { anyhow::bail!("{reads:?}") };
    assert_eq!((key_hash, version.block_num, version.tx_num), (&sha256("a1"), newest, 0));
    for number in 0..=newest {
        let block = ledger.block_by_number(number)?.context("a block")?.encode_to_vec();
        assert!(!contains(&block, SECRET), "block {number} has the secret");
    }
    drop(ledger);

    peer.stop().await;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let command = tool(&peer, folder.path());
    assert_eq!(query(&command, &read).await?, SECRET);
    invoke(&command, &["withdraw", "appraisals", "a1"], "{}").await?;
    let gone = refusal(&command, "query", &read, None).await?;
    assert!(gone.contains("asset a1 has no appraisal in appraisals"), "{gone}");
    assert_eq!(query(&command, &hash).await?, "");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_member_of_a_collection_is_refused() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let command = tool(&peer, folder.path());
    std::fs::write(folder.path().join("collections.json"), COLLECTIONS)?;
    std::fs::copy(guest_path("asset")?, folder.path().join("asset.wasm"))?;
    command.done(&["chaincode", "install", "-n", "users", "-v", "1", "-l", "wasm", "-p", "asset.wasm"]).await?;
    let instantiate = ["chaincode", "instantiate", "-n", "users", "-v", "1", "-C", CHANNEL, "-c", r#"{"Args":[]}"#];
    let collections = ["--collections-config", "collections.json", "--waitForEvent"];
    command.done(&[&instantiate[..], &collections].concat()).await?;
    invoke(&command, &["create", "a1", "Ada", "7"], "{}").await?;
    for collection in ["appraisals", "board", "theirs", "theirsToRead"] {
        invoke(&command, &["appraise", collection, "a1"], TRANSIENT).await?;
    }

    let user = folder.path().join("data/development/users/User1/msp");
    let user = user.to_str().context("a path of a test is text")?;
    let denied = |collection: &str| {
        format!(
            "tx creator does not have read access permission on privatedata in chaincodeName:users collectionName: \
             {collection}"
        )
    };
    assert_eq!(query(&command, &["appraisal", "board", "a1"]).await?, SECRET, "an administrator is a member");
    for (verb, args, user, expected) in [
        ("query", ["appraisal", "board", "a1"], Some(user), denied("board")),
        ("invoke", ["appraisal", "board", "a1"], Some(user), denied("board")),
        ("query", ["appraisal", "theirs", "a1"], None, denied("theirs")),
        (
            "query",
            ["appraisal", "theirsToRead", "a1"],
            None,
            "private data matching public hash version is not available".to_owned(),
        ),
        (
            "query",
            ["appraisal", "nowhere", "a1"],
            None,
            format!("collection {CHANNEL}/users/nowhere could not be found"),
        ),
        (
            "invoke",
            ["appraise", "nowhere", "a1"],
            None,
            "collection [nowhere] not defined in the collection config for chaincode [users]".to_owned(),
        ),
    ] {
        let refused = refusal(&command, verb, &args, user).await?;
        assert!(refused.contains(&expected), "{verb} {args:?}: {refused}\nshould have\n{expected}");
    }
    // The hash is everybody's.
    let hash = query(&command, &["appraisalHash", "theirs", "a1"]).await?;
    assert_eq!(hash, hex::encode(sha256(SECRET)));
    peer.stop().await;
    Ok(())
}
