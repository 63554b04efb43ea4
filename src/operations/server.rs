//! The HTTP server: `/healthz`, `/version`, `/logspec`, `/metrics` (Fabric: `core/operations.System`, `flogging/httpadmin`).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use super::{HealthChecks, LogControl, metrics};

/// What the server shows.
pub struct Operations {
    /// Answered at `/healthz`.
    pub health: HealthChecks,
    /// Answered at `/metrics`.
    pub metrics: Arc<Registry>,
    /// Shown and changed at `/logspec`.
    pub logging: LogControl,
    /// Answered at `/version`.
    pub version: String,
}

impl Operations {
    /// Serves until `shutdown` resolves; requests that have begun are finished.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/version", get(version))
            .route("/logspec", any(log_spec))
            .route("/metrics", get(render_metrics))
            .with_state(Arc::new(self));
        axum::serve(listener, router).with_graceful_shutdown(shutdown).await
    }
}

async fn healthz(State(operations): State<Arc<Operations>>) -> Response {
    let health = operations.health.run().await;
    let status = if health.failed_checks.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, &json!(health))
}

async fn version(State(operations): State<Arc<Operations>>) -> Response {
    answer(StatusCode::OK, &json!({ "Version": operations.version, "CommitSHA": "" }))
}

#[derive(Deserialize)]
struct SpecRequest {
    #[serde(default)]
    spec: String,
}

async fn log_spec(State(operations): State<Arc<Operations>>, method: Method, body: Bytes) -> Response {
    let refuse = |reason: String| answer(StatusCode::BAD_REQUEST, &json!({ "error": reason }));
    match method {
        Method::GET => answer(StatusCode::OK, &json!({ "spec": operations.logging.spec() })),
        Method::PUT => {
            let request: SpecRequest = match serde_json::from_slice(&body) {
                Ok(request) => request,
                Err(e) => return refuse(e.to_string()),
            };
            match operations.logging.activate(&request.spec) {
                Ok(()) => StatusCode::NO_CONTENT.into_response(),
                Err(e) => refuse(e.to_string()),
            }
        }
        other => refuse(format!("invalid request method: {other}")),
    }
}

async fn render_metrics(State(operations): State<Arc<Operations>>) -> Response {
    match metrics::render(&operations.metrics) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use async_trait::async_trait;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::operations::HealthCheck;

    struct Component(Result<(), &'static str>);

    #[async_trait]
    impl HealthCheck for Component {
        async fn check(&self) -> Result<(), String> {
            self.0.map_err(str::to_owned)
        }
    }

    async fn serve(docker: Result<(), &'static str>) -> SocketAddr {
        let mut health = HealthChecks::default();
        health.register("wasm", Box::new(Component(Ok(()))));
        health.register("docker", Box::new(Component(docker)));
        let logging = LogControl::new("info".parse().expect("is valid"), drop);
        let operations =
            Operations { health, metrics: Arc::new(Registry::default()), logging, version: "1.2.3".to_owned() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("is bound");
        tokio::spawn(operations.serve(listener, std::future::pending()));
        address
    }

    async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the server answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("is HTTP");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("has a status");
        (status, body.to_owned())
    }

    #[tokio::test]
    async fn a_healthy_node_says_so() {
        let (status, body) = request(serve(Ok(())).await, "GET", "/healthz", "").await;
        assert_eq!(status, 200);
        assert!(
            body.contains(r#""status":"OK""#) && body.contains(r#""time":"20"#) && !body.contains("failed"),
            "{body}"
        );
    }

    #[tokio::test]
    async fn a_failed_component_is_named_with_its_reason() {
        let (status, body) = request(serve(Err("no engine")).await, "GET", "/healthz", "").await;
        assert_eq!(status, 503);
        assert!(body.contains(r#""failed_checks":[{"component":"docker","reason":"no engine"}]"#), "{body}");
        assert!(body.contains(r#""status":"Service Unavailable""#), "{body}");
    }

    #[tokio::test]
    async fn log_levels_can_be_read_and_changed() {
        let address = serve(Ok(())).await;
        assert_eq!(request(address, "GET", "/logspec", "").await, (200, r#"{"spec":"info"}"#.to_owned()));
        assert_eq!(request(address, "PUT", "/logspec", r#"{"spec":"endorser=debug:warn"}"#).await.0, 204);
        assert_eq!(request(address, "GET", "/logspec", "").await.1, r#"{"spec":"endorser=debug:warn"}"#);
        let (status, body) = request(address, "PUT", "/logspec", r#"{"spec":"loud"}"#).await;
        assert_eq!(status, 400);
        assert_eq!(body, r#"{"error":"invalid logging specification 'loud': bad segment 'loud'"}"#);
        assert_eq!(request(address, "PUT", "/logspec", "no json").await.0, 400);
        let refused = request(address, "DELETE", "/logspec", "").await;
        assert_eq!(refused, (400, r#"{"error":"invalid request method: DELETE"}"#.to_owned()));
    }

    #[tokio::test]
    async fn version_metrics_and_nothing_else_are_there() {
        let address = serve(Ok(())).await;
        let (status, body) = request(address, "GET", "/version", "").await;
        assert_eq!((status, body.as_str()), (200, r#"{"CommitSHA":"","Version":"1.2.3"}"#));
        assert_eq!(request(address, "GET", "/metrics", "").await.0, 200);
        assert_eq!(request(address, "GET", "/elsewhere", "").await.0, 404);
    }
}
