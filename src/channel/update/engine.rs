//! Making and checking the next configuration (Fabric: `configtx.ValidatorImpl`, `peer.chainSupport.Apply`).

use selvedge_proto::DecodeAsGo;
use selvedge_proto::common::{
    ChannelHeader, Config, ConfigEnvelope, ConfigUpdateEnvelope, Envelope, HeaderType, Payload,
};

use super::ConfigUpdateError;
use crate::channel::Bundle;

impl Bundle {
    /// The configuration that follows this one by the update in `envelope`, of type CONFIG_UPDATE. Who sent the
    /// envelope does not matter here: what counts are the signatures inside.
    ///
    /// # Errors
    /// When the update does not fit this configuration, or its signatures do not suffice. The result may still be no
    /// channel's configuration: [`Bundle::from_config`] says that.
    pub fn propose(&self, envelope: &Envelope) -> Result<ConfigEnvelope, ConfigUpdateError> {
        let update = update_of(envelope).map_err(|source| ConfigUpdateError::NotUpdate(Box::new(source)))?;
        let group = match self.authorize(&update) {
            Err(error @ ConfigUpdateError::Missing { .. }) => return Err(error),
            authorized => authorized.map_err(|source| ConfigUpdateError::Unauthorized(Box::new(source)))?,
        };
        Ok(ConfigEnvelope {
            config: Some(Config { sequence: self.sequence().wrapping_add(1), channel_group: Some(group) }),
            last_update: Some(envelope.clone()),
        })
    }

    /// Whether the update in `envelope` makes of this configuration the one in `envelope`.
    ///
    /// # Errors
    /// As for [`Bundle::propose`], and when it makes another one.
    pub fn validate(&self, envelope: &ConfigEnvelope) -> Result<(), ConfigUpdateError> {
        let config = envelope.config.as_ref().ok_or(ConfigUpdateError::NoConfig)?;
        let (current, received) = (self.sequence(), config.sequence);
        if current.checked_add(1) != Some(received) {
            return Err(ConfigUpdateError::Sequence { current, received });
        }
        let update = update_of(&envelope.last_update.clone().unwrap_or_default())?;
        let group = self.authorize(&update)?;
        if config.channel_group.as_ref() != Some(&group) {
            return Err(ConfigUpdateError::Different);
        }
        Ok(())
    }

    /// The bundle of the configuration in `envelope`, if that may follow this one and this node can do what it asks
    /// for.
    ///
    /// # Errors
    /// Why not.
    pub fn apply(&self, envelope: &ConfigEnvelope) -> Result<Self, ConfigUpdateError> {
        self.validate(envelope)?;
        let next = Self::from_config(self.channel(), envelope.config.as_ref().ok_or(ConfigUpdateError::NoConfig)?)?;
        self.validate_new(&next)?;
        next.check_supported()?;
        Ok(next)
    }
}

/// The update in an envelope.
fn update_of(envelope: &Envelope) -> Result<ConfigUpdateEnvelope, ConfigUpdateError> {
    let undecodable = |what| move |source| ConfigUpdateError::Undecodable { what, source };
    let payload = Payload::decode_as_go(envelope.payload.clone()).map_err(undecodable("Payload"))?;
    let header = payload.header.ok_or(ConfigUpdateError::NoHeader)?;
    let header = ChannelHeader::decode_as_go(header.channel_header).map_err(undecodable("ChannelHeader"))?;
    if header.r#type != HeaderType::ConfigUpdate as i32 {
        let received = HeaderType::try_from(header.r#type)
            .map_or_else(|_| header.r#type.to_string(), |kind| kind.as_str_name().to_owned());
        return Err(ConfigUpdateError::Type { received });
    }
    ConfigUpdateEnvelope::decode_as_go(payload.data).map_err(undecodable("message for type CONFIG_UPDATE"))
}
