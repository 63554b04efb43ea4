//! A client of a node's services, as an SDK is one: proposals, transactions, and word of their commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use prost::Message;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::BroadcastResponse;
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::protos::deliver_response::Type;
use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::{ProposalResponse, Response, TxValidationCode};
use tokio::sync::oneshot;
use tonic::transport::Channel;

use super::Boxed;
use crate::client::{CreatedProposal, create_chaincode_proposal, create_seek_envelope, create_signed_tx};
use crate::msp::Signer;
use crate::tls::{ClientTls, connect};

/// How long a transaction may take to be committed.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to one node, in the name of one identity, on one channel. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    connection: Channel,
    signer: Arc<dyn Signer>,
    channel: String,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<TxValidationCode>>>>,
}

impl Client {
    /// Connects, and listens to the channel's blocks from the newest on.
    ///
    /// # Errors
    /// When the node is not there or refuses to deliver.
    pub fn connect<'a>(address: &'a str, signer: Arc<dyn Signer>, channel: &'a str) -> Boxed<'a, anyhow::Result<Self>> {
        Self::connect_with(address, None, signer, channel)
    }

    /// The same over TLS, where it is given.
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub fn connect_with<'a>(
        address: &'a str,
        tls: Option<&'a ClientTls>,
        signer: Arc<dyn Signer>,
        channel: &'a str,
    ) -> Boxed<'a, anyhow::Result<Self>> {
        Box::pin(async move {
            let connection = connect(address, tls).await?;
            let client = Self { connection, signer, channel: channel.to_owned(), waiting: Arc::default() };
            client.listen().await?;
            Ok(client)
        })
    }

    async fn listen(&self) -> anyhow::Result<()> {
        let seek = create_seek_envelope(&self.channel, &*self.signer, Bytes::new())?;
        let mut deliver = DeliverClient::new(self.connection.clone());
        let mut blocks = deliver.deliver_filtered(tokio_stream::once(seek)).await?.into_inner();
        // The newest block comes at once; after it nothing can be missed.
        blocks.message().await?.ok_or_else(|| anyhow!("the node ended its stream of blocks"))?;
        let waiting = Arc::clone(&self.waiting);
        tokio::spawn(async move {
            while let Ok(Some(message)) = blocks.message().await {
                let Some(Type::FilteredBlock(block)) = message.r#type else { break };
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for transaction in block.filtered_transactions {
                    let Some(waiter) = waiting.remove(&transaction.txid) else { continue };
                    // A code that nobody knows is not VALID: without a word, whoever waits fails.
                    if let Ok(code) = TxValidationCode::try_from(transaction.tx_validation_code) {
                        let _ = waiter.send(code);
                    }
                }
            }
            // Whoever still waits learns that no word will come.
            waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        });
        Ok(())
    }

    /// Makes and signs a proposal.
    ///
    /// # Errors
    /// When the key fails.
    pub fn proposal(&self, chaincode: &str, args: &[&str]) -> anyhow::Result<CreatedProposal> {
        self.proposal_of(chaincode, bytes(args))
    }

    fn proposal_of(&self, chaincode: &str, args: Vec<Bytes>) -> anyhow::Result<CreatedProposal> {
        Ok(create_chaincode_proposal(&self.channel, chaincode, args, BTreeMap::new(), &*self.signer)?)
    }

    /// Sends a proposal to the endorser.
    ///
    /// # Errors
    /// The endorser's refusal.
    pub fn endorse<'a>(&'a self, proposal: &'a CreatedProposal) -> Boxed<'a, Result<ProposalResponse, tonic::Status>> {
        Box::pin(async move {
            let mut endorser = EndorserClient::new(self.connection.clone()).max_decoding_message_size(MAX_MESSAGE_SIZE);
            Ok(endorser.process_proposal(proposal.signed.clone()).await?.into_inner())
        })
    }

    /// What a chaincode answers, whatever its status.
    ///
    /// # Errors
    /// The endorser's refusal.
    pub fn call<'a>(&'a self, chaincode: &'a str, args: &'a [&'a str]) -> Boxed<'a, anyhow::Result<Response>> {
        Box::pin(async move {
            let proposal = self.proposal(chaincode, args)?;
            let answer = self.endorse(&proposal).await.map_err(|status| anyhow!("{}", status.message()))?;
            Ok(answer.response.unwrap_or_default())
        })
    }

    /// The payload of a successful answer.
    ///
    /// # Errors
    /// The endorser's refusal, or the chaincode's.
    pub fn query<'a>(&'a self, chaincode: &'a str, args: &'a [&'a str]) -> Boxed<'a, anyhow::Result<Bytes>> {
        Box::pin(async move {
            let response = self.call(chaincode, args).await?;
            if response.status != 200 {
                bail!("{}", response.message);
            }
            Ok(response.payload)
        })
    }

    /// Has a call endorsed: the transaction's id, and what the orderer is to get.
    ///
    /// # Errors
    /// A refusal.
    pub fn transaction<'a>(
        &'a self,
        chaincode: &'a str,
        args: &'a [&'a str],
    ) -> Boxed<'a, anyhow::Result<(String, Envelope)>> {
        self.transaction_of(chaincode, bytes(args))
    }

    fn transaction_of<'a>(
        &'a self,
        chaincode: &'a str,
        args: Vec<Bytes>,
    ) -> Boxed<'a, anyhow::Result<(String, Envelope)>> {
        Box::pin(async move {
            let proposal = self.proposal_of(chaincode, args)?;
            let answer = self.endorse(&proposal).await.map_err(|status| anyhow!("{}", status.message()))?;
            Ok((proposal.txid, create_signed_tx(&proposal.proposal, &*self.signer, &[answer])?))
        })
    }

    /// What the orderer answers to an envelope.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn broadcast(&self, envelope: Envelope) -> Boxed<'_, anyhow::Result<BroadcastResponse>> {
        Box::pin(async move {
            let mut broadcast = AtomicBroadcastClient::new(self.connection.clone());
            let mut answers = broadcast.broadcast(tokio_stream::once(envelope)).await?.into_inner();
            answers.message().await?.context("the orderer gave no answer")
        })
    }

    /// Has a call endorsed and ordered; resolves with its validation code once it is committed.
    ///
    /// # Errors
    /// A refusal on the way, or no word of the commit.
    pub fn submit<'a>(
        &'a self,
        chaincode: &'a str,
        args: &'a [&'a str],
    ) -> Boxed<'a, anyhow::Result<TxValidationCode>> {
        self.submit_bytes(chaincode, bytes(args))
    }

    /// The same for arguments that are no text.
    ///
    /// # Errors
    /// As for [`Client::submit`].
    pub fn submit_bytes<'a>(
        &'a self,
        chaincode: &'a str,
        args: Vec<Bytes>,
    ) -> Boxed<'a, anyhow::Result<TxValidationCode>> {
        Box::pin(async move {
            let (txid, envelope) = self.transaction_of(chaincode, args).await?;
            self.commit(txid, envelope).await
        })
    }

    /// Has an endorsed transaction ordered; resolves with its validation code once it is committed.
    ///
    /// # Errors
    /// When the orderer refuses it, or there is no word of the commit.
    pub fn commit(&self, txid: String, envelope: Envelope) -> Boxed<'_, anyhow::Result<TxValidationCode>> {
        Box::pin(async move {
            let (waiter, committed) = oneshot::channel();
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(txid, waiter);
            let answer = self.broadcast(envelope).await?;
            if answer.status() != Status::Success {
                bail!("the orderer refused: {} {}", answer.status().as_str_name(), answer.info);
            }
            tokio::time::timeout(COMMIT_TIMEOUT, committed)
                .await
                .context("no word of the commit")?
                .context("the stream of blocks ended before the commit, or told an unknown validation code")
        })
    }

    /// The height of the channel, as qscc tells it.
    ///
    /// # Errors
    /// As for [`Client::query`].
    pub fn height<'a>(&'a self) -> Boxed<'a, anyhow::Result<u64>> {
        Box::pin(async move {
            let info = self.query("qscc", &["GetChainInfo", &self.channel]).await?;
            Ok(selvedge_proto::common::BlockchainInfo::decode(info)?.height)
        })
    }
}

fn bytes(args: &[&str]) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::copy_from_slice(arg.as_bytes())).collect()
}
