//! `selvedge chaincode package` and `signpackage`, and what `install` says before it asks a peer: files, texts, exit codes.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use prost::Message;
use selvedge::chaincode::packages::{ChaincodePackage, PackageForm};
use selvedge::testing::{CommandLine, Golden, guest_path};
use selvedge_proto::protos::ChaincodeDeploymentSpec;
use tempfile::TempDir;

/// A folder with a Node chaincode, and the program in it.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("tiny"))?;
        let stand_in = "// a stand-in; the chaincode process runs in development mode\n";
        std::fs::write(folder.path().join("tiny/index.js"), stand_in)?;
        let manifest = r#"{"name":"tiny","version":"1.0.0","main":"index.js","scripts":{"start":"node index.js"}}"#;
        std::fs::write(folder.path().join("tiny/package.json"), manifest)?;
        Ok(Self { folder })
    }

    fn tool(&self) -> CommandLine {
        // Nobody is asked.
        CommandLine::new(env!("CARGO_BIN_EXE_selvedge"), self.folder.path(), "127.0.0.1:1".to_owned())
    }

    fn package(&self, file: &str) -> anyhow::Result<ChaincodePackage> {
        Ok(ChaincodePackage::parse(&Bytes::from(std::fs::read(self.folder.path().join(file))?))?)
    }
}

const TINY: [&str; 10] = ["chaincode", "package", "-n", "kv", "-v", "1", "-l", "node", "-p", "tiny"];

fn golden(name: &str) -> anyhow::Result<ChaincodePackage> {
    Ok(ChaincodePackage::parse(&Bytes::from(std::fs::read(Golden::V1_4.path(&format!("packages/{name}")))?))?)
}

fn member(folder: &str, mspid: &'static str) -> anyhow::Result<[(&'static str, String); 2]> {
    let path = Golden::V1_4.path(&format!("msp/{folder}"));
    Ok([
        ("CORE_PEER_MSPCONFIGPATH", path.to_str().context("a path of a test is text")?.to_owned()),
        ("CORE_PEER_LOCALMSPID", mspid.to_owned()),
    ])
}

#[tokio::test]
async fn a_package_says_what_fabrics_says() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let (stdout, stderr) = scene.tool().done(&[&TINY[..], &["kv.cds"]].concat()).await?;
    assert_eq!(stdout, "");
    let lines: Vec<_> = stderr.lines().filter_map(|line| line.split(" -> ").nth(1)).collect();
    assert!(lines[0].ends_with(" Using default escc") && lines[1].ends_with(" Using default vscc"), "{stderr}");

    let (ours, fabrics) = (scene.package("kv.cds")?, golden("kv-1.cds")?);
    assert_eq!(ours.form(), PackageForm::Plain);
    let spec = |package: &ChaincodePackage| -> anyhow::Result<ChaincodeDeploymentSpec> {
        let mut spec = ChaincodeDeploymentSpec::decode(package.deployment_spec().clone())?;
        // What differs: where the source was, and the compressor.
        spec.code_package = Bytes::new();
        spec.chaincode_spec.iter_mut().filter_map(|spec| spec.chaincode_id.as_mut()).for_each(|id| id.path.clear());
        Ok(spec)
    };
    assert_eq!(spec(&ours)?.encode_to_vec(), spec(&fabrics)?.encode_to_vec());
    assert_eq!(ours.path(), "tiny");
    Ok(())
}

#[tokio::test]
async fn owners_sign_one_after_the_other() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let tool = scene.tool();
    let (alpha, beta) = (member("alpha-admin", "AlphaMSP")?, member("beta-admin", "BetaMSP")?);
    let as_member = |member: &'static str, variables: &[(&'static str, String); 2]| (member, variables.clone());
    let run = async |arguments: &[&str], (_, variables): (&str, [(&'static str, String); 2])| {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        tool.run_with(arguments, &variables).await
    };
    let policy = ["-s", "-S", "-i", "AND('AlphaMSP.admin','BetaMSP.admin')", "one.scds"];
    let made = run(&[&TINY[..], &policy].concat(), as_member("alpha", &alpha)).await?;
    assert_eq!(made.code, Some(0), "{made:?}");
    let one = scene.package("one.scds")?;
    assert_eq!(one.form(), PackageForm::Signed);
    assert_eq!(one.instantiation_policy(), golden("signedcc-7.scds")?.instantiation_policy());

    let sign = ["chaincode", "signpackage", "one.scds", "two.scds"];
    let signed = run(&sign, as_member("beta", &beta)).await?;
    assert_eq!((signed.code, signed.stdout.as_str()), (Some(0), "Wrote signed package to two.scds successfully\n"));
    assert_eq!(scene.package("two.scds")?.deployment_spec(), one.deployment_spec());
    let again = ["chaincode", "signpackage", "two.scds", "three.scds"];
    let again = run(&again, as_member("beta", &beta)).await?;
    assert!(again.code == Some(1) && again.stderr.contains("the package is already signed by this identity"));
    assert!(!scene.folder.path().join("three.scds").exists());

    // Nobody signed it, so nobody can join in; and its policy is that of the organisation.
    let unsigned = run(&[&TINY[..], &["-s", "none.scds"]].concat(), as_member("alpha", &alpha)).await?;
    assert_eq!(unsigned.code, Some(0), "{unsigned:?}");
    let own = selvedge::policies::parse("AND('AlphaMSP.admin')")?.encode_to_vec();
    assert_eq!(scene.package("none.scds")?.instantiation_policy(), Some(&Bytes::from(own)));
    let refused = run(&["chaincode", "signpackage", "none.scds", "x"], as_member("beta", &beta)).await?;
    assert_eq!(refused.stderr.lines().last(), Some("Error: invalid signed deployment spec"));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_packaged_is_said_and_nothing_is_written() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let tool = scene.tool();
    std::fs::write(scene.folder.path().join("broken.wasm"), b"\0asm\x01\0\0\0nonsense")?;
    std::fs::write(scene.folder.path().join("text.wasm"), "text")?;
    std::fs::create_dir(scene.folder.path().join("empty"))?;
    tool.done(&[&TINY[..], &["kv.cds"]].concat()).await?;
    let here = scene.folder.path().display();
    let code = "Error: error getting chaincode code cc: ";
    let bytes = "error getting chaincode package bytes: ";
    let contents = "Error writing Chaincode package contents: ";
    let table: [(&str, String); 19] = [
        (
            "package -n cc -v 1 -p tiny",
            "Error: output file not specified or invalid number of args (filename should be the only arg)".to_owned(),
        ),
        ("package -v 1 x", "Error: must supply value for chaincode name parameter".to_owned()),
        ("package -n cc x", "Error: chaincode version is not provided for package".to_owned()),
        ("package -n cc -v 1 -l car -p a.car x", format!("{code}Unknown chaincodeType: CAR; ")),
        ("package -n cc -v 1 -l node -p nowhere x", format!("{code}path to chaincode does not exist: nowhere")),
        ("package -n cc -v 1 -l node -p empty x", format!("{code}{bytes}{contents}no source files found in 'empty'")),
        (
            "package -n cc -v 1 -l node -p tiny --node-modules x",
            format!("{code}{bytes}{contents}there is no folder tiny/node_modules; "),
        ),
        (
            "package -n cc -v 1 -l wasm -p broken.wasm x",
            format!("{code}chaincode cc:1 (broken.wasm): the core module cannot be made a component: "),
        ),
        (
            "package -n cc -v 1 -l wasm -p text.wasm x",
            format!("{code}chaincode cc:1 (text.wasm): the file is no WebAssembly module: "),
        ),
        ("package -n cc -v 1 -l rust -p tiny x", format!("{code}{bytes}tiny holds no crate: ")),
        ("package -n cc -v 1 -l node -p tiny -s -i OR( x", "Error: Invalid policy OR(, err ".to_owned()),
        ("signpackage kv.cds", "Error: selvedge chaincode signpackage <inputpackage> <outputpackage>".to_owned()),
        ("signpackage kv.cds x", "Error: kv.cds is a package without owners; ".to_owned()),
        ("install -n cc -v 1", "Error: Must supply value for chaincode name, path and version parameters.".to_owned()),
        ("install kv.cds -n other", "Error: chaincode name other does not match name kv in package".to_owned()),
        ("install kv.cds -v 2", "Error: chaincode version 2 does not match version 1 in packages".to_owned()),
        ("install nowhere.cds", "Error: open nowhere.cds: No such file or directory".to_owned()),
        ("install text.wasm", "Error: text.wasm: could not unmarshal chaincode package to CDS or SignedCDS".to_owned()),
        (
            "install kv.cds",
            "Error: error getting endorser client for install: endorser client failed to connect to 127.0.0.1:1: "
                .to_owned(),
        ),
    ];
    let identity = member("alpha-admin", "AlphaMSP")?;
    let identity: Vec<_> = identity.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (arguments, expected) in table {
        let arguments: Vec<_> = ["chaincode"].into_iter().chain(arguments.split(' ')).collect();
        let refused = tool.refusal(&arguments, &identity).await?;
        assert!(refused.starts_with(&expected), "expected {expected:?} of {arguments:?}, not {refused}");
        assert!(!scene.folder.path().join("x").exists(), "{arguments:?} in {here}");
    }
    Ok(())
}

#[tokio::test]
async fn a_module_is_packaged_and_in_development_mode_nothing_is() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let module = guest_path("asset")?;
    let module = module.to_str().context("a path of a test is text")?;
    let package = ["chaincode", "package", "-n", "asset", "-v", "1", "-l", "wasm", "-p", module];
    scene.tool().done(&[&package[..], &["asset.cds"]].concat()).await?;
    let made = scene.package("asset.cds")?;
    let packaged = selvedge::platforms::read_file(made.code(), "src/chaincode.wasm", 1 << 30)?;
    assert_eq!(packaged, Some(Bytes::from(std::fs::read(Path::new(module))?)));

    let nowhere = ["chaincode", "package", "-n", "cc", "-v", "1", "-l", "node", "-p", "nowhere", "dev.cds"];
    let ended = scene.tool().run_with(&nowhere, &[("CORE_CHAINCODE_MODE", "dev")]).await?;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(scene.package("dev.cds")?.code().is_empty());
    Ok(())
}
