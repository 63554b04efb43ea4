//! `selvedge channel create`: a channel from nothing to its first transaction, who may create one, what is refused, and what
//! a restart finds.

use anyhow::Context;
use selvedge::channel::Bundle;
use selvedge::channel::creation::creation_update;
use selvedge::client::create_config_update;
use selvedge::ledger::block::{header_hash, metadata};
use selvedge::msp::development::{self, DevelopmentMsp};
use selvedge::msp::{Signer, SigningIdentity};
use selvedge::testing::{CommandLine, Plugin, TestPeer};
use selvedge::validation::verify_block;
use selvedge_proto::Message;
use selvedge_proto::common::{
    Block, BlockMetadataIndex, ConfigGroup, ConfigUpdate, Metadata, SerializedIdentity, SignatureHeader,
};

struct Scene {
    folder: tempfile::TempDir,
    peer: TestPeer,
}

impl Scene {
    async fn start() -> anyhow::Result<Self> {
        Self::start_in(tempfile::tempdir()?, &[]).await
    }

    async fn start_in(folder: tempfile::TempDir, overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], overrides).await?;
        Ok(Self { folder, peer })
    }

    /// Stops the node and starts it on the same data.
    async fn restart(self) -> anyhow::Result<Self> {
        self.peer.stop().await;
        Self::start_in(self.folder, &[]).await
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self) -> String {
        self.peer.node().peer_address().to_string()
    }

    fn command_line(&self) -> CommandLine {
        CommandLine::new(env!("CARGO_BIN_EXE_selvedge"), self.folder.path(), self.address())
    }

    async fn done(&self, arguments: &[&str]) -> anyhow::Result<(String, String)> {
        self.command_line().done(arguments).await
    }

    async fn refusal(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let refused = self.command_line().refusal(arguments, variables).await;
        refused.unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn block(&self, file: &str) -> anyhow::Result<Block> {
        Ok(Block::decode(std::fs::read(self.path(file)).context(file.to_owned())?.as_slice())?)
    }

    /// Writes a file with an update that nobody has signed for its content.
    fn write_update(&self, file: &str, update: &ConfigUpdate) -> anyhow::Result<()> {
        let envelope = create_config_update(update, &[], &*self.peer.user()?)?;
        Ok(std::fs::write(self.path(file), envelope.encode_to_vec())?)
    }
}

fn number(block: &Block) -> u64 {
    block.header.as_ref().expect("a block has a header").number
}

/// The MSP of whoever signed a block.
fn signed_by(block: &Block) -> anyhow::Result<String> {
    let metadata = Metadata::decode(metadata(block, BlockMetadataIndex::Signatures))?;
    let signature = metadata.signatures.first().context("a signature")?;
    let creator = SignatureHeader::decode(signature.signature_header.clone())?.creator;
    Ok(SerializedIdentity::decode(creator)?.mspid)
}

const EXISTS: &str = "Error: got unexpected status: BAD_REQUEST -- error applying config update to existing channel 'new': error \
                      authorizing update: error validating ReadSet: proposed update requires that key [Group]  \
                      /Channel/Application be at version 0, but it is currently at version 1";
const NOT_ADMIN: &str = "Error: got unexpected status: BAD_REQUEST -- error validating channel creation transaction for new channel \
                         'new', could not succesfully apply update to template configuration: error authorizing update: error \
                         validating DeltaSet: policy for [Group]  /Channel/Application not satisfied: implicit policy \
                         evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the 'Admins' \
                         sub-policies to be satisfied";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_created_joined_and_used() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (stdout, stderr) = scene.done(&["channel", "create", "-c", "new"]).await?;
    assert_eq!(stdout, "");
    assert!(stderr.contains("Endorser and orderer connections initialized"), "{stderr}");
    assert!(stderr.trim_end().ends_with("Received block: 0"), "{stderr}");
    let first = scene.block("new.block")?;
    assert_eq!((number(&first), first.metadata.as_ref().map(|metadata| metadata.metadata.len())), (0, Some(5)));
    let bundle = Bundle::from_config_block(&first)?;
    assert_eq!((bundle.channel(), bundle.sequence()), ("new", 1));

    // The peer is not in it yet; the orderer knows it, after a restart too, and makes no second one.
    let scene = scene.restart().await?;
    assert_eq!(scene.done(&["channel", "list"]).await?.0, "Channels peers has joined: \nmychannel\n");
    let address = scene.address();
    let from_orderer = ["channel", "fetch", "0", "again.block", "-c", "new", "-o", &address];
    scene.done(&from_orderer).await?;
    assert_eq!(scene.block("again.block")?, first);
    let from_peer = scene.refusal(&["channel", "fetch", "0", "-c", "new"], &[]).await;
    assert!(from_peer.starts_with("Error: can't read the block: &{NOT_FOUND}"), "{from_peer}");
    let next = scene.refusal(&["channel", "fetch", "1", "-c", "new", "-o", &address], &[]).await;
    assert!(next.starts_with("Error: can't read the block: &{SERVICE_UNAVAILABLE}"), "{next}");
    assert_eq!(scene.refusal(&["channel", "create", "-c", "new"], &[]).await, EXISTS);

    scene.done(&["channel", "join", "-b", "new.block"]).await?;
    assert_eq!(scene.done(&["channel", "list"]).await?.0, "Channels peers has joined: \nmychannel\nnew\n");
    assert_eq!(std::fs::read_dir(scene.path("data/orderer"))?.count(), 0, "the ledger has the block now");
    assert_eq!(scene.refusal(&["channel", "create", "-c", "new"], &[]).await, EXISTS);
    let create = r#"{"Args":["create","a","Ada","7"]}"#;
    let invoke = ["chaincode", "invoke", "-C", "new", "-n", "asset", "-c", create, "--waitForEvent"];
    let (_, stderr) = scene.done(&invoke).await?;
    assert!(stderr.contains("committed with status (VALID)"), "{stderr}");
    let scene = scene.restart().await?;
    let read = ["chaincode", "query", "-C", "new", "-n", "asset", "-c", r#"{"Args":["read","a"]}"#];
    assert!(scene.done(&read).await?.0.contains("Ada"));
    scene.done(&["channel", "fetch", "newest", "-c", "new"]).await?;
    let second = scene.block("new_newest.block")?;
    verify_block(&bundle, 1, &second)?;
    let header = first.header.as_ref().context("a header")?;
    assert_eq!(second.header.as_ref().context("a header")?.previous_hash[..], header_hash(header));
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_in_a_file_is_signed_by_the_caller_and_judged_as_fabric_does() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let update = creation_update("new", "SampleConsortium", &["SampleOrg"]);
    scene.write_update("new.tx", &update)?;
    let create = ["channel", "create", "-c", "new", "-f", "new.tx", "--outputBlock", "there.block", "-t", "20s"];

    let user = scene.path("data/development/users/User1/msp");
    let user = [("CORE_PEER_MSPCONFIGPATH", user.to_str().context("a path of a test is text")?)];
    assert_eq!(scene.refusal(&create, &user).await, NOT_ADMIN);
    let stranger = development::ensure(&scene.path("stranger"), "OtherOrg")?.admin;
    let stranger = stranger.to_str().context("a path of a test is text")?;
    let stranger = [("CORE_PEER_MSPCONFIGPATH", stranger), ("CORE_PEER_LOCALMSPID", "OtherOrg")];
    assert_eq!(scene.refusal(&create, &stranger).await, NOT_ADMIN);
    // Without a file it asks for a channel of its own organisation, which is not in the consortium.
    let alone = scene.refusal(&["channel", "create", "-c", "new"], &stranger).await;
    let no_member =
        "Error: got unexpected status: BAD_REQUEST -- Attempted to include a member which is not in the consortium";
    assert!(alone.starts_with(no_member), "{alone}");
    assert!(!scene.path("there.block").exists() && std::fs::read_dir(scene.path("data/orderer"))?.count() == 0);

    let mismatch = scene.refusal(&["channel", "create", "-c", "other", "-f", "new.tx"], &[]).await;
    assert_eq!(mismatch, "Error: Invalid channel create transaction : mismatched channel ID new != other");
    scene.write_update("unknown.tx", &creation_update("new", "Nobodies", &["SampleOrg"]))?;
    let unknown = scene.refusal(&["channel", "create", "-c", "new", "-f", "unknown.tx"], &[]).await;
    assert!(unknown.contains("BAD_REQUEST -- Unknown consortium name: Nobodies"), "{unknown}");
    for name in ["Bad_Name", "1st", "UPPER"] {
        let refused = scene.refusal(&["channel", "create", "-c", name], &[]).await;
        let expected = format!("bad channel ID: channel ID '{name}' contains illegal characters");
        assert!(refused.contains(&expected), "{refused}");
    }
    // What fits no other channel either: an update of a channel that nobody has made.
    let mut no_creation = creation_update("new", "SampleConsortium", &["SampleOrg"]);
    let write_set = no_creation.write_set.get_or_insert_default();
    write_set.groups.insert("Application".into(), ConfigGroup::default());
    scene.write_update("update.tx", &no_creation)?;
    let refused = scene.refusal(&["channel", "update", "-c", "new", "-f", "update.tx"], &[]).await;
    assert!(refused.ends_with("does not set application group version to 1, was 0"), "{refused}");

    scene.done(&create).await?;
    assert_eq!(number(&scene.block("there.block")?), 0);
    assert_eq!(scene.refusal(&create, &[]).await, EXISTS);
    let outsider = scene.refusal(&create, &stranger).await;
    assert!(
        outsider.contains("FORBIDDEN -- config update for existing channel did not pass initial checks"),
        "{outsider}"
    );
    let existing = scene.refusal(&["channel", "create", "-c", "mychannel"], &[]).await;
    assert!(existing.contains("error applying config update to existing channel 'mychannel'"), "{existing}");

    // Another channel of that name is not joined over the one that was created.
    std::fs::write(scene.path("another.block"), scene.peer.genesis("new")?)?;
    let refused = scene.refusal(&["channel", "join", "-b", "another.block"], &[]).await;
    assert!(refused.contains("this node's orderer has created a channel new with another first block"), "{refused}");
    scene.done(&["channel", "join", "-b", "there.block"]).await?;
    scene.peer.stop().await;
    Ok(())
}

/// The node's organisation is in the channel, and the embedded orderer is one of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_msp_of_its_own_creates_channels_of_its_organisation() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let DevelopmentMsp { peer, admin, .. } = development::ensure(&folder.path().join("org1"), "Org1MSP")?;
    let (peer, admin) = (peer.to_str().context("a path")?.to_owned(), admin.to_str().context("a path")?.to_owned());
    let settings = [("PEER_MSPCONFIGPATH", peer.as_str()), ("PEER_LOCALMSPID", "Org1MSP")];
    let mut scene = Scene::start_in(folder, &settings).await?;
    let caller = [("CORE_PEER_MSPCONFIGPATH", admin.as_str()), ("CORE_PEER_LOCALMSPID", "Org1MSP")];
    let create = r#"{"Args":["create","a","Ada","7"]}"#;
    let fetch = ["channel", "fetch", "newest", "-c", "new"];
    let steps: [&[&str]; 4] = [
        &["channel", "create", "-c", "new"],
        &["channel", "join", "-b", "new.block"],
        &["chaincode", "invoke", "-C", "new", "-n", "asset", "-c", create, "--waitForEvent"],
        &fetch,
    ];
    for step in steps {
        let ended = scene.command_line().run_with(step, &caller).await?;
        assert_eq!(ended.code, Some(0), "{step:?}: {ended:?}");
    }
    let block = scene.block("new_newest.block")?;
    assert_eq!((number(&block), signed_by(&block)?.as_str()), (1, "EmbeddedOrdererMSP"));

    // It still orders the channel after a restart.
    scene.peer.stop().await;
    scene = Scene::start_in(scene.folder, &settings).await?;
    let signer: std::sync::Arc<dyn Signer> = std::sync::Arc::new(SigningIdentity::load(admin.as_ref(), "Org1MSP")?);
    let client = scene.peer.client_on(signer, "new").await?;
    client.submit("asset", &["create", "b", "Bob", "1"]).await?;
    assert_eq!(client.height().await?, 3);
    scene.peer.stop().await;
    Ok(())
}
