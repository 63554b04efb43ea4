//! What stands between a peer and the engine: it writes down what is asked for, refuses what it is told to refuse, and can
//! pretend that the engine is of another version.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use selvedge::container::docker::Endpoint;
use selvedge::testing::DockerEngine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// A port in front of the engine. Peers make a connection for each request.
pub(crate) struct Proxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    socket: String,
    /// What the engine is to say of its version.
    version: Option<String>,
    asked: Mutex<Vec<String>>,
    refusals: AtomicUsize,
}

impl Proxy {
    pub(crate) async fn in_front_of(engine: &DockerEngine) -> anyhow::Result<Self> {
        Self::with_version(engine, None).await
    }

    /// The engine says that it has the API from one version up to another one.
    pub(crate) async fn of_version(engine: &DockerEngine, oldest: &str, newest: &str) -> anyhow::Result<Self> {
        let version = format!(r#"{{"Version":"0.0.1","ApiVersion":"{newest}","MinAPIVersion":"{oldest}"}}"#);
        Self::with_version(engine, Some(version)).await
    }

    async fn with_version(engine: &DockerEngine, version: Option<String>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let socket = engine.endpoint.trim_start_matches("unix://").to_owned();
        let shared = Arc::new(Shared { socket, version, asked: Mutex::default(), refusals: AtomicUsize::new(0) });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(client).await });
            }
        });
        Ok(Self { address, shared })
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp(self.address.clone())
    }

    /// The engine keeps the next so many containers that are to be removed.
    pub(crate) fn refuse_removals(&self, count: usize) {
        self.shared.refusals.store(count, Ordering::SeqCst);
    }

    /// Whether it has kept all that it was told to keep.
    pub(crate) fn has_refused(&self) -> bool {
        self.shared.refusals.load(Ordering::SeqCst) == 0
    }

    /// Method and path of each request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if client.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head);
        let request = text.split(" HTTP/1.1").next().unwrap_or_default().to_owned();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        if let (Some(version), "GET /version") = (&self.version, request.as_str()) {
            return answer(client, "200 OK", version).await;
        }
        let removes = request.starts_with("DELETE ") && request.contains("/containers/");
        let fewer = |left: usize| left.checked_sub(1);
        if removes && self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
            let reason = r#"{"message":"device or resource busy"}"#;
            return answer(client, "500 Internal Server Error", reason).await;
        }
        let mut engine = UnixStream::connect(&self.socket).await?;
        engine.write_all(&head).await?;
        tokio::io::copy_bidirectional(&mut client, &mut engine).await.map(drop)
    }
}

async fn answer(mut client: TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).await
}
