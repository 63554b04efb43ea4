//! `examples/asset` as a process with the files and the environment that Fabric's peers and operators give a chaincode:
//! TLS in both directions, and what it says and returns when something is wrong.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use selvedge::chaincode::{ChaincodeListener, SystemChaincodes, TransactionParams};
use selvedge::container::Ccid;
use selvedge::testing::{NativeChaincode, TestPeer, TlsAuthority, TlsPair, TlsPurpose, connect_service};
use selvedge::tls::{ClientAuth, ClientTls, Identity, NamedFile, Roots, ServerTls, TlsIncoming, connect};
use selvedge_proto::protos::chaincode_message::Type;
use selvedge_proto::protos::chaincode_support_server::ChaincodeSupportServer;
use selvedge_proto::protos::{ChaincodeInput, ChaincodeMessage};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

const ID: &str = "asset:1.0";
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

/// No name is taken.
struct NoSystemChaincodes;

impl SystemChaincodes for NoSystemChaincodes {
    fn is_sys_cc(&self, _: &str) -> bool {
        false
    }

    fn is_sys_cc_and_not_invokable_external(&self, _: &str) -> bool {
        false
    }

    fn is_sys_cc_and_not_invokable_cc2cc(&self, _: &str) -> bool {
        false
    }

    fn version(&self) -> &str {
        ""
    }
}

/// A peer, and the material of its chaincodes.
struct Setting {
    folder: tempfile::TempDir,
    peer: TestPeer,
    authority: TlsAuthority,
    pair: TlsPair,
}

impl Setting {
    async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let peer = TestPeer::start(folder.path(), &[], &[("CHAINCODE_MODE", "dev")]).await?;
        let authority = TlsAuthority::new(folder.path(), "chaincodes")?;
        let pair = authority.issue("asset", &HOSTS, TlsPurpose::Both)?;
        Ok(Self { folder, peer, authority, pair })
    }

    fn identity(&self) -> anyhow::Result<Identity> {
        let file = |path: &PathBuf| NamedFile::new("test", path);
        Ok(Identity::load(&file(&self.pair.certificate), &file(&self.pair.key))?)
    }

    fn roots(&self) -> anyhow::Result<Roots> {
        Ok(Roots::load("test", &[NamedFile::new("test", &self.authority.certificate)])?)
    }

    /// A chaincode listener as a peer with TLS has it: it demands certificates of its own authority.
    async fn listen(&self) -> anyhow::Result<String> {
        let tls = ServerTls::new(&self.identity()?, ClientAuth::Required(self.roots()?))?;
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?.to_string();
        let support = Arc::new(self.peer.node().support().clone());
        let listener = ChaincodeListener::new(support, Arc::new(NoSystemChaincodes));
        let server = Server::builder().add_service(ChaincodeSupportServer::new(listener));
        tokio::spawn(server.serve_with_incoming(TlsIncoming::new(socket, &tls)));
        Ok(address)
    }

    /// The file's content in base64, in a file, as peers of 1.4 give it.
    fn base64_of(&self, path: &Path) -> anyhow::Result<PathBuf> {
        let copy = self.folder.path().join(format!("{}.base64", path.file_name().context("a name")?.display()));
        std::fs::write(&copy, BASE64_STANDARD.encode(std::fs::read(path)?))?;
        Ok(copy)
    }

    /// The chaincode that has registered answers.
    async fn assert_serves(&self, txid: &str) -> anyhow::Result<()> {
        let ledger = self.peer.node().ledgers().get("mychannel").context("the channel")?;
        let params = TransactionParams {
            txid: txid.to_owned(),
            channel_id: "mychannel".to_owned(),
            simulator: Some(Arc::new(Mutex::new(ledger.new_tx_simulator(txid)?))),
            ..Default::default()
        };
        let input = ChaincodeInput { args: vec!["read".into(), "a1".into()], ..Default::default() };
        let executed = self.peer.node().support().execute(&params, &Ccid::new("asset", "1.0"), input).await?;
        assert_eq!(executed.response.message, "asset a1 does not exist");
        Ok(())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Starts it with these variables; it ends with this code, and this in its last words.
async fn ends(arguments: &[&str], variables: &[(&str, &str)], code: i32, said: &str) -> anyhow::Result<()> {
    let chaincode = NativeChaincode::start("asset", ID, arguments, variables)?;
    let (ended, last_words) = blocking(|| chaincode.end()).await?;
    assert_eq!(ended, Some(code), "{last_words}");
    assert!(last_words.contains(said), "{said:?} is not in: {last_words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_dials_over_tls_with_the_files_of_1_4_and_of_2() -> anyhow::Result<()> {
    let setting = Setting::new().await?;
    let address = setting.listen().await?;
    let (key, certificate) = (setting.base64_of(&setting.pair.key)?, setting.base64_of(&setting.pair.certificate)?);
    let root = ("CORE_PEER_TLS_ROOTCERT_FILE", text(&setting.authority.certificate));
    let enabled = ("CORE_PEER_TLS_ENABLED", "true");
    let of_1_4 =
        [enabled, root, ("CORE_TLS_CLIENT_KEY_PATH", text(&key)), ("CORE_TLS_CLIENT_CERT_PATH", text(&certificate))];
    let of_2 = [
        enabled,
        root,
        ("CORE_TLS_CLIENT_KEY_FILE", text(&setting.pair.key)),
        ("CORE_TLS_CLIENT_CERT_FILE", text(&setting.pair.certificate)),
        // Not looked at where there are the others.
        ("CORE_TLS_CLIENT_KEY_PATH", "/nowhere"),
    ];
    for (number, variables) in [&of_1_4[..], &of_2].into_iter().enumerate() {
        let chaincode = NativeChaincode::start("asset", ID, &["--peer.address", &address], variables)?;
        let chaincode = blocking(move || chaincode.registered().map(|()| chaincode)).await?;
        setting.assert_serves(&format!("t{number}")).await?;
        drop(chaincode);
        // The peer has to see it go before the next may have its name.
        while setting.assert_serves("gone").await.is_ok() {}
    }

    let arguments = ["--peer.address", &address];
    let pem_as_base64 = [&of_1_4[..2], &[("CORE_TLS_CLIENT_KEY_PATH", text(&setting.pair.key)), of_1_4[3]]].concat();
    ends(&arguments, &pem_as_base64, 2, "CORE_TLS_CLIENT_KEY_FILE takes the PEM file itself").await?;
    let other = TlsAuthority::new(setting.folder.path(), "other")?;
    let stranger = other.issue("stranger", &HOSTS, TlsPurpose::Both)?;
    let no_pair = [&of_2[..3], &[("CORE_TLS_CLIENT_CERT_FILE", text(&stranger.certificate))]].concat();
    ends(&arguments, &no_pair, 2, "it is no pair with the key in").await?;
    let other_root = [&[enabled, ("CORE_PEER_TLS_ROOTCERT_FILE", text(&other.certificate))], &of_2[2..]].concat();
    ends(&arguments, &other_root, 1, "TLS handshake failed: invalid peer certificate: UnknownIssuer").await?;
    let other_name = [&of_2[..], &[("CORE_PEER_TLS_SERVERHOSTOVERRIDE", "peer0.example.com")]].concat();
    ends(&arguments, &other_name, 1, "not valid for name \"peer0.example.com\"").await?;
    let unknown = [
        &of_2[..2],
        &[
            ("CORE_TLS_CLIENT_KEY_FILE", text(&stranger.key)),
            ("CORE_TLS_CLIENT_CERT_FILE", text(&stranger.certificate)),
        ],
    ];
    // The peer looks at the certificate when the handshake is over for the chaincode, which may find the connection closed
    // before it has read why.
    ends(&arguments, &unknown.concat(), 1, "the peer refused chaincode asset:1.0: ").await?;
    setting.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_over_tls_the_peers_that_it_should() -> anyhow::Result<()> {
    let setting = Setting::new().await?;
    let files = [
        ("CHAINCODE_TLS_DISABLED", "false"),
        ("CHAINCODE_TLS_KEY", text(&setting.pair.key)),
        ("CHAINCODE_TLS_CERT", text(&setting.pair.certificate)),
    ];
    let mutual = [&files[..], &[("CHAINCODE_TLS_CLIENT_CACERT", text(&setting.authority.certificate))]].concat();
    let anonymous = ClientTls::new(setting.roots()?, None)?;
    let known = ClientTls::new(setting.roots()?, Some(&setting.identity()?))?;
    for (number, (variables, tls)) in [(&files[..], &anonymous), (&mutual, &known)].into_iter().enumerate() {
        let (chaincode, address) = NativeChaincode::serve("asset", ID, variables)?;
        // Connections that say nothing delay nobody.
        let silent = (0..200).map(|_| std::net::TcpStream::connect(&address)).collect::<Result<Vec<_>, _>>()?;
        let began = Instant::now();
        let connection = connect(&address, Some(tls)).await?;
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        drop(silent);
        let stream = connect_service(setting.peer.node().support(), connection).await?;
        let chaincode = blocking(move || chaincode.registered().map(|()| chaincode)).await?;
        setting.assert_serves(&format!("t{number}")).await?;
        drop(chaincode);
        stream.await?;
    }
    let (_chaincode, address) = NativeChaincode::serve("asset", ID, &mutual)?;
    let refused = connect(&address, Some(&anonymous)).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("CertificateRequired"), "{refused}");
    setting.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_several_peers_and_outlives_each() -> anyhow::Result<()> {
    let (first, second) = (Setting::new().await?, Setting::new().await?);
    let (chaincode, address) = NativeChaincode::serve("asset", ID, &[])?;
    let dial = || connect(&address, None);
    let stream = connect_service(first.peer.node().support(), dial().await?).await?;
    connect_service(second.peer.node().support(), dial().await?).await?;
    let chaincode = blocking(move || chaincode.registered().and_then(|()| chaincode.registered()).map(|()| chaincode));
    let chaincode = chaincode.await?;
    first.assert_serves("t1").await?;
    second.assert_serves("t1").await?;
    stream.abort();
    first.peer.stop().await;
    second.assert_serves("t2").await?;

    // A stream with a message out of turn ends alone, with Fabric's words.
    let mut client = selvedge_proto::protos::chaincode_client::ChaincodeClient::new(dial().await?);
    let mut stream = client.connect(tokio_stream::iter([Default::default()])).await?.into_inner();
    let register = stream.message().await?.context("a message")?;
    assert_eq!(register.r#type, 1);
    let told = stream.message().await?.context("a message")?;
    let status = stream.message().await.expect_err("the stream ends");
    let words = "[] Chaincode handler cannot handle message (UNDEFINED) with payload size (0) while in state: created";
    assert_eq!((told.r#type, &told.payload[..]), (7, words.as_bytes()));
    assert_eq!(status.message(), format!("error handling message: {words}"));
    second.assert_serves("t3").await?;

    // So does one of a peer that floods and takes nothing, and the operator reads whose it was.
    let flood = (0..64).map(|_| ChaincodeMessage {
        r#type: Type::Keepalive.into(),
        payload: vec![0; 1 << 20].into(),
        ..Default::default()
    });
    let unread = client.connect(tokio_stream::iter(flood)).await?;
    let told = blocking(move || Ok((chaincode.says("the peer sends KEEPALIVE and takes no answer")?, chaincode)));
    let (line, chaincode) = told.await?;
    assert!(line.contains("WARN the stream of the peer at 127.0.0.1:"), "{line}");
    second.assert_serves("t4").await?;
    drop((unread, chaincode));
    second.peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn its_exit_code_and_its_last_words_tell_what_happened() -> anyhow::Result<()> {
    let setting = Setting::new().await?;
    let listener = setting.peer.node().chaincode_address().to_string();
    ends(&[], &[], 2, "--peer.address is not set: it is the peer's address for chaincode").await?;
    ends(&["--peer.address", &listener], &[("CORE_PEER_TLS_ENABLED", "yes")], 2, "CORE_PEER_TLS_ENABLED=yes").await?;
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    let absent = format!("cannot connect to the peer at {closed} (CORE_PEER_ADDRESS): ");
    ends(&[], &[("CORE_PEER_ADDRESS", &closed)], 1, &absent).await?;
    let taken = format!("cannot listen on {listener} (CHAINCODE_SERVER_ADDRESS): ");
    ends(&[], &[("CHAINCODE_SERVER_ADDRESS", &listener)], 1, &taken).await?;

    let system = NativeChaincode::start("asset", "qscc:1.0", &["--peer.address", &listener], &[])?;
    let (code, said) = blocking(|| system.end()).await?;
    assert_eq!(code, Some(1));
    assert!(said.contains("the peer refused chaincode qscc:1.0: qscc is a system chaincode of this peer"), "{said}");

    let start = |id: &'static str, listener: &str| {
        let listener = listener.to_owned();
        blocking(move || NativeChaincode::dial("asset", id, &listener, &[]))
    };
    let terminated = start("asset:2.0", &listener).await?;
    terminated.terminate()?;
    let (code, said) = blocking(|| terminated.end()).await?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopped by SIGTERM"), "{said}");

    // A peer that goes, with its sockets.
    let process = tokio::runtime::Runtime::new()?;
    let socket = process.spawn(TcpListener::bind("127.0.0.1:0")).await??;
    let address = socket.local_addr()?.to_string();
    let peer = ChaincodeListener::new(Arc::new(setting.peer.node().support().clone()), Arc::new(NoSystemChaincodes));
    let server = Server::builder().add_service(ChaincodeSupportServer::new(peer));
    process.spawn(server.serve_with_incoming(TcpListenerStream::new(socket)));
    let chaincode = start(ID, &address).await?;
    setting.assert_serves("t").await?;
    process.shutdown_background();
    let (code, said) = blocking(|| chaincode.end()).await?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("receive failed: ") || said.contains("received EOF, ending chaincode stream"), "{said}");
    setting.peer.stop().await;
    Ok(())
}
