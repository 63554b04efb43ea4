//! `selvedge chaincode` against a node whose port has TLS, then mutual TLS: what works, and what the errors say.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};
use selvedge::testing::{Plugin, TestPeer, TlsAuthority, TlsPair, TlsPurpose};

const READ: &str = r#"{"Args":["read","a"]}"#;

/// Arguments, variables, and what the error says of them.
type Refused<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

/// A node, its authority, and files of one that it does not know.
struct Scene {
    folder: tempfile::TempDir,
    peer: TestPeer,
    ca: PathBuf,
    other_ca: PathBuf,
    client: TlsPair,
}

impl Scene {
    async fn start(hosts: &[&str], overrides: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = TlsAuthority::new(folder.path(), "ca")?;
        let other_ca = TlsAuthority::new(folder.path(), "other-ca")?.certificate;
        authority.issue("server", hosts, TlsPurpose::Both)?;
        let client = authority.issue("client", &["client"], TlsPurpose::Both)?;
        // Relative paths, which start at the folder of core.yaml.
        let mut all = vec![
            ("PEER_TLS_ENABLED", "true"),
            ("PEER_TLS_CERT_FILE", "server.crt"),
            ("PEER_TLS_KEY_FILE", "server.key"),
        ];
        all.extend_from_slice(overrides);
        let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &all).await?;
        Ok(Self { folder, peer, ca: authority.certificate, other_ca, client })
    }

    fn address(&self) -> String {
        self.peer.node().peer_address().to_string()
    }

    /// Runs the command line in the folder of core.yaml; its standard output, or its standard error.
    async fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<String> {
        self.run_as_given(&[arguments, &["-C", "mychannel", "-n", "asset"]].concat(), variables).await
    }

    /// The same for another channel, or none.
    async fn run_as_given(&self, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        command
            .args(["chaincode"])
            .args(arguments)
            .args(["--connTimeout", "20s"])
            .current_dir(self.folder.path())
            .env("CORE_PEER_ADDRESS", self.address())
            .env("CORE_PEER_TLS_ENABLED", "true")
            .envs(variables.iter().copied());
        let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
        let (stdout, stderr) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
        if status.success() { Ok(stdout) } else { bail!("{stderr}") }
    }

    async fn refusal(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        self.refusal_as_given(&[arguments, &["-C", "mychannel", "-n", "asset"]].concat(), variables).await
    }

    async fn refusal_as_given(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        match self.run_as_given(arguments, variables).await {
            Ok(output) => panic!("{arguments:?} {variables:?} succeeded: {output}"),
            Err(error) => {
                println!("{error}");
                error.to_string()
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_with_the_right_root_everything_works_and_errors_say_what_is_wrong() -> anyhow::Result<()> {
    let scene = Scene::start(&["127.0.0.1", "orderer.example"], &[]).await?;
    let (address, ca, other) = (scene.address(), text(&scene.ca), text(&scene.other_ca));
    let create = r#"{"Args":["create","a","Ada","1"]}"#;

    // The first peer is the orderer, and is reached as a peer.
    let invoke = ["invoke", "-c", create, "--waitForEvent", "--peerAddresses", &address, "--tlsRootCertFiles", ca];
    scene.run(&invoke, &[]).await.context("invoke by flags")?;
    let root = [("CORE_PEER_TLS_ROOTCERT_FILE", "ca.pem")];
    let read = scene.run(&["query", "-c", READ], &root).await.context("query by variables")?;
    assert_eq!(read.trim_end(), r#"{"id":"a","owner":"Ada","value":1}"#);
    let by_orderer = ["invoke", "-c", r#"{"Args":["create","b","Bob","2"]}"#, "--waitForEvent", "-o", &address];
    let tls = [&by_orderer[..], &["--tls", "--cafile", ca, "--ordererTLSHostnameOverride", "orderer.example"]].concat();
    scene.run(&tls, &root).await.context("an orderer of its own")?;

    let refusal = scene.refusal(&["query", "-c", READ], &[("CORE_PEER_TLS_ROOTCERT_FILE", other)]).await;
    for part in [
        "Error: error getting endorser client for query: endorser client failed to connect to ",
        "the server's certificate is not of an authority in peer.tls.rootcert.file ",
        "other-ca.pem; give the file with the certificate of its authority",
    ] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    let name = [("CORE_PEER_TLS_ROOTCERT_FILE", ca), ("CORE_PEER_TLS_SERVERHOSTOVERRIDE", "else.example")];
    let other_invoke = ["invoke", "-c", r#"{"Args":["create","c","Cat","3"]}"#, "-o", &address];
    let table: [Refused; 8] = [
        (&["query", "-c", READ], &name, "else.example"),
        (&["query", "-c", READ], &[], "tls root cert file must be set"),
        (&["query", "-c", READ, "--peerAddresses", &address], &root, "tls root cert file must be set"),
        (
            &[&invoke[..], &["--peerAddresses", &address]].concat(),
            &[],
            "error validating peer connection parameters: number of peer addresses (2) does not match the number of TLS \
             root cert files (1)",
        ),
        (&["query", "-c", READ], &[("CORE_PEER_TLS_ROOTCERT_FILE", "no.pem")], "peer.tls.rootcert.file: cannot read "),
        (&[&other_invoke[..], &["--tls"]].concat(), &root, "--tls needs --cafile; give the file"),
        (&other_invoke, &root, "if it has TLS, this client needs it too"),
        (&["query", "-c", READ], &[("CORE_PEER_TLS_ENABLED", "false")], "if it has TLS, this client needs it too"),
    ];
    for (arguments, variables, expected) in table {
        let refusal = scene.refusal(arguments, variables).await;
        assert!(refusal.contains(expected), "expected {expected:?} of {arguments:?}, not {refusal}");
    }
    scene.peer.stop().await;
    Ok(())
}

/// A connection profile as SDKs have it, of one node under two names, and of one that is not to be asked.
fn profile(scene: &Scene, scheme: &str) -> anyhow::Result<String> {
    let (address, ca) = (scene.address(), text(&scene.ca));
    let pem = std::fs::read_to_string(ca)?.replace('\n', "\n        ");
    let profile = format!(
        "name: network
x-type: hlfv1
version: '1.0'
client: {{organization: Org1, connection: {{timeout: {{peer: {{endorser: '300'}}}}}}}}
channels:
  mychannel:
    orderers: [orderer.example.com]
    peers:
      peer0.org1.example.com: {{endorsingPeer: true, chaincodeQuery: true, ledgerQuery: true, eventSource: true}}
      peer0.org2.example.com: {{endorsingPeer: true}}
      peer1.org2.example.com: {{endorsingPeer: false}}
  one: {{peers: {{peer0.org2.example.com: {{endorsingPeer: true}}}}}}
  uncertified: {{peers: {{peer2.org2.example.com: {{endorsingPeer: true}}}}}}
organizations:
  Org1: {{mspid: Org1MSP, peers: [peer0.org1.example.com], certificateAuthorities: [ca.org1.example.com]}}
orderers:
  orderer.example.com: {{url: grpcs://localhost:7050, tlsCACerts: {{path: ca.pem}}}}
peers:
  peer0.org1.example.com:
    url: {scheme}{address}
    grpcOptions: {{ssl-target-name-override: peer0.example, keep-alive-timeout: 20000}}
    tlsCACerts:
      path: ca.pem
  peer0.org2.example.com:
    url: {address}
    tlsCACerts:
      pem: |
        {pem}
  peer2.org2.example.com: {{url: {address}}}
certificateAuthorities:
  ca.org1.example.com: {{url: 'https://localhost:7054', caName: ca-org1, tlsCACerts: {{pem: [text]}}}}
"
    );
    std::fs::write(scene.folder.path().join("network.yaml"), profile)?;
    Ok("network.yaml".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_profile_names_the_peers_of_the_channel() -> anyhow::Result<()> {
    // The first peer's certificate is for the name in its grpcOptions, the second's for its address.
    let scene = Scene::start(&["127.0.0.1", "peer0.example"], &[]).await?;
    let file = profile(&scene, "grpcs://")?;
    let by_profile = ["--connectionProfile", &file];
    // No other address would do: the variable names nobody.
    let nobody = [("CORE_PEER_ADDRESS", "127.0.0.1:1"), ("FABRIC_LOGGING_SPEC", "info")];
    let create = r#"{"Args":["create","a","Ada","1"]}"#;
    let invoke = [&["invoke", "-c", create, "--waitForEvent"][..], &by_profile].concat();
    scene.run(&invoke, &nobody).await.context("both are asked, and the first one orders")?;

    let query = [&["query", "-c", READ][..], &by_profile].concat();
    let several = "error validating peer connection parameters: 'query' command can only be executed against one peer. \
                   received 2, which are those with endorsingPeer: true in the connection profile";
    let text = scene.refusal(&query, &nobody).await;
    assert!(text.contains(several), "{text}");
    // Of a channel that the profile does not have, the peer is asked that the settings name, as in Fabric.
    let other = [&["list", "--instantiated"][..], &["-C", "elsewhere"], &by_profile].concat();
    let text = scene.refusal_as_given(&other, &[("CORE_PEER_TLS_ROOTCERT_FILE", "ca.pem")]).await;
    assert!(text.contains("network.yaml has no peers for the channel (channels.elsewhere.peers)"), "{text}");
    assert!(text.contains("access denied: channel [elsewhere] creator org [SampleOrg]"), "{text}");

    let as_given: [Refused; 3] = [
        (&["list", "--instantiated", "-C", "one"], &nobody, "access denied: channel [one] creator org [SampleOrg]"),
        (
            &["list", "--instantiated", "-C", "uncertified"],
            &nobody,
            "tls root cert file must be set: write tlsCACerts.path or tlsCACerts.pem into peers.peer2.org2.example.com of \
             network.yaml",
        ),
        (
            &["list", "--instantiated", "-C", "mychannel", "--connectionProfile", "missing.yaml"],
            &nobody,
            "error validating peer connection parameters: error reading connection profile: cannot read missing.yaml: No \
             such file or directory",
        ),
    ];
    for (arguments, variables, expected) in as_given {
        let named = arguments.contains(&"--connectionProfile");
        let arguments = if named { arguments.to_vec() } else { [arguments, &by_profile].concat() };
        let refusal = scene.refusal_as_given(&arguments, variables).await;
        assert!(refusal.contains(expected), "expected {expected:?} of {arguments:?}, not {refusal}");
    }
    let plain = [nobody[0], ("CORE_PEER_TLS_ENABLED", "false")];
    let refusal = scene.refusal(&invoke, &plain).await;
    assert!(refusal.contains("network.yaml begins with grpcs://, and peer.tls.enabled is false"), "{refusal}");
    profile(&scene, "grpc://")?;
    let refusal = scene.refusal(&invoke, &nobody).await;
    assert!(refusal.contains("network.yaml begins with grpc://, and peer.tls.enabled is true"), "{refusal}");
    scene.peer.stop().await;
    Ok(())
}

/// The commands that the guide for operators gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guides_openssl_commands_make_certificates_that_work() -> anyhow::Result<()> {
    let guide = include_str!("../docs/operators.md");
    let commands: Vec<_> = guide.lines().filter_map(|line| line.strip_prefix("    openssl ")).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let folder = tempfile::tempdir()?;
    for command in commands {
        let ran = Command::new("openssl").args(command.split(' ')).current_dir(folder.path()).output();
        let ran = ran.context("openssl 3 cannot be run; install the package openssl")?;
        assert!(ran.status.success(), "openssl {command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    let file = |name: &str| folder.path().join(name);
    let (certificate, key, ca) = (file("server.crt"), file("server.key"), file("ca.crt"));
    let files = [("PEER_TLS_CERT_FILE", text(&certificate)), ("PEER_TLS_KEY_FILE", text(&key))];
    let scene = Scene::start(&["unused"], &files).await?;
    for name in ["", "localhost", "peer0.example.com"] {
        let variables = [("CORE_PEER_TLS_ROOTCERT_FILE", text(&ca)), ("CORE_PEER_TLS_SERVERHOSTOVERRIDE", name)];
        let refusal = scene.refusal(&["query", "-c", READ], &variables).await;
        assert!(refusal.contains("endorsement failure during query"), "the handshake as {name:?}: {refusal}");
    }
    scene.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_mutual_tls_the_certificate_is_shown_and_bound() -> anyhow::Result<()> {
    let mutual = [("PEER_TLS_CLIENTAUTHREQUIRED", "true"), ("PEER_TLS_CLIENTROOTCAS_FILES", "ca.pem")];
    let scene = Scene::start(&["127.0.0.1"], &mutual).await?;
    let (address, ca) = (scene.address(), text(&scene.ca));
    let (certificate, key) = (text(&scene.client.certificate), text(&scene.client.key));
    let root = [("CORE_PEER_TLS_ROOTCERT_FILE", ca)];
    let shown = [
        root[0],
        ("CORE_PEER_TLS_CLIENTAUTHREQUIRED", "true"),
        ("CORE_PEER_TLS_CLIENTCERT_FILE", certificate),
        ("CORE_PEER_TLS_CLIENTKEY_FILE", key),
    ];
    let create = ["invoke", "-c", r#"{"Args":["create","a","Ada","1"]}"#, "--waitForEvent"];
    let orderer = ["-o", &address, "--tls", "--cafile", ca];
    let client = ["--clientauth", "--certfile", certificate, "--keyfile", key];
    // --waitForEvent reads from Deliver, which looks at the hash.
    scene.run(&[&create[..], &orderer, &client].concat(), &shown).await.context("invoke")?;
    let read = scene.run(&["query", "-c", READ], &shown).await.context("query")?;
    assert_eq!(read.trim_end(), r#"{"id":"a","owner":"Ada","value":1}"#);

    let stranger = TlsPair::self_signed(scene.folder.path(), "stranger", &["x"], TlsPurpose::Both)?;
    let mut strange = shown;
    (strange[2].1, strange[3].1) = (text(&stranger.certificate), text(&stranger.key));
    let mut no_pair = shown;
    no_pair[3].1 = text(&stranger.key);
    let other_create = ["invoke", "-c", r#"{"Args":["create","b","Bob","2"]}"#];
    let table: [Refused; 6] = [
        (&["query", "-c", READ], &root, "the server wants another certificate of this client, or one at all"),
        (&["query", "-c", READ], &strange, "the server wants another certificate of this client, or one at all"),
        (&["query", "-c", READ], &no_pair, "does not belong to the certificate in "),
        (&["query", "-c", READ], &shown[..2], "unable to load peer.tls.clientKey.file"),
        (
            &[&other_create[..], &orderer].concat(),
            &shown,
            "the server wants another certificate of this client, or one at all",
        ),
        (
            &[&other_create[..], &orderer, &["--clientauth"]].concat(),
            &shown,
            "--clientauth needs --keyfile; give the file",
        ),
    ];
    for (arguments, variables, expected) in table {
        let refusal = scene.refusal(arguments, variables).await;
        assert!(refusal.contains(expected), "expected {expected:?} of {arguments:?}, not {refusal}");
    }
    scene.peer.stop().await;
    Ok(())
}
