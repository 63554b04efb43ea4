//! The block that a peer is asked to join a channel with (Fabric 1.4: `utils.GetChainIDFromBlock`,
//! `cscc.validateConfigBlock`).
//!
//! A function of the block's bytes alone, which is looked at before anybody's rights are, as in Fabric: what it tells can be
//! told to anybody. Whether a channel can be made of the configuration is for [`super::Bundle`] and the ledger to say.
//! Invariant: it is total. A block without metadata slots or with a header that is missing is no worse than any other.

use bytes::Bytes;
use selvedge_proto::common::{Block, ChannelHeader, Config, ConfigEnvelope, Envelope, HeaderType, Payload};
use thiserror::Error;

use crate::decode::{Undecodable, decode};

const APPLICATION: &str = "Application";

/// A block that holds the configuration of an application channel.
#[derive(Clone, Debug)]
pub struct GenesisBlock {
    /// The channel's name.
    pub channel: String,
    /// The block as it came.
    pub block: Block,
    /// The configuration in it.
    pub config: Config,
}

/// Why a block is none that a channel can be joined with. The texts are Fabric's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenesisError {
    /// The bytes are no block.
    #[error("{0}")]
    NoBlock(Undecodable),
    /// The block does not name a channel.
    #[error("{0}")]
    NoChannel(String),
    /// The block holds no configuration of an application channel.
    #[error("{reason}")]
    NoConfiguration {
        /// The channel that it names.
        channel: String,
        /// What is missing.
        reason: String,
    },
}

impl GenesisBlock {
    /// Reads a marshalled `common.Block`.
    ///
    /// # Errors
    /// [`GenesisError`], the first thing that is wrong in Fabric's order.
    pub fn decode(bytes: &Bytes) -> Result<Self, GenesisError> {
        let block: Block = decode("block", bytes).map_err(GenesisError::NoBlock)?;
        let (header, payload) = first_transaction(&block).map_err(GenesisError::NoChannel)?;
        let channel = header.channel_id;
        match configuration(header.r#type, &payload.data).and_then(|config| alone(&block).map(|()| config)) {
            Ok(config) => Ok(Self { channel, block, config }),
            Err(reason) => Err(GenesisError::NoConfiguration { channel, reason }),
        }
    }
}

/// The name of the channel that a block is of (Fabric: `utils.GetChainIDFromBlock`).
///
/// # Errors
/// What is missing, in Fabric's words.
pub fn channel_of_block(block: &Block) -> Result<String, String> {
    Ok(first_transaction(block)?.0.channel_id)
}

/// The channel header and the payload of the block's first transaction.
fn first_transaction(block: &Block) -> Result<(ChannelHeader, Payload), String> {
    let data = block.data.iter().flat_map(|data| &data.data).next();
    let data = data.ok_or("failed to retrieve channel id - block is empty")?;
    let envelope: Envelope = decode("Envelope", data).map_err(|error| error.to_string())?;
    let payload: Payload = decode("Payload", &envelope.payload).map_err(|error| error.to_string())?;
    let header = payload.header.as_ref().ok_or("failed to retrieve channel id - payload header is empty")?;
    let header = decode("ChannelHeader", &header.channel_header).map_err(|error| error.to_string())?;
    Ok((header, payload))
}

/// The configuration of an application channel in a transaction of that type with that data.
fn configuration(kind: i32, data: &Bytes) -> Result<Config, String> {
    if kind != HeaderType::Config as i32 {
        let kind = HeaderType::try_from(kind).map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned());
        return Err(format!("Bad configuration envelope: invalid type {kind}, expected CONFIG"));
    }
    let envelope: ConfigEnvelope =
        decode("message for type CONFIG", data).map_err(|error| format!("Bad configuration envelope: {error}"))?;
    let config = envelope.config.ok_or("Nil config envelope Config")?;
    let groups = &config.channel_group.as_ref().ok_or("Nil channel group")?.groups;
    if groups.is_empty() {
        return Err("No channel configuration groups are available".to_owned());
    }
    if !groups.contains_key(APPLICATION) {
        return Err(format!("Invalid configuration block, missing {APPLICATION} configuration group"));
    }
    Ok(config)
}

/// Nobody judges the transactions of block 0, so there may be no others. Fabric takes them, too.
fn alone(block: &Block) -> Result<(), String> {
    match block.data.as_ref().map_or(0, |data| data.data.len()) {
        1 => Ok(()),
        count => Err(format!("the first block of a channel holds one transaction, this one holds {count}")),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use selvedge_proto::common::{BlockData, ConfigGroup, Header};

    use super::*;

    fn block_of(transactions: Vec<Bytes>) -> Bytes {
        Block { data: Some(BlockData { data: transactions }), ..Block::default() }.encode_to_vec().into()
    }

    fn envelope_of(payload: Vec<u8>) -> Bytes {
        Envelope { payload: payload.into(), ..Envelope::default() }.encode_to_vec().into()
    }

    /// A block whose transaction has this type and this data.
    fn block(kind: i32, data: &[u8]) -> Bytes {
        let header = ChannelHeader { r#type: kind, channel_id: "c".into(), ..ChannelHeader::default() };
        let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
        let payload = Payload { header: Some(header), data: Bytes::copy_from_slice(data) };
        block_of(vec![envelope_of(payload.encode_to_vec())])
    }

    fn config_block(config: Option<Config>) -> Bytes {
        block(HeaderType::Config as i32, &ConfigEnvelope { config, last_update: None }.encode_to_vec())
    }

    fn groups(names: &[&str]) -> ConfigGroup {
        let groups = names.iter().map(|name| ((*name).to_owned(), ConfigGroup::default())).collect();
        ConfigGroup { groups, ..ConfigGroup::default() }
    }

    fn with(group: ConfigGroup) -> Bytes {
        config_block(Some(Config { sequence: 0, channel_group: Some(group) }))
    }

    #[test]
    fn what_is_wrong_with_a_block_is_said_in_fabrics_words() {
        const CUT: &[u8] = &[0x0a, 5, 1];
        let no_channel = |transactions| (block_of(transactions), "no channel");
        let header = Header { channel_header: Bytes::from_static(&[0x22, 5, 1]), ..Header::default() };
        let bad_header = Payload { header: Some(header), ..Payload::default() }.encode_to_vec();
        let of_type = |kind, data| (block(kind, data), "no configuration");
        let mut two = Block::decode(with(groups(&["Application"]))).expect("a block").data.expect("data").data;
        two.push(envelope_of(vec![]));
        for ((bytes, kind), text) in [
            ((Bytes::from_static(CUT), "no block"), "error unmarshaling block: unexpected EOF"),
            ((Bytes::new(), "no channel"), "failed to retrieve channel id - block is empty"),
            (no_channel(vec![]), "failed to retrieve channel id - block is empty"),
            (no_channel(vec![CUT.into()]), "error unmarshaling Envelope: unexpected EOF"),
            (no_channel(vec![envelope_of(CUT.into())]), "error unmarshaling Payload: unexpected EOF"),
            (no_channel(vec![envelope_of(vec![])]), "failed to retrieve channel id - payload header is empty"),
            (no_channel(vec![envelope_of(bad_header)]), "error unmarshaling ChannelHeader: unexpected EOF"),
            (of_type(3, &[]), "Bad configuration envelope: invalid type ENDORSER_TRANSACTION, expected CONFIG"),
            (of_type(77, &[]), "Bad configuration envelope: invalid type 77, expected CONFIG"),
            (of_type(1, CUT), "Bad configuration envelope: error unmarshaling message for type CONFIG: unexpected EOF"),
            ((config_block(None), "no configuration"), "Nil config envelope Config"),
            ((config_block(Some(Config::default())), "no configuration"), "Nil channel group"),
            ((with(groups(&[])), "no configuration"), "No channel configuration groups are available"),
            (
                (with(groups(&["Orderer", "Consortiums"])), "no configuration"),
                "Invalid configuration block, missing Application configuration group",
            ),
            (
                (block_of(two), "no configuration"),
                "the first block of a channel holds one transaction, this one holds 2",
            ),
        ] {
            let error = GenesisBlock::decode(&bytes).expect_err(text);
            assert_eq!(error.to_string(), text);
            let found = match error {
                GenesisError::NoBlock(_) => "no block",
                GenesisError::NoChannel(_) => "no channel",
                GenesisError::NoConfiguration { channel, .. } => {
                    assert_eq!(channel, "c");
                    "no configuration"
                }
            };
            assert_eq!(found, kind, "{text}");
        }
    }
}
