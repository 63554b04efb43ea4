//! What a chaincode answers: `shim.Success` and `shim.Error`, and a payload that may be a blob.

use std::fmt::Display;

use crate::Blob;

/// The status numbers of Fabric's shim.
pub mod status {
    /// Success.
    pub const OK: i32 = 200;
    /// From here on a response is not endorsed.
    pub const ERROR_THRESHOLD: i32 = 400;
    /// Failure.
    pub const ERROR: i32 = 500;
}

/// The answer to INIT or TRANSACTION, or that of another chaincode.
#[derive(Debug)]
pub struct Response {
    /// One of [`status`], or the chaincode's own.
    pub status: i32,
    /// For the client; empty on success.
    pub message: String,
    /// The result.
    pub payload: Payload,
}

/// Where a response's payload is.
#[derive(Debug)]
pub enum Payload {
    /// In the chaincode's memory.
    Bytes(Vec<u8>),
    /// On the peer's side already.
    Blob(Blob),
}

impl Response {
    /// Status 200: `Response::success(())`, `Response::success("text")`, `Response::success(blob)`.
    pub fn success(payload: impl Into<Payload>) -> Self {
        Self { status: status::OK, message: String::new(), payload: payload.into() }
    }

    /// Status 500 and why.
    pub fn error(message: impl Into<String>) -> Self {
        Self { status: status::ERROR, message: message.into(), payload: Payload::Bytes(Vec::new()) }
    }

    /// Whether the peer would endorse it.
    pub fn is_success(&self) -> bool {
        self.status < status::ERROR_THRESHOLD
    }

    /// The payload's bytes; a blob is read whole into the chaincode's memory.
    pub fn payload_bytes(&self) -> Vec<u8> {
        match &self.payload {
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::Blob(blob) => blob.read(0, u32::MAX),
        }
    }
}

/// So that a chaincode can be written with `?`: success with the value, or status 500 with the error's text.
impl<T: Into<Payload>, E: Display> From<Result<T, E>> for Response {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(payload) => Self::success(payload),
            Err(error) => Self::error(error.to_string()),
        }
    }
}

impl From<()> for Payload {
    fn from((): ()) -> Self {
        Self::Bytes(Vec::new())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<Blob> for Payload {
    fn from(blob: Blob) -> Self {
        Self::Blob(blob)
    }
}
