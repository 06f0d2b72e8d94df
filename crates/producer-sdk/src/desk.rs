//! What every request meets, however it came in: is it one of the calls, is it the gateway's, what does the producer say.
//!
//! A request is verified before its body is read as anything but bytes; what is said of a bad one never repeats what was
//! in it. Dry runs end here: the producer is asked whether its payload is good, and makes nothing.

use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::producer::{Failure, Producer};
use crate::protocol::{CreateRequest, Operation, RevokeRequest, RevokeResponse};
use crate::token::{Call, Refused};
use crate::verifier::{Verifier, VerifyError};

/// A producer, and who may call it.
pub(crate) struct Desk<P> {
    producer: P,
    verifier: Verifier,
}

/// A request, without what it came in.
pub(crate) struct Asked<'a> {
    /// By its path and method.
    pub(crate) operation: Operation,
    /// Each header that should hold the gateway's token.
    pub(crate) tokens: &'a [&'a [u8]],
    /// Under which origins this producer is called.
    pub(crate) origins: &'a [String],
    pub(crate) body: &'a [u8],
}

/// What is answered: a status, and JSON.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) json: String,
}

/// A request that was not served, and the sentence that says why.
pub(crate) struct Rejection {
    status: StatusCode,
    reason: String,
}

/// Which of the calls this is.
pub(crate) fn operation(method: &Method, path: &str) -> Result<Operation, Rejection> {
    let Some(operation) = Operation::from_path(path) else {
        let reason = "the path must end in create, revoke, rotate or list";
        return Err(Rejection::new(StatusCode::NOT_FOUND, reason));
    };
    if method != Method::POST {
        return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "only POST is served"));
    }
    Ok(operation)
}

impl<P: Producer> Desk<P> {
    pub(crate) fn new(producer: P, verifier: Verifier) -> Self {
        Self { producer, verifier }
    }

    /// The producer's answer, or why there is none.
    pub(crate) async fn answer(&self, asked: Asked<'_>) -> Answer {
        match self.serve(asked).await {
            Ok(json) => Answer { status: StatusCode::OK, json },
            Err(rejection) => rejection.told(),
        }
    }

    async fn serve(
        &self,
        Asked { operation, tokens, origins, body }: Asked<'_>,
    ) -> Result<String, Rejection> {
        let token = match tokens {
            [] => return Err(VerifyError::Refused(Refused::Missing).into()),
            [token] => std::str::from_utf8(token).map_err(|_| VerifyError::Refused(Refused::Malformed))?,
            _ => return Err(VerifyError::Refused(Refused::Malformed).into()),
        };
        self.verifier.verify(token, Call { origins, operation, body }).await?;
        match operation {
            Operation::Create => {
                let request: CreateRequest = read(body)?;
                if request.is_dry_run() { self.dry_run(request).await } else { self.create(request).await }
            }
            Operation::Revoke => written(&self.revoke(read(body)?).await?),
            Operation::Rotate => written(&self.producer.rotate(read(body)?).await?),
            Operation::List => written(&self.producer.list(read(body)?).await?),
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<String, Rejection> {
        let created = self.producer.create(request).await?;
        if created.id.is_empty() {
            // Nobody could revoke it.
            return Err(Failure::Failed("the producer has given its credential no id".to_owned()).into());
        }
        written(&created)
    }

    async fn dry_run(&self, request: CreateRequest) -> Result<String, Rejection> {
        self.producer.dry_run(request.payload).await?;
        let capabilities = self.producer.capabilities();
        written(&json!({"id": DRY_RUN_ID, "response": {}, "capabilities": capabilities}))
    }

    async fn revoke(&self, mut request: RevokeRequest) -> Result<RevokeResponse, Rejection> {
        let (tried, ids): (Vec<_>, Vec<_>) = request.ids.into_iter().partition(|id| id == DRY_RUN_ID);
        request.ids = ids;
        let mut answer = if request.ids.is_empty() {
            RevokeResponse::default()
        } else {
            self.producer.revoke(request).await?
        };
        answer.revoked.extend(tried);
        Ok(answer)
    }
}

impl Rejection {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// What the caller is told, and the log.
    pub(crate) fn told(self) -> Answer {
        tracing::warn!(status = self.status.as_u16(), reason = self.reason, "a request was not served");
        Answer { status: self.status, json: json!({ "error": self.reason }).to_string() }
    }
}

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Refused(refused) => {
                Self::new(StatusCode::UNAUTHORIZED, format!("invalid credentials: {refused}"))
            }
            VerifyError::Unavailable(ref cause) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}: {cause}"))
            }
        }
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let status = match failure {
            Failure::BadInput(_) => StatusCode::BAD_REQUEST,
            Failure::BadPayload(_) => StatusCode::FORBIDDEN,
            Failure::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Unsupported => StatusCode::NOT_IMPLEMENTED,
        };
        Self::new(status, failure.to_string())
    }
}

/// Says where a body is wrong, and not what stands there: it holds the payload.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    // Ahead of the fields, for a list would be taken for an object, field by field.
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let read = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what =
            if error.is_data() { "has a field that is missing or of the wrong type" } else { "is not JSON" };
        format!("the body {what} (line {line}, column {column})")
    });
    match read {
        Ok(read) if is_object => Ok(read),
        Ok(_) => Err(Rejection::new(StatusCode::BAD_REQUEST, "the body is no JSON object")),
        Err(reason) => Err(Rejection::new(StatusCode::BAD_REQUEST, reason)),
    }
}

fn written<T: Serialize>(answer: &T) -> Result<String, Rejection> {
    serde_json::to_string(answer).map_err(|_| {
        Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON")
    })
}

/// The id that a dry run gets, and that its revocation brings back. No credential has it.
const DRY_RUN_ID: &str = "dry-run";
