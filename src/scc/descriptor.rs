//! What is known about a system chaincode before it runs (Fabric 1.4: `scc.SystemChaincode`).

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A system chaincode: one of the peer's own, or a plug-in of `chaincode.systemPlugins`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemChaincode {
    /// The name, which is also the namespace of its state.
    pub name: String,
    /// The WebAssembly module; for the peer's own chaincodes a name to show.
    pub path: PathBuf,
    /// Off for a chaincode that is built in but not to be run, whatever the whitelist says.
    pub enabled: bool,
    /// Whether `chaincode.system` names it with a value that [`is_enabling`].
    pub whitelisted: bool,
    /// Whether clients may call it by a proposal.
    pub invokable_external: bool,
    /// Whether other chaincodes may call it.
    pub invokable_cc2cc: bool,
    /// The arguments of its INIT.
    pub init_args: Vec<Vec<u8>>,
    /// The interfaces of `selvedge:peer` that it may import, by name.
    pub capabilities: Vec<String>,
    /// Its own settings.
    pub config: BTreeMap<String, String>,
}

/// Whether a value of `chaincode.system` puts a chaincode on the whitelist: exactly these, as in Fabric 1.4.
pub fn is_enabling(value: &str) -> bool {
    matches!(value, "enable" | "true" | "yes")
}

impl SystemChaincode {
    /// The chaincodes that Fabric 1.4 brings, as far as `chaincode.system` lets them run. `+lifecycle`, the experiment of
    /// 1.4, has no code here; it is in the list because its name is a system chaincode's.
    pub fn builtin(whitelist: &BTreeMap<String, String>) -> Vec<Self> {
        let builtin = |name: &str, capabilities: &[&str]| Self {
            name: name.to_owned(),
            path: PathBuf::from(format!("builtin:{name}")),
            enabled: true,
            invokable_external: true,
            invokable_cc2cc: true,
            capabilities: capabilities.iter().map(ToString::to_string).collect(),
            ..Self::default()
        };
        [
            builtin("lscc", &["access-control", "packages", "package-admin", "policies"]),
            Self { invokable_cc2cc: false, ..builtin("cscc", &["channel-config", "channel-admin"]) },
            builtin("qscc", &["access-control", "ledger"]),
            Self { enabled: false, ..builtin("+lifecycle", &[]) },
        ]
        .map(|chaincode| chaincode.whitelist(whitelist))
        .into()
    }

    /// The same, with `whitelisted` read from `chaincode.system`.
    #[must_use]
    pub fn whitelist(mut self, whitelist: &BTreeMap<String, String>) -> Self {
        self.whitelisted = whitelist.get(&self.name).is_some_and(|value| is_enabling(value));
        self
    }

    /// Whether it is one of those that Fabric brings, and not a plug-in.
    pub fn is_builtin(&self) -> bool {
        Self::builtin(&BTreeMap::new()).iter().any(|builtin| builtin.name == self.name)
    }

    /// Whether it is to be run.
    pub fn runs(&self) -> bool {
        self.enabled && self.whitelisted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_values_put_a_chaincode_on_the_whitelist() {
        for (value, enabling) in [
            ("enable", true),
            ("true", true),
            ("yes", true),
            ("enabled", false),
            ("True", false),
            ("1", false),
            ("", false),
            ("disable", false),
        ] {
            assert_eq!(is_enabling(value), enabling, "{value:?}");
        }
    }

    #[test]
    fn a_builtin_chaincode_runs_if_it_is_whitelisted_and_has_code() {
        let whitelist = ["lscc", "qscc", "+lifecycle"].map(|name| (name.to_owned(), "enable".to_owned()));
        let runs = SystemChaincode::builtin(&BTreeMap::from(whitelist)).into_iter().map(|scc| (scc.runs(), scc.name));
        let expected = [(true, "lscc"), (false, "cscc"), (true, "qscc"), (false, "+lifecycle")];
        assert_eq!(runs.collect::<Vec<_>>(), expected.map(|(runs, name)| (runs, name.to_owned())));
    }
}
