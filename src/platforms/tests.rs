//! Build contexts against Fabric 1.4's, and what each platform refuses.

use bytes::Bytes;

use super::*;
use crate::config::{Config, Environment};
use crate::container::Ccid;
use crate::testing::targz;

fn settings(variables: &[(&str, &str)]) -> BuildSettings {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment { variables, directory: "/nowhere".into(), executable: None };
    Config::load(&environment).unwrap().chaincode.build
}

fn code(platform: Platform, path: &str, files: &[(&str, &str)]) -> CodePackage {
    CodePackage { platform, path: path.to_owned(), bytes: targz(files).unwrap().into() }
}

fn planned(code: &CodePackage, settings: &BuildSettings) -> Result<BuildPlan, String> {
    plan(code, &Ccid::new("mycc", "1.0"), settings).map_err(|error| error.to_string())
}

/// The whole text, as Fabric 1.4.12 writes it.
fn dockerfile(from: &str, add: &str, kind: &str) -> String {
    format!(
        "FROM {from}\nADD binpackage.tar {add}\nLABEL org.hyperledger.fabric.chaincode.id.name=\"mycc\" \\\n      \
         org.hyperledger.fabric.chaincode.id.version=\"1.0\" \\\n      org.hyperledger.fabric.chaincode.type=\"{kind}\" \
         \\\n      org.hyperledger.fabric.version=\"1.4.12\" \\\n      org.hyperledger.fabric.base.version=\"0.4.22\"\nENV \
         CORE_CHAINCODE_BUILDLEVEL=1.4.12"
    )
}

fn built_by(image: &str, command: &str) -> Packaging {
    built_with(image, command, &[])
}

fn built_with(image: &str, command: &str, env: &[&str]) -> Packaging {
    let env = env.iter().copied().map(str::to_owned).collect();
    Packaging::Builder { image: image.to_owned(), command: command.to_owned(), env }
}

/// A Go newer than Fabric 1.4's looks for a `go.mod` otherwise, and builds nothing of a GOPATH.
const GO_ENV: [&str; 1] = ["GO111MODULE=off"];

#[test]
fn names_and_numbers_are_fabrics() {
    for platform in Platform::ALL {
        assert_eq!(platform.to_string().to_lowercase().parse(), Ok(platform));
        assert_eq!(Platform::of_spec(platform.spec_type() as i32), Ok(platform));
    }
    assert_eq!(Platform::of_spec(1), Ok(Platform::Golang));
    for (number, text) in [(0, "UNDEFINED"), (3, "CAR"), (77, "77")] {
        let refused = Platform::of_spec(number).unwrap_err().to_string();
        assert_eq!(refused, format!("Unknown chaincodeType: {text}"));
    }
    assert_eq!("cobol".parse::<Platform>().unwrap_err().to_string(), "Unknown chaincodeType: COBOL");
}

#[test]
fn go_node_and_java_are_built_as_by_fabric() {
    let arch = expand_image("$(ARCH)");
    let ccenv = "hyperledger/fabric-ccenv:1.4";
    let golang = planned(&code(Platform::Golang, "github.com/me/cc", &[]), &settings(&[])).unwrap();
    let baseos = format!("hyperledger/fabric-baseos:{arch}-0.4.22");
    assert_eq!(golang.dockerfile, dockerfile(&baseos, "/usr/local/bin", "GOLANG"));
    let command = "GOPATH=/chaincode/input:$GOPATH go build  -ldflags \"-linkmode external -extldflags '-static'\" -o \
                   /chaincode/output/chaincode github.com/me/cc";
    assert_eq!(golang.packaging, built_with(ccenv, command, &GO_ENV));

    let node = planned(&code(Platform::Node, "/cc", &[("src/package.json", "{}")]), &settings(&[])).unwrap();
    let baseimage = format!("hyperledger/fabric-baseimage:{arch}-0.4.22");
    assert_eq!(node.dockerfile, dockerfile(&baseimage, "/usr/local/src", "NODE"));
    let command = "cp -R /chaincode/input/src/. /chaincode/output && cd /chaincode/output && npm install --production";
    assert_eq!(node.packaging, built_by(ccenv, command));

    let java = planned(&code(Platform::Java, "/cc", &[]), &settings(&[])).unwrap();
    let javaenv = "hyperledger/fabric-javaenv:1.4";
    assert_eq!(java.dockerfile, dockerfile(javaenv, "/root/chaincode-java/chaincode", "JAVA"));
    assert_eq!(java.packaging, built_by(javaenv, "./build.sh"));
}

#[test]
fn settings_of_core_yaml_decide() {
    let settings = settings(&[
        ("CORE_CHAINCODE_BUILDER", "me/$(ARCH)-ccenv:7"),
        ("CORE_CHAINCODE_GOLANG_DYNAMICLINK", "true"),
        ("CORE_CHAINCODE_GOLANG_RUNTIME", "debian:13"),
        ("CORE_CHAINCODE_PULL", "true"),
    ]);
    assert!(settings.pull);
    let golang = planned(&code(Platform::Golang, "https://example.com/cc/", &[]), &settings).unwrap();
    assert!(golang.dockerfile.starts_with("FROM debian:13\n"), "{}", golang.dockerfile);
    let command = "GOPATH=/chaincode/input:$GOPATH go build   -o /chaincode/output/chaincode example.com/cc";
    let builder = format!("me/{}-ccenv:7", expand_image("$(ARCH)"));
    assert_eq!(golang.packaging, built_with(&builder, command, &GO_ENV));
    let empty = BuildSettings { builder: String::new(), ..settings.clone() };
    let refused = planned(&code(Platform::Golang, "cc", &[]), &empty).unwrap_err();
    assert_eq!(refused, "No image provided and \"chaincode.builder\" default does not exist");
}

#[test]
fn a_vendored_node_package_is_built_without_a_network() {
    let files = [("src/package.json", "{}"), ("src/node_modules/fabric-shim/package.json", "{}")];
    let Packaging::Builder { command, .. } =
        planned(&code(Platform::Node, "/cc", &files), &settings(&[])).unwrap().packaging
    else {
        panic!("is built in a container")
    };
    assert!(command.ends_with(" && cd /chaincode/output && npm rebuild --offline"), "{command}");
}

#[test]
fn nothing_of_a_package_reaches_a_shell_or_a_dockerfile() {
    let settings = settings(&[]);
    for path in ["a; rm -rf /", "$(id)", "a`id`", "a b", "-x/y", "http://a\nb"] {
        let refused = planned(&code(Platform::Golang, path, &[]), &settings).unwrap_err();
        assert!(refused.contains("is no import path of a Go package"), "{refused}");
    }
    let golang = code(Platform::Golang, "cc", &[]);
    assert_eq!(
        planned(&code(Platform::Golang, "x", &[]), &settings).unwrap_err(),
        "could not decode url: ChaincodeSpec's path/URL invalid"
    );
    let refused = plan(&golang, &Ccid::new("cc", "1\"\nRUN id"), &settings).unwrap_err().to_string();
    assert_eq!(refused, "\"1\\\"\\nRUN id\" cannot stand in a Dockerfile as the name or version of a chaincode");
}

#[test]
fn a_crate_is_built_by_cargo_with_what_its_package_brings() {
    let command = |files: &[(&str, &str)]| {
        let plan = planned(&code(Platform::Rust, "/cc", files), &settings(&[])).unwrap();
        assert_eq!(plan.dockerfile, dockerfile("scratch", "/usr/local/bin", "RUST"));
        let Packaging::Builder { image, command, env } = plan.packaging else { panic!("is built in a container") };
        assert_eq!((image.as_str(), env.len()), ("rust:1-alpine", 0));
        let (_, flags) = command.split_once(" --no-track").unwrap();
        flags.split(" && ").next().unwrap().to_owned()
    };
    let manifest = ("src/Cargo.toml", "[package]\n[features]\nnative = []\n");
    let (lock, vendored) = (("src/Cargo.lock", ""), ("src/vendor/x/Cargo.toml", ""));
    let configured = ("src/.cargo/config.toml", "");
    assert_eq!(command(&[("src/Cargo.toml", "[package]")]), "");
    assert_eq!(command(&[manifest, lock]), " --locked --features native");
    let source =
        " --config 'source.crates-io.replace-with=\"vendored\"' --config 'source.vendored.directory=\"vendor\"'";
    assert_eq!(command(&[("src/Cargo.toml", ""), vendored]), format!(" --offline{source}"));
    assert_eq!(command(&[("src/Cargo.toml", ""), lock, vendored, configured]), " --locked --offline");
}

#[test]
fn a_program_goes_into_its_image_as_it_is() {
    let program = std::fs::read("/proc/self/exe").unwrap();
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o100_644);
    archive.append_data(&mut header, "src/chaincode", &program[..]).unwrap();
    let bytes = Bytes::from(archive.into_inner().unwrap().finish().unwrap());
    validate_code_package(Platform::Rust, &bytes).unwrap();
    let package = CodePackage { platform: Platform::Rust, path: "/cc".to_owned(), bytes };
    let Packaging::Files(tar) = planned(&package, &settings(&[])).unwrap().packaging else {
        panic!("needs no builder")
    };
    let mut archive = tar::Archive::new(&tar[..]);
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.path_bytes().as_ref(), entry.header().mode().unwrap()), (&b"chaincode"[..], 0o100_755));
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
    assert_eq!(content, program);

    let refused = planned(&code(Platform::Rust, "/cc", &[("src/chaincode", "#!/bin/sh")]), &settings(&[])).unwrap_err();
    assert_eq!(refused, "src/chaincode in the chaincode package is no Linux program (ELF)");
}

#[test]
fn what_needs_no_image_gets_no_plan() {
    for (platform, name) in [(Platform::Wasm, "WASM"), (Platform::Ccaas, "CCAAS")] {
        let refused = planned(&code(platform, "/cc", &[]), &settings(&[])).unwrap_err();
        assert_eq!(refused, format!("a chaincode of type {name} needs no image"));
    }
}

/// A package of one entry.
fn entry(name: &str, mode: u32, kind: tar::EntryType, content: &[u8]) -> Bytes {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_entry_type(kind);
    header.set_cksum();
    archive.append(&header, content).unwrap();
    archive.into_inner().unwrap().finish().unwrap().into()
}

#[test]
fn names_and_modes_are_fabrics() {
    use Platform::{Ccaas, Golang, Java, Node, Rust, Wasm};
    let illegal = |name: &str| format!("illegal file detected in payload: \"{name}\"");
    let mode = |name: &str, mode: &str| format!("illegal file mode detected for file {name}: {mode}");
    let file = |platform, name: &'static str| (platform, name, 0o100_644, tar::EntryType::Regular);
    let table: [(_, Result<(), String>); 28] = [
        (file(Golang, "src/cc/main.go"), Ok(())),
        (file(Golang, "/src/cc/main.go"), Ok(())),
        (file(Golang, "META-INF/anything"), Ok(())),
        (file(Golang, "pkg/shady.a"), Err(illegal("pkg/shady.a"))),
        (file(Golang, "//src/main.go"), Err(illegal("//src/main.go"))),
        (file(Golang, "src"), Err(illegal("src"))),
        ((Golang, "src/run", 0o100_755, tar::EntryType::Regular), Err(mode("src/run", "100755"))),
        ((Golang, "src/cc/", 0o755, tar::EntryType::Directory), Err(mode("src/cc/", "755"))),
        ((Golang, "src/cc", 0o120_777, tar::EntryType::Symlink), Err(mode("src/cc", "120777"))),
        (file(Node, "src/package.json"), Ok(())),
        (file(Node, "/src/package.json"), Err("no package.json found at the root of the chaincode package".to_owned())),
        ((Node, "src/package.json", 0o644, tar::EntryType::Directory), Ok(())),
        (file(Node, "package.json"), Err(illegal("package.json"))),
        (file(Java, "src/src/main/A.java"), Ok(())),
        (file(Java, "src/META-INF/a"), Ok(())),
        (file(Java, "src/build.gradle.kts"), Ok(())),
        (file(Java, "src/pom.xml"), Ok(())),
        (file(Java, "src/A.java"), Err(illegal("src/A.java"))),
        (file(Java, "META-INF/a"), Err(illegal("META-INF/a"))),
        (file(Java, "src/src/A.class"), Err(illegal("src/src/A.class"))),
        (file(Rust, "src/Cargo.toml"), Ok(())),
        (file(Rust, "Cargo.toml"), Err(illegal("Cargo.toml"))),
        (
            file(Rust, "src/src/main.rs"),
            Err("no src/Cargo.toml found in the chaincode package; a package of type RUST holds a crate below src, or a \
                 program as src/chaincode"
                .to_owned()),
        ),
        (
            file(Wasm, "src/chaincode.wasm"),
            Err("src/chaincode.wasm in the chaincode package is no WebAssembly".to_owned()),
        ),
        (file(Wasm, "src/other.wasm"), Err(illegal("src/other.wasm"))),
        (file(Ccaas, "connection.json"), Err(
            "connection.json in the chaincode package is no JSON: expected value at line 1 column 1".to_owned(),
        )),
        (file(Ccaas, "src/connection.json"), Err(illegal("src/connection.json"))),
        (
            file(Ccaas, "META-INF/a"),
            Err("no connection.json found in the chaincode package; a package of type CCAAS holds it".to_owned()),
        ),
    ];
    for ((platform, name, mode, kind), expected) in table {
        let content: &[u8] = if kind == tar::EntryType::Regular { b"content" } else { b"" };
        let verdict = validate_code_package(platform, &entry(name, mode, kind, content));
        assert_eq!(verdict.map_err(|error| error.to_string()), expected, "{platform} {name}");
    }
}

/// A Fabric 1.4 peer installs it, so what its tool, Fabric 2's tool and SDKs write has to pass.
#[test]
fn what_fabrics_tools_package_is_installed() {
    use Platform::{Golang, Java, Node};
    let illegal = |name: &str| Err(format!("illegal file detected in payload: \"{name}\""));
    let mode = |name: &str, mode: &str| Err(format!("illegal file mode detected for file {name}: {mode}"));
    let file = |platform, name: &'static str| (platform, name, 0o100_644, tar::EntryType::Regular);
    let folder = |platform, name: &'static str| (platform, name, 0o40_755, tar::EntryType::Directory);
    let table: [(_, Result<(), String>); 16] = [
        // Fabric 2's tool, of Go.
        (folder(Golang, "src/"), Ok(())),
        (folder(Golang, "src/cc/"), Ok(())),
        (folder(Golang, "META-INF/statedb/"), Ok(())),
        (folder(Golang, "pkg/"), illegal("pkg/")),
        ((Golang, "src/cc/", 0o41_755, tar::EntryType::Directory), mode("src/cc/", "41755")),
        ((Golang, "src/run", 0o100_755, tar::EntryType::Regular), Ok(())),
        ((Golang, "src/run", 0o104_755, tar::EntryType::Regular), mode("src/run", "104755")),
        // Unpacked in the container that builds only: here, nothing is read through a link.
        ((Golang, "src/cc", 0o777, tar::EntryType::Symlink), Ok(())),
        ((Golang, "src/cc", 0o120_777, tar::EntryType::Symlink), mode("src/cc", "120777")),
        // Fabric 1.4's, of Java.
        (file(Java, "src/README.md"), Ok(())),
        (file(Java, "src/gradle/wrapper/gradle-wrapper.jar"), Ok(())),
        ((Java, "src/gradlew", 0o100_755, tar::EntryType::Regular), Ok(())),
        (file(Java, "META-INF/statedb/couchdb/indexes/owner.json"), Ok(())),
        (file(Java, "lib/A.jar"), illegal("lib/A.jar")),
        (file(Node, "src/package.json"), Ok(())),
        (
            folder(Node, "src/package.json"),
            Err("no package.json found at the root of the chaincode package".to_owned()),
        ),
    ];
    for ((platform, name, mode, kind), expected) in table {
        let content: &[u8] = if kind == tar::EntryType::Regular { b"content" } else { b"" };
        let verdict = check_package_code(platform, &entry(name, mode, kind, content));
        assert_eq!(verdict.map_err(|error| error.to_string()), expected, "{platform} {name}");
    }
}

#[test]
fn a_whole_package_of_ours_is_let_in() {
    let wasm = entry("src/chaincode.wasm", 0o644, tar::EntryType::Regular, b"\0asm\x0d\0\x01\0");
    validate_code_package(Platform::Wasm, &wasm).unwrap();
    let connection = code(Platform::Ccaas, "", &[("connection.json", r#"{"address":"cc:9999"}"#)]).bytes;
    validate_code_package(Platform::Ccaas, &connection).unwrap();
    let nowhere = code(Platform::Ccaas, "", &[("connection.json", r#"{"address":""}"#)]).bytes;
    let refused = validate_code_package(Platform::Ccaas, &nowhere).unwrap_err().to_string();
    assert_eq!(refused, "connection.json in the chaincode package names no service; write {\"address\":\"HOST:PORT\"}");
    for platform in Platform::ALL {
        validate_code_package(platform, &Bytes::new()).unwrap();
    }
}

#[test]
fn a_package_that_is_cut_off_ends_there_for_go_and_node_as_in_fabric() {
    // What does not compress, so that the end of the package is in this file.
    let long: String =
        (1..2000_u64).map(|number| format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let cut = |first: &str, second: &str| {
        let whole = code(Platform::Node, "", &[(first, "{}"), (second, &long)]).bytes;
        whole.slice(..whole.len() / 2)
    };
    validate_code_package(Platform::Node, &cut("src/package.json", "src/index.js")).unwrap();
    validate_code_package(Platform::Golang, &cut("src/cc/a.go", "src/cc/b.go")).unwrap();
    for (platform, first) in [(Platform::Java, "src/pom.xml"), (Platform::Rust, "src/Cargo.toml")] {
        let refused = validate_code_package(platform, &cut(first, "src/src/main")).unwrap_err().to_string();
        assert!(refused.starts_with("the code package is damaged: "), "{platform}: {refused}");
    }
}
