//! The body of an answer, which gives back what it came by when it has been read to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::patience::Patience;
use super::session::Exchange;
use crate::BodyError;

/// The body of an answer, and what it comes by. Dropped before its end, it closes a connection that is its own (the rest
/// of the body would stand in the next answer's way), and cancels an exchange on one that is not.
#[derive(Debug)]
pub(crate) struct PooledBody {
    incoming: Incoming,
    carrier: Carrier,
}

/// What a body comes by.
#[derive(Debug)]
enum Carrier {
    Connection(Box<Connection>),
    Exchange(Box<Exchange>),
    /// Nothing more will come.
    Gone,
}

impl Carrier {
    fn patience(&mut self) -> Option<&mut Patience> {
        match self {
            Self::Connection(connection) => Some(connection.patience()),
            Self::Exchange(exchange) => Some(exchange.patience()),
            Self::Gone => None,
        }
    }
}

impl PooledBody {
    pub(super) fn of_connection(incoming: Incoming, connection: Box<Connection>) -> Self {
        Self { incoming, carrier: Carrier::Connection(connection) }
    }

    pub(super) fn of_exchange(incoming: Incoming, exchange: Box<Exchange>) -> Self {
        Self { incoming, carrier: Carrier::Exchange(exchange) }
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
                } else if let Some(patience) = self.carrier.patience() {
                    patience.made_progress();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.carrier = Carrier::Gone;
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
        let Some(patience) = self.carrier.patience() else {
            return Poll::Pending;
        };
        if patience.poll_silence(cx).is_pending() {
            return Poll::Pending;
        }
        self.carrier = Carrier::Gone;
        Poll::Ready(Some(Err(BodyError::Timeout)))
    }

    fn give_back(&mut self) {
        if let Carrier::Connection(connection) = std::mem::replace(&mut self.carrier, Carrier::Gone) {
            connection.give_back();
        }
    }
}
