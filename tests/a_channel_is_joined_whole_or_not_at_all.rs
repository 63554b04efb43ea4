//! JoinChain, end to end: what is refused leaves nothing, what is joined is whole, and no client's fate changes that.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use selvedge::ledger::LedgerProvider;
use selvedge::testing::{Client, Plugin, SmallGuest, TestPeer};
use selvedge_proto::Message;
use selvedge_proto::common::{Block, BlockMetadataIndex};
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::{Response, TxValidationCode};

const PATIENCE: Duration = Duration::from_secs(30);
const EXISTS: &str = "cannot create ledger from genesis block: LedgerID already exists";

/// The names of the chaincodes that got their INIT on the channel, in the order of the INITs.
fn inits(peer: &TestPeer, channel: &str) -> Vec<String> {
    let recorded = peer.recorder().take().into_iter();
    let inits = recorded.filter(|one| one.message.r#type() == Type::Init && one.message.channel_id == channel);
    inits.map(|init| init.chaincode.split(':').next().unwrap_or_default().to_owned()).collect()
}

/// Uses a channel as a client does: transactions, blocks, what qscc says.
async fn use_channel(client: &Client, key: &str) -> anyhow::Result<()> {
    let height = client.height().await?;
    let code = client.submit("asset", &["create", key, "ada", "1"]).await?;
    assert_eq!(code, TxValidationCode::Valid);
    assert_eq!(client.height().await?, height + 1);
    Ok(())
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn succeeded(response: &Response) -> bool {
    response.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joined_channel_is_usable_now_and_after_a_restart() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let (user, admin) = (peer.user()?, peer.admin()?);
    let block = peer.genesis("second")?;
    peer.recorder().take();

    let refused = peer.join(&*user, &block).await?;
    assert_eq!(
        (refused.status, refused.message.as_str()),
        (
            500,
            "access denied for [JoinChain][second]: [Failed verifying that proposal's creator satisfies local MSP \
             principal during channelless check policy with policy [Admins]: [This identity is not an admin]]"
        )
    );
    assert_eq!(peer.channels(&*user).await?, ["mychannel"]);
    assert!(peer.node().ledgers().get("second").is_none());

    let joined = peer.join(&*admin, &block).await?;
    assert_eq!(joined, Response { status: 200, ..Response::default() });
    assert_eq!(inits(&peer, "second"), ["lscc", "cscc", "qscc", "asset"]);
    assert_eq!(peer.channels(&*user).await?, ["mychannel", "second"]);
    let again = peer.join(&*admin, &block).await?;
    assert_eq!((again.status, again.message.as_str()), (500, EXISTS));

    let client = peer.client_on(Arc::clone(&user), "second").await?;
    assert_eq!(client.height().await?, 1);
    let config_block = Block::decode(client.query("cscc", &["GetConfigBlock", "second"]).await?)?;
    let given = Block::decode(block.clone())?;
    assert_eq!((&config_block.header, &config_block.data), (&given.header, &given.data));
    let filter =
        &config_block.metadata.as_ref().expect("metadata").metadata[BlockMetadataIndex::TransactionsFilter as usize];
    assert_eq!(filter[..], [TxValidationCode::Valid as u8]);
    let missing = client.call("cscc", &["GetConfigTree", "third"]).await?;
    assert_eq!(
        missing.message,
        "access denied for [GetConfigTree][third]: Failed to get policy manager for channel [third]"
    );
    use_channel(&client, "a").await?;
    use_channel(&peer.client().await?, "a").await?;
    peer.stop().await;

    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    assert_eq!(inits(&peer, "second"), ["lscc", "cscc", "qscc", "asset"]);
    assert_eq!(peer.channels(&*user).await?, ["mychannel", "second"]);
    let client = peer.client_on(user, "second").await?;
    assert_eq!(client.height().await?, 2);
    use_channel(&client, "b").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_is_none_is_refused_before_the_caller_is() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let (user, admin) = (peer.user()?, peer.admin()?);
    let good = Block::decode(peer.genesis("second")?)?;
    let another_hash = Block {
        header: good.header.clone().map(|header| selvedge_proto::common::BlockHeader { number: 1, ..header }),
        ..good.clone()
    };
    for (block, text) in [
        (
            Bytes::new(),
            "\"JoinChain\" request failed to extract channel id from the block due to [failed to retrieve channel id - block is \
             empty]",
        ),
        (
            Bytes::from_static(&[0x0a, 5]),
            "Failed to reconstruct the genesis block, error unmarshaling block: unexpected EOF",
        ),
        (
            Block { data: None, ..good.clone() }.encode_to_vec().into(),
            "\"JoinChain\" request failed to extract channel id from the block due to [failed to retrieve channel id - \
             block is empty]",
        ),
    ] {
        assert_eq!(peer.join(&*user, &block).await?.message, text);
    }
    let text = peer.join(&*admin, &another_hash.encode_to_vec().into()).await?.message;
    assert_eq!(
        text,
        "cannot create ledger from genesis block: block 1 of channel second is refused: the next block is number 0"
    );
    let mut headless = good.clone();
    headless.header = None;
    let text = peer.join(&*admin, &headless.encode_to_vec().into()).await?.message;
    assert!(text.contains("block 0 of channel second is refused: it has no header"), "{text}");
    assert_eq!(peer.channels(&*admin).await?, ["mychannel"]);
    // Nothing of it stands in the way of a good block, however large: it does not enter the guest's 64 MiB.
    let (field_15, length) = (0x7a, 80 << 20);
    let mut large = good.encode_to_vec();
    large.push(field_15);
    prost::encoding::encode_varint(length as u64, &mut large);
    large.resize(large.len() + length, 0);
    assert!(succeeded(&peer.join(&*admin, &large.into()).await?));
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_joins_at_once_wins_while_the_node_works() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &[]).await?;
    let (user, admin) = (peer.user()?, peer.admin()?);
    let working = peer.client().await?;
    let work = async {
        for number in 0..20 {
            use_channel(&working, &format!("key{number}")).await?;
        }
        anyhow::Ok(())
    };
    let block = peer.genesis("second")?;
    let join = || peer.join(&*admin, &block);
    let (worked, one, two, three, four) = tokio::join!(work, join(), join(), join(), join());
    worked?;
    let answers = [one?, two?, three?, four?];
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(succeeded);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.message == EXISTS), "{lost:?}");
    use_channel(&peer.client_on(user, "second").await?, "a").await?;
    peer.stop().await;
    Ok(())
}

/// With one place for a transaction and one for an INIT, a join that waited for places that other joins hold would never end;
/// nor is there one when a transaction may have no second instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_place_is_enough_for_joins_at_once() -> anyhow::Result<()> {
    for (instances, depth) in [("9", "8"), ("1", "0")] {
        let folder = tempfile::tempdir()?;
        let one_place = [
            ("CHAINCODE_WASM_INSTANCES", instances),
            ("CHAINCODE_WASM_LIMITS_CALLDEPTH", depth),
            ("CHAINCODE_WASM_INITINSTANCES", "1"),
        ];
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &one_place).await?;
        let admin = peer.admin()?;
        let blocks = [peer.genesis("a")?, peer.genesis("b")?, peer.genesis("c")?];
        let [a, b, c] = &blocks;
        let joins = tokio::join!(peer.join(&*admin, a), peer.join(&*admin, b), peer.join(&*admin, c));
        for join in [joins.0?, joins.1?, joins.2?] {
            assert!(succeeded(&join), "{join:?}");
        }
        assert_eq!(peer.channels(&*admin).await?, ["a", "b", "c", "mychannel"]);
        assert_eq!(inits(&peer, "b"), ["lscc", "cscc", "qscc", "asset"], "calls {depth} deep");
        peer.stop().await;
    }
    Ok(())
}

/// A plug-in whose INIT does not end by itself.
fn endless(folder: &Path) -> anyhow::Result<Plugin> {
    let guest = SmallGuest { init: "(loop $again (br $again))".into(), ..SmallGuest::new("(func $run)") };
    Plugin::of_module(folder, "endless", &guest.module()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_is_finished_when_its_transaction_is_not() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [endless(folder.path())?, Plugin::guest("asset", "asset")?];
    // The transaction's time is up while the channel's INITs run; or that of its guests, which the INITs are, too.
    for (channel, limit, text) in [
        ("second", ("CHAINCODE_EXECUTETIMEOUT", "1s"), "timeout expired while executing transaction"),
        ("third", ("CHAINCODE_WASM_LIMITS_TIME", "300ms"), "the limit is 300 ms (chaincode.wasm.limits.time)"),
    ] {
        let peer = TestPeer::start(folder.path(), &plugins, &[limit]).await?;
        peer.recorder().take();
        let answer = peer.join(&*peer.admin()?, &peer.genesis(channel)?).await?;
        assert!(answer.status == 500 && answer.message.ends_with(text), "{answer:?}");
        eventually("the last chaincode has its INIT", async || inits(&peer, channel).contains(&"asset".to_owned()))
            .await;
        use_channel(&peer.client_on(peer.user()?, channel).await?, channel).await?;
        assert!(peer.channels(&*peer.user()?).await?.contains(&channel.to_owned()));
        peer.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_is_finished_when_its_client_has_left() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [endless(folder.path())?, Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[("CHAINCODE_WASM_LIMITS_TIME", "1s")]).await?;
    peer.recorder().take();
    let admin = peer.admin()?;
    let block = peer.genesis("second")?;
    {
        let mut seen = Vec::new();
        let first_init = async {
            while seen.is_empty() {
                seen = inits(&peer, "second");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            answer = peer.join(&*admin, &block) => panic!("the client leaves before {answer:?}"),
            () = first_init => {}
        }
    }
    eventually("the last chaincode has its INIT", async || inits(&peer, "second").contains(&"asset".to_owned())).await;
    use_channel(&peer.client_on(peer.user()?, "second").await?, "a").await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_leaves_is_a_whole_channel_or_none() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let (user, admin) = (peer.user()?, peer.admin()?);
    let (second, third) = (peer.genesis("second")?, peer.genesis("third")?);
    peer.stop().await;
    // A node that died after it had made the ledger, and one that died before.
    let ledgers = folder.path().join("data/ledgers");
    LedgerProvider::open(&ledgers)?.create("second", &Block::decode(second)?)?;
    // Somebody renamed a file: the channel that it is of is not there.
    LedgerProvider::open(&ledgers)?.create("renamed", &Block::decode(third.clone())?)?;
    std::fs::write(ledgers.join("third.unfinished"), "half of a database")?;

    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    assert_eq!(peer.channels(&*user).await?, ["mychannel", "second"]);
    assert_eq!(inits(&peer, "second"), ["lscc", "cscc", "qscc", "asset"]);
    use_channel(&peer.client_on(Arc::clone(&user), "second").await?, "a").await?;
    assert!(succeeded(&peer.join(&*admin, &third).await?));
    use_channel(&peer.client_on(user, "third").await?, "a").await?;
    peer.stop().await;
    Ok(())
}
