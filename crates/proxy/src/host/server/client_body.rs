//! The body of a request, as the client sends it: no larger and no slower than it may be.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gateward_net::Body;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;

/// What a client did wrong with a body. Whoever serves the request sees the body break off, and cannot tell why.
pub(super) type Fault = Rc<Cell<Option<BodyFault>>>;

/// What a client did wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyFault {
    #[error("the body of the request is larger than is taken here")]
    TooLarge,
    #[error("no more of the request's body came for too long")]
    TooSlow,
}

/// The body `incoming`, held to `limits`. A fault of it is written down in `fault`.
pub(super) fn held_to(limits: &Limits, incoming: Incoming, fault: Fault) -> Body {
    Body::boxed(ClientBody {
        incoming,
        left: limits.body_bytes.unwrap_or(u64::MAX),
        idle: limits.body_idle,
        alarm: None,
        fault,
    })
}

struct ClientBody {
    incoming: Incoming,
    left: u64,
    idle: Duration,
    /// Set while somebody wants more and none comes: only that time is the client's.
    alarm: Option<Pin<Box<Sleep>>>,
    fault: Fault,
}

impl ClientBody {
    fn broken<T>(&self, fault: BodyFault) -> Poll<Option<Result<T, BodyError>>> {
        self.fault.set(Some(fault));
        Poll::Ready(Some(Err(BodyError::Fault(fault))))
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.alarm = None;
                let length = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                let Some(left) = this.left.checked_sub(length) else {
                    return this.broken(BodyFault::TooLarge);
                };
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let due = || Box::pin(sleep_until(Instant::now() + this.idle));
                let alarm = this.alarm.get_or_insert_with(due);
                match alarm.as_mut().poll(cx) {
                    Poll::Ready(()) => this.broken(BodyFault::TooSlow),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the connection broke off")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    Fault(BodyFault),
}
