//! `selvedge channel` against a node: what it prints, what it writes, how it ends, and what its errors say.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use selvedge::client::create_config_update;
use selvedge::ledger::block::header_hash;
use selvedge::testing::{CommandLine, Ended, Plugin, TestPeer, TlsAuthority, TlsPurpose};
use selvedge_proto::Message;
use selvedge_proto::common::{
    BatchSize, Block, ChannelHeader, ConfigEnvelope, ConfigGroup, ConfigUpdate, ConfigUpdateEnvelope, Envelope, Header,
    HeaderType, Payload, SerializedIdentity, SignatureHeader,
};

/// A node whose data are in a folder, and the command line started there.
struct Scene {
    folder: tempfile::TempDir,
    peer: TestPeer,
}

/// A command's arguments, its variables, and parts of what it says when it fails.
type Refused<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

impl Scene {
    async fn start() -> anyhow::Result<Self> {
        Self::start_in(tempfile::tempdir()?, &[]).await
    }

    async fn start_in(folder: tempfile::TempDir, overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], overrides).await?;
        Ok(Self { folder, peer })
    }

    fn address(&self) -> String {
        self.peer.node().peer_address().to_string()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn command_line(&self) -> CommandLine {
        CommandLine::new(env!("CARGO_BIN_EXE_selvedge"), self.folder.path(), self.address())
    }

    async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Ended> {
        self.command_line().run_with(&[&["channel"], arguments].concat(), variables).await
    }

    /// Standard output and standard error of a command that has to succeed.
    async fn done(&self, arguments: &[&str]) -> anyhow::Result<(String, String)> {
        self.command_line().done(&[&["channel"], arguments].concat()).await
    }

    /// The last line of a command that has to fail.
    async fn refusal(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let refused = self.command_line().refusal(&[&["channel"], arguments].concat(), variables).await;
        refused.unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn block(&self, file: &str) -> anyhow::Result<Block> {
        Ok(Block::decode(std::fs::read(self.path(file)).context(file.to_owned())?.as_slice())?)
    }
}

fn number(block: &Block) -> u64 {
    block.header.as_ref().expect("a block has a header").number
}

fn hash(block: &Block) -> String {
    STANDARD.encode(header_hash(block.header.as_ref().expect("a block has a header")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_joined_listed_and_described() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    std::fs::write(scene.path("second.block"), scene.peer.genesis("second")?)?;

    let (stdout, stderr) = scene.done(&["join", "-b", "second.block"]).await?;
    assert_eq!(stdout, "");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.ends_with(" Successfully submitted proposal to join channel"), "{stderr}");
    assert!(last.contains(" [channelCmd] -> INFO "), "{stderr}");
    let again = scene.refusal(&["join", "--blockpath", "second.block"], &[]).await;
    assert_eq!(
        again,
        "Error: proposal failed (err: bad proposal response 500: cannot create ledger from genesis block: LedgerID \
         already exists)"
    );

    assert_eq!(scene.done(&["list"]).await?.0, "Channels peers has joined: \nmychannel\nsecond\n");
    // An ordinary member may list too, but not join.
    let user = scene.path("data/development/users/User1/msp");
    let user = [("CORE_PEER_MSPCONFIGPATH", user.to_str().context("a path of a test is text")?)];
    let listed = scene.run_with(&["list"], &user).await?;
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), "Channels peers has joined: \nmychannel\nsecond\n"));
    std::fs::write(scene.path("third.block"), scene.peer.genesis("third")?)?;
    let refused = scene.refusal(&["join", "-b", "third.block"], &user).await;
    assert!(
        refused.contains("proposal failed (err: bad proposal response 500: access denied for [JoinChain][third]"),
        "{refused}"
    );

    // One block: no hash before it, which Go leaves out.
    scene.done(&["fetch", "newest", "-c", "second"]).await?;
    let block = scene.block("second_newest.block")?;
    let expected = format!("Blockchain info: {{\"height\":1,\"currentBlockHash\":\"{}\"}}\n", hash(&block));
    assert_eq!(scene.done(&["getinfo", "-c", "second"]).await?.0, expected);

    scene.peer.client().await?.submit("asset", &["create", "a", "Ada", "1"]).await?;
    scene.done(&["fetch", "0", "-c", "mychannel"]).await?;
    scene.done(&["fetch", "newest", "-c", "mychannel"]).await?;
    let (first, second) = (scene.block("mychannel_0.block")?, scene.block("mychannel_newest.block")?);
    let expected = format!(
        "Blockchain info: {{\"height\":2,\"currentBlockHash\":\"{}\",\"previousBlockHash\":\"{}\"}}\n",
        hash(&second),
        hash(&first)
    );
    assert_eq!(scene.done(&["getinfo", "-c", "mychannel"]).await?.0, expected);
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_are_fetched_from_the_peer_and_from_the_orderer() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let client = scene.peer.client().await?;
    for key in ["a", "b"] {
        client.submit("asset", &["create", key, "Ada", "1"]).await?;
    }
    for (target, expected) in [("oldest", 0), ("newest", 2), ("config", 0), ("1", 1)] {
        let (stdout, stderr) = scene.done(&["fetch", target, "-c", "mychannel"]).await?;
        assert_eq!(stdout, "");
        assert!(stderr.contains("[cli.common] -> INFO 002 Received block: "), "{stderr}");
        assert_eq!(stderr.contains("Retrieving last config block: 0"), target == "config", "{stderr}");
        let block = scene.block(&format!("mychannel_{target}.block"))?;
        assert_eq!(number(&block), expected, "{target}");
        let ledger = scene.peer.node().ledgers().get("mychannel").context("mychannel")?;
        assert_eq!(Some(block), ledger.block_by_number(expected)?, "{target}");
    }

    let address = scene.address();
    let by_orderer = ["fetch", "newest", "sub.block", "--channelID", "mychannel", "-o", &address, "--bestEffort"];
    scene.done(&by_orderer).await?;
    let (by_peer, by_orderer) = (scene.block("mychannel_newest.block")?, scene.block("sub.block")?);
    assert_eq!((&by_peer.header, &by_peer.data), (&by_orderer.header, &by_orderer.data));
    // An orderer's blocks lack what a committer adds.
    assert_ne!(by_peer.metadata, by_orderer.metadata);

    // A block that is not there yet is waited for.
    let next = ["fetch", "3", "-c", "mychannel"];
    let submit = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!scene.path("mychannel_3.block").exists(), "block 3 was there before its transaction");
        client.submit("asset", &["create", "c", "Ada", "1"]).await
    };
    let (fetched, submitted) = tokio::join!(scene.done(&next), submit);
    fetched?;
    submitted?;
    assert_eq!(number(&scene.block("mychannel_3.block")?), 3);
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_mutual_tls_blocks_are_asked_for_with_the_certificate_that_is_shown() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = TlsAuthority::new(folder.path(), "ca")?;
    authority.issue("server", &["127.0.0.1"], TlsPurpose::Both)?;
    authority.issue("client", &["client"], TlsPurpose::Both)?;
    let server = [
        ("PEER_TLS_ENABLED", "true"),
        ("PEER_TLS_CERT_FILE", "server.crt"),
        ("PEER_TLS_KEY_FILE", "server.key"),
        ("PEER_TLS_CLIENTAUTHREQUIRED", "true"),
        ("PEER_TLS_CLIENTROOTCAS_FILES", "ca.pem"),
    ];
    let scene = Scene::start_in(folder, &server).await?;
    let client = [
        ("CORE_PEER_TLS_ENABLED", "true"),
        ("CORE_PEER_TLS_ROOTCERT_FILE", "ca.pem"),
        ("CORE_PEER_TLS_CLIENTAUTHREQUIRED", "true"),
        ("CORE_PEER_TLS_CLIENTCERT_FILE", "client.crt"),
        ("CORE_PEER_TLS_CLIENTKEY_FILE", "client.key"),
    ];
    let address = scene.address();
    let orderer =
        ["--tls", "--cafile", "ca.pem", "--clientauth", "--certfile", "client.crt", "--keyfile", "client.key"];
    let by_orderer = [&["fetch", "config", "-c", "mychannel", "-o", &address][..], &orderer].concat();
    for arguments in [&["list"][..], &["fetch", "newest", "-c", "mychannel"], &by_orderer] {
        let ended = scene.run_with(arguments, &client).await?;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
    assert_eq!(number(&scene.block("mychannel_config.block")?), 0);
    let without = scene.refusal(&["list"], &client[..2]).await;
    assert!(without.contains("the server wants another certificate of this client, or one at all"), "{without}");
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_said_with_what_to_do() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    std::fs::write(scene.path("garbage"), b"no protobuf")?;
    std::fs::write(scene.path("empty"), b"")?;
    let address = scene.address();
    let stranger = foreign_identity(&scene.path("stranger"))?;
    let stranger = [("CORE_PEER_MSPCONFIGPATH", stranger.as_str()), ("CORE_PEER_LOCALMSPID", "OtherOrg")];
    // Nobody listens on port 1 of the loopback interface.
    let nobody = [("CORE_PEER_ADDRESS", "127.0.0.1:1")];
    let table: [Refused; 24] = [
        (&["create"], &[], &["Error: must supply channel ID"]),
        (&["create", "-c", ""], &[], &["Error: must supply channel ID"]),
        (
            &["create", "-c", "new", "-f", "no.tx"],
            &[],
            &["Error: channel create configuration tx file not found no.tx: No such file or directory"],
        ),
        (
            &["create", "-c", "new", "-o", "127.0.0.1:1"],
            &[],
            &["Error: error getting broadcast client: orderer client failed to connect to 127.0.0.1:1: "],
        ),
        (&["join"], &[], &["Error: Must supply genesis block path"]),
        (
            &["join", "-b", "no.block"],
            &[],
            &["Error: genesis block file not found no.block: No such file or directory"],
        ),
        (&["join", "-b", "garbage"], &[], &["Error: proposal failed (err: bad proposal response 500: "]),
        (
            &["join", "-b", "garbage"],
            &stranger,
            &[
                "Error: proposal failed (err: rpc error: code = Unknown desc = access denied: channel [] creator org [OtherOrg]",
                "not of the peer's own organisation (CORE_PEER_MSPCONFIGPATH, CORE_PEER_LOCALMSPID)",
            ],
        ),
        (
            &["list"],
            &stranger,
            &["Error: Failed sending proposal, got rpc error: code = Unknown desc = access denied: "],
        ),
        (
            &["list"],
            &nobody,
            &[
                "Error: error getting endorser client for channel: endorser client failed to connect to 127.0.0.1:1: ",
                "`selvedge node start` starts one",
                "CORE_PEER_ADDRESS",
            ],
        ),
        (&["getinfo"], &[], &["Error: Must supply channel ID"]),
        (&["getinfo", "-c", ""], &[], &["Error: Must supply channel ID"]),
        (&["getinfo", "-c", "other"], &[], &["Error: received bad response, status 500: Invalid chain ID, other"]),
        (&["fetch", "-c", "mychannel"], &[], &["Error: fetch target required, oldest, newest, config, or a number"]),
        (&["fetch", "latest", "-c", "mychannel"], &[], &["Error: fetch target illegal: latest; write newest, "]),
        (&["fetch", "newest"], &[], &["Error: Must supply channel ID"]),
        (
            &["fetch", "newest", "-c", "other"],
            &[],
            &["Error: can't read the block: &{NOT_FOUND}; ", " has no channel other"],
        ),
        (&["fetch", "newest", "-c", "mychannel"], &stranger, &["Error: can't read the block: &{FORBIDDEN}; "]),
        (
            &["fetch", "newest", "-c", "mychannel"],
            &nobody,
            &[
                "Error: error getting deliver client for channel: failed to create deliver client: deliver client failed to \
             connect to 127.0.0.1:1: ",
            ],
        ),
        (
            &["fetch", "newest", "-c", "mychannel", "-o", "127.0.0.1:1"],
            &[],
            &["Error: failed to create deliver client: orderer client failed to connect to 127.0.0.1:1: "],
        ),
        (
            &["fetch", "newest", "no/such/folder", "-c", "mychannel"],
            &[],
            &["Error: cannot write the block to no/such/folder: No such file or directory"],
        ),
        (&["signconfigtx", "-f", "empty"], &[], &["Error: Invalid channel create transaction : bad header"]),
        (
            &["update", "-c", "mychannel"],
            &[],
            &["Error: Invalid channel create transaction : No configtx file name supplied"],
        ),
        (
            &["update", "-c", "mychannel", "-f", "no.pb", "-o", &address],
            &[],
            &["Error: channel create configuration tx file not found no.pb: No such file or directory"],
        ),
    ];
    for (arguments, variables, parts) in table {
        let refusal = scene.refusal(arguments, variables).await;
        for part in parts {
            assert!(refusal.contains(part), "expected {part:?} of {arguments:?}, not {refusal}");
        }
    }
    assert!(!scene.path("mychannel_newest.block").exists(), "a failed command has written a block");
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_gets_a_signature_of_each_who_signs() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let file = scene.path("update.pb");
    let write = |header_type: HeaderType, channel: &str| {
        let channel_header =
            ChannelHeader { r#type: header_type as i32, channel_id: channel.to_owned(), ..ChannelHeader::default() };
        let header = Header { channel_header: channel_header.encode_to_vec().into(), ..Header::default() };
        let update = ConfigUpdateEnvelope { config_update: (&b"the update"[..]).into(), signatures: Vec::new() };
        let payload = Payload { header: Some(header), data: update.encode_to_vec().into() };
        let envelope = Envelope { payload: payload.encode_to_vec().into(), ..Envelope::default() };
        std::fs::write(&file, envelope.encode_to_vec())
    };
    let user = scene.path("data/development/users/User1/msp");
    let user = [("CORE_PEER_MSPCONFIGPATH", user.to_str().context("a path of a test is text")?)];
    write(HeaderType::ConfigUpdate, "mychannel")?;
    scene.done(&["signconfigtx", "-f", "update.pb"]).await?;
    let signed = scene.run_with(&["signconfigtx", "--file", "update.pb"], &user).await?;
    assert_eq!(signed.code, Some(0), "{signed:?}");

    let payload = Payload::decode(Envelope::decode(std::fs::read(&file)?.as_slice())?.payload)?;
    let update = ConfigUpdateEnvelope::decode(payload.data)?;
    assert_eq!(update.config_update.as_ref(), b"the update");
    let creators: Vec<_> = update
        .signatures
        .iter()
        .map(|signature| SignatureHeader::decode(signature.signature_header.clone()).map(|header| header.creator))
        .collect::<Result<_, _>>()?;
    let (admin, user) = (scene.peer.admin()?, scene.peer.user()?);
    assert_eq!(creators, [admin.serialize(), user.serialize()]);
    for signature in &update.signatures {
        let creator = SignatureHeader::decode(signature.signature_header.clone())?.creator;
        verify(&scene, &creator, &[&signature.signature_header[..], b"the update"].concat(), &signature.signature)?;
    }
    // The envelope is the last signer's, and of the same type and channel.
    let header = ChannelHeader::decode(payload.header.context("a header")?.channel_header)?;
    assert_eq!((header.r#type, header.channel_id.as_str()), (HeaderType::ConfigUpdate as i32, "mychannel"));

    let mismatch = scene.refusal(&["update", "-c", "other", "-f", "update.pb"], &[]).await;
    assert_eq!(mismatch, "Error: Invalid channel create transaction : mismatched channel ID mychannel != other");
    let refusal = scene.refusal(&["update", "-c", "mychannel", "-f", "update.pb"], &[]).await;
    assert!(refusal.starts_with("Error: got unexpected status: "), "{refusal}");
    for (header_type, channel, text) in
        [(HeaderType::Config, "mychannel", "bad type"), (HeaderType::ConfigUpdate, "", "empty channel id")]
    {
        write(header_type, channel)?;
        let before = std::fs::read(&file)?;
        let refusal = scene.refusal(&["signconfigtx", "-f", "update.pb"], &[]).await;
        assert_eq!(refusal, format!("Error: Invalid channel create transaction : {text}"));
        assert_eq!(std::fs::read(&file)?, before, "a file that is refused stays as it is");
    }
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_is_sent_and_becomes_the_newest_configuration() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    scene.done(&["fetch", "config", "before.block", "-c", "mychannel"]).await?;
    let config = config_of(&scene.block("before.block")?)?.config.context("a configuration")?;
    let channel = config.channel_group.context("a channel")?;
    let orderer = &channel.groups["Orderer"];
    let mut size = orderer.values["BatchSize"].clone();
    size.version += 1;
    size.value = BatchSize { max_message_count: 7, ..BatchSize::decode(size.value)? }.encode_to_vec().into();
    let only = |group: &ConfigGroup| ConfigGroup { version: group.version, ..ConfigGroup::default() };
    let around =
        |orderer: ConfigGroup| Some(ConfigGroup { groups: [("Orderer".to_owned(), orderer)].into(), ..only(&channel) });
    let update = ConfigUpdate {
        channel_id: "mychannel".to_owned(),
        read_set: around(only(orderer)),
        write_set: around(ConfigGroup { values: [("BatchSize".to_owned(), size.clone())].into(), ..only(orderer) }),
        ..ConfigUpdate::default()
    };
    let envelope = create_config_update(&update, &[], &*scene.peer.user()?)?;
    std::fs::write(scene.path("update.pb"), envelope.encode_to_vec())?;

    // The update is signed by whoever sends it: the administrator.
    let (stdout, stderr) = scene.done(&["update", "-f", "update.pb", "-c", "mychannel"]).await?;
    assert_eq!(stdout, "");
    assert!(stderr.trim_end().ends_with(" Successfully submitted channel update"), "{stderr}");
    scene.done(&["fetch", "1", "-c", "mychannel"]).await?;
    scene.done(&["fetch", "config", "-c", "mychannel"]).await?;
    let block = scene.block("mychannel_config.block")?;
    assert_eq!(number(&block), 1);
    let channel = config_of(&block)?.config.and_then(|config| config.channel_group).context("a channel")?;
    assert_eq!(channel.groups["Orderer"].values["BatchSize"], size);
    scene.peer.stop().await;
    Ok(())
}

fn config_of(block: &Block) -> anyhow::Result<ConfigEnvelope> {
    let data = &block.data.as_ref().context("data")?.data[0];
    let payload = Payload::decode(Envelope::decode(data.clone())?.payload)?;
    Ok(ConfigEnvelope::decode(payload.data)?)
}

fn verify(scene: &Scene, creator: &[u8], message: &[u8], signature: &[u8]) -> anyhow::Result<()> {
    let mspid = SerializedIdentity::decode(creator)?.mspid;
    let msp = selvedge::msp::Msp::load(&scene.path("data/development/peers/peer0/msp"), &mspid)?;
    Ok(msp.deserialize(creator)?.verify(message, signature)?)
}

/// The folder of somebody whom the node does not know.
fn foreign_identity(folder: &Path) -> anyhow::Result<String> {
    let made = selvedge::msp::development::ensure(folder, "OtherOrg")?;
    Ok(made.admin.to_str().context("a path of a test is text")?.to_owned())
}
