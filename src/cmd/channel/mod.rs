//! `selvedge channel create|join|list|getinfo|fetch|signconfigtx|update` (Fabric 1.4: `peer channel`): flags, their checks, and
//! which verb does what.
//!
//! Texts are Fabric's, because scripts read them. Differs from Fabric: a channel's name and a file's are asked for before
//! anything else, with every verb that needs them. Invariant: flags and files are checked before anything is sent.

mod create;
mod fetch;
mod getinfo;
mod join;
mod list;
mod update;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Subcommand};
use selvedge_proto::common::HeaderType;
use selvedge_proto::protos::Response;
use tracing::info;

pub(super) use self::fetch::Target;
use super::connect::{Connector, OrdererFlags, Peers, duration};
use super::services::{Peer, RpcError};
use crate::client::NewProposal;
use crate::config::Config;
use crate::msp::SigningIdentity;
use crate::operations::LogControl;

/// Flags that every verb of `channel` takes, on either side of the verb.
#[derive(Args)]
pub(super) struct ChannelCommand {
    #[command(flatten)]
    orderer: OrdererFlags,
    #[command(subcommand)]
    verb: ChannelVerb,
}

#[derive(Subcommand)]
enum ChannelVerb {
    /// Have the orderer create a channel, and write the channel's first block to a file, for `channel join`.
    Create {
        #[command(flatten)]
        channel: ChannelFlag,
        /// File with the creation, as configtxgen -outputCreateChannelTx makes it; where this is left out, a channel of the
        /// organisation peer.localMspId.
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Where to write the block; <channel>.block where this is left out.
        #[arg(long = "outputBlock", value_name = "FILE")]
        output_block: Option<PathBuf>,
        /// How long to wait for the block.
        #[arg(short, long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
        timeout: Duration,
    },
    /// Have the peer (peer.address) join a channel.
    Join {
        /// File with the channel's first block.
        #[arg(short, long = "blockpath", value_name = "FILE")]
        block_path: Option<PathBuf>,
    },
    /// List the channels that the peer has joined.
    List,
    /// Print a channel's height and the hashes of its two newest blocks.
    Getinfo(ChannelFlag),
    /// Write a block to a file: from the orderer that --orderer names, else from the peer.
    ///
    /// The next block is waited for; one after that is not found.
    Fetch {
        #[command(flatten)]
        channel: ChannelFlag,
        /// Take a block even of an orderer that cannot order at the moment.
        #[arg(long = "bestEffort")]
        best_effort: bool,
        /// newest, oldest, config (the newest one with a configuration), or a number.
        #[arg(value_name = "newest|oldest|config|NUMBER")]
        target: Option<String>,
        /// Where to write it; <channel>_<target>.block where this is left out.
        #[arg(value_name = "OUTPUTFILE")]
        output: Option<PathBuf>,
    },
    /// Add your signature to a configuration update, in its file.
    Signconfigtx(FileFlag),
    /// Sign a configuration update and send it to the orderer.
    Update {
        #[command(flatten)]
        channel: ChannelFlag,
        #[command(flatten)]
        file: FileFlag,
    },
}

#[derive(Args)]
struct ChannelFlag {
    /// The channel.
    #[arg(short = 'c', long = "channelID")]
    channel: Option<String>,
}

#[derive(Args)]
struct FileFlag {
    /// File with a configuration update: an envelope of type CONFIG_UPDATE.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(command: &ChannelCommand) -> anyhow::Result<()> {
    match &command.verb {
        ChannelVerb::Create { channel, file, output_block, timeout } => {
            let channel = channel.named().context("must supply channel ID")?;
            let config = load_config()?;
            let session = Session::new(&config, &command.orderer)?;
            let transaction = create::transaction(file.as_deref(), channel, &config, &session.signer)?;
            let block = super::block_on(session.create(channel, transaction, *timeout))?;
            fetch::write(&create::output(channel, output_block.as_ref()), &block)
        }
        ChannelVerb::Join { block_path } => {
            let Some(path) = block_path else { bail!("Must supply genesis block path") };
            let block = join::read_block(path)?;
            super::block_on(Session::start(command)?.join(block))
        }
        ChannelVerb::List => {
            let channels = super::block_on(Session::start(command)?.list())?;
            super::print(&super::printable(&list::text(&channels)))
        }
        ChannelVerb::Getinfo(channel) => {
            let channel = channel.required()?;
            let info = super::block_on(Session::start(command)?.getinfo(channel))?;
            super::print(&getinfo::text(&info))
        }
        ChannelVerb::Fetch { channel, best_effort, target, output } => {
            let target = fetch::Target::parse(target.as_deref())?;
            let channel = channel.required()?;
            let output = output.clone().unwrap_or_else(|| target.default_file(channel));
            let block = super::block_on(Session::start(command)?.fetch(channel, target, *best_effort))?;
            fetch::write(&output, &block)
        }
        ChannelVerb::Signconfigtx(file) => {
            let path = file.required()?;
            let update = update::read(path)?;
            update::write(path, &update::sign(&update, "", &signer(&load_config()?)?)?)
        }
        ChannelVerb::Update { channel, file } => {
            let channel = channel.required()?;
            let update = update::read(file.required()?)?;
            super::block_on(Session::start(command)?.update(channel, &update))
        }
    }
}

impl ChannelFlag {
    fn required(&self) -> anyhow::Result<&str> {
        self.named().context("Must supply channel ID")
    }

    fn named(&self) -> Option<&str> {
        self.channel.as_deref().filter(|channel| !channel.is_empty())
    }
}

impl FileFlag {
    fn required(&self) -> anyhow::Result<&PathBuf> {
        self.file.as_ref().context("Invalid channel create transaction : No configtx file name supplied")
    }
}

/// Who asks, and how connections are made.
pub(super) struct Session {
    signer: SigningIdentity,
    connector: Connector,
}

impl Session {
    fn start(command: &ChannelCommand) -> anyhow::Result<Self> {
        Self::new(&load_config()?, &command.orderer)
    }

    pub(super) fn new(config: &Config, orderer: &OrdererFlags) -> anyhow::Result<Self> {
        let connector = Connector::new(config, &Peers::default(), orderer)?;
        Ok(Self { signer: signer(config)?, connector })
    }

    /// What a system chaincode of the peer answers to a proposal that belongs to no channel, as those of Fabric's tool do.
    /// `refused` words the peer's refusal.
    async fn ask(
        &self,
        chaincode: &str,
        args: Vec<Bytes>,
        header_type: HeaderType,
        refused: impl FnOnce(RpcError) -> anyhow::Error,
    ) -> anyhow::Result<Response> {
        let connected = self.connector.peer("endorser").await;
        let peer = Peer(connected.context("error getting endorser client for channel")?);
        info!(target: "channelCmd", "Endorser and orderer connections initialized");
        let tls_cert_hash = peer.0.tls_cert_hash.clone();
        let proposal = NewProposal { args, header_type, tls_cert_hash, ..NewProposal::new("", chaincode) };
        let created = proposal.sign(&self.signer).context("cannot create proposal")?;
        let answer = peer.endorse(created.signed).await.map_err(refused)?;
        answer.response.context("nil proposal response")
    }
}

fn load_config() -> anyhow::Result<Config> {
    let config = super::load_config()?;
    LogControl::install(&config.logging_spec)?;
    Ok(config)
}

fn signer(config: &Config) -> anyhow::Result<SigningIdentity> {
    super::identity::load(config)
}
