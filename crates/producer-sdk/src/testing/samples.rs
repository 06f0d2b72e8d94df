//! Producers that make nothing, for the tests of whoever calls producers.

use std::convert::Infallible;

use crate::producer::{Failure, Producer};
use crate::protocol::{CreateRequest, CreateResponse, RevokeRequest, RevokeResponse};

/// Producers that make nothing.
pub struct Producers;

impl Producers {
    /// Answers with what the user gave, under a fresh id, and calls everything revoked. Asked with `{"bad": …}` it refuses.
    pub fn echo() -> impl Producer {
        Echo
    }
}

struct Echo;

impl Producer for Echo {
    async fn create(&self, request: CreateRequest) -> Result<CreateResponse, Failure> {
        if request.input.contains_key("bad") {
            return Err(Failure::BadInput("\"bad\" is not to be given".to_owned()));
        }
        Ok(CreateResponse::new(request.unique_name("echo-"), request.input))
    }

    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
        Ok(RevokeResponse::each(request.ids, |_| Ok::<_, Infallible>(true)))
    }
}
