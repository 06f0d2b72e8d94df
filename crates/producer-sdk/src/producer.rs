//! What a producer does, and how it says that it could not.

use std::future::Future;

use crate::protocol::{
    Capabilities, CreateRequest, CreateResponse, ListRequest, ListResponse, Payload, RevokeRequest,
    RevokeResponse, RotateRequest, RotateResponse,
};

/// Makes and unmakes credentials. Calls come in at the same time as others; whoever called was verified.
pub trait Producer: Send + Sync + 'static {
    /// Makes a credential. [`CreateRequest::unique_name`] names it so that the same request makes it once.
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<CreateResponse, Failure>> + Send;

    /// Unmakes credentials. What is named in neither list of the answer is asked for again, so a revocation that
    /// went half way names what it did and leaves the rest out.
    fn revoke(&self, request: RevokeRequest) -> impl Future<Output = Result<RevokeResponse, Failure>> + Send;

    /// What it can besides. It promises what it says: see [`Capabilities`].
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Tries whether `payload` is good for anything, before a gateway keeps it. Nothing is to be made.
    fn dry_run(&self, _payload: Payload) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }

    /// Replaces the producer's own secret. A producer that cannot leaves this out.
    fn rotate(
        &self,
        _request: RotateRequest,
    ) -> impl Future<Output = Result<RotateResponse, Failure>> + Send {
        std::future::ready(Err(Failure::Unsupported))
    }

    /// Names the credentials that exist; with [`Capabilities::list`]. So people find those that no gateway knows.
    fn list(&self, _request: ListRequest) -> impl Future<Output = Result<ListResponse, Failure>> + Send {
        std::future::ready(Err(Failure::Unsupported))
    }
}

/// Why a producer did not do what it was asked. The text is shown to people, and must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What the user gave is wrong, and will be wrong again (400).
    #[error("{0}")]
    BadInput(String),
    /// The payload is not taken any more, or not yet (403): a gateway that has another one tries that.
    #[error("{0}")]
    BadPayload(String),
    /// It did not work (500), and may have gone half way: a gateway asks again, or keeps it for a person to look at.
    #[error("{0}")]
    Failed(String),
    /// It does not work at the moment (503), and nothing was done.
    #[error("{0}")]
    Unavailable(String),
    /// This producer does not do that (501).
    #[error("this producer does not support the operation")]
    Unsupported,
}

/// What went wrong below is a [`Failure::Failed`], so that `?` does.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
