//! The names that channels and items of their configuration may have (Fabric: `configtx.validateChannelID`,
//! `validateConfigID`).

use super::ChannelError;
use super::update::KeyError;

/// The longest name.
const MAX_NAME: usize = 249;

/// Whether a channel may have this name: at most 249 of a-z, 0-9, dot and dash, and a letter first.
pub fn is_channel_name(name: &str) -> bool {
    let mut characters = name.chars();
    let starts_well = characters.next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on_well = characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-');
    starts_well && goes_on_well && name.len() <= MAX_NAME
}

/// Refuses what is no channel's name.
pub(super) fn check_channel(channel: &str) -> Result<(), ChannelError> {
    if is_channel_name(channel) { Ok(()) } else { Err(ChannelError::Name(channel.to_owned())) }
}

/// Refuses what is no name of a group, value or policy, nor a part of a policy's path.
pub(super) fn check_item(name: &str) -> Result<(), KeyError> {
    if name.is_empty() {
        return Err(KeyError::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(KeyError::Long(MAX_NAME));
    }
    if name == "." || name == ".." {
        return Err(KeyError::Reserved(name.to_owned()));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-') {
        return Err(KeyError::Characters(name.to_owned()));
    }
    Ok(())
}
