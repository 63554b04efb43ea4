//! Section `chaincode.ccaas`: chaincode that runs as a service.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Environment;
use super::error::{Origin, Problem};
use super::values::Values;

/// The variable that Fabric's stock `ccaas` builder reads.
const BUILDER_CONFIG: &str = "CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG";

const KEY: &str = "chaincode.ccaas";

/// `chaincode.ccaas`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CcaasConfig {
    /// `redial.minDelay`: the pause before a lost connection is dialled again, which doubles from try to try.
    pub min_delay: Duration,
    /// `redial.maxDelay`: the longest pause.
    pub max_delay: Duration,
    /// `redial.giveUpAfter`: how long a service is looked for.
    pub give_up_after: Duration,
    /// `CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG`: what `{{.name}}` in a connection.json stands for, by name.
    pub values: BTreeMap<String, String>,
}

pub(super) fn read(values: &mut Values<'_>, environment: &Environment) -> CcaasConfig {
    let day = Duration::from_secs(24 * 3600);
    let millisecond = Duration::from_millis(1);
    let min_delay = values.duration("chaincode.ccaas.redial.minDelay", millisecond..=day);
    CcaasConfig {
        min_delay,
        max_delay: values.duration("chaincode.ccaas.redial.maxDelay", millisecond..=day).max(min_delay),
        give_up_after: values.duration("chaincode.ccaas.redial.giveUpAfter", Duration::ZERO..=30 * day),
        values: builder_config(values, environment),
    }
}

/// A map in JSON. Values are texts; numbers and booleans count as what they are written as.
fn builder_config(values: &mut Values<'_>, environment: &Environment) -> BTreeMap<String, String> {
    let Some(text) = environment.variables.get(BUILDER_CONFIG).filter(|text| !text.is_empty()) else {
        return BTreeMap::new();
    };
    let map = serde_json::from_str::<BTreeMap<String, Value>>(text).map_err(|error| error.to_string());
    let texts = map.and_then(|map| {
        let texts = map.into_iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
            _ => Err(format!("the value of {name} is not a text")),
        });
        texts.collect::<Result<_, _>>()
    });
    texts.unwrap_or_else(|reason| {
        values.problems.push(Problem {
            key: KEY.to_owned(),
            value: text.clone(),
            origin: Origin::Variable(BUILDER_CONFIG.to_owned()),
            reason: format!("is not a map of texts ({reason}); write for instance {{\"peername\":\"peer0org1\"}}"),
        });
        BTreeMap::new()
    })
}
