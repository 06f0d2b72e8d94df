//! What Lambda answers to a call, as the client gets to see it.

use gateward_model::Failure;
use gateward_net::{Body, remove_hop_by_hop};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::LARGEST_CALL;
use super::failures::{self, Refusal};
use super::integration::Integrated;
use super::streamed;

/// What is made of what a function returns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Whether it is an answer that the function has put together.
    pub(super) is_integration: bool,
    /// Whether one without a status is a body by itself.
    pub(super) infers: bool,
    /// Whether it comes as a stream of events.
    pub(super) is_streamed: bool,
    /// The status of a crash, beside what the crash has left.
    pub(super) unhandled_status: Option<StatusCode>,
    /// Whether Lambda's own refusals keep their status.
    pub(super) keeps_status: bool,
    /// Whether the client may see the end of the function's log.
    pub(super) tells_log: bool,
}

impl Reading {
    /// Makes an answer of Lambda's.
    pub(super) async fn read(
        &self,
        method: &Method,
        response: Response<Body>,
    ) -> Result<Response<Body>, Failure> {
        if !matches!(response.status(), StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Err(Refusal::read(response).await.failure(self.keeps_status));
        }
        let response = self.stripped(response);
        if let Some(how) = response.headers().get(&FUNCTION_ERROR).cloned() {
            return self.crashed(&how, response).await;
        }
        // Only a call that waits for the function returns something of its.
        let returns = response.status() == StatusCode::OK;
        let answer = match (self.is_streamed && returns, self.is_integration && returns) {
            (true, is_integration) => {
                streamed::answer(response, is_integration.then_some(self.infers)).await?
            }
            (false, true) => self.collected(response).await?,
            (false, false) => response,
        };
        Ok(if method == Method::HEAD { without_body(answer) } else { answer })
    }

    async fn collected(&self, response: Response<Body>) -> Result<Response<Body>, Failure> {
        let (head, body) = response.into_parts();
        let returned = body.collect(LARGEST_ANSWER).await.map_err(|error| failures::broken(&error))?;
        match Integrated::read(&returned, self.infers) {
            Ok(answer) => Ok(integrated(head.headers, answer)),
            Err(reason) => Err(failures::bad_answer(&head.headers, &reason)),
        }
    }

    async fn crashed(
        &self,
        how: &HeaderValue,
        mut response: Response<Body>,
    ) -> Result<Response<Body>, Failure> {
        let how = how.to_str().unwrap_or_default();
        match self.unhandled_status {
            Some(status) if how == "Unhandled" && !self.is_integration => {
                *response.status_mut() = status;
                Ok(response)
            }
            _ => {
                let (head, body) = response.into_parts();
                let left = body.collect(LARGEST_ANSWER).await.map_err(|error| failures::broken(&error))?;
                Err(failures::crash(&head.headers, how, &left))
            }
        }
    }

    /// Takes from Lambda's headers what is about its connection, and what is not for the client.
    fn stripped(&self, mut response: Response<Body>) -> Response<Body> {
        let headers = response.headers_mut();
        remove_hop_by_hop(headers);
        if !self.tells_log {
            headers.remove(&LOG_RESULT);
        }
        response
    }
}

/// A function's own answer; what it does not say of its body is what Lambda says of all.
pub(super) fn integrated(mut lambda: HeaderMap, answer: Integrated) -> Response<Body> {
    lambda.remove(http::header::CONTENT_LENGTH);
    lambda.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut replaced = None;
    for (name, value) in answer.headers {
        // A name comes with the first of its values only.
        match name {
            Some(name) => {
                lambda.insert(&name, value);
                replaced = Some(name);
            }
            None => {
                if let Some(name) = &replaced {
                    lambda.append(name, value);
                }
            }
        }
    }
    let mut response = Response::new(Body::full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = lambda;
    response
}

/// The answer to a request that asked for none of it.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    *response.body_mut() = Body::empty();
    response
}

/// The header that `unhandled_status` is about.
static FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// The header with the end of a function's log.
static LOG_RESULT: HeaderName = HeaderName::from_static("x-amz-log-result");

/// A function returns 6 MiB at most, and what is held of it is no more; with room for what Lambda may add.
const LARGEST_ANSWER: usize = LARGEST_CALL + 64 * 1024;
