//! Which rules an MSP follows (Fabric: `msp.MSPVersion`, `capabilities.ChannelProvider.MSPVersion`).

/// The version of the rules for an MSP. All peers of a channel have to apply the same, so on a channel its capabilities
/// decide; the node's own MSP follows the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MspVersion {
    /// Node OUs are not looked at (no capability).
    V1_0,
    /// Node OUs tell clients from peers; administrators are listed, and are clients (`V1_1`).
    V1_1,
    /// The same, and principals of the classes ANONYMITY and COMBINED (`V1_3`, `V1_4_2`).
    V1_3,
    /// Node OUs for administrators and orderers too, each of the four optional (`V1_4_3` and later).
    V1_4_3,
}

impl MspVersion {
    /// What the newest capability that this node knows asks for; the node's own MSP always has it, as in Fabric.
    pub const NEWEST: Self = Self::V1_4_3;

    /// What the capabilities of a channel's group `Channel` ask for. Names that mean nothing to an MSP are passed over.
    pub fn of_channel_capabilities<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let version = |name| match name {
            "V1_4_3" | "V2_0" | "V3_0" => Self::V1_4_3,
            "V1_3" | "V1_4_2" => Self::V1_3,
            "V1_1" => Self::V1_1,
            _ => Self::V1_0,
        };
        names.into_iter().map(version).max().unwrap_or(Self::V1_0)
    }
}

#[cfg(test)]
mod tests {
    use super::MspVersion;

    #[test]
    fn the_highest_capability_decides() {
        let version = |names: &[&str]| MspVersion::of_channel_capabilities(names.iter().copied());
        assert_eq!(version(&[]), MspVersion::V1_0);
        assert_eq!(version(&["V9_Unknown"]), MspVersion::V1_0);
        assert_eq!(version(&["V1_1"]), MspVersion::V1_1);
        assert_eq!(version(&["V1_3", "V1_1"]), MspVersion::V1_3);
        assert_eq!(version(&["V1_4_2"]), MspVersion::V1_3);
        assert_eq!(version(&["V1_1", "V1_4_3"]), MspVersion::V1_4_3);
        assert_eq!(version(&["V2_0"]), MspVersion::V1_4_3);
    }
}
