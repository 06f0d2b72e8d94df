//! An answer on its way while it is made: the prelude, then the body part by part.
//!
//! What goes wrong in its middle stands in trailers, so that Lambda does not take the answer for a whole one.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use gateward_net::Body;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;

use super::Deadline;
use super::event::{Form, prelude};

/// The body of the call that answers an event.
pub(super) struct Streamed {
    prelude: Option<Bytes>,
    body: Body,
    deadline: Option<Deadline>,
    ended: bool,
}

impl Streamed {
    /// The answer `response` to an event of `form`, which must be whole before `deadline`.
    pub(super) fn new(form: Form, response: Response<Body>, deadline: Option<Deadline>) -> Self {
        let (head, body) = response.into_parts();
        let prelude = prelude(form, head.status, &head.headers);
        Self { prelude: Some(prelude), body, deadline, ended: false }
    }

    fn fail(&mut self, kind: &'static str, told: &'static str) -> Frame<Bytes> {
        tracing::warn!(kind, "an answer ended in its middle");
        self.ended = true;
        let mut trailers = HeaderMap::new();
        trailers.insert(ERROR_TYPE, HeaderValue::from_static(kind));
        trailers.insert(ERROR_BODY, HeaderValue::from_static(told));
        Frame::trailers(trailers)
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Some(prelude) = this.prelude.take() {
            return Poll::Ready(Some(Ok(Frame::data(prelude))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        if this.deadline.as_mut().is_some_and(|deadline| deadline.poll_unpin(context).is_ready()) {
            return Poll::Ready(Some(Ok(this.fail("Gateward.Timeout", LATE))));
        }
        loop {
            let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
            match frame {
                // Trailers of an upstream have no place in an answer of Lambda's.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(_trailers) => {}
                },
                Some(Err(_broken)) => return Poll::Ready(Some(Ok(this.fail("Gateward.AnswerBroken", CUT)))),
                None => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

pub(super) const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
pub(super) const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// `{"errorMessage": …}`, base64, as the Runtime API wants it.
const CUT: &str = "eyJlcnJvck1lc3NhZ2UiOiJ0aGUgYW5zd2VyIGJyb2tlIG9mZiJ9";
const LATE: &str = "eyJlcnJvck1lc3NhZ2UiOiJ0aGUgZnVuY3Rpb24ncyB0aW1lIHdhcyBvdmVyIn0=";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    #[test]
    fn errors_in_trailers_are_json_in_base64() {
        for (text, told) in [(super::CUT, "broke off"), (super::LATE, "was over")] {
            let json: serde_json::Value =
                serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
            assert!(json["errorMessage"].as_str().unwrap().ends_with(told));
        }
    }
}
