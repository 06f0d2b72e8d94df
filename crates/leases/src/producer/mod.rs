//! What makes and unmakes credentials.
//!
//! A producer is called over HTTP ([`custom`]). What it is told and what it must answer is [`protocol`]; how it
//! knows that the call comes from this gateway is [`token`]; where it may stand, an administrator says ([`allowed`]).
//! Some are part of the gateway, and speak the same protocol in process: [`native`] finds them.

pub mod allowed;
mod aws;
pub mod custom;
pub mod native;
mod postgresql;
pub mod protocol;
pub mod token;
mod words;

use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Timestamp;
pub use gateward_model::ProducerCapabilities as Capabilities;
use gateward_model::{DynamicSecret, ItemName, ProducerUrl};
use gateward_seal::SecretValue;
use serde_json::{Map, Value};

use self::allowed::NotAllowed;
use crate::lease::{Holder, LeaseId};

/// Makes and unmakes the credentials of one dynamic secret.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Makes one credential.
    async fn create(&self, order: &Order) -> Result<Created, CreateError>;

    /// Unmakes the credentials `ids`, and says which are gone for certain.
    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError>;

    /// Finds out, before the dynamic secret is there, whether the producer understands both calls, and what else it can;
    /// says why not.
    async fn dry_run(&self) -> Result<Capabilities, String>;

    /// The lease of the credential `id` is renewed: whatever ends the credential by itself is to do so no earlier than
    /// `expires_at`. Nothing to do where nothing does.
    async fn extend(&self, id: &str, expires_at: Timestamp) -> Result<(), RevokeCallError> {
        let _ = (id, expires_at);
        Ok(())
    }

    /// A page of the names of all credentials that exist there, after `page`; `None` if it cannot tell.
    async fn list(&self, page: Option<&str>) -> Result<Option<Listing>, RevokeCallError> {
        let _ = page;
        Ok(None)
    }
}

/// Finds the producer of a dynamic secret; the payload is for it alone.
#[async_trait]
pub trait Producers: Send + Sync + 'static {
    /// The producer of `secret`.
    fn of(&self, secret: &DynamicSecret, payload: SecretValue) -> Box<dyn Producer>;

    /// Has a payload replaced, and gives the new one.
    async fn rotate(&self, call: &RotateCall) -> Result<SecretValue, RotateError> {
        Err(RotateError::Refused(format!("the payload of {} is not to be rotated", call.item_name)))
    }

    /// Refuses `url` if the administrator lets no producer stand there.
    fn check(&self, url: &ProducerUrl) -> Result<(), NotAllowed> {
        let _ = url;
        Ok(())
    }
}

/// What it takes to have a payload replaced.
#[derive(Clone, Debug)]
pub struct RotateCall {
    /// The item whose payload it is.
    pub item_name: ItemName,
    /// Who replaces it.
    pub url: ProducerUrl,
    /// How long the call may take.
    pub timeout: Duration,
    /// What is to be replaced.
    pub payload: SecretValue,
    /// The payload before that one, if nobody knows yet whether the producer takes the newer.
    pub previous: Option<SecretValue>,
    /// The same again is the same call, whose answer was lost.
    pub rotation_id: String,
}

/// Why there is no new payload.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The producer has made none, for certain.
    #[error("{0}")]
    Refused(String),
    /// The producer may have made one.
    #[error("{reason}")]
    Lost {
        /// Why nobody knows.
        reason: String,
        /// Whether it took too long.
        timeout: bool,
    },
}

/// What is said of a producer that has not answered at all.
pub(crate) const NO_ANSWER: &str = "the producer did not answer in time";

/// What a credential is made for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The lease that the credential will belong to.
    pub lease_id: LeaseId,
    /// Who asked.
    pub holder: Holder,
    /// What they asked with.
    pub input: Map<String, Value>,
    /// How long it will live, from the answer on.
    pub ttl: Duration,
    /// A moment by which it may safely have ended by itself.
    pub expires_at: Timestamp,
}

/// A credential that was made.
#[derive(Debug)]
pub struct Created {
    /// The producer's name for it.
    pub id: String,
    /// What the caller gets, as it came.
    pub response: Map<String, Value>,
}

/// Why there is no credential to hand out.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The producer has made none, for certain.
    #[error("{0}")]
    NotCreated(String),
    /// The producer has made one, named `id`, and its answer cannot be handed out.
    #[error("{reason}")]
    Unusable {
        /// The producer's name for it.
        id: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The producer may have made one, and its name is lost.
    #[error("{reason}")]
    Lost {
        /// What happened.
        reason: String,
        /// Whether it took too long.
        timeout: bool,
    },
}

/// Which credentials are gone.
#[derive(Debug, Default)]
pub struct RevokeAnswer {
    /// Named as revoked, or as not there any more.
    pub gone: Vec<String>,
    /// What the producer says about the others; for people, and interpreted by nobody.
    pub message: Option<String>,
}

/// A page of what exists at a producer.
#[derive(Debug, Default)]
pub struct Listing {
    /// The names of credentials.
    pub ids: Vec<String>,
    /// How the next page is asked for, if there is one.
    pub next: Option<String>,
}

/// A call that says nothing about any credential.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct RevokeCallError {
    /// What that means for the next one.
    pub failure: RevokeFailure,
    /// What happened, for people.
    pub words: String,
}

impl RevokeCallError {
    /// One that may have passed by the next time.
    pub fn transient(words: impl Into<String>) -> Self {
        Self { failure: RevokeFailure::Transient, words: words.into() }
    }
}

/// How an attempt to revoke has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeFailure {
    /// The producer could not be reached, or could not do it: tried again soon.
    Transient,
    /// It has answered, and has not named this credential as gone: tried again soon.
    Unnamed,
    /// It does not know the gateway, or the address is wrong (401, 403, 404, 410): somebody must put that right.
    Misconfigured,
    /// It has understood the call and will not do it (400, 422): somebody must look at it.
    Refused,
}
