//! Joining channels, and what is asked of a peer outside any.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use prost::Message;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::common::HeaderType;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ChannelQueryResponse, ProposalResponse, Response, SignedProposal};

use super::{Boxed, Client, TestPeer};
use crate::channel::genesis::{OrderingSettings, development_block};
use crate::client::NewProposal;
use crate::msp::Signer;
use crate::msp::development::DevelopmentMsp;
use crate::msp::folder::verifying_config;

/// Block 0 of a channel of that development organisation.
pub(super) fn genesis(made: &DevelopmentMsp, channel: &str) -> anyhow::Result<Bytes> {
    let ordering = OrderingSettings {
        addresses: vec!["127.0.0.1:7050".into()],
        max_message_count: 10,
        absolute_max_bytes: 10 << 20,
        preferred_max_bytes: 1 << 20,
        batch_timeout: Duration::from_millis(200),
    };
    let organisation = verifying_config(&made.organisation, &made.mspid)?;
    Ok(development_block(channel, &organisation, &ordering)?.encode_to_vec().into())
}

impl TestPeer {
    /// A client on a channel, in anybody's name.
    ///
    /// # Errors
    /// When the connection fails, or the peer delivers nothing of the channel.
    pub fn client_on<'a>(&'a self, signer: Arc<dyn Signer>, channel: &'a str) -> Boxed<'a, anyhow::Result<Client>> {
        Box::pin(async move {
            let address = self.node().peer_address().to_string();
            Client::connect_with(&address, self.tls()?.as_ref(), signer, channel).await
        })
    }

    /// Block 0 of a further channel of the development organisation, which orders it.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn genesis(&self, channel: &str) -> anyhow::Result<Bytes> {
        genesis(&self.development()?, channel)
    }

    /// What a chaincode answers to a proposal without a channel, whatever its status.
    ///
    /// # Errors
    /// The endorser's refusal.
    pub fn call<'a>(
        &'a self,
        signer: &'a dyn Signer,
        chaincode: &'a str,
        args: Vec<Bytes>,
    ) -> Boxed<'a, anyhow::Result<Response>> {
        Box::pin(async move {
            let proposal = NewProposal { args, header_type: HeaderType::Config, ..NewProposal::new("", chaincode) };
            let answer = self.endorse(proposal.sign(signer)?.signed).await?;
            Ok(answer.response.unwrap_or_default())
        })
    }

    /// What the endorser answers to a proposal.
    ///
    /// # Errors
    /// Its refusal.
    pub fn endorse(&self, proposal: SignedProposal) -> Boxed<'_, anyhow::Result<ProposalResponse>> {
        Box::pin(async move {
            let mut endorser =
                EndorserClient::new(self.connection().await?).max_decoding_message_size(MAX_MESSAGE_SIZE);
            let answer = endorser.process_proposal(proposal).await;
            Ok(answer.map_err(|status| anyhow!("{}", status.message()))?.into_inner())
        })
    }

    /// What cscc answers to JoinChain.
    ///
    /// # Errors
    /// The endorser's refusal.
    pub fn join<'a>(&'a self, signer: &'a dyn Signer, block: &Bytes) -> Boxed<'a, anyhow::Result<Response>> {
        self.call(signer, "cscc", vec![Bytes::from_static(b"JoinChain"), block.clone()])
    }

    /// The names of the peer's channels, as cscc tells them to `signer`.
    ///
    /// # Errors
    /// The endorser's refusal, or cscc's.
    pub fn channels<'a>(&'a self, signer: &'a dyn Signer) -> Boxed<'a, anyhow::Result<Vec<String>>> {
        Box::pin(async move {
            let answer = self.call(signer, "cscc", vec![Bytes::from_static(b"GetChannels")]).await?;
            anyhow::ensure!(answer.status == 200, "{}", answer.message);
            let channels = ChannelQueryResponse::decode(answer.payload)?.channels;
            Ok(channels.into_iter().map(|channel| channel.channel_id).collect())
        })
    }
}
