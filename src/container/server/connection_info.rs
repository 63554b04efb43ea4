//! What a `connection.json` says (Fabric 2: `externalbuilder.ChaincodeServerUserData`, after the stock `ccaas` builder).
//!
//! The texts are Fabric's. As with the stock builder, `{{.name}}` in a text stands for what the operator of this peer gave
//! under that name, so that one package serves peers whose services have different addresses. Invariant: no error shows
//! what the file holds but for its address: it may hold a key.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::parse_duration;
use crate::platforms::CONNECTION as FILE;
use crate::tls::{ClientTls, Identity, NamedFile, Roots};

/// How long dialling may take where the file does not say.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// No peer waits for longer: transactions do while a service is dialled.
const LONGEST_DIAL_TIMEOUT: Duration = Duration::from_secs(300);

/// Where a service is, and how it is dialled (Fabric: `ccintf.ChaincodeServerInfo`).
#[derive(Clone)]
pub(super) struct ChaincodeServerInfo {
    /// `host:port`.
    pub(super) address: String,
    /// How long it may take until there is a connection.
    pub(super) dial_timeout: Duration,
    /// TLS, where the service has it.
    pub(super) tls: Option<ClientTls>,
}

impl ChaincodeServerInfo {
    /// Reads the file; `values` are what its templates may name.
    ///
    /// # Errors
    /// Fabric's text, or what is wrong with which field.
    pub(super) fn read(json: &[u8], values: &BTreeMap<String, String>) -> Result<Self, String> {
        let file = File::parse(json, values)?;
        let address = file.text("address")?;
        if address.is_empty() {
            return Err("chaincode address not provided".to_owned());
        }
        let dial_timeout = file.duration("dial_timeout")?;
        let tls = if file.flag("tls_required")? { Some(tls(&file)?) } else { None };
        Ok(Self { address, dial_timeout, tls })
    }
}

fn tls(file: &File<'_>) -> Result<ClientTls, String> {
    let said = |error: crate::tls::TlsError| error.to_string();
    let client_auth = file.flag("client_auth_required")?;
    let (key, certificate) = (file.text("client_key")?, file.text("client_cert")?);
    let root = file.text("root_cert")?;
    if client_auth && key.is_empty() {
        return Err("chaincode tls key not provided".to_owned());
    }
    if client_auth && certificate.is_empty() {
        return Err("chaincode tls cert not provided".to_owned());
    }
    if root.is_empty() {
        return Err("chaincode tls root cert not provided".to_owned());
    }
    let named = |field: &str| NamedFile::new(field, FILE);
    let roots = Roots::from_pem(&named("root_cert"), root.as_bytes()).map_err(said)?;
    let identity = if client_auth {
        let certificate_file = named("client_cert");
        let pair =
            Identity::from_pem((&certificate_file, certificate.as_bytes()), (&named("client_key"), key.as_bytes()));
        Some(pair.map_err(said)?)
    } else {
        None
    };
    ClientTls::new(roots, identity.as_ref()).map_err(said)
}

/// The fields by their names in lower case, as Go finds them.
struct File<'a> {
    fields: Map<String, Value>,
    values: &'a BTreeMap<String, String>,
}

impl<'a> File<'a> {
    fn parse(json: &[u8], values: &'a BTreeMap<String, String>) -> Result<Self, String> {
        let malformed = |reason: String| format!("malformed chaincode info at '{FILE}': {reason}");
        // What is wrong with the syntax is told by line and column.
        let parsed = serde_json::from_slice(json).map_err(|error| malformed(error.to_string()))?;
        let Value::Object(object) = parsed else { return Err(malformed("it is no JSON object".to_owned())) };
        let fields = object.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Ok(Self { fields, values })
    }

    /// A text, empty where there is none.
    fn text(&self, field: &str) -> Result<String, String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => fill(text, self.values)
                .map_err(|reason| format!("Failed to parse the {field} field template of {FILE}: {reason}")),
            Some(_) => Err(mistyped(field, "a string")),
        }
    }

    fn flag(&self, field: &str) -> Result<bool, String> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(mistyped(field, "true or false")),
        }
    }

    /// A duration as Go writes it, or a number of nanoseconds.
    fn duration(&self, field: &str) -> Result<Duration, String> {
        let duration = match self.fields.get(field) {
            Some(Value::Number(number)) => {
                let nanoseconds = number.as_u64().ok_or_else(|| mistyped(field, "a number of nanoseconds"))?;
                Duration::from_nanos(nanoseconds)
            }
            None | Some(Value::Null | Value::String(_)) => match self.text(field)?.as_str() {
                "" => Duration::ZERO,
                text => parse_duration(text)
                    .map_err(|reason| format!("malformed chaincode info at '{FILE}': {field} {reason}"))?,
            },
            Some(_) => return Err(mistyped(field, "a duration such as \"3s\"")),
        };
        match duration {
            Duration::ZERO => Ok(DIAL_TIMEOUT),
            duration if duration > LONGEST_DIAL_TIMEOUT => Err(format!(
                "malformed chaincode info at '{FILE}': {field} is {duration:?}, the limit is {LONGEST_DIAL_TIMEOUT:?}"
            )),
            duration => Ok(duration),
        }
    }
}

fn mistyped(field: &str, expected: &str) -> String {
    format!("malformed chaincode info at '{FILE}': {field} is not {expected}")
}

/// Puts the values of `{{.name}}` in their places. Of Go's templates this is what connection files are written with.
fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, behind) = after.split_once("}}").ok_or("unclosed action")?;
        let name = action.trim().strip_prefix('.').filter(|name| is_name(name));
        let name = name.ok_or("only {{.name}} is understood between braces")?;
        let value = values.get(name).ok_or_else(|| {
            format!("map has no entry for key \"{name}\"; give it in CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG")
        })?;
        filled.push_str(before);
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TlsAuthority, TlsPurpose};

    fn read(json: &Value) -> Result<ChaincodeServerInfo, String> {
        let values = BTreeMap::from([("peername".to_owned(), "peer0org1".to_owned())]);
        ChaincodeServerInfo::read(json.to_string().as_bytes(), &values)
    }

    fn refusal(json: Value) -> String {
        read(&json).map(|_| ()).unwrap_err()
    }

    #[test]
    fn address_and_timeout_are_read_as_fabric_reads_them() {
        let info =
            read(&serde_json::json!({"address": "{{.peername}}_cc:{{ .peername }}", "dial_timeout": "10s"})).unwrap();
        assert_eq!((&*info.address, info.dial_timeout), ("peer0org1_cc:peer0org1", Duration::from_secs(10)));
        assert!(info.tls.is_none());
        for (timeout, expected) in
            [(serde_json::json!("1m30s"), 90_000), (serde_json::json!(5_000_000), 5), (serde_json::json!(""), 3000)]
        {
            let info = read(&serde_json::json!({"Address": "a:1", "dial_timeout": timeout})).unwrap();
            assert_eq!(info.dial_timeout, Duration::from_millis(expected), "{timeout}");
        }
        assert_eq!(read(&serde_json::json!({"address": "a:1"})).unwrap().dial_timeout, DIAL_TIMEOUT);
        // Without TLS what belongs to it is not looked at.
        let plain = serde_json::json!({"address": "a:1", "client_auth_required": true, "root_cert": "rubbish"});
        assert!(read(&plain).unwrap().tls.is_none());
    }

    #[test]
    fn what_is_missing_is_told_in_fabrics_words() {
        use serde_json::json;
        assert_eq!(refusal(json!({})), "chaincode address not provided");
        let tls = json!({"address": "a:1", "tls_required": true});
        assert_eq!(refusal(tls.clone()), "chaincode tls root cert not provided");
        let mut mutual = tls;
        mutual["client_auth_required"] = true.into();
        assert_eq!(refusal(mutual.clone()), "chaincode tls key not provided");
        mutual["client_key"] = "k".into();
        assert_eq!(refusal(mutual.clone()), "chaincode tls cert not provided");
        mutual["client_cert"] = "c".into();
        assert_eq!(refusal(mutual), "chaincode tls root cert not provided");
    }

    #[test]
    fn what_is_wrong_is_told_without_what_the_file_holds() {
        use serde_json::json;
        const SECRET: &str = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
        let with = |field: &str, value: Value| {
            let mut file = json!({
                "address": "a:1", "tls_required": true, "client_auth_required": true,
                "client_key": SECRET, "client_cert": SECRET, "root_cert": SECRET
            });
            file[field] = value;
            refusal(file)
        };
        for (field, value, text) in [
            ("address", json!(7), "address is not a string"),
            ("address", json!("{{.nobody}}:1"), "map has no entry for key \"nobody\""),
            ("address", json!("{{.peername"), "unclosed action"),
            ("address", json!("{{if .x}}:1"), "only {{.name}} is understood"),
            ("tls_required", json!(SECRET), "tls_required is not true or false"),
            ("client_key", json!([SECRET]), "client_key is not a string"),
            ("dial_timeout", json!(SECRET), "dial_timeout is "),
            ("dial_timeout", json!(-1), "dial_timeout is not a number of nanoseconds"),
            ("dial_timeout", json!("1h"), "the limit is 300s"),
            ("root_cert", json!(SECRET), "root_cert: connection.json: "),
        ] {
            let said = with(field, value);
            assert!(said.contains(text) && !said.contains("hunter2"), "{field}: {said}");
        }
        let said = ChaincodeServerInfo::read(format!("{{\"client_key\": {SECRET}").as_bytes(), &BTreeMap::new());
        let said = said.map(|_| ()).unwrap_err();
        assert!(
            said.starts_with("malformed chaincode info at 'connection.json'") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn only_the_files_own_root_is_trusted_and_the_pair_is_shown_where_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let authority = TlsAuthority::new(folder.path(), "ca").unwrap();
        let pair = authority.issue("peer", &["peer"], TlsPurpose::Both).unwrap();
        let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
        let mut file = serde_json::json!({
            "address": "a:1", "tls_required": true, "root_cert": text(&authority.certificate),
            "client_cert": text(&pair.certificate), "client_key": text(&pair.key)
        });
        assert!(read(&file).unwrap().tls.unwrap().certificate_hash().is_none());
        file["client_auth_required"] = true.into();
        assert!(read(&file).unwrap().tls.unwrap().certificate_hash().is_some());
        let other = authority.issue("other", &["other"], TlsPurpose::Both).unwrap();
        file["client_key"] = text(&other.key).into();
        assert!(refusal(file).contains("does not belong to the certificate"));
    }
}
