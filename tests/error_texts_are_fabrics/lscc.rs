//! What lscc refuses (Fabric 1.4: `core/scc/lscc`), and the installs that some of it needs.
//!
//! The host checks what protects the peer: who installs and what, who satisfies an instantiation policy, and what is told of
//! a package. The guest's own checks come between. Two of Fabric's texts are out of reach: a call that comes through the
//! endorser has a signed proposal, and a package that decodes has a deployment spec.

use std::path::Path;

use bytes::Bytes;
use prost::Message;
use selvedge::channel::GenesisBlock;
use selvedge::ledger::{Ledger, LedgerProvider, block};
use selvedge::msp::SigningIdentity;
use selvedge::testing::{chaincode_package, define, from_the_orderer};
use selvedge_proto::common::{
    Block, Capabilities, Capability, ChannelHeader, ConfigEnvelope, Envelope, Header, HeaderType, Payload,
    SignaturePolicyEnvelope,
};
use selvedge_proto::protos::collection_config::Payload as Collection;
use selvedge_proto::protos::collection_policy_config::Payload as Members;
use selvedge_proto::protos::{
    ChaincodeData, ChaincodeDeploymentSpec, ChaincodeId, ChaincodeSpec, CollectionConfig, CollectionConfigPackage,
    CollectionPolicyConfig, StaticCollectionConfig,
};

use super::draft::Draft;
use super::{Answer, CHANNEL, GOLDEN, Row, Signers, done, refused};

const GARBAGE: &[u8] = b"\x0a\xff";
/// A channel without capabilities.
const OLD: &str = "oldchan";
/// A channel with the experiment of 1.1.
const EXPERIMENT: &str = "experimentchan";

/// The channels and the definitions that the rows are about.
pub(crate) fn prepare(ledgers: &LedgerProvider, golden: &Ledger) -> anyhow::Result<()> {
    let entry = |name: &str, policy: &[u8]| {
        let version = if name == "drifted" { "1" } else { "0" };
        let instantiation_policy = Bytes::copy_from_slice(policy);
        let (name, version) = (name.to_owned(), version.to_owned());
        Bytes::from(ChaincodeData { name, version, instantiation_policy, ..Default::default() }.encode_to_vec())
    };
    let nobody = SignaturePolicyEnvelope { version: 1, ..Default::default() }.encode_to_vec();
    define(
        golden,
        [
            ("unguarded", entry("unguarded", b"")),
            ("guarded", entry("guarded", &nobody)),
            ("betas", entry("betas", &selvedge::policies::parse("OR('BetaMSP.admin')")?.encode_to_vec())),
            ("drifted", entry("drifted", b"")),
            ("alias", entry("kv", b"")),
            ("broken", Bytes::from_static(GARBAGE)),
        ],
    )?;
    ledgers.create(OLD, &genesis(OLD, &[])?)?;
    let experiment = ledgers.create(EXPERIMENT, &genesis(EXPERIMENT, &["V1_1_PVTDATA_EXPERIMENTAL"])?)?;
    let anybody = selvedge::policies::parse("OR('AlphaMSP.member')")?.encode_to_vec();
    define(&experiment, [("fresh", entry("fresh", &anybody))])
}

/// Block 0 of the recorded channel under another name and with other application capabilities.
fn genesis(channel: &str, names: &[&str]) -> anyhow::Result<Block> {
    let recorded = GenesisBlock::decode(&from_the_orderer(GOLDEN.block(0)?).encode_to_vec().into())?;
    let mut config = recorded.config;
    let groups = config.channel_group.as_mut().map(|root| &mut root.groups);
    let application = groups.and_then(|groups| groups.get_mut("Application")).expect("an application group");
    // They need V1_2.
    application.values.remove("ACLs");
    let capabilities = names.iter().map(|name| ((*name).to_owned(), Capability {})).collect();
    let value = application.values.get_mut("Capabilities").expect("capabilities");
    value.value = Capabilities { capabilities }.encode_to_vec().into();
    let header =
        ChannelHeader { r#type: HeaderType::Config as i32, channel_id: channel.to_owned(), ..ChannelHeader::default() };
    let header = Header { channel_header: header.encode_to_vec().into(), signature_header: Bytes::new() };
    let data = ConfigEnvelope { config: Some(config), last_update: None }.encode_to_vec().into();
    let payload = Payload { header: Some(header), data }.encode_to_vec().into();
    let envelope = Envelope { payload, signature: Bytes::new() }.encode_to_vec().into();
    Ok(block::new_block(0, Bytes::new(), vec![envelope]))
}

/// The rows so far, and how to call lscc.
struct Table<'a> {
    rows: Vec<Row>,
    signers: &'a Signers,
}

impl Table<'_> {
    fn call(&mut self, name: &'static str, channel: &str, args: &[&[u8]], by: &SigningIdentity, expected: Answer) {
        let signed = Draft::call(channel, "lscc", args).sign(by);
        self.rows.push(Row { name, signed, expected });
    }

    /// A call by the recorded administrator.
    fn refuses(&mut self, args: &[&[u8]], expected: impl Into<String>) {
        self.call("lscc", CHANNEL, args, &self.signers.admin, refused(expected));
    }

    fn install(&mut self, package: &[u8], expected: Answer) {
        self.call("lscc install", "", &[b"install", package], &self.signers.admin, expected);
    }

    /// A deploy or upgrade by the recorded administrator.
    fn change(&mut self, function: &str, chaincode: (&str, &str), more: &[&[u8]], expected: impl Into<String>) {
        self.change_on(CHANNEL, function, chaincode, more, expected);
    }

    fn change_on(
        &mut self,
        channel: &str,
        function: &str,
        (name, version): (&str, &str),
        more: &[&[u8]],
        expected: impl Into<String>,
    ) {
        let spec = spec(name, version);
        let args = [&[function.as_bytes(), channel.as_bytes(), &spec], more].concat();
        self.call("lscc deploy or upgrade", channel, &args, &self.signers.admin, refused(expected));
    }
}

fn spec(name: &str, version: &str) -> Vec<u8> {
    let id = ChaincodeId { name: name.into(), version: version.into(), ..ChaincodeId::default() };
    let chaincode_spec = Some(ChaincodeSpec { chaincode_id: Some(id), ..ChaincodeSpec::default() });
    ChaincodeDeploymentSpec { chaincode_spec, ..ChaincodeDeploymentSpec::default() }.encode_to_vec()
}

fn package(name: &str, version: &str, files: &[(&str, &str)]) -> Bytes {
    chaincode_package(name, version, &[&[("src/package.json", "{}")], files].concat()).expect("a package")
}

/// `folder` is where the node keeps its packages.
pub(crate) fn rows(signers: &Signers, folder: &Path) -> Vec<Row> {
    let mut table = Table { rows: Vec::new(), signers };
    calls(&mut table);
    access(&mut table);
    installs(&mut table, folder);
    changes(&mut table);
    instantiation_policies(&mut table);
    collections(&mut table);
    queries(&mut table, folder);
    table.rows
}

fn calls(table: &mut Table<'_>) {
    table.refuses(&[], "invalid number of arguments to lscc: 0");
    table.refuses(&[b"start"], "invalid function to lscc: start");
    let x: &[u8] = b"x";
    for (function, counts) in [
        ("install", &[1][..]),
        ("deploy", &[1, 2]),
        ("upgrade", &[1, 2]),
        ("getid", &[1, 2, 4]),
        ("GetDeploymentSpec", &[2, 4]),
        ("getccdata", &[2, 4]),
        ("getchaincodes", &[2]),
        ("GetInstalledChaincodes", &[2]),
        ("getcollectionsconfig", &[1, 3]),
    ] {
        for &count in counts {
            let args: Vec<&[u8]> =
                std::iter::once(function.as_bytes()).chain(std::iter::repeat_n(x, count - 1)).collect();
            table.refuses(&args, format!("invalid number of arguments to lscc: {count}"));
        }
    }
    for function in ["deploy", "upgrade"] {
        table.change(function, ("kv", "1"), &[&b""[..]; 5], "invalid number of arguments to lscc: 8");
    }
}

fn access(table: &mut Table<'_>) {
    let signers = table.signers;
    for function in ["install", "getinstalledchaincodes"] {
        let denied = format!(
            "access denied for [{function}]: Failed verifying that proposal's creator satisfies local MSP principal during \
             channelless check policy with policy [Admins]: [This identity is not an admin]"
        );
        let args: &[&[u8]] = if function == "install" { &[b"install", GARBAGE] } else { &[function.as_bytes()] };
        table.call("lscc by a user", "", args, &signers.user, refused(denied));
    }
    let denied = "access denied for [install]: Failed deserializing proposal creator during channelless check policy with \
                  policy [Admins]: [expected MSP ID AlphaMSP, received BetaMSP]";
    table.call("lscc by another's user", CHANNEL, &[b"install", b"x"], &signers.other_org, refused(denied));
    let readers = format!(
        "Failed evaluating policy on signed data during check policy on channel [{CHANNEL}] with policy \
         [/Channel/Application/Readers]: [implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy \
         requires 1 of the 'Readers' sub-policies to be satisfied]"
    );
    for function in ["getid", "GetDeploymentSpec", "getccdata"] {
        let args: &[&[u8]] = &[function.as_bytes(), CHANNEL.as_bytes(), b"kv"];
        let denied = refused(format!("access denied for [{function}][{CHANNEL}]: {readers}"));
        table.call("lscc by a stranger", CHANNEL, args, &signers.orderer_admin, denied);
    }
    let denied = refused(format!("access denied for [getchaincodes][{CHANNEL}]: {readers}"));
    table.call("lscc by a stranger", CHANNEL, &[b"getchaincodes"], &signers.orderer_admin, denied);
    let denied = refused(format!("access denied for [GetCollectionsConfig]: {readers}"));
    table.call("lscc by a stranger", CHANNEL, &[b"GetCollectionsConfig", b"kv"], &signers.orderer_admin, denied);
    let denied = "access denied for [getid][elsewhere]: Failed to get policy manager for channel [elsewhere]";
    table.refuses(&[b"getid", b"elsewhere", b"kv"], denied);
}

fn bad_name(name: &str) -> String {
    format!(
        "invalid chaincode name '{name}'. Names must start with an alphanumeric character and can only consist of \
         alphanumerics, '_', and '-'"
    )
}

fn bad_version(version: &str) -> String {
    format!(
        "invalid chaincode version '{version}'. Versions must not be empty and can only consist of alphanumerics, '_',  \
         '-', '+', and '.'"
    )
}

fn installs(table: &mut Table<'_>, folder: &Path) {
    for bytes in [b"x", GARBAGE, b""] {
        table.install(bytes, refused("could not unmarshal chaincode package to CDS or SignedCDS"));
    }
    for name in ["", "-kv", "k.v", "../kv", "kv_"] {
        table.install(&package(name, "1", &[]), refused(bad_name(name)));
    }
    for version in ["", "1/2", "1 "] {
        table.install(&package("fresh", version, &[]), refused(bad_version(version)));
    }
    for name in ["lscc", "cscc", "qscc", "vscc", "escc"] {
        table.install(
            &package(name, "1", &[]),
            refused(format!("cannot install: {name} is the name of a system chaincode")),
        );
    }
    let file = "META-INF/statedb/couchdb/indexes/a.json";
    let indexed = package("fresh", "1", &[(file, "{")]);
    let text = format!("invalid state database artifact: Index metadata file [{file}] is not a valid JSON");
    table.install(&indexed, refused(text));
    let misplaced = package("fresh", "1", &[("META-INF/statedb/leveldb/indexes/a.json", "{}")]);
    let text = "invalid state database artifact: database name [leveldb] is not supported, valid options: [couchdb]";
    table.install(&misplaced, refused(text));
    for (kind, text) in [(0, "UNDEFINED"), (3, "CAR"), (77, "77")] {
        let mut spec = ChaincodeDeploymentSpec::decode(package("fresh", "1", &[])).expect("a package");
        spec.chaincode_spec.get_or_insert_default().r#type = kind;
        let text = format!("invalid deployment spec: Unknown chaincodeType: {text}");
        table.install(&spec.encode_to_vec(), refused(text));
    }

    let golden = |file: &str| GOLDEN.read(&format!("packages/{file}")).expect(file);
    for (file, name) in [("kv-1.cds", "kv:1"), ("signedcc-7.scds", "signedcc:7")] {
        table.install(&golden(file), done());
        let path = folder.join(name.replace(':', ".")).display().to_string();
        let text = format!("error installing chaincode code {name}(chaincode {path} exists)");
        table.install(&golden(file), refused(text));
    }
    for name in ["fresh", "unguarded", "guarded", "betas", "drifted", "alias", "broken"] {
        table.install(&package(name, "1", &[]), done());
    }
}

fn changes(table: &mut Table<'_>) {
    for function in ["deploy", "upgrade"] {
        let call: &[u8] = function.as_bytes();
        table.refuses(&[call, b"", b"x"], "invalid channel name: ");
        let elsewhere = format!("invalid channel name: {OLD} (the proposal's is '{CHANNEL}')");
        table.refuses(&[call, OLD.as_bytes(), b"x"], elsewhere);
        let eof = "error unmarshaling ChaincodeDeploymentSpec: unexpected EOF";
        table.refuses(&[call, CHANNEL.as_bytes(), GARBAGE], eof);
        table.change(function, ("k.v", "1"), &[], bad_name("k.v"));
        table.change(function, ("kv", "1/2"), &[], bad_version("1/2"));
        table.change(function, ("nothing", "1"), &[], "cannot get package for chaincode (nothing:1)");
    }
    table.change("deploy", ("kv", "1"), &[], "chaincode with name 'kv' already exists");
    table.change("deploy", ("broken", "1"), &[], "chaincode with name 'broken' already exists");
    table.change("upgrade", ("kv", "1"), &[], "version already exists for chaincode with name 'kv'");
    table.change("upgrade", ("fresh", "1"), &[], "could not find chaincode with name 'fresh'");
    table.change("upgrade", ("broken", "1"), &[], "error while marshalling: broken");
    table.change("upgrade", ("alias", "1"), &[], "chaincode name mismatch: alias!=kv");
}

fn instantiation_policies(table: &mut Table<'_>) {
    let violated = "instantiation policy violation: signature set did not satisfy policy";
    // The package's own policy wants both administrators.
    table.change("deploy", ("signedcc", "7"), &[], violated);
    table.change("upgrade", ("betas", "1"), &[], violated);
    table.change("upgrade", ("unguarded", "1"), &[], "instantiation policy missing");
    let unusable = "This evaluator only understands messages of version 0, but version was 1";
    table.change("upgrade", ("guarded", "1"), &[], unusable);
    let (user, stranger) = (&table.signers.user, &table.signers.orderer_admin);
    for by in [user, stranger] {
        let args: &[&[u8]] = &[b"deploy", CHANNEL.as_bytes(), &spec("fresh", "1")];
        table.call("lscc deploy by no administrator", CHANNEL, args, by, refused(violated));
    }
}

fn collections(table: &mut Table<'_>) {
    let with = |policy: Option<SignaturePolicyEnvelope>| {
        let members = CollectionPolicyConfig { payload: policy.map(Members::SignaturePolicy) };
        let name = "c".to_owned();
        let collection = StaticCollectionConfig { name, member_orgs_policy: Some(members), ..Default::default() };
        let payload = Some(Collection::StaticCollectionConfig(collection));
        CollectionConfigPackage { config: vec![CollectionConfig { payload }] }.encode_to_vec()
    };
    let good = with(Some(selvedge::policies::parse("OR('AlphaMSP.member')").expect("a policy")));
    let none: &[u8] = b"";
    for (collections, text) in [
        (GARBAGE.to_vec(), "invalid collection configuration supplied for chaincode fresh:1"),
        (with(None), "collection member policy check failed: collection member org policy is empty"),
        (
            with(Some(SignaturePolicyEnvelope::default())),
            "collection member policy check failed: invalid member org policy for collection 'c': Empty policy element",
        ),
    ] {
        table.change("deploy", ("fresh", "1"), &[none, none, none, &collections], text);
    }
    let missing = "as V1_2 or later capability is not enabled, private channel collections and data are not available";
    for function in ["deploy", "upgrade"] {
        table.change_on(OLD, function, ("fresh", "1"), &[none, none, none, &good], missing);
    }
    let too_old = "as V1_2 capability is not enabled, collection upgrades are not allowed";
    table.change_on(EXPERIMENT, "upgrade", ("fresh", "1"), &[none, none, none, &good], too_old);
}

fn queries(table: &mut Table<'_>, folder: &Path) {
    let channel = CHANNEL.as_bytes();
    for function in ["getid", "getdepspec", "GetChaincodeData"] {
        table.refuses(&[function.as_bytes(), channel, b"nothing"], "could not find chaincode with name 'nothing'");
    }
    for function in ["ChaincodeExists", "getdepspec"] {
        table.refuses(&[function.as_bytes(), channel, b"broken"], "error while marshalling: broken");
        table.refuses(&[function.as_bytes(), channel, b"alias"], "chaincode name mismatch: alias!=kv");
    }
    table.refuses(&[b"getcollectionsconfig", b"ex02"], "collections config not defined for chaincode ex02");
    let path = folder.join("kvand.1").display().to_string();
    let missing = format!("invalid deployment spec: open {path}: no such file or directory");
    table.refuses(&[b"getdepspec", channel, b"kvand"], missing);
    table.refuses(&[b"getdepspec", channel, b"drifted"], "chaincode fingerprint mismatch: data mismatch");
    // Installed is version 1, on the ledger is version 0.
    let missing =
        format!("invalid deployment spec: open {}: no such file or directory", folder.join("guarded.0").display());
    table.refuses(&[b"getdepspec", channel, b"guarded"], missing);
}
