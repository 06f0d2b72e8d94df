//! What it takes to send a request a second time.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, Version};

use crate::{Body, FetchError};

/// A copy of a request that may be sent a second time, whether or not the peer got it the first time.
pub(super) struct Replay {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Replay {
    /// A copy of `request`, if doing it twice is doing it once and its body is at hand.
    pub(super) fn of(request: &Request<Body>) -> Option<Self> {
        if !request.method().is_idempotent() {
            return None;
        }
        Some(Self {
            body: request.body().bytes()?,
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    fn request(self) -> Request<Body> {
        let mut request = Request::new(Body::full(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        *request.version_mut() = Version::HTTP_11;
        request
    }
}

/// A request that got no answer.
pub(super) struct Unanswered {
    pub(super) error: FetchError,
    /// The request itself, when not a byte of it was written.
    pub(super) unsent: Option<Request<Body>>,
}

impl Unanswered {
    /// The request to send once more, if the connection died of itself and it is safe to do so; else the error.
    pub(super) fn again(self, replay: Option<Replay>) -> Result<Request<Body>, FetchError> {
        if let Some(unsent) = self.unsent {
            return Ok(unsent);
        }
        match (&self.error, replay) {
            (FetchError::Closed(_), Some(replay)) => Ok(replay.request()),
            // A late answer or a broken one is an answer: whoever gave it is alive and may be at work.
            _ => Err(self.error),
        }
    }
}
