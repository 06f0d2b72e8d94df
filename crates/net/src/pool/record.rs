//! What it takes to send a request a second time over HTTP/2.
//!
//! A peer may refuse an exchange after a part of its body has been sent. What has been sent of it is kept, up to
//! [`LONGEST`] bytes: most calls of gRPC are one short message. Pieces of a body are shared and not copied.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};

use crate::{Body, BodyError};

/// A request that is being sent, and could be sent again.
pub(super) struct Record {
    head: Request<()>,
    body: Rc<RefCell<Taken>>,
}

/// A body, of which some was taken.
#[derive(Default)]
struct Taken {
    rest: Body,
    /// What was taken, in reverse once it is being given again.
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Whether something was taken that was not kept.
    lost: bool,
    /// Whether all of it goes elsewhere now. A connection that still sends it must not take it for ended: half a body
    /// would pass for a whole one.
    gone: bool,
}

impl Record {
    /// Keeps `request`, and returns the one to send.
    pub(super) fn of(request: Request<Body>) -> (Self, Request<Body>) {
        let (parts, body) = request.into_parts();
        let mut head = Request::new(());
        *head.method_mut() = parts.method.clone();
        *head.uri_mut() = parts.uri.clone();
        *head.version_mut() = parts.version;
        *head.headers_mut() = parts.headers.clone();
        let whole = body.bytes();
        let taken = Taken { rest: Body::empty(), ..Taken::default() };
        let (kept, sent) = match whole {
            Some(bytes) => (Taken { rest: Body::full(bytes), ..taken }, body),
            None => {
                let shared = Rc::new(RefCell::new(Taken { rest: body, ..taken }));
                let sent = Body::boxed_here(Recorded(Rc::clone(&shared)));
                return (Self { head, body: shared }, Request::from_parts(parts, sent));
            }
        };
        (Self { head, body: Rc::new(RefCell::new(kept)) }, Request::from_parts(parts, sent))
    }

    /// The same request, if all of its body is still at hand.
    pub(super) fn again(self) -> Option<Request<Body>> {
        let mut taken = self.body.replace(Taken { lost: true, gone: true, ..Taken::default() });
        if taken.lost {
            return None;
        }
        if taken.pieces.is_empty() {
            return Some(self.head.map(|()| taken.rest));
        }
        taken.pieces.reverse();
        Some(self.head.map(|()| Body::boxed_here(Again(taken))))
    }

    /// The same request, if doing it twice is doing it once.
    pub(super) fn again_if_idempotent(self) -> Option<Request<Body>> {
        if self.head.method().is_idempotent() { self.again() } else { None }
    }
}

/// The body that is sent, and of which is kept what was taken.
struct Recorded(Rc<RefCell<Taken>>);

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut taken = self.0.borrow_mut();
        if taken.gone {
            return Poll::Ready(Some(Err(BodyError::Source("the request is sent elsewhere".into()))));
        }
        let frame = Pin::new(&mut taken.rest).poll_frame(cx);
        if let Poll::Ready(Some(frame)) = &frame {
            match frame.as_ref().ok().and_then(Frame::data_ref) {
                Some(data) if !taken.lost && taken.bytes + data.len() <= LONGEST => {
                    taken.bytes += data.len();
                    taken.pieces.push(data.clone());
                }
                _ => {
                    taken.lost = true;
                    taken.pieces = Vec::new();
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let taken = self.0.borrow();
        !taken.gone && taken.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.borrow().rest.size_hint()
    }
}

/// A body that begins with what was taken of it before.
struct Again(Taken);

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pieces.pop() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut self.0.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.pieces.is_empty() && self.0.rest.is_end_stream()
    }
}

/// How much of a body is kept, in bytes.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::*;

    async fn frame(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_that_goes_elsewhere_is_whole_there_and_breaks_off_where_it_was() {
        let pieces = ["one", "two"].map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece))));
        let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
        let (record, sent) = Record::of(Request::put("/").body(body).unwrap());
        let mut sent = sent.into_body();
        assert_eq!(frame(&mut sent).await.unwrap().unwrap(), "one");
        let again = record.again_if_idempotent().unwrap();
        assert_eq!(again.into_body().collect(6).await.unwrap(), "onetwo");
        assert!(!sent.is_end_stream());
        assert!(frame(&mut sent).await.unwrap().is_err());
    }
}
