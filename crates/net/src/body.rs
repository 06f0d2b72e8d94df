//! A body on its way through: nothing, some bytes, or a stream from either side.
//!
//! One small enum in place of a boxed stream: a proxied body is never boxed and never collected. It stays on the
//! thread that it came to.

mod ahead;
mod observed;
mod progress;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

pub use observed::BodyEnd;
use observed::Observed;
pub use progress::{Progress, Turn};

use crate::pool::PooledBody;

/// A body on its way through. Not `Send`.
#[derive(Debug, Default)]
pub struct Body {
    kind: Kind,
    /// Whom a streamed body that is being sent waits for; only while it is being sent.
    progress: Option<Rc<Progress>>,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Pooled(PooledBody),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
    // Boxed, so that the others need no room for it.
    Observed(Box<Observed>),
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection that it came by did.
    #[error("the connection broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing more came for as long as we wait.
    #[error("nothing more came in time")]
    Timeout,
    /// A body that was made in this process failed.
    #[error("the body could not be made")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why there are no bytes of a whole body.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// It is larger than allowed.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// What is allowed.
        limit: usize,
    },
    /// It broke off.
    #[error("the body broke off")]
    Broken(#[from] BodyError),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Kind::Full(bytes).into() }
    }

    /// Any other stream, at the price of a box.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        use http_body_util::BodyExt;
        Kind::Boxed(Box::pin(body.map_err(|error| BodyError::Source(error.into())))).into()
    }

    /// A stream of this crate's own.
    pub(crate) fn boxed_here(body: impl http_body::Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Kind::Boxed(Box::pin(body)).into()
    }

    /// This body, and `tell` is called once, when its end has been read or when it is dropped before.
    pub fn when_done(self, tell: impl FnOnce(BodyEnd) + 'static) -> Self {
        let kind = Kind::Observed(Box::new(Observed::new(self.kind, Box::new(tell))));
        Self { kind, progress: self.progress }
    }

    /// The whole body, if it is no larger than `limit` bytes. Trailers are dropped.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, CollectError> {
        let too_large = || CollectError::TooLarge { limit };
        if self.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        // Most bodies come in one piece, which then needs no copy.
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let Ok(bytes) = frame?.into_data() else { continue };
            if bytes.len() > limit - first.len() - rest.len() {
                return Err(too_large());
            }
            if first.is_empty() {
                first = bytes;
            } else {
                rest.extend_from_slice(&bytes);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }

    /// The bytes, when all of them are here: what can be sent a second time.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        match &self.kind {
            Kind::Empty => Some(Bytes::new()),
            Kind::Full(bytes) => Some(bytes.clone()),
            Kind::Incoming(_) | Kind::Pooled(_) | Kind::Boxed(_) | Kind::Observed(_) => None,
        }
    }

    /// Says to `progress` from now on how far it has been sent, if there is anything to send.
    pub fn report_to(&mut self, progress: &Rc<Progress>) {
        if !self.kind.is_end_stream() {
            self.progress = Some(Rc::clone(progress));
        }
    }

    /// Says from now on how far it has been sent, if it is a stream.
    pub(crate) fn watch(&mut self) -> Option<Rc<Progress>> {
        match &self.kind {
            Kind::Empty | Kind::Full(_) => None,
            kind if kind.is_end_stream() => None,
            Kind::Incoming(_) | Kind::Pooled(_) | Kind::Boxed(_) | Kind::Observed(_) => {
                let progress = Rc::new(Progress::default());
                self.progress = Some(Rc::clone(&progress));
                Some(progress)
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = self.kind.poll_frame(cx);
        if let Some(progress) = &self.progress {
            match &frame {
                Poll::Pending => progress.turn_to(Turn::Source),
                Poll::Ready(Some(Ok(_))) if !self.kind.is_end_stream() => progress.turn_to(Turn::Reader),
                Poll::Ready(Some(Err(_))) => progress.turn_to(Turn::Nobody),
                Poll::Ready(_) => progress.turn_to(Turn::Answer),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.kind.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.kind.size_hint()
    }
}

impl Kind {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Incoming(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into())))),
            Self::Pooled(pooled) => pooled.poll_frame(cx),
            Self::Boxed(boxed) => boxed.as_mut().poll_frame(cx),
            Self::Observed(observed) => observed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Incoming(incoming) => incoming.is_end_stream(),
            Self::Pooled(pooled) => pooled.is_end_stream(),
            Self::Boxed(boxed) => boxed.is_end_stream(),
            Self::Observed(observed) => observed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Incoming(incoming) => incoming.size_hint(),
            Self::Pooled(pooled) => pooled.size_hint(),
            Self::Boxed(boxed) => boxed.size_hint(),
            Self::Observed(observed) => observed.size_hint(),
        }
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, progress: None }
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        if incoming.is_end_stream() { Self::empty() } else { Kind::Incoming(incoming).into() }
    }
}

impl From<PooledBody> for Body {
    fn from(pooled: PooledBody) -> Self {
        Kind::Pooled(pooled).into()
    }
}

/// What kind of body it is, and never what is in it.
impl std::fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Incoming(_) => "Incoming",
            Self::Pooled(_) => "Pooled",
            Self::Boxed(_) => "Boxed",
            Self::Observed(_) => "Observed",
        })
    }
}

#[cfg(test)]
mod tests;
