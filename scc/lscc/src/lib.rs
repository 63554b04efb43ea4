//! lscc, the lifecycle system chaincode of Fabric 1.x (`core/scc/lscc`): what is installed here, and what is instantiated.
//!
//! A chaincode's definition is an entry of lscc's state under the chaincode's name, its collections one under
//! `<name>~collection`. As in Fabric, a query names a channel, on which access is checked, and reads the state of the
//! proposal's own; where that is another one, access is checked there too, which Fabric does not do. Invariant: a
//! package's code passes as a blob and never enters this memory, and is handed out only if it is the one that the
//! ledger's entry was made from.
//!
//! Installing is the host's: it checks the package, and the client's right, and stores it. Deploy and upgrade are in
//! `deploy`.

mod deploy;
mod message;
#[cfg(test)]
mod tests;
mod text;

use prost::Message;
use selvedge_sdk::{Chaincode, ChaincodePackage, InstallError, PackageError, PackageForm, Payload, Response, Stub};

use deploy::{Change, deploy_or_upgrade};
use message::{ChaincodeData, ChaincodeInfo, ChaincodeInput, ChaincodeQueryResponse, PackageHashes, decode};

/// Stands in no chaincode's name, so a key that holds it is that of a chaincode's collections.
const COLLECTION_SEPARATOR: char = '~';

/// The chaincode.
#[derive(Debug)]
pub struct Lscc;

selvedge_sdk::export!(Lscc);

impl Chaincode for Lscc {
    fn invoke(&self, stub: &Stub) -> Response {
        let count = stub.arg_sizes().len();
        Request { stub, count, function: arg(stub, 0) }.answer().into()
    }
}

/// One call. Arguments are asked for one by one, because a package among them may be large.
struct Request<'a> {
    stub: &'a Stub,
    count: usize,
    function: String,
}

type Answer = Result<Payload, String>;

impl Request<'_> {
    fn answer(&self) -> Answer {
        match (self.function.as_str(), self.count) {
            (_, 0) => Err(self.wrong_count()),
            ("install", 2..) => self.install(),
            ("deploy", 3..) => deploy_or_upgrade(self, Change::Deploy),
            ("upgrade", 3..) => deploy_or_upgrade(self, Change::Upgrade),
            ("getid" | "ChaincodeExists", 3) => {
                let (name, entry) = self.instance("lscc/ChaincodeExists")?;
                Ok(chaincode_data(&name, &entry)?.name.into())
            }
            ("getccdata" | "GetChaincodeData", 3) => Ok(self.instance("lscc/GetChaincodeData")?.1.into()),
            ("getdepspec" | "GetDeploymentSpec", 3) => self.deployment_spec(),
            ("getchaincodes" | "GetChaincodes", 1) => self.instantiated(),
            ("getinstalledchaincodes" | "GetInstalledChaincodes", 1) => self.installed(),
            ("getcollectionsconfig" | "GetCollectionsConfig", 2) => self.collections(),
            (function, _) if is_function(function) => Err(self.wrong_count()),
            (function, _) => Err(format!("invalid function to lscc: {function}")),
        }
    }

    fn install(&self) -> Answer {
        let Some(package) = self.stub.arg(1) else { return Err(self.wrong_count()) };
        self.stub.packages().install(&package).map_err(|error| match error {
            InstallError::AccessDenied(reason) => self.denied(&reason),
            InstallError::Refused(reason) => reason,
        })?;
        Ok("OK".into())
    }

    /// Name and entry of the chaincode that the arguments name, for whoever may use `resource` on the channel that they
    /// name, and on the one that is read.
    fn instance(&self, resource: &str) -> Result<(String, Vec<u8>), String> {
        let (channel, name) = (arg(self.stub, 1), arg(self.stub, 2));
        self.check_access(resource, &channel)?;
        let own = self.stub.channel_id();
        // A proposal without a channel has no state to read.
        if own != channel && !own.is_empty() {
            self.check_access(resource, &own)?;
        }
        let entry = self.stub.get_state(&name).map_err(|error| format!("transaction not found: {error}"))?;
        match entry {
            Some(entry) => Ok((name, entry)),
            None => Err(format!("could not find chaincode with name '{name}'")),
        }
    }

    fn deployment_spec(&self) -> Answer {
        let (name, entry) = self.instance("lscc/GetDeploymentSpec")?;
        let data = chaincode_data(&name, &entry)?;
        let channel = arg(self.stub, 1);
        let package = self.stub.packages().get(&channel, &name, &data.version).map_err(|error| match error {
            PackageError::AccessDenied(reason) => self.denied_on(&channel, &reason),
            PackageError::Unavailable(reason) => format!("invalid deployment spec: {reason}"),
        })?;
        validate(&package, &data).map_err(|mismatch| format!("chaincode fingerprint mismatch: {mismatch}"))?;
        Ok(package.deployment_spec.into())
    }

    /// What the channel has, with path and input where the package is installed here.
    fn instantiated(&self) -> Answer {
        let channel = self.stub.channel_id();
        self.check_access("lscc/GetInstantiatedChaincodes", &channel)?;
        let mut chaincodes = Vec::new();
        for row in self.stub.get_state_by_range("", "").map_err(|error| error.to_string())? {
            let row = row.map_err(|error| error.to_string())?;
            if row.key.contains(COLLECTION_SEPARATOR) {
                continue;
            }
            let ChaincodeData { name, version, escc, vscc, .. } = decode(&row.value)?;
            // Without a package there is nothing beyond the ledger's entry.
            let (path, input) = match self.stub.packages().describe(&channel, &name, &version) {
                Ok(package) => (package.path, input_text(package.input.as_deref())?),
                Err(_) => Default::default(),
            };
            chaincodes.push(ChaincodeInfo { name, version, path, input, escc, vscc, id: Vec::new() });
        }
        Ok(ChaincodeQueryResponse { chaincodes }.encode_to_vec().into())
    }

    fn installed(&self) -> Answer {
        let installed = self.stub.packages().list().map_err(|error| match error {
            PackageError::AccessDenied(reason) => self.denied(&reason),
            PackageError::Unavailable(reason) => reason,
        })?;
        let chaincodes = installed.into_iter().map(|package| ChaincodeInfo {
            name: package.name,
            version: package.version,
            path: package.path,
            id: package.id,
            ..ChaincodeInfo::default()
        });
        Ok(ChaincodeQueryResponse { chaincodes: chaincodes.collect() }.encode_to_vec().into())
    }

    fn collections(&self) -> Answer {
        let access = self.stub.check_access("lscc/GetCollectionsConfig", &self.stub.channel_id());
        access.map_err(|reason| self.denied(&reason))?;
        let name = arg(self.stub, 1);
        let key = format!("{name}{COLLECTION_SEPARATOR}collection");
        match self.stub.get_state(&key).map_err(|error| error.to_string())? {
            Some(collections) => Ok(collections.into()),
            None => Err(format!("collections config not defined for chaincode {name}")),
        }
    }

    fn wrong_count(&self) -> String {
        format!("invalid number of arguments to lscc: {}", self.count)
    }

    fn denied(&self, reason: &str) -> String {
        format!("access denied for [{}]: {reason}", self.function)
    }

    fn check_access(&self, resource: &str, channel: &str) -> Result<(), String> {
        self.stub.check_access(resource, channel).map_err(|reason| self.denied_on(channel, &reason))
    }

    fn denied_on(&self, channel: &str, reason: &str) -> String {
        format!("access denied for [{}][{channel}]: {reason}", self.function)
    }
}

/// One argument as text; empty past the end.
fn arg(stub: &Stub, index: u32) -> String {
    String::from_utf8_lossy(&arg_bytes(stub, index)).into_owned()
}

/// One argument; empty past the end.
fn arg_bytes(stub: &Stub, index: u32) -> Vec<u8> {
    stub.arg(index).map(|arg| arg.read(0, u32::MAX)).unwrap_or_default()
}

fn is_function(name: &str) -> bool {
    matches!(
        name,
        "install"
            | "deploy"
            | "upgrade"
            | "getid"
            | "ChaincodeExists"
            | "getdepspec"
            | "GetDeploymentSpec"
            | "getccdata"
            | "GetChaincodeData"
            | "getchaincodes"
            | "GetChaincodes"
            | "getinstalledchaincodes"
            | "GetInstalledChaincodes"
            | "getcollectionsconfig"
            | "GetCollectionsConfig"
    )
}

/// The entry of a chaincode, which must bear its name.
fn chaincode_data(name: &str, entry: &[u8]) -> Result<ChaincodeData, String> {
    let data: ChaincodeData = decode(entry).map_err(|_| format!("error while marshalling: {name}"))?;
    if data.name != name {
        return Err(format!("chaincode name mismatch: {name}!={}", data.name));
    }
    Ok(data)
}

/// Whether the package is the one that the ledger's entry was made from (`CCPackage.ValidateCC`).
fn validate(package: &ChaincodePackage, ledger: &ChaincodeData) -> Result<(), String> {
    if package.name != ledger.name || package.version != ledger.version {
        let id = text::chaincode_id(&package.path, &package.name, &package.version);
        return Err(format!("invalid chaincode data {} ({id})", text::chaincode_data(ledger)));
    }
    let (installed, mut defined): (PackageHashes, PackageHashes) = (decode(&package.data)?, decode(&ledger.data)?);
    if package.form == PackageForm::Plain {
        defined.signature.clear();
    }
    if installed == defined { Ok(()) } else { Err("data mismatch".to_owned()) }
}

fn input_text(input: Option<&[u8]>) -> Result<String, String> {
    let input: Option<ChaincodeInput> = input.map(decode).transpose()?;
    Ok(text::input(input.as_ref()))
}
