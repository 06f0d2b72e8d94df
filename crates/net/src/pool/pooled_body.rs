//! The body of an answer, which gives its connection back when it has been read to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use crate::BodyError;

/// The body of an answer, and the connection that it comes by. Dropped before its end, it closes the connection: the
/// rest of the body would stand in the next answer's way.
#[derive(Debug)]
pub(crate) struct PooledBody {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
}

impl PooledBody {
    pub(super) fn new(incoming: Incoming, connection: Box<Connection>) -> Self {
        Self { incoming, connection: Some(connection) }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => self.poll_silence(cx),
            Poll::Ready(Some(Ok(frame))) => {
                // Whoever reads us may take our word that this was the last piece and never ask again.
                if self.incoming.is_end_stream() {
                    self.give_back();
                } else if let Some(connection) = &mut self.connection {
                    connection.made_progress();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Pending;
        };
        if connection.poll_silence(cx).is_pending() {
            return Poll::Pending;
        }
        self.connection = None;
        Poll::Ready(Some(Err(BodyError::Timeout)))
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }
}
