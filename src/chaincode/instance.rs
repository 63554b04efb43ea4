//! A chaincode as other chaincode names it: `name:version/channel` (Fabric: `sysccprovider.ChaincodeInstance`).

use std::fmt;

/// The parts of such a name. The version of a called chaincode is ignored: the definition decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaincodeInstance {
    /// Empty where the name has none.
    pub channel: String,
    /// Everything before the first `:` of what stands before the first `/`.
    pub name: String,
    /// Empty where the name has none.
    pub version: String,
}

impl ChaincodeInstance {
    /// Takes a name apart (Fabric: `ParseName`); any text is a name.
    pub fn parse(text: &str) -> Self {
        let (id, channel) = text.split_once('/').unwrap_or((text, ""));
        let (name, version) = id.split_once(':').unwrap_or((id, ""));
        Self { channel: channel.into(), name: name.into(), version: version.into() }
    }
}

impl fmt::Display for ChaincodeInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}#{}", self.channel, self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_the_first_slash_and_then_at_the_first_colon() {
        for (text, shown) in
            [("cc", ".cc#"), ("cc:1.0", ".cc#1.0"), ("cc/ch", "ch.cc#"), ("cc:1:2/ch/x:y", "ch/x:y.cc#1:2"), ("", ".#")]
        {
            assert_eq!(ChaincodeInstance::parse(text).to_string(), shown, "{text}");
        }
    }
}
