//! Engines that are not there, go away, or are behind TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use selvedge::container::docker::{Endpoint, Names};
use selvedge::container::{Ccid, StopContainer, Vm};
use selvedge::testing::{PrivateEngine, TlsAuthority, TlsPair, TlsPurpose};
use selvedge::tls::{ClientTls, Identity, NamedFile, Roots};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::fixture::{Peer, request, shells, vm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_engine_every_request_says_what_is_missing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let names = Names { network_id: "dev".into(), peer_id: "peer0".into() };
    let socket = folder.path().join("docker.sock");
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    for endpoint in [Endpoint::Unix(socket), Endpoint::Tcp(nobody)] {
        let shown = endpoint.to_string();
        let vm = vm(endpoint, &names, folder.path(), shells()?)?;
        let ccid = Ccid::new("mycc", "1.0");
        for error in [
            vm.open().await.map(drop).map_err(|error| error.to_string()),
            vm.start(&ccid, request("exit 0")).await.map_err(|error| error.to_string()),
            vm.wait(&ccid).await.map(drop).map_err(|error| error.to_string()),
        ] {
            let error = error.err().with_context(|| format!("there is no engine at {shown}"))?;
            assert!(
                error.starts_with(&format!("cannot connect to Docker endpoint {shown} (vm.endpoint): ")),
                "{error}"
            );
        }
        let health = vm.health_check().await.map_err(|error| error.to_string());
        assert!(health.is_err_and(|error| error.starts_with("failed to ") && error.contains(" Docker daemon: ")));
        assert_eq!(vm.last_output(&ccid).await, "");
    }
    let off = vm(Endpoint::Off, &names, folder.path(), shells()?)?;
    let refused = off.start(&Ccid::new("mycc", "1.0"), request("exit 0")).await.map_err(|error| error.to_string());
    assert!(refused.is_err_and(|error| error.contains("vm.endpoint is empty")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_dies_and_comes_back_is_survived() -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("sv").tempdir_in("/tmp")?;
    let mut private = PrivateEngine::new(folder.path())?;
    let peer = Peer::at(private.start().await?).await?;
    let ccid = Ccid::new("mycc", "1.0");
    peer.vm.start(&ccid, request("sleep 600")).await?;
    let (ended, killed) = tokio::join!(peer.vm.wait(&ccid), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        private.kill()
    });
    killed?;
    let ended = ended.map(drop).map_err(|error| error.to_string());
    assert!(
        ended.as_ref().is_err_and(|error| error.starts_with("lost the connection to the Docker engine")),
        "{ended:?}"
    );
    let refused = peer.vm.start(&ccid, request("exit 0")).await.map_err(|error| error.to_string());
    assert!(refused.is_err_and(|error| error.starts_with("cannot connect to Docker endpoint unix://")));
    assert!(peer.vm.health_check().await.is_err());

    private.start().await?;
    peer.vm.health_check().await?;
    peer.vm.start(&ccid, request("echo again; exit 4")).await?;
    assert_eq!(peer.vm.wait(&ccid).await?, 4);
    assert_eq!(peer.vm.last_output(&ccid).await, "again");
    peer.vm.stop(&ccid, StopContainer::default()).await?;
    private.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_behind_tls_is_believed_under_the_given_authority_only() -> anyhow::Result<()> {
    let peer = Peer::new().await?;
    let folder = tempfile::tempdir()?;
    let authority = TlsAuthority::new(folder.path(), "ca")?;
    let server = authority.issue("server", &["127.0.0.1"], TlsPurpose::Both)?;
    let client = authority.issue("client", &["client"], TlsPurpose::Both)?;
    let other = TlsAuthority::new(folder.path(), "other")?;
    let stranger = other.issue("stranger", &["client"], TlsPurpose::Both)?;
    let socket = peer.engine.endpoint.trim_start_matches("unix://").to_owned();
    let address = tls_in_front_of(socket, &server, &authority.certificate).await?;

    let through = |roots: &Path, pair: &TlsPair| -> anyhow::Result<_> {
        let identity = Identity::load(&NamedFile::new("cert", &pair.certificate), &NamedFile::new("key", &pair.key))?;
        let tls = ClientTls::new(Roots::load("ca", &[NamedFile::new("ca", roots)])?, Some(&identity))?;
        let endpoint = Endpoint::Tls(address.clone(), Box::new(tls.http1()));
        vm(endpoint, &peer.names, peer.folder.path(), shells()?)
    };
    let ccid = Ccid::new("mycc", "1.0");
    peer.vm.start(&ccid, request("exit 0")).await.context("makes the image")?;
    peer.vm.wait(&ccid).await?;

    let behind = through(&authority.certificate, &client)?;
    behind.health_check().await?;
    // Attached to, which takes the connection over from HTTP; given a file; read from.
    let mut exits = request("cat /etc/file; exit 5");
    exits.files.insert("/etc/file".into(), b"over TLS".to_vec());
    behind.start(&ccid, exits).await?;
    assert_eq!(behind.wait(&ccid).await?, 5);
    assert_eq!(behind.last_output(&ccid).await, "over TLS");

    for (roots, pair) in [(&other.certificate, &client), (&authority.certificate, &stranger)] {
        let refused = through(roots, pair)?.open().await.map_err(|error| error.to_string());
        let expected = format!("cannot connect to Docker endpoint https://{address} (vm.endpoint): ");
        assert!(refused.as_ref().is_err_and(|error| error.starts_with(&expected)), "{refused:?}");
    }
    peer.end().await
}

/// A port with TLS whose clients talk to the engine at `socket`, as `dockerd --tlsverify` has one.
async fn tls_in_front_of(socket: String, pair: &TlsPair, clients: &Path) -> anyhow::Result<String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(clients)?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let chain = CertificateDer::pem_file_iter(&pair.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&pair.key)?)?;
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await?);
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut engine = UnixStream::connect(&socket).await?;
                tokio::io::copy_bidirectional(&mut client, &mut engine).await
            });
        }
    });
    Ok(address)
}
