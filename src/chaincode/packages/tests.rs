//! Packages made by Fabric's own command line, in Fabric's own layout; and what is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;
use selvedge_proto::protos::{CdsData, ChaincodeDeploymentSpec, ChaincodeId, ChaincodeSpec, SignedCdsData};

use super::*;

/// Names, versions and fingerprints as a Fabric 1.4.12 peer told them (getinstalledchaincodes).
const GOLDEN: [(&str, &str, &str, &str, PackageForm); 3] = [
    ("ex02-1.cds", "ex02", "1", "03cbb09c32786298c9a8f8b72a3a315582619593ac392c2b5765e079ecebd99c", PackageForm::Plain),
    ("kv-1.cds", "kv", "1", "a1f1e95fc6720634c0aca27be8a94ce67140300feb3bcb58053ffbd056a78432", PackageForm::Plain),
    (
        "signedcc-7.scds",
        "signedcc",
        "7",
        "36ebe3bec62fc57da8618aab0f0a9043742fdf86cbac09a2a640718e0332eebc",
        PackageForm::Signed,
    ),
];

fn golden(file: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4/packages").join(file);
    fs::read(path).unwrap().into()
}

fn store() -> (tempfile::TempDir, PathBuf, PackageStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/chaincodes");
    let store = PackageStore::open(&path).unwrap();
    (folder, path, store)
}

fn spec(name: &str, version: &str) -> Bytes {
    let id = ChaincodeId { path: "p".into(), name: name.into(), version: version.into() };
    let chaincode = ChaincodeSpec { chaincode_id: Some(id), ..Default::default() };
    ChaincodeDeploymentSpec { chaincode_spec: Some(chaincode), code_package: "code".into(), ..Default::default() }
        .encode_to_vec()
        .into()
}

#[test]
fn fingerprints_are_fabrics() {
    for (file, name, version, id, form) in GOLDEN {
        let bytes = golden(file);
        for package in [ChaincodePackage::parse(&bytes).unwrap(), ChaincodePackage::parse_installed(&bytes).unwrap()] {
            assert_eq!((package.name(), package.version(), package.form()), (name, version, form), "{file}");
            assert_eq!(package.path(), "/srv/fabric/src/tiny");
            let Fingerprint { data, id: computed } = package.fingerprint();
            assert_eq!(hex::encode(computed), id, "{file}");
            let codehash = match form {
                PackageForm::Plain => CdsData::decode(data).unwrap().codehash,
                PackageForm::Signed => SignedCdsData::decode(data).unwrap().codehash,
            };
            // One source was packaged three times.
            let expected = "946e3afe3a3dd00e11e0d427a8e02cd352c025bcf5f417e14ce1e2fb22136a07";
            assert_eq!(hex::encode(codehash), expected, "{file}");
            assert_eq!(package.instantiation_policy().is_some(), form == PackageForm::Signed);
            let spec = ChaincodeDeploymentSpec::decode(package.deployment_spec().clone()).unwrap();
            assert!(!spec.code_package.is_empty());
        }
    }
    let plain = golden("kv-1.cds");
    let package = ChaincodePackage::parse(&plain).unwrap();
    assert_eq!(package.deployment_spec().as_ptr(), plain.as_ptr(), "nothing was copied");
}

#[test]
fn what_fabric_installed_is_found_and_what_was_installed_is_a_file_of_fabrics() {
    let (_folder, path, store) = store();
    for (file, name, version, ..) in GOLDEN {
        let bytes = golden(file);
        if name == "kv" {
            fs::write(path.join("kv.1"), &bytes).unwrap();
        } else {
            store.put(&bytes).unwrap();
        }
        let file = path.join(format!("{name}.{version}"));
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(store.get(name, version).unwrap().name(), name);
    }
    assert_eq!(fs::metadata(path.join("ex02.1")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 3);
    for (installed, (_, name, version, id, _)) in listed.into_iter().zip(GOLDEN) {
        assert_eq!((&*installed.name, &*installed.version, &*hex::encode(installed.id)), (name, version, id));
        assert_eq!(installed.path, "/srv/fabric/src/tiny");
    }
}

#[test]
fn nothing_is_installed_twice() {
    let (_folder, path, store) = store();
    let bytes = golden("kv-1.cds");
    store.put(&bytes).unwrap();
    let again = store.put(&bytes).unwrap_err().to_string();
    let text = format!("error installing chaincode code kv:1(chaincode {} exists)", path.join("kv.1").display());
    assert_eq!(again, text);

    std::os::unix::fs::symlink("/nowhere", path.join("ex02.1")).unwrap();
    assert!(store.put(&golden("ex02-1.cds")).unwrap_err().to_string().ends_with("exists)"), "not through a link");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn an_interrupted_install_leaves_nothing() {
    let (_folder, path, _) = store();
    fs::write(path.join(".installing"), "half").unwrap();
    let store = PackageStore::open(&path).unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_failed_install_leaves_nothing_and_writes_through_no_link() {
    let (folder, path, store) = store();
    let name = "n".repeat(300);
    let error = store.put(&spec(&name, "1")).unwrap_err().to_string();
    assert!(error.ends_with("file name too long)"), "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    assert!(store.get(&name, "1").unwrap_err().to_string().ends_with("file name too long"));

    let elsewhere = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, path.join(".installing")).unwrap();
    store.put(&spec("a", "1")).unwrap();
    assert!(!elsewhere.exists() && fs::symlink_metadata(path.join("a.1")).unwrap().is_file());
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let (folder, path, store) = store();
    fs::write(folder.path().join("data/secret.1"), golden("kv-1.cds")).unwrap();
    fs::create_dir(path.join("a.")).unwrap();
    for name in ["", "..", "../secret", "/etc/passwd", "a/b", "a.b", "a\0", "ä", "a b"] {
        let text = store.get(name, "1").unwrap_err().to_string();
        assert!(text.starts_with(&format!("invalid chaincode name '{name}'")), "{text}");
        let text = store.put(&spec(name, "1")).unwrap_err().to_string();
        assert!(text.starts_with("invalid chaincode name") || text.starts_with("could not unmarshal"), "{text}");
    }
    for version in ["", "/../../secret.1", "1/2", "1\\2", "1 2", "1\n"] {
        let text = store.get("a", version).unwrap_err().to_string();
        assert!(text.starts_with(&format!("invalid chaincode version '{version}'")), "{text}");
        assert!(matches!(store.put(&spec("a", version)), Err(PackageError::Version(_))), "{version:?}");
    }
    assert_eq!(store.put(&spec("a-_", "..+-_1.0")).unwrap().version(), "..+-_1.0");
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn what_is_no_package_says_so_and_is_not_listed() {
    let (_folder, path, store) = store();
    let text = |name: &str| store.get(name, "1").unwrap_err().to_string();
    assert_eq!(text("none"), format!("open {}: no such file or directory", path.join("none.1").display()));

    fs::create_dir(path.join("folder.1")).unwrap();
    assert!(text("folder").contains("is no regular file"));
    fs::File::create(path.join("huge.1")).unwrap().set_len(MAX_PACKAGE_SIZE + 1).unwrap();
    assert!(text("huge").contains("has 104857601 bytes, the limit is 104857600"), "{}", text("huge"));
    for (name, bytes, expected) in [
        ("empty", &b""[..], "channel header cannot be nil"),
        ("garbage", b"no package", "failed to unmarshal envelope from bytes"),
        ("nameless", b"\x0a\x00", "channel header cannot be nil"),
    ] {
        fs::write(path.join(format!("{name}.1")), bytes).unwrap();
        assert_eq!(text(name), expected, "{name}");
        assert!(matches!(store.put(&bytes.to_vec().into()), Err(PackageError::NoPackage)), "{name}");
    }
    // Readable, but another's.
    fs::write(path.join("renamed.1"), golden("kv-1.cds")).unwrap();
    assert_eq!(store.get("renamed", "1").unwrap().name(), "kv");
    fs::write(path.join("README"), "no version").unwrap();
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn a_truncated_package_is_no_package() {
    for (file, ..) in GOLDEN {
        let whole = golden(file);
        for length in 0..whole.len() {
            let cut = whole.slice(..length);
            if let Ok(package) = ChaincodePackage::parse(&cut) {
                // Cut between two fields, it has no code; the fingerprint tells.
                let whole = ChaincodePackage::parse(&whole).unwrap();
                assert_ne!(package.fingerprint(), whole.fingerprint(), "{file} cut to {length}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ChaincodePackage::parse(&bytes.clone().into()).map(|package| package.fingerprint());
        let _ = ChaincodePackage::parse_installed(&bytes.into());
    }

    /// One byte of a real package is another one: it is no package, or has another fingerprint, or the byte was none that
    /// the fingerprint covers (the path, the input, a signature).
    #[test]
    fn an_altered_package_does_not_pass_for_another_chaincode(file in 0..GOLDEN.len(), at in any::<Index>(), by in 1..=255_u8) {
        let (file, name, version, id, _) = GOLDEN[file];
        let mut bytes = golden(file).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        if let Ok(package) = ChaincodePackage::parse_installed(&bytes.into())
            && hex::encode(package.fingerprint().id) == id
        {
            prop_assert_eq!((package.name(), package.version()), (name, version));
        }
    }
}
