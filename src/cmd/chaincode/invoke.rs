//! Invoking and querying (Fabric: `peer/chaincode.ChaincodeInvokeOrQuery`).
//!
//! Invariant: nothing goes to the orderer unless every peer answered, all endorsed the same result, and (with
//! `--waitForEvent`) every peer's event stream is open already, so that no commit can be missed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use prost::Message;
use selvedge_proto::protos::{ChaincodeAction, ProposalResponse, ProposalResponsePayload, Response};
use tracing::info;

use super::CheckedCall;
use super::commit::CommitWaiter;
use super::output::proto_text;
use crate::client::{CreatedProposal, NewProposal, create_signed_tx};
use crate::cmd::connect::Connector;
use crate::cmd::services::{Orderer, Peer};
use crate::msp::SigningIdentity;

/// Responses from here on are the chaincode's refusal and are not endorsed (Fabric: `shim.ERRORTHRESHOLD`).
const ERROR_THRESHOLD: i32 = 400;

/// Who calls, and how.
pub(super) struct Session {
    pub(super) signer: SigningIdentity,
    pub(super) transient: BTreeMap<String, Bytes>,
    pub(super) connector: Connector,
}

struct Endorsed {
    created: CreatedProposal,
    peers: Vec<Peer>,
    /// At least one.
    responses: Vec<ProposalResponse>,
}

impl Session {
    /// Has the call endorsed and sends it to the orderer; with `wait`, until every peer has committed it.
    pub(super) async fn invoke(&self, call: &CheckedCall, wait: Option<Duration>) -> anyhow::Result<()> {
        let endorsed = self.endorse(call, "invoke").await?;
        let first = &endorsed.responses[0];
        let response = first.response.clone().unwrap_or_default();
        if response.status < ERROR_THRESHOLD {
            self.submit(call, wait, &endorsed).await?;
        }
        if first.endorsement.is_none() {
            bail!("endorsement failure during invoke. response: {}", proto_text(&response));
        }
        let result = result_of(first)?;
        info!(target: "chaincodeCmd", "Chaincode invoke successful. result: {}", proto_text(&result));
        Ok(())
    }

    /// The payload that the chaincode answers with.
    pub(super) async fn query(&self, call: &CheckedCall) -> anyhow::Result<Bytes> {
        let endorsed = self.endorse(call, "query").await?;
        let first = &endorsed.responses[0];
        let response = first.response.clone().unwrap_or_default();
        if first.endorsement.is_none() {
            bail!("endorsement failure during query. response: {}", proto_text(&response));
        }
        Ok(response.payload)
    }

    async fn endorse(&self, call: &CheckedCall, verb: &str) -> anyhow::Result<Endorsed> {
        let connected = self.connector.peers().await;
        let connected = connected.with_context(|| format!("error getting endorser client for {verb}"))?;
        let peers: Vec<_> = connected.into_iter().map(Peer).collect();
        let created = NewProposal {
            args: call.args.clone(),
            transient: self.transient.clone(),
            // One proposal for all peers: this client shows all of them the same certificate.
            tls_cert_hash: peers.first().map(|peer| peer.0.tls_cert_hash.clone()).unwrap_or_default(),
            ..NewProposal::new(&call.channel, &call.name)
        }
        .sign(&self.signer)
        .with_context(|| format!("error creating proposal for {verb}"))?;
        let mut responses = Vec::with_capacity(peers.len());
        for peer in &peers {
            let endorsed = peer.endorse(created.signed.clone()).await;
            responses.push(endorsed.with_context(|| format!("error endorsing {verb}"))?);
        }
        Ok(Endorsed { created, peers, responses })
    }

    async fn submit(&self, call: &CheckedCall, wait: Option<Duration>, endorsed: &Endorsed) -> anyhow::Result<()> {
        let Endorsed { created, peers, responses } = endorsed;
        // Fabric's text has no colon here, so it is not a context.
        let envelope = create_signed_tx(&created.proposal, &self.signer, responses)
            .map_err(|e| anyhow!("could not assemble transaction, err {e}"))?;
        let waiter = match wait {
            Some(timeout) => Some(CommitWaiter::open(peers, &call.channel, &self.signer, timeout).await?),
            None => None,
        };
        let orderer = Orderer(self.connector.orderer().await.context("error getting broadcast client")?);
        let sent = orderer.broadcast(envelope).await;
        sent.with_context(|| format!("error sending transaction for invoke to {}", orderer.0.address))?;
        match waiter {
            Some(waiter) => waiter.wait(&created.txid).await,
            None => Ok(()),
        }
    }
}

/// What the chaincode answered, out of what the peer signed.
fn result_of(response: &ProposalResponse) -> anyhow::Result<Response> {
    let payload = ProposalResponsePayload::decode(response.payload.clone())
        .context("error while unmarshaling proposal response payload")?;
    let action = ChaincodeAction::decode(payload.extension).context("error while unmarshaling chaincode action")?;
    Ok(action.response.unwrap_or_default())
}
