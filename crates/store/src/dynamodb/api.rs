//! DynamoDB, as the engine calls it: one request, one answer, signed and carried by somebody else.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

/// Calls DynamoDB.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Calls `action` (`GetItem`, say) once with `request`, which is JSON, and returns the body of a good answer. The
    /// engine says when it is to be tried again.
    async fn call(&self, action: &'static str, request: Bytes) -> Result<Bytes, Failure>;
}

/// Why a call has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// DynamoDB has answered, with an error.
    #[error(transparent)]
    Refused(Refusal),
    /// No answer has come, and DynamoDB may have done it.
    #[error("DynamoDB has not answered")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// DynamoDB has not heard of it, and may the next time.
    #[error("DynamoDB cannot be reached")]
    Unreached(#[source] Box<dyn Error + Send + Sync>),
    /// It cannot be asked at all: there are no credentials, say.
    #[error("DynamoDB cannot be asked")]
    Unasked(#[source] Box<dyn Error + Send + Sync>),
}

/// An answer that is an error. Prints neither the answer nor anything that stands in it but AWS's name for the error.
#[derive(Clone)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// AWS's name for it, such as `ThrottlingException`.
    pub error: String,
    /// The answer's body.
    pub answer: Bytes,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Refusal")
            .field("status", &self.status)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DynamoDB refuses it ({}, status {})", self.error, self.status)
    }
}

impl Error for Refusal {}
