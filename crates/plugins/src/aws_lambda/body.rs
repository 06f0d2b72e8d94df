//! A request's body, where all of it is needed: to be hashed, or to become an event.

use std::time::Duration;

use bytes::Bytes;
use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::{Body, CollectError, FetchError};
use http_body::Body as _;

/// What Lambda itself takes in one call that waits for the answer.
pub(super) const LARGEST_CALL: usize = 6 * 1024 * 1024;

/// The whole body, if it has at most `limit` bytes.
pub(super) async fn collect(body: Body, limit: usize) -> Result<Bytes, Failure> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(LONGEST_COLLECTION, body.collect(limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(CollectError::TooLarge { limit })) => Err(too_large(limit)),
        Ok(Err(error @ CollectError::Broken(_))) => {
            let message = "the request's body broke off";
            Err(Failure::new(ErrorStatus::BAD_REQUEST, Origin::Client, "request_body_broken", message)
                .with_detail(error.to_string()))
        }
        Err(_elapsed) => Err(FetchError::RequestBodyTimeout.failure(Origin::Function)),
    }
}

/// The request has a body of more than `limit` bytes.
pub(super) fn too_large(limit: usize) -> Failure {
    let message = format!("the request's body is larger than the {limit} bytes that the function takes");
    Failure::new(ErrorStatus::TOO_LARGE, Origin::Client, "body_too_large", message)
}

/// The event that was made of a request is too large, though the body alone was not: in base64 it is longer by a third.
pub(super) fn event_too_large(size: usize, limit: usize) -> Failure {
    let message = format!(
        "the event made of the request has {size} bytes, more than the {limit} that the function takes; a binary body is \
         longer by a third in it"
    );
    Failure::new(ErrorStatus::TOO_LARGE, Origin::Client, "body_too_large", message)
}

/// How long a client may take to send a body that must be whole before it is sent on.
const LONGEST_COLLECTION: Duration = Duration::from_secs(60);
