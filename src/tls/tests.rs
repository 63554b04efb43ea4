//! Both sides over real sockets, with certificates from files: who is let in, what a service learns, and what is refused.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use selvedge_proto::protos::endorser_client::EndorserClient;
use selvedge_proto::protos::endorser_server::{Endorser, EndorserServer};
use selvedge_proto::protos::{ProposalResponse, Response as Answer, SignedProposal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::*;
use crate::testing::{TlsAuthority, TlsPair, TlsPurpose};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Answers with what it knows of the connection.
struct Mirror;

#[tonic::async_trait]
impl Endorser for Mirror {
    async fn process_proposal(&self, request: Request<SignedProposal>) -> Result<Response<ProposalResponse>, Status> {
        let message = match TlsInfo::of(&request).map(|info| info.client_cert_hash) {
            None => "no TLS".to_owned(),
            Some(None) => "no certificate".to_owned(),
            Some(Some(hash)) => hex::encode(hash),
        };
        let response = Some(Answer { message, ..Answer::default() });
        Ok(Response::new(ProposalResponse { response, ..ProposalResponse::default() }))
    }
}

struct Network {
    folder: TempDir,
    authority: TlsAuthority,
}

impl Network {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = TlsAuthority::new(folder.path(), "ca").unwrap();
        Self { folder, authority }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn issue(&self, name: &str) -> Identity {
        identity(&self.authority.issue(name, &["localhost", "127.0.0.1"], TlsPurpose::Both).unwrap())
    }

    fn roots(&self) -> Roots {
        roots(&self.authority.certificate)
    }

    /// A server with these demands; its address.
    async fn serve(&self, clients: ClientAuth) -> SocketAddr {
        serve(&self.issue("server"), clients, Duration::from_secs(5), 512).await
    }
}

async fn serve(identity: &Identity, clients: ClientAuth, timeout: Duration, handshakes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = ServerTls::new(identity, clients).unwrap();
    let incoming = TlsIncoming::with_limits(listener, &tls, timeout, handshakes);
    tokio::spawn(Server::builder().add_service(EndorserServer::new(Mirror)).serve_with_incoming(incoming));
    address
}

fn identity(pair: &TlsPair) -> Identity {
    let certificate = NamedFile::new("cert", &pair.certificate);
    Identity::load(&certificate, &NamedFile::new("key", &pair.key)).unwrap()
}

fn roots(path: &Path) -> Roots {
    Roots::load("roots", &[NamedFile::new("roots", path)]).unwrap()
}

/// What the service says of the connection, or why there is none.
async fn ask(address: SocketAddr, tls: &ClientTls) -> Result<String, String> {
    let channel = connect(&address.to_string(), Some(tls)).await.map_err(|error| error.to_string())?;
    let answer = EndorserClient::new(channel).process_proposal(SignedProposal::default()).await;
    let answer = answer.map_err(|status| format!("{status:?}"))?;
    Ok(answer.into_inner().response.unwrap_or_default().message)
}

#[tokio::test]
async fn any_client_gets_in_and_the_service_learns_the_hash_of_its_certificate() {
    let network = Network::new();
    let address = network.serve(ClientAuth::Requested).await;
    let stranger = TlsPair::self_signed(network.path(), "stranger", &["sdk"], TlsPurpose::WithCaBit).unwrap();
    let old = TlsPair::self_signed(network.path(), "old", &["sdk"], TlsPurpose::Expired).unwrap();
    for version in BOTH {
        let client = ClientTls::with_versions(network.roots(), None, &[version]).unwrap();
        assert_eq!(ask(address, &client).await.as_deref(), Ok("no certificate"), "{version:?}");
        for shown in [network.issue("client"), identity(&stranger), identity(&old)] {
            let client = ClientTls::with_versions(network.roots(), Some(&shown), &[version]).unwrap();
            assert_eq!(ask(address, &client).await, Ok(hex::encode(shown.certificate_hash())), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_client_without_the_certificates_key_is_refused() {
    let network = Network::new();
    let address = network.serve(ClientAuth::Requested).await;
    let (victim, mut impostor) = (network.issue("victim"), network.issue("thief"));
    let stolen = CertifiedKey::new(victim.certified.cert.clone(), Arc::clone(&impostor.certified.key));
    impostor.certified = Arc::new(stolen);
    for version in BOTH {
        let client = ClientTls::with_versions(network.roots(), Some(&impostor), &[version]).unwrap();
        ask(address, &client).await.expect_err("the signature does not fit");
    }
}

#[tokio::test]
async fn under_mutual_tls_only_clients_of_the_roots_get_in() {
    let network = Network::new();
    let elsewhere = TlsAuthority::new(network.path(), "elsewhere").unwrap();
    let listed = TlsPair::self_signed(network.path(), "listed", &["sdk"], TlsPurpose::WithCaBit).unwrap();
    let files = [&network.authority.certificate, &listed.certificate].map(|path| NamedFile::new("roots", path));
    let address = network.serve(ClientAuth::Required(Roots::load("roots", &files).unwrap())).await;

    let intermediate = network.authority.intermediate("intermediate").unwrap();
    let below = identity(&intermediate.issue("below", &["x"], TlsPurpose::Both).unwrap());
    let foreign = identity(&elsewhere.issue("foreign", &["x"], TlsPurpose::Both).unwrap());
    let expired = identity(&network.authority.issue("expired", &["x"], TlsPurpose::Expired).unwrap());
    let server_only = identity(&network.authority.issue("server-only", &["x"], TlsPurpose::Server).unwrap());
    for version in BOTH {
        let ask = async |shown: Option<&Identity>| {
            ask(address, &ClientTls::with_versions(network.roots(), shown, &[version]).unwrap()).await
        };
        for good in [&network.issue("client"), &below, &identity(&listed)] {
            assert_eq!(ask(Some(good)).await, Ok(hex::encode(good.certificate_hash())), "{version:?}");
        }
        for (what, bad) in
            [("none", None), ("foreign", Some(&foreign)), ("expired", Some(&expired)), ("server", Some(&server_only))]
        {
            let refusal = ask(bad).await.expect_err(what);
            assert!(refusal.contains("ertificate"), "{version:?}, {what}: {refusal}");
        }
    }
}

#[tokio::test]
async fn a_server_is_believed_for_its_names_under_its_authority_or_as_a_root_itself() {
    let network = Network::new();
    let of = |pair: &TlsPair| identity(pair);
    let limit = Duration::from_secs(5);
    let named = network.authority.issue("named", &["peer0"], TlsPurpose::Both).unwrap();
    let own = TlsPair::self_signed(network.path(), "own", &["127.0.0.1"], TlsPurpose::WithCaBit).unwrap();
    let old = TlsPair::self_signed(network.path(), "old", &["127.0.0.1"], TlsPurpose::Expired).unwrap();
    let below = network.authority.intermediate("between").unwrap();
    let below = below.issue("below", &["127.0.0.1"], TlsPurpose::Server).unwrap();
    let client = |roots| ClientTls::new(roots, None).unwrap();

    let server = serve(&of(&named), ClientAuth::Requested, limit, 9).await;
    let refusal = ask(server, &client(network.roots())).await.expect_err("another name");
    assert!(refusal.contains("127.0.0.1") && refusal.contains("peer0"), "{refusal}");
    assert!(ask(server, &client(network.roots()).server_name("peer0")).await.is_ok());
    let refusal = ask(server, &client(roots(&own.certificate))).await.expect_err("another authority");
    assert!(refusal.contains("is not of an authority in roots /") && refusal.contains("own.crt"), "{refusal}");

    let server = serve(&of(&own), ClientAuth::Requested, limit, 9).await;
    assert_eq!(ask(server, &client(roots(&own.certificate))).await.as_deref(), Ok("no certificate"));
    let refusal = ask(server, &client(roots(&own.certificate)).server_name("peer0")).await;
    assert!(refusal.expect_err("another name").contains("peer0"));

    let server = serve(&of(&old), ClientAuth::Requested, limit, 9).await;
    let refusal = ask(server, &client(roots(&old.certificate))).await.expect_err("expired");
    assert!(refusal.contains("expired") || refusal.contains("Expired"), "{refusal}");

    let server = serve(&of(&below), ClientAuth::Requested, limit, 9).await;
    assert_eq!(ask(server, &client(network.roots())).await.as_deref(), Ok("no certificate"));
}

#[tokio::test]
async fn silent_clients_hold_up_nobody_and_are_cut_off_in_time() {
    let network = Network::new();
    let address = serve(&network.issue("server"), ClientAuth::Requested, Duration::from_millis(1500), 512).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let started = Instant::now();
    let client = ClientTls::new(network.roots(), None).unwrap();
    assert_eq!(ask(address, &client).await.as_deref(), Ok("no certificate"));
    // One after the other, twenty of them would take 30 s.
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    for mut stream in silent {
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 64])).await;
        assert!(matches!(end.expect("is cut off"), Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn half_open_handshakes_are_bounded_and_a_client_that_answers_still_gets_in() {
    let network = Network::new();
    let address = serve(&network.issue("server"), ClientAuth::Requested, Duration::from_secs(600), 4).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let client = ClientTls::new(network.roots(), None).unwrap();
    assert_eq!(ask(address, &client).await.as_deref(), Ok("no certificate"));
    // 20 silent ones and the client, of which 4 at most are left: the first 17 were cut off.
    for stream in &mut silent[..17] {
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 64])).await;
        assert!(matches!(end.expect("is cut off"), Ok(0) | Err(_)));
    }
    let end = tokio::time::timeout(Duration::from_millis(50), silent[19].read(&mut [0; 64])).await;
    end.expect_err("the last one is still waited for");
}

#[tokio::test]
async fn a_client_without_tls_is_turned_away() {
    let network = Network::new();
    let address = network.serve(ClientAuth::Requested).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the connection stays open");
    // At most an alert record, no HTTP/2.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");

    let channel = connect(&address.to_string(), None).await.unwrap();
    EndorserClient::new(channel).process_proposal(SignedProposal::default()).await.expect_err("no TLS");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with_it() {
    let network = Network::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(Server::builder().add_service(EndorserServer::new(Mirror)).serve_with_incoming(incoming));
    let refusal = ask(address, &ClientTls::new(network.roots(), None).unwrap()).await.expect_err("no TLS there");
    assert!(refusal.contains("does it speak TLS there?"), "{refusal}");
}

/// Runs openssl in `folder`.
fn openssl(folder: &Path, arguments: &str) {
    let ran = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = ran.unwrap_or_else(|error| panic!("openssl 3 cannot be run ({error}); install the package openssl"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn what_openssl_makes_is_read_and_believed() {
    let network = Network::new();
    // SEC 1 behind an EC PARAMETERS block, and a certificate with the CA bit that is its own root.
    openssl(network.path(), "ecparam -name prime256v1 -genkey -out o.key");
    openssl(
        network.path(),
        "req -x509 -new -key o.key -subj /CN=o -addext subjectAltName=DNS:localhost -days 9 -out o.crt",
    );
    let pair = TlsPair { certificate: network.path().join("o.crt"), key: network.path().join("o.key") };
    let key = std::fs::read_to_string(&pair.key).unwrap();
    assert!(key.contains("BEGIN EC PARAMETERS") && key.contains("BEGIN EC PRIVATE KEY"), "not what this test is for");
    let address = serve(&identity(&pair), ClientAuth::Requested, Duration::from_secs(5), 9).await;
    let client = ClientTls::new(roots(&pair.certificate), Some(&identity(&pair))).unwrap().server_name("localhost");
    assert_eq!(ask(address, &client).await, Ok(hex::encode(identity(&pair).certificate_hash())));
}

#[test]
fn the_tls_authorities_of_a_real_fabric_network_are_roots() {
    let msps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4/msp");
    for (organisation, file) in [("alpha-org", "alpha"), ("beta-org", "beta"), ("orderer-org", "ord")] {
        let path = msps.join(organisation).join(format!("tlscacerts/tlsca.{file}.example-cert.pem"));
        assert_eq!(roots(&path).store.len(), 1, "{organisation}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let network = Network::new();
    let path = |name: &str| network.path().join(name);
    let (one, other) = (network.authority.issue("one", &["x"], TlsPurpose::Both).unwrap(), TlsPurpose::Both);
    let other = network.authority.issue("other", &["x"], other).unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("cut"), "-----BEGIN CERTIFICATE-----\nAQID").unwrap();
    std::fs::write(path("no-der"), "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n").unwrap();
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(path("locked"), locked).unwrap();
    let table = [
        (path("missing"), one.key.clone(), "cert: cannot read ", "missing: No such file"),
        (path("empty"), one.key.clone(), "cert: ", "empty: there is no CERTIFICATE block in it"),
        (path("cut"), one.key.clone(), "cert: ", "cut: its PEM is damaged"),
        (path("no-der"), one.key.clone(), "cert: ", "no-der: its first certificate is damaged"),
        (one.certificate.clone(), path("missing"), "key: cannot read ", "missing: No such file"),
        (one.certificate.clone(), path("locked"), "key: ", "locked: there is no PRIVATE KEY block in it"),
        (one.certificate.clone(), other.key, "key: the key in ", "other.key does not belong to the certificate in "),
    ];
    for (certificate, key, start, inside) in table {
        let error = Identity::load(&NamedFile::new("cert", certificate), &NamedFile::new("key", key));
        let error = error.expect_err(inside).to_string();
        assert!(error.starts_with(start) && error.contains(inside), "{error}");
    }
    let error = Roots::load("roots", &[]).expect_err("none").to_string();
    assert!(error.starts_with("roots names no file"), "{error}");
    let error = Roots::load("roots", &[NamedFile::new("roots", path("no-der"))]).expect_err("damaged").to_string();
    assert!(error.contains("no-der: a certificate in it cannot be used as a root"), "{error}");
}

#[test]
fn a_certificate_outside_its_validity_is_told() {
    let network = Network::new();
    let now = std::time::SystemTime::now();
    let expired = identity(&network.authority.issue("expired", &["x"], TlsPurpose::Expired).unwrap());
    let told = expired.outside_validity(now).expect("is expired");
    assert!(told.starts_with("expired at 20") && told.ends_with('Z'), "{told}");
    assert_eq!(network.issue("good").outside_validity(now), None);
}
