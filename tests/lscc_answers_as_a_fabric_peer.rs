//! lscc of a whole node, over the state and the packages that a Fabric 1.4.12 peer had: the payloads are that peer's, byte
//! for byte, and what it refused is refused here, whatever a guest forgets to check.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use selvedge::chaincode::packages::{ChaincodePackage, Fingerprint, PackageStore};
use selvedge::ledger::{LedgerProvider, block};
use selvedge::testing::{Client, Deployment, Plugin, SmallGuest, TestPeer, define, wasm_package};
use selvedge_proto::Message;
use selvedge_proto::common::{AcLs, ApiResource, Block, ConfigEnvelope, ConfigValue, Envelope, Payload};
use selvedge_proto::protos::{
    ChaincodeData, ChaincodeDeploymentSpec, ChaincodeId, ChaincodeQueryResponse, ChaincodeSpec, ProposalResponse,
    Response, TxValidationCode,
};

const CHANNEL: &str = "mychannel";

fn golden(path: &str) -> anyhow::Result<Vec<u8>> {
    Ok(std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path))?)
}

/// What the recorded peer answered.
fn answer(proposal: &str) -> anyhow::Result<Response> {
    let answer = golden(&format!("proposals/{proposal}.response.bin"))?;
    Ok(ProposalResponse::decode(&*answer)?.response.unwrap_or_default())
}

/// The recorded packages as files of the store. Two that were not kept have the code of one that was.
fn install(chaincodes: &Path) -> anyhow::Result<()> {
    let ex02 = golden("packages/ex02-1.cds")?;
    std::fs::write(chaincodes.join("ex02.1"), &ex02)?;
    std::fs::write(chaincodes.join("kv.1"), golden("packages/kv-1.cds")?)?;
    std::fs::write(chaincodes.join("signedcc.7"), golden("packages/signedcc-7.scds")?)?;
    for (name, version) in [("ex02", "2"), ("kvand", "1")] {
        let mut package = ChaincodeDeploymentSpec::decode(&*ex02)?;
        let spec = package.chaincode_spec.as_mut().and_then(|spec| spec.chaincode_id.as_mut());
        if let Some(id) = spec {
            (id.name, id.version) = (name.to_owned(), version.to_owned());
        }
        std::fs::write(chaincodes.join(format!("{name}.{version}")), package.encode_to_vec())?;
    }
    Ok(())
}

/// The recorded definitions, committed to a channel whose node does not run.
fn instantiate(ledgers: &Path, more: &[(&str, Bytes)]) -> anyhow::Result<()> {
    let provider = LedgerProvider::open(ledgers)?;
    let ledger = provider.get(CHANNEL).expect("the node made it");
    let mut entries = Vec::new();
    for (key, proposal) in [
        ("kv", "04-lscc-deploy-kv"),
        ("kvand", "05-lscc-deploy-kvand"),
        ("ex02", "06-lscc-deploy-ex02"),
        ("kv~collection", "23-lscc-getcollectionsconfig"),
    ] {
        entries.push((key, answer(proposal)?.payload));
    }
    entries.extend_from_slice(more);
    define(&ledger, entries)
}

/// The data directory of a node that has what the recorded peer had at the recorded queries, and more definitions. Returns
/// the folder of its packages.
async fn prepare(folder: &Path, more: &[(&str, Bytes)]) -> anyhow::Result<PathBuf> {
    TestPeer::start(folder, &[], &[]).await?.stop().await;
    let chaincodes = folder.join("data/chaincodes");
    install(&chaincodes)?;
    instantiate(&folder.join("data/ledgers"), more)?;
    Ok(chaincodes)
}

async fn refusal(client: &Client, args: &[&str]) -> anyhow::Result<String> {
    let response = client.call("lscc", args).await?;
    assert_eq!(response.status, 500, "{args:?}: {response:?}");
    Ok(response.message)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_queries_have_the_recorded_answers() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    prepare(folder.path(), &[]).await?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let (user, administrator) = (peer.client().await?, peer.administrator().await?);
    for (proposal, args, client) in [
        ("18-lscc-getchaincodes", &["getchaincodes"][..], &administrator),
        ("19-lscc-getchaincodes-user", &["GetChaincodes"], &user),
        ("20-lscc-getid", &["getid", CHANNEL, "kv"], &user),
        ("21-lscc-getdepspec", &["getdepspec", CHANNEL, "kv"], &administrator),
        ("22-lscc-getccdata", &["getccdata", CHANNEL, "kv"], &user),
        ("23-lscc-getcollectionsconfig", &["getcollectionsconfig", "kv"], &user),
        ("25-lscc-getinstalledchaincodes-user", &["getinstalledchaincodes"], &user),
        ("24-lscc-getinstalledchaincodes", &["getinstalledchaincodes"], &administrator),
    ] {
        let response = client.call("lscc", args).await?;
        let recorded = answer(proposal)?;
        assert_eq!((response.status, &response.message), (recorded.status, &recorded.message), "{proposal}");
        assert_eq!(hex::encode(response.payload), hex::encode(recorded.payload), "{proposal}");
    }
    for (args, client, text) in [
        (&["getid", CHANNEL, "nosuch"][..], &user, "could not find chaincode with name 'nosuch'"),
        (&["nope"], &administrator, "invalid function to lscc: nope"),
        (&[], &user, "invalid number of arguments to lscc: 0"),
        (
            &["getid", "elsewhere", "kv"],
            &user,
            "access denied for [getid][elsewhere]: Failed to get policy manager for channel [elsewhere]",
        ),
    ] {
        assert_eq!(refusal(client, args).await?, text);
    }
    let not_admin = answer("25-lscc-getinstalledchaincodes-user")?.message.replace("getinstalledchaincodes", "install");
    assert_eq!(refusal(&user, &["install", "x"]).await?, not_admin);
    let text = "could not unmarshal chaincode package to CDS or SignedCDS";
    assert_eq!(refusal(&administrator, &["install", "x"]).await?, text);
    peer.stop().await;
    Ok(())
}

/// Block 0 of a channel on which only administrators may use these resources.
fn guarded(block: &Bytes, resources: &[&str]) -> anyhow::Result<Bytes> {
    let block = Block::decode(block.clone())?;
    let mut envelope = Envelope::decode(block.data.context("data")?.data.remove(0))?;
    let mut payload = Payload::decode(envelope.payload)?;
    let mut config = ConfigEnvelope::decode(payload.data)?;
    let root = config.config.as_mut().and_then(|config| config.channel_group.as_mut()).context("a root")?;
    let acl = ApiResource { policy_ref: "Admins".into() };
    let acls = AcLs { acls: resources.iter().map(|resource| ((*resource).to_owned(), acl.clone())).collect() };
    let value = ConfigValue { value: acls.encode_to_vec().into(), mod_policy: "Admins".into(), version: 0 };
    root.groups.get_mut("Application").context("Application")?.values.insert("ACLs".into(), value);
    payload.data = config.encode_to_vec().into();
    envelope.payload = payload.encode_to_vec().into();
    Ok(block::new_block(0, Bytes::new(), vec![envelope.encode_to_vec().into()]).encode_to_vec().into())
}

/// In Fabric, naming a channel that one may use is enough to read another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_is_for_those_whom_its_own_channel_lets_whatever_channel_they_name() -> anyhow::Result<()> {
    const CLOSED: &str = "closed";
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let resources = ["lscc/ChaincodeExists", "lscc/GetDeploymentSpec", "lscc/GetChaincodeData"];
    let block = guarded(&peer.genesis(CLOSED)?, &resources)?;
    assert_eq!(peer.join(&*peer.admin()?, &block).await?.status, 200);
    let package = wasm_package("cc", "1", &SmallGuest::new("(func $run)").module()?, &[])?;
    assert_eq!(peer.install(&package).await?.status, 200);
    for channel in [CLOSED, CHANNEL] {
        let deployment = Deployment { channel, ..Deployment::new("cc", "1") };
        assert_eq!(peer.instantiate(&deployment).await?, TxValidationCode::Valid);
    }

    let (closed, open) = (peer.client_on(peer.user()?, CLOSED).await?, peer.client().await?);
    let administrator = peer.client_on(peer.admin()?, CLOSED).await?;
    for function in ["getid", "ChaincodeExists", "getdepspec", "GetDeploymentSpec", "getccdata", "GetChaincodeData"] {
        for (client, named) in [(&closed, CLOSED), (&closed, CHANNEL), (&open, CLOSED)] {
            let text = refusal(client, &[function, named, "cc"]).await?;
            let expected =
                format!("access denied for [{function}][{CLOSED}]: failed evaluating policy on signed data ");
            assert!(text.starts_with(&expected), "{function} of {named}: {text}");
        }
        open.query("lscc", &[function, CHANNEL, "cc"]).await?;
        for named in [CLOSED, CHANNEL] {
            administrator.query("lscc", &[function, named, "cc"]).await?;
        }
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_package_than_was_instantiated_is_not_handed_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let chaincodes = prepare(folder.path(), &[]).await?;
    let peer = TestPeer::start(folder.path(), &[], &[]).await?;
    let client = peer.client().await?;
    let file = chaincodes.join("kv.1");
    let get = async || refusal(&client, &["getdepspec", CHANNEL, "kv"]).await;

    let mut package = ChaincodeDeploymentSpec::decode(&*golden("packages/kv-1.cds")?)?;
    package.code_package = Bytes::from_static(b"other code");
    std::fs::write(&file, package.encode_to_vec())?;
    assert_eq!(get().await?, "chaincode fingerprint mismatch: data mismatch");
    std::fs::write(&file, golden("packages/ex02-1.cds")?)?;
    let text = get().await?;
    assert!(
        text.starts_with(r#"chaincode fingerprint mismatch: invalid chaincode data name:"kv" version:"1" "#),
        "{text}"
    );
    assert!(text.ends_with(r#" (path:"/srv/fabric/src/tiny" name:"ex02" version:"1" )"#), "{text}");
    std::fs::remove_file(&file)?;
    let text = format!("invalid deployment spec: open {}: no such file or directory", file.display());
    assert_eq!(get().await?, text);
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_is_larger_than_the_guest_that_hands_it_out() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let id = ChaincodeId { name: "large".to_owned(), version: "1.0".to_owned(), ..Default::default() };
    let spec = ChaincodeSpec { chaincode_id: Some(id), ..Default::default() };
    let code_package = vec![7; 20 << 20].into();
    let package = ChaincodeDeploymentSpec { chaincode_spec: Some(spec), code_package, ..Default::default() };
    let package = Bytes::from(package.encode_to_vec());
    let Fingerprint { data, id } = ChaincodePackage::parse(&package)?.fingerprint();
    let id = id.to_vec().into();
    let definition =
        ChaincodeData { name: "large".to_owned(), version: "1.0".to_owned(), data, id, ..Default::default() };
    let chaincodes = prepare(folder.path(), &[("large", definition.encode_to_vec().into())]).await?;
    PackageStore::open(&chaincodes)?.put(&package)?;

    let peer = TestPeer::start(folder.path(), &[], &[("CHAINCODE_WASM_LIMITS_MEMORY", "8 MiB")]).await?;
    let client = peer.client().await?;
    assert!(client.query("lscc", &["getdepspec", CHANNEL, "large"]).await? == package, "byte for byte");
    let chaincodes = ChaincodeQueryResponse::decode(client.query("lscc", &["getchaincodes"]).await?)?.chaincodes;
    assert_eq!(chaincodes.iter().map(|info| &*info.name).collect::<Vec<_>>(), ["ex02", "kv", "kvand", "large"]);
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_forgets_to_check_reads_no_packages() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // The first eight bytes of the result of `list`: 0 for a list, 1 for an error; 0 for an error of access.
    let forgetful = SmallGuest {
        wit_imports: "import selvedge:peer/packages@0.1.0;".to_owned(),
        imports: r#"(import "selvedge:peer/packages@0.1.0" "list" (func $list (param i32)))"#.to_owned(),
        ..SmallGuest::new(
            "(func $run (call $list (i32.const 2056)) (i64.store (i32.const 2048) (i64.load (i32.const 2056))))",
        )
    };
    let forgetful = Plugin {
        capabilities: vec!["packages".to_owned()],
        ..Plugin::of_module(folder.path(), "forgetful", &forgetful.module()?)?
    };
    let plugins = [forgetful, Plugin::guest("caller", "mischief")?];
    prepare(folder.path(), &[]).await?;
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let (user, administrator) = (peer.client().await?, peer.administrator().await?);
    let denied = user.query("forgetful", &["x"]).await?;
    assert_eq!((denied[0], denied[4]), (1, 0), "{denied:?}");
    let listed = administrator.query("forgetful", &["x"]).await?;
    assert_eq!(listed[0], 0, "{listed:?}");

    // A call from chaincode is for the client that the chaincode works for.
    let swallowed = user.query("caller", &["swallow", "lscc", "getinstalledchaincodes"]).await?;
    let recorded = answer("25-lscc-getinstalledchaincodes-user")?.message;
    assert_eq!(String::from_utf8_lossy(&swallowed), format!("swallowed status 500: {recorded}"));
    let swallowed = user.query("caller", &["swallow", "lscc", "getid", CHANNEL, "kv"]).await?;
    assert_eq!(swallowed, "swallowed status 200: ");
    peer.stop().await;
    Ok(())
}
