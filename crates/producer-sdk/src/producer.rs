//! What a producer does, and how it says that it could not.

use std::future::Future;

use crate::protocol::{
    CreateRequest, CreateResponse, RevokeRequest, RevokeResponse, RotateRequest, RotateResponse,
};

/// Makes and unmakes credentials. Calls come in at the same time as others; whoever called was verified.
pub trait Producer: Send + Sync + 'static {
    /// Makes a credential. See [`CreateRequest::is_dry_run`] and [`CreateRequest::request_id`].
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<CreateResponse, Failure>> + Send;

    /// Unmakes credentials. The dry run's id comes here too. What is named in neither list of the answer is
    /// asked for again, so a revocation that went half way names what it did and leaves the rest out.
    fn revoke(&self, request: RevokeRequest) -> impl Future<Output = Result<RevokeResponse, Failure>> + Send;

    /// Replaces the producer's own secret. A producer that cannot leaves this out.
    fn rotate(
        &self,
        _request: RotateRequest,
    ) -> impl Future<Output = Result<RotateResponse, Failure>> + Send {
        std::future::ready(Err(Failure::Unsupported))
    }
}

/// Why a producer did not do what it was asked. The text is shown to people, and must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What the user gave is wrong, and will be wrong again (400).
    #[error("{0}")]
    BadInput(String),
    /// It did not work (500).
    #[error("{0}")]
    Failed(String),
    /// It does not work at the moment (503).
    #[error("{0}")]
    Unavailable(String),
    /// This producer does not do that (501).
    #[error("this producer does not support the operation")]
    Unsupported,
}
