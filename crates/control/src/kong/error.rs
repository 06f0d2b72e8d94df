//! Kong's errors: a number, a name, a sentence, and the fields.

use axum::response::Response;
use gateward_model::Invalid;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::authenticate::Refusal;
use crate::request::{BodyRefused, json_answer};
use crate::resources::ResourceError;

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum KongError {
    /// A field is wrong.
    Schema { field: String, problem: String },
    /// The body is no JSON, or no form.
    Unreadable(&'static str),
    /// The body is of a kind that is not read here.
    MediaType,
    /// The body cannot be had.
    Body(BodyRefused),
    /// There is no such vault.
    NotFound,
    /// Not with this method.
    MethodNotAllowed,
    /// Vaults stand in a declarative file.
    Declared,
    /// No token, or a wrong one.
    Refused(Refusal),
    /// The store failed, or somebody else was faster.
    Resource(ResourceError),
}

impl KongError {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Schema { field: field.into(), problem: problem.into() }
    }

    pub(super) fn answer(self) -> Response {
        let message = |status, text: String| json_answer(status, &json!({"message": text}));
        match self {
            Self::Schema { field, problem } => {
                let body = json!({
                    "code": 2, "name": "schema violation",
                    "message": format!("schema violation ({field}: {problem})"),
                    "fields": nested(&field, &problem),
                });
                json_answer(StatusCode::BAD_REQUEST, &body)
            }
            Self::Unreadable(what) => message(StatusCode::BAD_REQUEST, what.to_owned()),
            Self::MediaType => {
                let text = "send application/json or application/x-www-form-urlencoded";
                message(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned())
            }
            Self::Body(refused) => message(refused.status(), refused.to_string()),
            Self::NotFound => message(StatusCode::NOT_FOUND, "Not found".to_owned()),
            Self::MethodNotAllowed => {
                message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".to_owned())
            }
            Self::Declared => {
                let text = "vaults stand in the declarative file, and can only be read here; change the file";
                message(StatusCode::METHOD_NOT_ALLOWED, text.to_owned())
            }
            Self::Refused(refusal) => message(StatusCode::UNAUTHORIZED, refusal.to_string()),
            Self::Resource(error @ ResourceError::Changed) => {
                message(StatusCode::CONFLICT, error.to_string())
            }
            Self::Resource(error) => message(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

impl From<Invalid> for KongError {
    fn from(invalid: Invalid) -> Self {
        Self::field(
            if invalid.field.is_empty() { "@entity".to_owned() } else { invalid.field },
            invalid.problem,
        )
    }
}

impl From<BodyRefused> for KongError {
    fn from(refused: BodyRefused) -> Self {
        Self::Body(refused)
    }
}

impl From<ResourceError> for KongError {
    fn from(error: ResourceError) -> Self {
        Self::Resource(error)
    }
}

/// `config.region` is the field `region` of the field `config`.
fn nested(field: &str, problem: &str) -> Value {
    let mut value = Value::from(problem);
    for name in field.rsplit('.') {
        let mut outer = Map::new();
        outer.insert(name.to_owned(), value);
        value = Value::Object(outer);
    }
    value
}
