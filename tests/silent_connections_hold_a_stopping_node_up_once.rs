//! Connections on which nobody says anything, at all three listeners of a node that stops: it waits for them together,
//! because whoever supervises a node usually waits ten seconds before killing it.

use std::time::{Duration, Instant};

use selvedge::testing::{TestPeer, TlsAuthority, TlsPurpose};
use selvedge::tls::{self, ClientTls, NamedFile, Roots};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_tls_stops_in_one_grace() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = TlsAuthority::new(folder.path(), "ca")?;
    authority.issue("server", &["127.0.0.1"], TlsPurpose::Both)?;
    let settings =
        [("PEER_TLS_ENABLED", "true"), ("PEER_TLS_CERT_FILE", "server.crt"), ("PEER_TLS_KEY_FILE", "server.key")];
    let peer = TestPeer::start(folder.path(), &[], &settings).await?;
    let node = peer.node();
    let mut silent = Vec::new();
    for address in [node.peer_address(), node.chaincode_address(), node.operations_address()] {
        silent.push(TcpStream::connect(address).await?);
    }
    let client = ClientTls::new(Roots::load("ca", &[NamedFile::new("ca", authority.certificate)])?, None)?;
    let idle = tls::connect(&node.peer_address().to_string(), Some(&client)).await?;
    // Time for the listeners to take them.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    peer.stop().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(9), "stopping took {took:?}");
    drop((silent, idle));
    Ok(())
}
