//! What is wrong with a query, or with the definition of an index.
//!
//! What CouchDB would have refused is told in Fabric's form, with CouchDB's name of the error and its reason, because
//! chaincode and clients look for them. The reason goes on with the value that it is about.

use std::time::Duration;

/// Why a rich query was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RichQueryError {
    /// The query's text is not a JSON object.
    #[error("the rich query is not a JSON object: {what} at byte {at}")]
    NotJson {
        /// What is wrong there.
        what: &'static str,
        /// Where, counted from 0.
        at: usize,
    },
    /// `fields` is no array.
    #[error("fields definition must be an array")]
    Fields,
    /// CouchDB would refuse it.
    #[error("error handling CouchDB request. Error:{error},  Status Code:400,  Reason:{reason}")]
    Refused {
        /// CouchDB's name of the error.
        error: &'static str,
        /// CouchDB's reason, and the value.
        reason: String,
    },
    /// One of the sizes in [`limits`](super::limits).
    #[error("the rich query needs {what} of {needed}, the limit {name} is {limit}; {advice}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// What it would have to be, as far as that is known.
        needed: usize,
        /// The limit's name.
        name: &'static str,
        /// The limit.
        limit: usize,
        /// What the author can do.
        advice: &'static str,
    },
    /// [`MAX_QUERY_TIME`](super::limits::MAX_QUERY_TIME).
    #[error(
        "the rich query has worked for {} ms, the limit MAX_QUERY_TIME is {} ms; \
         define an index on the fields that it selects by, or ask for less", spent.as_millis(), limit.as_millis()
    )]
    Time {
        /// The time so far.
        spent: Duration,
        /// The limit.
        limit: Duration,
    },
    /// Nobody waits for the answer any more.
    #[error("the rich query was stopped, because its transaction is over")]
    Stopped,
}

impl RichQueryError {
    /// Whether another endorser might not see it: time is not the same everywhere.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Time { .. } | Self::Stopped)
    }

    pub(super) fn refused(error: &'static str, reason: String) -> Self {
        Self::Refused { error, reason }
    }

    pub(super) fn bad_argument(operator: &str, argument: &super::json::Value) -> Self {
        Self::refused("bad_arg", format!("Bad argument for operator {operator}: {argument}"))
    }

    pub(super) fn too_deep(depth: usize) -> Self {
        Self::Limit {
            what: "a depth",
            needed: depth,
            name: "MAX_QUERY_DEPTH",
            limit: super::limits::MAX_QUERY_DEPTH,
            advice: "nest less",
        }
    }
}

/// Why a file is no definition of an index.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// It is not JSON.
    #[error("Index metadata file [{file}] is not a valid JSON")]
    NotJson {
        /// The file's name in the package.
        file: String,
    },
    /// It is JSON and says something else.
    #[error("Index metadata file [{file}] is not a valid index definition: {reason}")]
    Invalid {
        /// The file's name in the package.
        file: String,
        /// What is wrong.
        reason: String,
    },
}
