//! The answer of a function that streams.
//!
//! Its head must be known before the first byte goes on: for a function that speaks HTTP it stands in front of the body, as
//! JSON and eight NULs; for any other, that the function has begun to write is enough. What a function fails with later
//! can no longer be said, so the body breaks off, and nobody takes a part for the whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use gateward_model::Failure;
use gateward_net::Body;
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;

use super::event_stream::{Broken, EventStream, Part};
use super::integration::Integrated;
use super::{answer, failures};

/// What the function streams, from its first part on.
struct Streamed {
    /// What was read of the body with the head.
    ahead: Bytes,
    stream: Option<EventStream>,
    /// Why it breaks off, once it is to.
    broken: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the function failed while it was answering ({0})")]
struct Failed(String);

/// The answer in `response`, whose body is a stream of events. `integration` is whether the function says the head
/// itself, and if so whether one without status is a body by itself.
pub(super) async fn answer(
    response: Response<Body>,
    integration: Option<bool>,
) -> Result<Response<Body>, Failure> {
    let (head, body) = response.into_parts();
    let stream = EventStream::new(body);
    match integration {
        Some(infer) => integrated(head.headers, stream, infer).await,
        None => plain(head.headers, stream).await,
    }
}

async fn plain(lambda: HeaderMap, mut stream: EventStream) -> Result<Response<Body>, Failure> {
    let (ahead, stream) = match part(&lambda, &mut stream).await? {
        Some(first) => (first, Some(stream)),
        None => (Bytes::new(), None),
    };
    let mut response = Response::new(body(ahead, stream));
    // What the function writes is anything; what Lambda says of the stream that it came in is not about that.
    *response.headers_mut() = lambda;
    response.headers_mut().remove(http::header::CONTENT_TYPE);
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(response)
}

async fn integrated(
    lambda: HeaderMap,
    mut stream: EventStream,
    infer: bool,
) -> Result<Response<Body>, Failure> {
    let mut gathered = BytesMut::new();
    let mut searched = 0;
    loop {
        let Some(more) = part(&lambda, &mut stream).await? else {
            // A function that does not stream returns all of it at once.
            let returned = Integrated::read(&gathered.freeze(), infer);
            let integrated = returned.map_err(|reason| failures::bad_answer(&lambda, &reason))?;
            return Ok(answer::integrated(lambda, integrated));
        };
        gathered.extend_from_slice(&more);
        if let Some(end) = memchr::memmem::find(&gathered[searched..], &NULS).map(|at| searched + at) {
            let prelude = gathered.split_to(end).freeze();
            let ahead = gathered.split_off(NULS.len()).freeze();
            let read = Integrated::read(&prelude, false);
            let integrated = read.map_err(|reason| failures::bad_answer(&lambda, &reason))?;
            let mut response = answer::integrated(lambda, Integrated { body: Bytes::new(), ..integrated });
            if may_have_body(response.status()) {
                response.headers_mut().remove(http::header::CONTENT_LENGTH);
                *response.body_mut() = body(ahead, Some(stream));
            }
            return Ok(response);
        }
        searched = gathered.len().saturating_sub(NULS.len() - 1);
        if gathered.len() > LARGEST_PRELUDE {
            let reason = "no head within the first bytes that were streamed";
            return Err(failures::bad_answer(&lambda, reason));
        }
    }
}

/// The next bytes; nothing, if there are no more.
async fn part(lambda: &HeaderMap, stream: &mut EventStream) -> Result<Option<Bytes>, Failure> {
    match stream.next().await {
        Ok(Part::Bytes(bytes)) => Ok(Some(bytes)),
        Ok(Part::Complete) => Ok(None),
        Ok(Part::Failed(error)) => Err(failures::crash_called(lambda, "Unhandled", &error)),
        Err(Broken::Body(error)) => Err(failures::broken(&error.into())),
        Err(error) => Err(failures::broken_off(&error)),
    }
}

fn body(ahead: Bytes, stream: Option<EventStream>) -> Body {
    match stream {
        Some(stream) => Body::boxed(Streamed { ahead, stream: Some(stream), broken: None }),
        None => Body::full(ahead),
    }
}

fn may_have_body(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.ahead)))));
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let error = match std::task::ready!(stream.poll_next(cx)) {
            Ok(Part::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Ok(Part::Complete) => None,
            Ok(Part::Failed(error)) => Some(Failed(failures::name_of(&error)).into()),
            Err(error) => Some(error.into()),
        };
        self.stream = None;
        self.broken = error;
        if self.broken.is_none() {
            return Poll::Ready(None);
        }
        // What is broken off is not sent on, and a client that got nothing at all may ask again. So there is a pause, in
        // which the head goes out, and what there is of the body.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.stream.is_none() && self.broken.is_none()
    }
}

/// What parts a head from its body.
const NULS: [u8; 8] = [0; 8];

/// How long a head may be, and all that is held of a stream.
const LARGEST_PRELUDE: usize = 64 * 1024;

#[cfg(test)]
mod tests;
