//! A body that says once how much of it has gone by: when its end was read, or when it was dropped before.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{BodyError, Kind};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyEnd {
    /// How many bytes of data were read from it.
    pub bytes: u64,
    /// Whether that was all of it. A body that nobody had to read, such as that of an answer to HEAD, is complete only
    /// if it is empty.
    pub complete: bool,
}

/// A body and whom to tell how it ended.
pub(super) struct Observed {
    kind: Kind,
    bytes: u64,
    /// Until it has been told.
    tell: Option<Box<dyn FnOnce(BodyEnd)>>,
}

impl Observed {
    pub(super) fn new(kind: Kind, tell: Box<dyn FnOnce(BodyEnd)>) -> Self {
        Self { kind, bytes: 0, tell: Some(tell) }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = self.kind.poll_frame(cx);
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
                // Whoever reads us may take our word that this was the last piece and never ask again.
                if self.kind.is_end_stream() {
                    self.end(true);
                }
            }
            Poll::Ready(Some(Err(_))) => self.end(false),
            Poll::Ready(None) => self.end(true),
        }
        frame
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.kind.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.kind.size_hint()
    }

    fn end(&mut self, complete: bool) {
        if let Some(tell) = self.tell.take() {
            tell(BodyEnd { bytes: self.bytes, complete });
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.end(self.kind.is_end_stream());
    }
}
