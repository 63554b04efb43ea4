//! `selvedge chaincode package` and `signpackage` (Fabric: `peer/chaincode/{package,signpackage}.go`).
//!
//! Nothing here talks to a peer. Invariant: a file is written when the package is whole, and not before.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use prost::Message;
use selvedge_proto::common::Envelope;
use selvedge_proto::protos::ChaincodeDeploymentSpec;
use tracing::{info, warn};

use super::spec::{Arguments, CheckedSpec, SpecFlags, given};
use crate::chaincode::packages::{ChaincodePackage, MAX_PACKAGE_SIZE, create_signed_package, sign_package};
use crate::cmd::progress::Progress;
use crate::config::{ChaincodeMode, Config};
use crate::container::Ccid;
use crate::container::wasm::{ModuleOwner, ModuleSpec, WasmConfig, WasmVm};
use crate::msp::Signer;
use crate::platforms::{Packager, Platform, PlatformError};
use crate::policies;

/// Where code is, and what of it to package.
#[derive(Args, Debug, Default)]
pub(super) struct CodeFlags {
    /// The chaincode: its folder; for golang the import path of its package; for rust a crate's folder or a static program;
    /// for wasm a module; for ccaas a connection.json or a package of type ccaas for Fabric 2.x.
    #[arg(short, long)]
    pub(super) path: Option<String>,
    /// For node: package node_modules too, so that the peer builds without a network.
    #[arg(long)]
    node_modules: bool,
}

/// Flags of `package`.
#[derive(Args, Debug)]
pub(super) struct PackageCommand {
    #[command(flatten)]
    spec: SpecFlags,
    #[command(flatten)]
    code: CodeFlags,
    /// Make a package that its owners sign.
    #[arg(short = 's', long = "cc-package")]
    signed: bool,
    /// Sign it with this identity, as its first owner. Only with -s.
    #[arg(short = 'S', long)]
    sign: bool,
    /// Who may instantiate it. Only with -s; where it is left out, the administrators of this organisation.
    #[arg(short, long = "instantiate-policy", value_name = "POLICY")]
    instantiate_policy: Option<String>,
    /// The file to write.
    #[arg(value_name = "FILE")]
    file: Vec<PathBuf>,
}

impl PackageCommand {
    pub(super) fn run(&self, config: &Config) -> anyhow::Result<()> {
        let [file] = self.file.as_slice() else {
            bail!("output file not specified or invalid number of args (filename should be the only arg)");
        };
        let spec = self.spec.check("package", Arguments::Optional)?;
        log_plugins("escc", "vscc");
        let deployment_spec = self.code.deployment_spec(config, &spec)?;
        let package = match self.signed {
            false => deployment_spec.encode_to_vec(),
            true => self.sign(config, deployment_spec)?.encode_to_vec(),
        };
        check_size(package.len())?;
        write(file, &package)
    }

    fn sign(&self, config: &Config, deployment_spec: ChaincodeDeploymentSpec) -> anyhow::Result<Envelope> {
        let own_admin = || format!("AND('{}.admin')", config.peer.local_msp_id);
        let policy = given(self.instantiate_policy.as_ref()).unwrap_or_else(own_admin);
        let policy =
            policies::parse(&policy).map_err(|cause| anyhow::anyhow!("Invalid policy {policy}, err {cause}"))?;
        let owner = self.sign.then(|| crate::cmd::identity::load(config)).transpose()?;
        let owner = owner.as_ref().map(|owner| owner as &dyn Signer);
        Ok(create_signed_package(deployment_spec.encode_to_vec().into(), &policy, owner)?)
    }
}

/// Says which plug-ins a chaincode will have, as Fabric's tool does of any verb that names a version.
pub(super) fn log_plugins(escc: &str, vscc: &str) {
    for (kind, name) in [("escc", escc), ("vscc", vscc)] {
        match name == kind {
            true => info!(target: "chaincodeCmd", "Using default {kind}"),
            false => info!(target: "chaincodeCmd", "Using {kind} {name}"),
        }
    }
}

impl CodeFlags {
    /// The chaincode with its code. In development mode somebody else runs the chaincode, so no code goes along.
    pub(super) fn deployment_spec(
        &self,
        config: &Config,
        spec: &CheckedSpec,
    ) -> anyhow::Result<ChaincodeDeploymentSpec> {
        let path = self.path.as_deref().unwrap_or_default();
        let code = match config.chaincode.mode {
            ChaincodeMode::Dev => Bytes::new(),
            ChaincodeMode::Net => {
                self.code(config, spec, path).with_context(|| format!("error getting chaincode code {}", spec.name))?
            }
        };
        Ok(spec.deployment_spec(path, code))
    }

    fn code(&self, config: &Config, spec: &CheckedSpec, path: &str) -> anyhow::Result<Bytes> {
        if spec.platform == Platform::Wasm && Path::new(path).is_file() {
            check_module(config, spec, path)?;
        }
        let packager = Packager { node_modules: self.node_modules, ..Packager::of_process() };
        let bar = Progress::new();
        let packaged = packager.package(spec.platform, path, &mut |done, of| bar.at("packaging", done, of));
        drop(bar);
        let packaged = packaged.map_err(|error| in_context(spec.platform, error))?;
        packaged.remarks.iter().for_each(|remark| warn!(target: "chaincodeCmd", "{remark}"));
        Ok(packaged.code.bytes)
    }
}

/// What Fabric says around its texts.
fn in_context(platform: Platform, error: PlatformError) -> anyhow::Error {
    let context = match (&error, platform) {
        // Checked before it is packaged.
        (PlatformError::NoPath(_) | PlatformError::FolderForGo { .. } | PlatformError::Unknown(_), _) => {
            return error.into();
        }
        (PlatformError::EmptyPath, _) => "error getting chaincode package bytes",
        (_, Platform::Node | Platform::Java) => {
            "error getting chaincode package bytes: Error writing Chaincode package contents"
        }
        _ => "error getting chaincode package bytes",
    };
    anyhow::Error::new(error).context(context)
}

/// Whether a peer with this configuration could run the module: a wrong file is found here, and not when it is first called.
fn check_module(node: &Config, spec: &CheckedSpec, path: &str) -> anyhow::Result<()> {
    let bar = Progress::new();
    bar.waiting("checking the module");
    let settings = WasmConfig { cache_path: None, ..crate::node::wasm_config(node) };
    // Nothing runs, so a runtime without threads will do.
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start the client's thread")?;
    let vm = WasmVm::new(&settings, Vec::new(), runtime.handle().clone()).context("the wasm VM cannot start")?;
    let ccid = Ccid::new(&spec.name, &spec.version);
    let (capabilities, config) = Default::default();
    vm.load(ModuleSpec { ccid, path: path.into(), capabilities, config, owner: ModuleOwner::Users })?;
    Ok(())
}

/// No peer takes a larger one.
pub(super) fn check_size(bytes: usize) -> anyhow::Result<()> {
    if bytes as u64 > MAX_PACKAGE_SIZE {
        bail!(
            "the package has {bytes} bytes, and a peer takes {MAX_PACKAGE_SIZE}; take out what the chaincode does not need"
        );
    }
    Ok(())
}

/// Adds this identity to a package's owners.
pub(super) fn sign_existing(config: &Config, files: &[PathBuf]) -> anyhow::Result<()> {
    let [from, to] = files else { bail!("selvedge chaincode signpackage <inputpackage> <outputpackage>") };
    let bytes = read(from)?;
    let package = ChaincodePackage::parse(&bytes).with_context(|| from.display().to_string())?;
    let envelope = match package.instantiation_policy() {
        Some(_) => Envelope::decode(bytes).with_context(|| from.display().to_string())?,
        None => bail!(
            "{} is a package without owners; `selvedge chaincode package -s -S` makes one that owners can sign",
            from.display()
        ),
    };
    let owner = crate::cmd::identity::load(config)?;
    write(to, &sign_package(&envelope, &owner)?.encode_to_vec())?;
    crate::cmd::print(&format!("Wrote signed package to {} successfully", to.display()))
}

/// A file that may be a package.
pub(super) fn read(path: &Path) -> anyhow::Result<Bytes> {
    let size = fs::metadata(path).with_context(|| format!("open {}", path.display()))?.len();
    check_size(usize::try_from(size).unwrap_or(usize::MAX)).with_context(|| path.display().to_string())?;
    Ok(fs::read(path).with_context(|| format!("open {}", path.display()))?.into())
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}
