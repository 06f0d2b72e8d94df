//! What Secrets Manager answered, sorted by what it means for us.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateward_net::retry_after;
use gateward_seal::SecretValue;
use http::StatusCode;
use http::response::Parts;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Bytestring, Secret, SecretError};
use crate::ErrorType;

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "SecretString")]
    text: Option<SecretValue>,
    #[serde(rename = "SecretBinary")]
    binary: Option<SecretValue>,
}

/// Reads an answer.
pub(super) fn read(head: &Parts, body: &[u8]) -> Result<Secret, SecretError> {
    if head.status != StatusCode::OK {
        return Err(classify(head, ErrorType::of_answer(head, body)));
    }
    let garbage = || SecretError::Garbage { status: 200, error: ErrorType::default() };
    // A list would do for an object whose fields come in the same order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(garbage());
    }
    // serde_json quotes what it dislikes, and that may be the secret.
    let found: Found = serde_json::from_slice(body).map_err(|_| garbage())?;
    match found {
        Found { text: Some(text), .. } => Ok(Secret::Text(text)),
        Found { binary: Some(encoded), .. } => {
            let decoded = STANDARD.decode(encoded.expose()).map_err(|_| garbage())?;
            Ok(Secret::Binary(Bytestring(Zeroizing::new(decoded))))
        }
        Found { text: None, binary: None } => Err(garbage()),
    }
}

fn classify(head: &Parts, error: ErrorType) -> SecretError {
    let (status, rest) = (head.status.as_u16(), retry_after(&head.headers));
    match (error.as_str(), status) {
        // AWS throttles with 400, so the name decides before the status.
        (
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "ProvisionedThroughputExceededException"
            | "LimitExceededException",
            _,
        )
        | (_, 429) => SecretError::Throttled { error, rest },
        // A secret that waits for its deletion is an invalid request; a name that no secret can have, an invalid
        // parameter.
        (
            "ResourceNotFoundException"
            | "InvalidRequestException"
            | "InvalidParameterException"
            | "ValidationException",
            400..=499,
        ) => SecretError::NotFound(error),
        (_, 500..=599) | ("InternalServiceError" | "InternalFailure" | "ServiceUnavailable", _) => {
            SecretError::Unavailable { status, error, rest }
        }
        (
            "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "OptInRequired"
            | "NotAuthorized"
            | "DecryptionFailure",
            _,
        )
        | (_, 401 | 403) => SecretError::Denied(error),
        (_, status) => SecretError::Garbage { status, error },
    }
}
