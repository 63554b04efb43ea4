//! Deliver under mutual TLS takes only requests that name the certificate of their own connection, as in Fabric; without
//! mutual TLS it takes any. And a node whose TLS cannot work does not start.

use anyhow::{Context, bail};
use bytes::Bytes;
use selvedge::client::create_seek_envelope;
use selvedge::testing::{TestPeer, TlsAuthority, TlsPurpose};
use selvedge::tls::{ClientTls, Identity, NamedFile, Roots, connect};
use selvedge_proto::common::{Envelope, Status};
use selvedge_proto::orderer::atomic_broadcast_client::AtomicBroadcastClient;
use selvedge_proto::protos::deliver_client::DeliverClient;
use selvedge_proto::{orderer, protos};
use tonic::transport::Channel;

const ON: [(&str, &str); 3] =
    [("PEER_TLS_ENABLED", "true"), ("PEER_TLS_CERT_FILE", "server.crt"), ("PEER_TLS_KEY_FILE", "server.key")];
const MUTUAL: [(&str, &str); 2] =
    [("PEER_TLS_CLIENTAUTHREQUIRED", "true"), ("PEER_TLS_CLIENTROOTCAS_FILES", "[ca.pem]")];

/// The first thing that each of the three streams says: a block, or a status.
async fn first_answers(channel: &Channel, seek: &Envelope) -> anyhow::Result<[Option<Status>; 3]> {
    let mut peer = DeliverClient::new(channel.clone());
    let mut orderer = AtomicBroadcastClient::new(channel.clone());
    let request = || tokio_stream::once(seek.clone());
    let full = peer.deliver(request()).await?.into_inner().message().await?;
    let filtered = peer.deliver_filtered(request()).await?.into_inner().message().await?;
    let ordered = orderer.deliver(request()).await?.into_inner().message().await?;
    let of_peer = |answer: Option<protos::DeliverResponse>| match answer.and_then(|answer| answer.r#type) {
        Some(protos::deliver_response::Type::Status(status)) => Ok(Some(Status::try_from(status)?)),
        Some(_) => Ok(None),
        None => bail!("the stream ended"),
    };
    let ordered = match ordered.and_then(|answer| answer.r#type).context("the stream ended")? {
        orderer::deliver_response::Type::Status(status) => Some(Status::try_from(status)?),
        orderer::deliver_response::Type::Block(_) => None,
    };
    Ok([of_peer(full)?, of_peer(filtered)?, ordered])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_mutual_tls_a_request_names_the_certificate_of_its_connection() -> anyhow::Result<()> {
    for mutual in [true, false] {
        let folder = tempfile::tempdir()?;
        let authority = TlsAuthority::new(folder.path(), "ca")?;
        authority.issue("server", &["127.0.0.1"], TlsPurpose::Both)?;
        let pair = authority.issue("client", &["client"], TlsPurpose::Both)?;
        let overrides = if mutual { [&ON[..], &MUTUAL].concat() } else { ON.to_vec() };
        let peer = TestPeer::start(folder.path(), &[], &overrides).await?;

        let identity = Identity::load(&NamedFile::new("cert", pair.certificate), &NamedFile::new("key", pair.key))?;
        let roots = Roots::load("ca", &[NamedFile::new("ca", authority.certificate)])?;
        let tls = ClientTls::new(roots, Some(&identity))?;
        let channel = connect(&peer.node().peer_address().to_string(), Some(&tls)).await?;
        let own = Bytes::copy_from_slice(&identity.certificate_hash());
        for (what, hash, fits) in
            [("its own", own, true), ("none", Bytes::new(), false), ("another", Bytes::from_static(&[7; 32]), false)]
        {
            let seek = create_seek_envelope("mychannel", &*peer.user()?, hash)?;
            let expected = if fits || !mutual { None } else { Some(Status::BadRequest) };
            assert_eq!(first_answers(&channel, &seek).await?, [expected; 3], "{what}, mutual: {mutual}");
        }
        peer.stop().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_tls_cannot_work_does_not_start_and_says_what_to_do() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = TlsAuthority::new(folder.path(), "ca")?;
    authority.issue("server", &["127.0.0.1"], TlsPurpose::Both)?;
    authority.issue("other", &["127.0.0.1"], TlsPurpose::Both)?;
    let with = |more: &[(&'static str, &'static str)]| [&ON[..], more].concat();
    let table = [
        (vec![ON[0]], "peer.tls.enabled is true and peer.tls.cert.file is not set: name the node's certificate"),
        (ON[..2].to_vec(), "peer.tls.enabled is true and peer.tls.key.file is not set"),
        (with(&[("PEER_TLS_CERT_FILE", "no.crt")]), "peer.tls.cert.file: cannot read "),
        (with(&[("PEER_TLS_KEY_FILE", "other.key")]), "peer.tls.key.file: the key in "),
        (with(&[("PEER_TLS_ROOTCERT_FILE", "no.pem")]), "peer.tls.rootcert.file: cannot read "),
        (with(&MUTUAL[..1]), "peer.tls.clientRootCAs.files names no file"),
        (
            with(&[MUTUAL[0], ("PEER_TLS_CLIENTROOTCAS_FILES", "server.key")]),
            "server.key: there is no CERTIFICATE block",
        ),
    ];
    for (overrides, expected) in table {
        let Err(error) = TestPeer::start(folder.path(), &[], &overrides).await else { bail!("{overrides:?} started") };
        let error = format!("{error:#}");
        assert!(error.contains(expected), "expected {expected:?} of {overrides:?}, not {error}");
    }
    Ok(())
}
