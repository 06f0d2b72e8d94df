//! What goes back instead of the resource: APISIX's status, and a sentence.

use gateward_proxy::validation::Fault;
use http::StatusCode;
use serde_json::{Value, json};

use super::Reply;
use crate::authenticate::Refusal;
use crate::request::{self, BodyRefused};
use crate::resources::ResourceError;

/// What goes back instead of the resource.
#[derive(Debug)]
pub(super) struct Problem(Box<Reply>);

impl Problem {
    pub(super) fn status(status: StatusCode, text: impl Into<String>) -> Self {
        Self::body(status, json!({"error_msg": text.into()}))
    }

    pub(super) fn body(status: StatusCode, body: Value) -> Self {
        Self(Box::new(Reply::Json(status, body)))
    }

    /// A 400 that is no JSON, which APISIX has one of.
    pub(super) fn plain(text: &'static str) -> Self {
        Self(Box::new(Reply::Text(StatusCode::BAD_REQUEST, text)))
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::status(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::status(StatusCode::NOT_FOUND, text)
    }

    pub(super) fn not_allowed(text: impl Into<String>) -> Self {
        Self::status(StatusCode::METHOD_NOT_ALLOWED, text)
    }

    pub(super) fn missing() -> Self {
        Self::body(StatusCode::NOT_FOUND, json!({"message": "Key not found"}))
    }

    pub(super) fn unauthorized(description: &str) -> Self {
        let body = json!({"error_msg": "failed to check token", "description": description});
        Self::body(StatusCode::UNAUTHORIZED, body)
    }

    pub(super) fn into_reply(self) -> Reply {
        *self.0
    }
}

impl From<ResourceError> for Problem {
    fn from(error: ResourceError) -> Self {
        Self::status(error.status(), error.to_string())
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::bad(fault.to_string())
    }
}

impl From<BodyRefused> for Problem {
    fn from(refused: BodyRefused) -> Self {
        match refused {
            // APISIX's status and words, so far as the size is known.
            BodyRefused::TooLarge => Self::bad(format!(
                "invalid request body: request size is greater than the maximum size {} allowed",
                request::MAX_BODY
            )),
            BodyRefused::Broken => Self::bad(format!("invalid request body: {refused}")),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::unauthorized(match refusal {
            Refusal::Missing => "missing apikey",
            Refusal::Wrong => "wrong apikey",
            Refusal::Forbidden | Refusal::Unavailable => {
                return Self::status(refusal.status(), refusal.to_string());
            }
        })
    }
}
