//! What may be ordered (Fabric: `orderer/common/msgprocessor`, `multichannel.ChainSupport.ProposeConfigUpdate`).
//!
//! Every answer carries the sequence number of the configuration that it was given under. Invariant: what was checked
//! under an older configuration is checked again before it is ordered.

use std::sync::Arc;
use std::time::SystemTime;

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::consensus_type::State;
use selvedge_proto::common::{ConfigEnvelope, Envelope, HeaderType, Payload, Status};

use super::batch::{self, BatchConfig};
use crate::channel::{Bundle, ChannelError, Channels, OrdererSettings};
use crate::client::create_signed_envelope;
use crate::decode::envelope_creator;
use crate::msp::{self, Signer};
use crate::policies::{SignedData, signers};

const WRITERS: &str = "/Channel/Writers";
const BLOCK_VALIDATION: &str = "/Channel/Orderer/BlockValidation";
/// While the type of consensus is migrated.
const ORDERER_WRITERS: &str = "/Channel/Orderer/Writers";

/// Why a message is not ordered: what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Status,
    pub(super) info: String,
}

impl Refusal {
    pub(super) fn bad(info: impl Into<String>) -> Self {
        Self { status: Status::BadRequest, info: info.into() }
    }

    /// The same with the step that failed in front.
    fn during(self, step: &str) -> Self {
        Self { info: format!("{step}: {}", self.info), ..self }
    }
}

/// What an orderer asks about its channel.
pub(super) trait Processor: Send + Sync {
    /// The number of the configuration in force.
    fn sequence(&self) -> u64;

    /// When a block is cut.
    fn batch_config(&self) -> BatchConfig;

    /// Whether an ordinary message may be ordered; under which configuration.
    fn process_normal(&self, envelope: &Envelope) -> Result<u64, Refusal>;

    /// The CONFIG message that a CONFIG_UPDATE makes; under which configuration.
    fn process_config_update(&self, envelope: &Envelope) -> Result<(Envelope, u64), Refusal>;

    /// The same for a CONFIG message that was made under an older configuration.
    fn process_config(&self, envelope: &Envelope) -> Result<(Envelope, u64), Refusal> {
        let update = Payload::decode_as_go(envelope.payload.clone())
            .and_then(|payload| ConfigEnvelope::decode_as_go(payload.data))
            .map_err(|error| Refusal::bad(error.to_string()))?;
        self.process_config_update(&update.last_update.unwrap_or_default())
    }
}

/// Asks the channel's newest configuration.
pub(super) struct ChannelProcessor {
    pub(super) channel: String,
    pub(super) channels: Arc<Channels>,
    pub(super) signer: Arc<dyn Signer>,
}

impl ChannelProcessor {
    fn bundle(&self) -> Result<Arc<Bundle>, Refusal> {
        self.channels.get(&self.channel).ok_or_else(|| Refusal {
            status: Status::ServiceUnavailable,
            info: format!("channel {} is not open on this node", self.channel),
        })
    }
}

impl Processor for ChannelProcessor {
    fn sequence(&self) -> u64 {
        self.channels.get(&self.channel).map_or(0, |bundle| bundle.sequence())
    }

    fn batch_config(&self) -> BatchConfig {
        let bundle = self.channels.get(&self.channel);
        bundle.as_ref().and_then(|bundle| bundle.orderer()).map(BatchConfig::of).unwrap_or_default()
    }

    fn process_normal(&self, envelope: &Envelope) -> Result<u64, Refusal> {
        let bundle = self.bundle()?;
        let orderer = orderer_of(&bundle)?;
        if orderer.capabilities().consensus_type_migration() && orderer.consensus_state() != State::Normal {
            let info = "normal transactions are rejected: maintenance mode".into();
            return Err(Refusal { status: Status::ServiceUnavailable, info });
        }
        apply_filters(&bundle, orderer, envelope)?;
        Ok(bundle.sequence())
    }

    fn process_config_update(&self, envelope: &Envelope) -> Result<(Envelope, u64), Refusal> {
        let bundle = self.bundle()?;
        Ok((updated(&bundle, envelope, &*self.signer)?, bundle.sequence()))
    }
}

/// The CONFIG message that a CONFIG_UPDATE makes on a channel with this configuration.
pub(super) fn updated(bundle: &Bundle, envelope: &Envelope, signer: &dyn Signer) -> Result<Envelope, Refusal> {
    let (channel, orderer) = (bundle.channel(), orderer_of(bundle)?);
    apply_filters(bundle, orderer, envelope)
        .map_err(|refusal| refusal.during("config update for existing channel did not pass initial checks"))?;
    let next = propose(bundle, envelope, signer).map_err(|cause| {
        Refusal::bad(format!("error applying config update to existing channel '{channel}': {cause}"))
    })?;
    let config = create_signed_envelope(HeaderType::Config, channel, &next, signer)
        .map_err(|error| Refusal { status: Status::InternalServerError, info: error.to_string() })?;
    // Mostly for the size: the message is larger than the one that came.
    apply_filters(bundle, orderer, &config)
        .map_err(|refusal| refusal.during("config update for existing channel did not pass final checks"))?;
    Ok(config)
}

/// Whether an ordinary message may be ordered on a channel with this configuration.
pub(super) fn admit(bundle: &Bundle, envelope: &Envelope) -> Result<(), Refusal> {
    apply_filters(bundle, orderer_of(bundle)?, envelope)
}

/// Whether the creator of `envelope`, who has to have signed it, satisfies a policy.
pub(super) fn evaluate(bundle: &Bundle, path: &str, creator: &[u8], envelope: &Envelope) -> Result<(), Refusal> {
    let policy = bundle.policies().policy(path).map_err(|_| Refusal::bad(format!("could not find policy {path}")))?;
    let signed = SignedData { data: &envelope.payload, identity: creator, signature: &envelope.signature };
    policy
        .evaluate(&signers(&[signed], bundle.msps()))
        .map_err(|error| Refusal { status: Status::Forbidden, info: format!("{error}: permission denied") })
}

fn orderer_of(bundle: &Bundle) -> Result<&OrdererSettings, Refusal> {
    bundle.orderer().ok_or_else(|| Refusal {
        status: Status::ServiceUnavailable,
        info: format!("the configuration of channel {} has no ordering service", bundle.channel()),
    })
}

/// Fabric's rules, in its order: size, expiry, the right to write.
fn apply_filters(bundle: &Bundle, orderer: &OrdererSettings, envelope: &Envelope) -> Result<(), Refusal> {
    if envelope.payload.is_empty() {
        return Err(Refusal::bad("Message was empty"));
    }
    check_size(envelope, BatchConfig::of(orderer).absolute_max_bytes)?;
    let creator = envelope_creator(envelope)
        .map_err(|error| Refusal::bad(format!("could not convert message to signedData: {error}")))?;
    if orderer.capabilities().expiration_check() && has_expired(bundle, &creator) {
        return Err(Refusal::bad("identity expired"));
    }
    let path = if orderer.consensus_state() == State::Maintenance { ORDERER_WRITERS } else { WRITERS };
    evaluate(bundle, path, &creator, envelope)
}

/// Whether a message has at most `limit` bytes.
pub(super) fn check_size(message: &Envelope, limit: usize) -> Result<(), Refusal> {
    let size = batch::size(message);
    if size > limit {
        let info = format!("message payload is {size} bytes and exceeds maximum allowed {limit} bytes");
        return Err(Refusal::bad(info));
    }
    Ok(())
}

/// Whether the creator's certificate has expired. One whom no MSP of the channel knows is asked as well, as in Fabric.
fn has_expired(bundle: &Bundle, creator: &[u8]) -> bool {
    let known = bundle.msps().deserialize(creator).map(|identity| identity.expires_at());
    known.ok().or_else(|| msp::expires_at(creator)).is_some_and(|expiry| expiry <= SystemTime::now())
}

/// The configuration that an update makes, if this orderer can go on with it and this node can serve it.
pub(super) fn propose(bundle: &Bundle, update: &Envelope, signer: &dyn Signer) -> Result<ConfigEnvelope, String> {
    let envelope = bundle.propose(update).map_err(|error| error.to_string())?;
    let config = envelope.config.clone().unwrap_or_default();
    let next = Bundle::from_config(bundle.channel(), &config).map_err(|error| match error {
        ChannelError::Config { source, .. } => source.to_string(),
        other => other.to_string(),
    })?;
    let incompatible = |cause: String| format!("config update is not compatible: {cause}");
    let orderer = next.orderer().ok_or_else(|| incompatible("config does not contain orderer config".into()))?;
    orderer
        .capabilities()
        .check_supported()
        .map_err(|error| incompatible(format!("config requires unsupported orderer capabilities: {error}")))?;
    // Fabric's orderer lets through what stops the peers; this one would stop itself.
    next.check_supported().map_err(|error| incompatible(error.to_string()))?;
    bundle.validate_new(&next).map_err(|error| error.to_string())?;
    check_consensus(bundle, orderer)?;
    // Nobody would go on with the channel: after a restart not even this node.
    if !may_sign_blocks(signer, &next) {
        let cause = format!("the policy {BLOCK_VALIDATION} would not accept the embedded orderer's signature");
        return Err(incompatible(cause));
    }
    Ok(envelope)
}

/// Whether the channel's peers take blocks that `signer` signs.
pub fn may_sign_blocks(signer: &dyn Signer, bundle: &Bundle) -> bool {
    let identity = bundle.msps().deserialize(&signer.serialize());
    identity.is_ok_and(|identity| bundle.policies().evaluate(BLOCK_VALIDATION, &[identity]).is_ok())
}

/// The embedded orderer is of one type and hands over to no other.
fn check_consensus(bundle: &Bundle, next: &OrdererSettings) -> Result<(), String> {
    let Some(current) = bundle.orderer() else { return Ok(()) };
    let (from, to) = (current.consensus_type(), next.consensus_type());
    if from != to {
        return Err(format!("attempted to change consensus type from {from} to {to}, transition not supported"));
    }
    match next.consensus_state() {
        state if state == State::Normal || state == current.consensus_state() => Ok(()),
        state => Err(format!(
            "attempted to change ConsensusType.State to {}, but the embedded orderer migrates to no other type",
            state.as_str_name()
        )),
    }
}

#[cfg(test)]
mod tests;
