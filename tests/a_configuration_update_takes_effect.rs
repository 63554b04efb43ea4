//! An administrator changes the channel's configuration through Broadcast: the new one is seen through Deliver,
//! everything follows it at once, and a node that starts anew does too.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use prost::Message;
use selvedge::client::{create_config_update, create_seek_envelope};
use selvedge::ledger::transaction::BlockTransaction;
use selvedge::ledger::{Ledger, block};
use selvedge::msp::Signer;
use selvedge::testing::{Client, Plugin, TestPeer};
use selvedge_proto::common::{
    AcLs, ApiResource, BatchSize, BatchTimeout, Block, Config, ConfigEnvelope, ConfigGroup, ConfigUpdate, ConfigValue,
    HeaderType, ImplicitMetaPolicy, Policy, Status, implicit_meta_policy, policy,
};
use selvedge_proto::orderer::BroadcastResponse;
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::TxValidationCode;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::deliver_response::Type;
use tonic::transport::Channel;

const CHANNEL: &str = "mychannel";

struct Network {
    connection: Channel,
    admin: Arc<dyn Signer>,
    user: Arc<dyn Signer>,
    ledger: Arc<Ledger>,
}

impl Network {
    async fn of(peer: &TestPeer) -> anyhow::Result<Self> {
        let connection = peer.connection().await?;
        let ledger = peer.node().ledgers().get(CHANNEL).context("the channel is there")?;
        Ok(Self { connection, admin: peer.admin()?, user: peer.user()?, ledger })
    }

    fn config(&self) -> anyhow::Result<Config> {
        let newest = self.ledger.block_by_number(self.ledger.last_config_block_number())?.context("it is there")?;
        config_of(&newest)?.config.context("a configuration")
    }

    /// Sends the update that `change` makes, signed by `signer` and sent by the administrator.
    async fn update(
        &self,
        signer: &dyn Signer,
        change: impl FnOnce(&mut ConfigGroup),
    ) -> anyhow::Result<BroadcastResponse> {
        let read_set = self.config()?.channel_group;
        let mut write_set = read_set.clone();
        change(write_set.as_mut().context("a root")?);
        let update = ConfigUpdate { channel_id: CHANNEL.into(), read_set, write_set, ..ConfigUpdate::default() };
        let envelope = create_config_update(&update, &[signer], &*self.admin)?;
        let mut broadcast = AtomicBroadcastClient::new(self.connection.clone());
        let mut answers = broadcast.broadcast(tokio_stream::once(envelope)).await?.into_inner();
        answers.message().await?.context("the orderer gave no answer")
    }

    /// The same; returns the block that it came in, as the peer delivers it.
    async fn updated(&self, change: impl FnOnce(&mut ConfigGroup)) -> anyhow::Result<Block> {
        let seek = create_seek_envelope(CHANNEL, &*self.admin, Bytes::new())?;
        let mut deliver = DeliverClient::new(self.connection.clone());
        let mut blocks = deliver.deliver(tokio_stream::once(seek)).await?.into_inner();
        blocks.message().await?.context("the newest block comes at once")?;
        let answer = self.update(&*self.admin, change).await?;
        assert_eq!((answer.status(), answer.info.as_str()), (Status::Success, ""));
        let Some(Type::Block(block)) = blocks.message().await?.and_then(|message| message.r#type) else {
            bail!("the peer ended its stream of blocks")
        };
        Ok(block)
    }
}

fn config_of(block: &Block) -> anyhow::Result<ConfigEnvelope> {
    let [envelope] = &block.data.as_ref().context("data")?.data[..] else { bail!("it is not alone in its block") };
    let transaction = BlockTransaction::decode(envelope).context("an envelope")?;
    assert_eq!(transaction.header_type(), Some(HeaderType::Config));
    Ok(ConfigEnvelope::decode(transaction.data)?)
}

fn group<'a>(root: &'a mut ConfigGroup, name: &str) -> &'a mut ConfigGroup {
    root.groups.get_mut(name).expect("a group of every channel")
}

fn set(group: &mut ConfigGroup, key: &str, value: &impl Message) {
    let version = group.values.get(key).map(|item| item.version + 1);
    // What is new in a group changes the group.
    group.version += u64::from(version.is_none());
    let value =
        ConfigValue { version: version.unwrap_or(0), value: value.encode_to_vec().into(), mod_policy: "Admins".into() };
    group.values.insert(key.into(), value);
}

fn two_at_a_time(root: &mut ConfigGroup) {
    let orderer = group(root, "Orderer");
    let size = BatchSize { max_message_count: 2, absolute_max_bytes: 1 << 20, preferred_max_bytes: 1 << 19 };
    set(orderer, "BatchSize", &size);
    set(orderer, "BatchTimeout", &BatchTimeout { timeout: "1h".into() });
}

/// Two transactions, which have to wait for each other.
async fn two_in_a_block(client: &Client, ledger: &Ledger, ids: [&str; 2]) -> anyhow::Result<()> {
    let height = ledger.height()?;
    let args = ids.map(|id| ["create", id, "Ada", "7"]);
    let [first, second] = &args;
    let both = async { tokio::join!(client.submit("asset", first), client.submit("asset", second)) };
    let (first, second) = tokio::time::timeout(Duration::from_secs(50), both).await.context("a block of two")?;
    assert_eq!((first?, second?), (TxValidationCode::Valid, TxValidationCode::Valid));
    assert_eq!(ledger.height()?, height + 1, "both are in one block");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_size_acls_and_policies_follow_the_newest_configuration() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("asset", "asset")?];
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let network = Network::of(&peer).await?;
    let client = peer.client().await?;
    assert_eq!(client.submit("asset", &["create", "a", "Ada", "7"]).await?, TxValidationCode::Valid);

    let refused = network.update(&*network.user, two_at_a_time).await?;
    assert_eq!(refused.status(), Status::BadRequest);
    let text = "error applying config update to existing channel 'mychannel': error authorizing update: error \
                validating DeltaSet: policy for [Value]  /Channel/Orderer/BatchSize not satisfied: implicit policy \
                evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the 'Admins' \
                sub-policies to be satisfied";
    assert_eq!(refused.info, text, "a user's signature");

    let first = network.updated(two_at_a_time).await?;
    let number = first.header.as_ref().context("a header")?.number;
    assert_eq!(config_of(&first)?.config.context("a configuration")?.sequence, 1);
    assert_eq!(block::last_config_index(&first), Some(number), "the block names itself");
    assert_eq!(block::validation_codes(&first), [TxValidationCode::Valid]);
    two_in_a_block(&client, &network.ledger, ["b", "c"]).await?;
    let newest = network.ledger.block_by_number(number + 1)?.context("it is there")?;
    assert_eq!(block::last_config_index(&newest), Some(number));

    let acls = network
        .updated(|root| {
            let acl = ApiResource { policy_ref: "Admins".into() };
            set(group(root, "Application"), "ACLs", &AcLs { acls: [("qscc/GetChainInfo".to_owned(), acl)].into() });
        })
        .await?;
    let root = config_of(&acls)?.config.and_then(|config| config.channel_group).context("a root")?;
    assert_eq!(root.groups["Application"].values["ACLs"].version, 0);
    a_user_may_not_ask_for_the_height(&client).await?;

    network
        .updated(|root| {
            let rule = implicit_meta_policy::Rule::Any as i32;
            let meta = ImplicitMetaPolicy { sub_policy: "Admins".into(), rule };
            let kind = policy::PolicyType::ImplicitMeta as i32;
            let writers = root.policies.get_mut("Writers").expect("a policy of every channel");
            writers.policy = Some(Policy { r#type: kind, value: meta.encode_to_vec().into() });
            writers.version += 1;
        })
        .await?;
    a_user_may_not_write(&client).await?;

    let height = network.ledger.height()?;
    drop((client, network));
    peer.stop().await;
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let network = Network::of(&peer).await?;
    assert_eq!((network.config()?.sequence, network.ledger.height()?), (3, height));
    let client = peer.client().await?;
    a_user_may_not_ask_for_the_height(&client).await?;
    a_user_may_not_write(&client).await?;
    let admin = Client::connect(&peer.node().peer_address().to_string(), peer.admin()?, CHANNEL).await?;
    assert_eq!(admin.height().await?, height);
    two_in_a_block(&admin, &network.ledger, ["d", "e"]).await?;
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_stream_ends_before_the_block_that_takes_its_right_away() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let network = Network::of(&peer).await?;
    let seek = || anyhow::Ok(tokio_stream::once(create_seek_envelope(CHANNEL, &*network.user, Bytes::new())?));
    let mut client = DeliverClient::new(network.connection.clone());
    let mut whole = client.deliver(seek()?).await?.into_inner();
    let mut filtered = client.deliver_filtered(seek()?).await?.into_inner();
    for stream in [&mut whole, &mut filtered] {
        stream.message().await?.context("the newest block comes at once")?;
    }
    let config = network
        .updated(|root| {
            let acl = ApiResource { policy_ref: "Admins".into() };
            set(group(root, "Application"), "ACLs", &AcLs { acls: [("event/Block".to_owned(), acl)].into() });
        })
        .await?;
    let said = whole.message().await?.and_then(|message| message.r#type);
    assert_eq!(said, Some(Type::Status(Status::Forbidden as i32)));
    assert_eq!(whole.message().await?, None);
    let Some(Type::FilteredBlock(block)) = filtered.message().await?.and_then(|message| message.r#type) else {
        bail!("the right to filtered blocks is as it was")
    };
    assert_eq!(Some(block.number), config.header.map(|header| header.number));
    peer.stop().await;
    Ok(())
}

async fn a_user_may_not_ask_for_the_height(user: &Client) -> anyhow::Result<()> {
    let refused = user.height().await.expect_err("the ACL asks for an administrator").to_string();
    assert!(refused.contains("of the 'Admins' sub-policies to be satisfied"), "{refused}");
    Ok(())
}

async fn a_user_may_not_write(user: &Client) -> anyhow::Result<()> {
    let refused = user.submit("asset", &["create", "x", "Ada", "7"]).await.expect_err("no administrator").to_string();
    let text = "the orderer refused: FORBIDDEN implicit policy evaluation failed - 0 sub-policies were satisfied, but \
                this policy requires 1 of the 'Admins' sub-policies to be satisfied: permission denied";
    assert_eq!(refused, text);
    Ok(())
}
