//! What the verbs that bring chaincode about have in common: which chaincode, of which language (Fabric:
//! `peer/chaincode.getChaincodeSpec`, `checkChaincodeCmdParams`).

use anyhow::bail;
use bytes::Bytes;
use clap::Args;
use selvedge_proto::protos::{ChaincodeDeploymentSpec, ChaincodeId, ChaincodeInput, ChaincodeSpec};

use super::ctor;
use crate::platforms::Platform;

/// Which chaincode, of which language.
#[derive(Args, Debug, Default)]
pub(super) struct SpecFlags {
    /// Name of the chaincode.
    #[arg(short, long)]
    pub(super) name: Option<String>,
    /// Version of the chaincode.
    #[arg(short, long)]
    pub(super) version: Option<String>,
    /// What it is written for: golang, node, java, rust, wasm (the peer's sandbox), or ccaas (a service elsewhere).
    #[arg(short, long, default_value = "golang", value_name = "LANGUAGE")]
    lang: String,
    /// Arguments in JSON: {"Args":["f","a"]} or {"Function":"f","Args":["a"]}.
    #[arg(short, long, default_value = "{}", value_name = "JSON")]
    ctor: String,
}

/// Whether a verb can do without arguments for the chaincode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// It calls the chaincode.
    Needed,
    /// It does not.
    Optional,
}

/// Flags that have been checked.
#[derive(Clone, Debug)]
pub(super) struct CheckedSpec {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) platform: Platform,
    args: Vec<Bytes>,
}

impl SpecFlags {
    pub(super) fn check(&self, verb: &str, arguments: Arguments) -> anyhow::Result<CheckedSpec> {
        let Some(name) = given(self.name.as_ref()) else { bail!("must supply value for chaincode name parameter") };
        let Some(version) = given(self.version.as_ref()) else { bail!("chaincode version is not provided for {verb}") };
        let args = match self.ctor.as_str() {
            "{}" if arguments == Arguments::Optional => Vec::new(),
            text => ctor::parse(text)?,
        };
        if self.lang.eq_ignore_ascii_case("car") {
            bail!(
                "error getting chaincode code {name}: Unknown chaincodeType: CAR; these archives are of a tool that Fabric \
                 gave up, so package the sources in them with -l golang"
            );
        }
        let platform = match self.lang.parse() {
            Ok(platform) => platform,
            Err(unknown) => bail!(
                "error getting chaincode code {name}: {unknown}; -l takes golang, node, java, rust, wasm and ccaas"
            ),
        };
        Ok(CheckedSpec { name, version, platform, args })
    }
}

/// A flag's value, unless it is empty.
pub(super) fn given(flag: Option<&String>) -> Option<String> {
    flag.filter(|value| !value.is_empty()).cloned()
}

impl CheckedSpec {
    /// The message that lscc takes.
    pub(super) fn deployment_spec(&self, path: &str, code: Bytes) -> ChaincodeDeploymentSpec {
        let id = ChaincodeId { path: path.to_owned(), name: self.name.clone(), version: self.version.clone() };
        let spec = ChaincodeSpec {
            r#type: self.platform.spec_type() as i32,
            chaincode_id: Some(id),
            input: Some(ChaincodeInput { args: self.args.clone(), ..ChaincodeInput::default() }),
            ..ChaincodeSpec::default()
        };
        ChaincodeDeploymentSpec { chaincode_spec: Some(spec), code_package: code, ..ChaincodeDeploymentSpec::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_wrong_flag_has_fabrics_text() {
        let flags = |name: &str, version: &str, lang: &str, ctor: &str| SpecFlags {
            name: Some(name.to_owned()),
            version: Some(version.to_owned()),
            lang: lang.to_owned(),
            ctor: ctor.to_owned(),
        };
        let empty = "empty JSON chaincode parameters must contain the following keys: 'Args' or 'Function' and 'Args'";
        let table = [
            (flags("", "1", "golang", "{}"), "must supply value for chaincode name parameter"),
            (flags("cc", "", "golang", "{}"), "chaincode version is not provided for upgrade"),
            (flags("cc", "1", "golang", "{}"), empty),
            (
                flags("cc", "1", "car", r#"{"Args":[]}"#),
                "error getting chaincode code cc: Unknown chaincodeType: CAR; these archives are of a tool that Fabric gave \
                 up, so package the sources in them with -l golang",
            ),
            (
                flags("cc", "1", "cobol", r#"{"Args":[]}"#),
                "error getting chaincode code cc: Unknown chaincodeType: COBOL; -l takes golang, node, java, rust, wasm and \
                 ccaas",
            ),
        ];
        for (flags, expected) in table {
            let refused = flags.check("upgrade", Arguments::Needed).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(refused, Err(expected.to_owned()));
        }
        let spec = flags("cc", "1", "Node", "{}").check("install", Arguments::Optional).unwrap();
        assert_eq!((spec.platform, spec.args.len()), (Platform::Node, 0));
    }
}
