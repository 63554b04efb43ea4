//! What is packaged of real folders, and that a package of Fabric's own tool comes out again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use flate2::read::GzDecoder;
use tempfile::TempDir;

use super::*;
use crate::chaincode::packages::ChaincodePackage;
use crate::testing::{Golden, targz};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn packager() -> Packager {
    Packager { go: "/nowhere/go".into(), gopath: None, node_modules: false }
}

fn package(packager: &Packager, platform: Platform, path: &Path) -> Result<Packaged, String> {
    let path = path.to_str().unwrap();
    packager.package(platform, path, &mut |_, _| ()).map_err(|error| error.to_string())
}

fn unpacked(code: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(code).read_to_end(&mut tar).unwrap();
    tar
}

/// Names and contents, in their order.
fn listed(packaged: &Packaged) -> Vec<(String, String)> {
    let tar = unpacked(&packaged.code.bytes);
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn names(packaged: &Packaged) -> Vec<String> {
    listed(packaged).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_package_of_fabrics_tool_comes_out_again() {
    let recorded = fs::read(Golden::V1_4.path("packages/kv-1.cds")).unwrap();
    let recorded = ChaincodePackage::parse(&recorded.into()).unwrap();
    let sources = folder(&[
        ("index.js", "// a stand-in; the chaincode process runs in development mode\n"),
        ("package.json", r#"{"name":"tiny","version":"1.0.0","main":"index.js","scripts":{"start":"node index.js"}}"#),
    ]);
    let ours = package(&packager(), Platform::Node, sources.path()).unwrap();
    // Not the gzip around it, which is another one in every compressor.
    assert_eq!(unpacked(&ours.code.bytes), unpacked(recorded.code()));
    assert_eq!(ours.code.bytes[..10], recorded.code()[..10], "the header of gzip is Go's");
    let again = package(&packager(), Platform::Node, sources.path()).unwrap();
    assert_eq!(ours.code, again.code);
}

#[test]
fn node_modules_stay_where_they_are_unless_they_are_asked_for() {
    let sources = folder(&[
        ("package.json", "{}"),
        (".gitignore", "node_modules"),
        ("lib/node_modules.js", "1"),
        ("node_modules/shim/index.js", "2"),
        ("node_modules/shim/node_modules/deep/index.js", "3"),
        ("META-INF/statedb/couchdb/indexes/a.json", r#"{"index":{"fields":["a"]}}"#),
        ("META-INF/statedb/couchdb/indexes/.DS_Store", "4"),
    ]);
    fs::create_dir(sources.path().join("node_modules/.bin")).unwrap();
    symlink("../shim/index.js", sources.path().join("node_modules/.bin/shim")).unwrap();
    let plain = package(&packager(), Platform::Node, sources.path()).unwrap();
    let index = "META-INF/statedb/couchdb/indexes/a.json";
    assert_eq!(names(&plain), [index, "src/lib/node_modules.js", "src/package.json"]);
    let hidden = "Ignoring hidden file in metadata directory: META-INF/statedb/couchdb/indexes/.DS_Store";
    assert_eq!(plain.remarks, [hidden]);

    let vendored = Packager { node_modules: true, ..packager() };
    let vendored_names = names(&package(&vendored, Platform::Node, sources.path()).unwrap());
    let modules = ["src/node_modules/shim/index.js", "src/node_modules/shim/node_modules/deep/index.js"];
    assert_eq!(vendored_names, [index, "src/lib/node_modules.js", modules[0], modules[1], "src/package.json"]);
    fs::remove_dir_all(sources.path().join("node_modules")).unwrap();
    let refused = package(&vendored, Platform::Node, sources.path()).unwrap_err();
    assert!(refused.starts_with("there is no folder ") && refused.contains("run `npm install`"), "{refused}");
}

#[test]
fn what_a_peer_would_refuse_is_not_packaged() {
    let no_manifest = folder(&[("index.js", "1")]);
    let refused = package(&packager(), Platform::Node, no_manifest.path()).unwrap_err();
    assert_eq!(refused, "no package.json found at the root of the chaincode package");
    let bad_index = folder(&[("package.json", "{}"), ("META-INF/statedb/couchdb/indexes/a.json", "{}")]);
    let refused = package(&packager(), Platform::Node, bad_index.path()).unwrap_err();
    let file = "META-INF/statedb/couchdb/indexes/a.json";
    let reason = "Index definition must include a \"fields\" definition";
    assert_eq!(refused, format!("Index metadata file [{file}] is not a valid index definition: {reason}"));
    let nothing = folder(&[("node_modules/a.js", "1")]);
    let refused = package(&packager(), Platform::Node, nothing.path()).unwrap_err();
    assert_eq!(refused, format!("no source files found in '{}'", nothing.path().display()));
    let refused = package(&packager(), Platform::Java, Path::new("/nowhere/cc")).unwrap_err();
    assert_eq!(refused, "path to chaincode does not exist: /nowhere/cc");
    let refused = package(&packager(), Platform::Wasm, Path::new("")).unwrap_err();
    assert_eq!(refused, "ChaincodeSpec's path cannot be empty");
}

#[test]
fn java_is_packaged_without_what_builds_make() {
    let sources = folder(&[
        ("build.gradle", "1"),
        ("gradle/wrapper/gradle-wrapper.properties", "1"),
        ("README.md", "1"),
        ("META-INF/statedb/couchdb/indexes/a.json", r#"{"index":{"fields":["a"]}}"#),
        ("src/main/java/A.java", "2"),
        ("src/main/java/A.class", "3"),
        ("build/libs/a.jar", "4"),
        ("target/a", "5"),
        ("out/a", "6"),
    ]);
    let packaged = package(&packager(), Platform::Java, sources.path()).unwrap();
    let expected = [
        "META-INF/statedb/couchdb/indexes/a.json",
        "src/README.md",
        "src/build.gradle",
        "src/gradle/wrapper/gradle-wrapper.properties",
        "src/src/main/java/A.java",
    ];
    assert_eq!(names(&packaged), expected);
}

/// A GOPATH with a chaincode, what it vendors, and what it imports from elsewhere.
fn gopath() -> TempDir {
    folder(&[
        ("src/example.com/me/cc/main.go", "package main"),
        ("src/example.com/me/cc/README.md", "not packaged"),
        ("src/example.com/me/cc/below/below.go", "package below"),
        ("src/example.com/me/cc/vendor/dep.org/d/d.go", "package d"),
        ("src/example.com/me/cc/META-INF/statedb/couchdb/indexes/a.json", r#"{"index":{"fields":["a"]}}"#),
        ("src/example.com/me/vendor/near/n.go", "package n"),
        ("src/elsewhere.net/e/e.go", "package e"),
        ("src/elsewhere.net/e/META-INF/x.json", "its own"),
        ("src/elsewhere.net/f/f.go", "package f"),
        ("src/github.com/hyperledger/fabric/core/chaincode/shim/shim.go", "package shim"),
        ("goroot/src/fmt/print.go", "package fmt"),
    ])
}

/// A `go` tool that knows that GOPATH, and no more.
fn go_tool(gopath: &Path) -> PathBuf {
    let path = gopath.join("go");
    let cc = "example.com/me/cc";
    let script = format!(
        "#!/bin/sh\n[ \"$GO111MODULE\" = off ] || exit 3\ncase \"$*\" in\n'env GOPATH') echo '{gopath}:/nowhere' ;;\n'env \
         GOROOT') echo '{gopath}/goroot' ;;\n*Imports*' {cc}') printf '%s\\n' C fmt \
         github.com/hyperledger/fabric/core/chaincode/shim {cc}/vendor/dep.org/d elsewhere.net/e ;;\n*Deps*' \
         elsewhere.net/e') printf '%s\\n' fmt elsewhere.net/f example.com/me/vendor/near ;;\n*Deps*' {cc}/vendor/dep.org/d') echo \
         ;;\n*) echo \"no such package: $*\" >&2; exit 1 ;;\nesac\n",
        gopath = gopath.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn go_sources_come_with_what_they_import() {
    let gopath = gopath();
    let packager = Packager { go: go_tool(gopath.path()), ..packager() };
    let packaged = package(&packager, Platform::Golang, Path::new("example.com/me/cc")).unwrap();
    // By their names before metadata got theirs, as Fabric has it.
    let expected = [
        "META-INF/statedb/couchdb/indexes/a.json",
        "src/example.com/me/cc/main.go",
        "src/example.com/me/cc/vendor/dep.org/d/d.go",
        "src/example.com/me/cc/vendor/elsewhere.net/e/e.go",
        "src/example.com/me/cc/vendor/elsewhere.net/f/f.go",
        "src/example.com/me/vendor/near/n.go",
    ];
    assert_eq!(names(&packaged), expected);
    assert!(packaged.remarks.is_empty() && packaged.code.path == "example.com/me/cc");

    let refused = package(&packager, Platform::Golang, Path::new("elsewhere.net/e")).unwrap_err();
    let said =
        "Error obtaining imports: command <go list -f {{ join .Imports \"\\n\"}} elsewhere.net/e>: failed with error: ";
    assert!(refused.starts_with(said) && refused.contains("no such package"), "{refused}");
    let refused = package(&packager, Platform::Golang, Path::new("example.com/none")).unwrap_err();
    let place = format!("path to chaincode does not exist: {}/src", gopath.path().display());
    assert_eq!(refused, format!("{place}/example.com/none"));
    // What is a path to somebody else, and the default where -l is forgotten.
    let elsewhere = folder(&[("package.json", "{}")]);
    let path = elsewhere.path().display();
    let refused = package(&packager, Platform::Golang, elsewhere.path()).unwrap_err();
    assert_eq!(
        refused,
        format!(
            "{place}{path}; -l golang, which is the default, takes the import path of a package below GOPATH, and {path} is a \
             file or folder: if it is no Go, say what it is with -l"
        )
    );
}

#[test]
fn go_sources_are_packaged_without_the_tool_as_far_as_they_are_in_their_folder() {
    let gopath = gopath();
    let packager = Packager { gopath: Some(gopath.path().into()), ..packager() };
    let packaged = package(&packager, Platform::Golang, Path::new("example.com/me/cc")).unwrap();
    let expected = [
        "META-INF/statedb/couchdb/indexes/a.json",
        "src/example.com/me/cc/below/below.go",
        "src/example.com/me/cc/main.go",
        "src/example.com/me/cc/vendor/dep.org/d/d.go",
    ];
    assert_eq!(names(&packaged), expected);
    assert!(packaged.remarks[0].starts_with("there is no go tool to ask what example.com/me/cc imports"));
    let refused = package(&super::tests::packager(), Platform::Golang, Path::new("example.com/me/cc")).unwrap_err();
    assert_eq!(refused, "invalid GOPATH environment variable value: it names no folder");
}

#[test]
fn a_crate_is_packaged_without_what_cargo_makes() {
    let sources = folder(&[
        ("Cargo.toml", "[package]"),
        ("src/main.rs", "fn main() {}"),
        ("target/release/cc", "large"),
        (".git/HEAD", "ref"),
        ("vendor/a/.github/x.yml", "x"),
        (".cargo/config.toml", "[source]"),
    ]);
    let packaged = package(&packager(), Platform::Rust, sources.path()).unwrap();
    let expected = ["src/.cargo/config.toml", "src/Cargo.toml", "src/src/main.rs", "src/vendor/a/.github/x.yml"];
    assert_eq!(names(&packaged), expected);
    let empty = folder(&[("main.rs", "")]);
    let refused = package(&packager(), Platform::Rust, empty.path()).unwrap_err();
    assert_eq!(refused, format!("{} holds no crate: there is no Cargo.toml in it", empty.path().display()));
}

#[test]
fn a_program_is_packaged_if_it_can_stand_alone() {
    let place = folder(&[("META-INF/statedb/couchdb/indexes/a.json", r#"{"index":{"fields":["a"]}}"#)]);
    let program = place.path().join("cc");
    let mut elf = vec![b' '; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[56..58].copy_from_slice(&[0, 0]);
    fs::write(&program, elf).unwrap();
    let packaged = package(&packager(), Platform::Rust, &program).unwrap();
    assert_eq!(packaged.code.platform, Platform::Rust);
    let mut names = Vec::new();
    for entry in tar::Archive::new(&unpacked(&packaged.code.bytes)[..]).entries().unwrap() {
        names.push(entry.unwrap().path().unwrap().display().to_string());
    }
    assert_eq!(names, ["META-INF/statedb/couchdb/indexes/a.json", "src/chaincode"]);
    let refused = package(&packager(), Platform::Rust, Path::new("/bin/sh")).unwrap_err();
    assert!(refused.starts_with("/bin/sh is linked dynamically"), "{refused}");
}

#[test]
fn a_module_is_packaged_with_the_indexes_beside_it() {
    let place = folder(&[
        ("cc.wasm", "\0asm and so on"),
        ("META-INF/statedb/couchdb/indexes/a.json", r#"{"index":{"fields":["a"]}}"#),
        ("other", "not packaged"),
    ]);
    let packaged = package(&packager(), Platform::Wasm, &place.path().join("cc.wasm")).unwrap();
    assert_eq!(names(&packaged), ["META-INF/statedb/couchdb/indexes/a.json", "src/chaincode.wasm"]);
    let refused = package(&packager(), Platform::Wasm, &place.path().join("other")).unwrap_err();
    assert_eq!(refused, "src/chaincode.wasm in the chaincode package is no WebAssembly");
    let refused = package(&packager(), Platform::Wasm, place.path()).unwrap_err();
    assert_eq!(refused, format!("{} is no file; give the path of a .wasm file", place.path().display()));
}

#[test]
fn a_service_is_packaged_from_its_connection_or_from_a_package_for_fabric_2() {
    const CONNECTION: &str = r#"{"address":"cc.example.com:9999","dial_timeout":"10s","tls_required":false}"#;
    const INDEX: (&str, &str) = ("META-INF/statedb/couchdb/indexes/a.json", r#"{"index":{"fields":["a"]}}"#);
    let place = folder(&[("connection.json", CONNECTION), INDEX]);
    let expected = [INDEX, ("connection.json", CONNECTION)].map(|(name, text)| (name.to_owned(), text.to_owned()));
    for path in [place.path().to_owned(), place.path().join("connection.json")] {
        assert_eq!(listed(&package(&packager(), Platform::Ccaas, &path).unwrap()), expected);
    }
    let tgz = |kind: &str| {
        let code = targz(&[("connection.json", CONNECTION), INDEX, ("other", "not packaged")]).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in [
            ("metadata.json", format!(r#"{{"path":"","type":"{kind}","label":"cc_1"}}"#).as_bytes()),
            ("code.tar.gz", &code),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        }
        let tar = archive.into_inner().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &tar).unwrap();
        fs::write(place.path().join("cc.tgz"), gzip.finish().unwrap()).unwrap();
        place.path().join("cc.tgz")
    };
    let packaged = package(&packager(), Platform::Ccaas, &tgz("ccaas")).unwrap();
    assert_eq!(names(&packaged), ["META-INF/statedb/couchdb/indexes/a.json", "connection.json"]);
    let refused = package(&packager(), Platform::Ccaas, &tgz("golang")).unwrap_err();
    assert!(refused.contains("is a package of type \"golang\"; only those of type \"ccaas\""), "{refused}");
    fs::write(place.path().join("connection.json"), "{}").unwrap();
    let refused = package(&packager(), Platform::Ccaas, place.path()).unwrap_err();
    assert!(refused.contains("names no service"), "{refused}");
}
