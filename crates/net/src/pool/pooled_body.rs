//! The body of an answer, which gives back what it came by when it has been read to its end.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::session::Exchange;
use crate::BodyError;

/// The body of an answer, and what it comes by. Dropped before its end, it closes a connection that is its own (the rest
/// of the body would stand in the next answer's way), and cancels an exchange on one that is not.
#[derive(Debug)]
pub(crate) struct PooledBody(Carrier);

/// What a body comes by.
#[derive(Debug)]
enum Carrier {
    Connection(Box<Connection>),
    Exchange(Box<(Incoming, Exchange)>),
    /// Nothing more will come.
    Gone,
}

impl PooledBody {
    pub(super) fn of_connection(connection: Box<Connection>) -> Self {
        Self(Carrier::Connection(connection))
    }

    pub(super) fn of_exchange(incoming: Incoming, exchange: Exchange) -> Self {
        Self(Carrier::Exchange(Box::new((incoming, exchange))))
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.0 {
            Carrier::Connection(connection) => connection.poll_frame(cx),
            Carrier::Exchange(exchange) => {
                let (incoming, exchange) = &mut **exchange;
                exchange.poll_frame(incoming, cx)
            }
            Carrier::Gone => Poll::Ready(None),
        };
        match &frame {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) => {
                // Whoever reads us may take our word that this was the last piece and never ask again.
                if self.is_end_stream() {
                    self.give_back();
                }
            }
            Poll::Ready(Some(Err(_))) => self.0 = Carrier::Gone,
            Poll::Ready(None) => self.give_back(),
        }
        frame
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match &self.0 {
            Carrier::Connection(connection) => connection.has_ended(),
            Carrier::Exchange(exchange) => exchange.0.is_end_stream(),
            Carrier::Gone => true,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Carrier::Connection(connection) => {
                connection.left().map_or_else(SizeHint::new, SizeHint::with_exact)
            }
            Carrier::Exchange(exchange) => exchange.0.size_hint(),
            Carrier::Gone => SizeHint::with_exact(0),
        }
    }

    fn give_back(&mut self) {
        if let Carrier::Connection(connection) = std::mem::replace(&mut self.0, Carrier::Gone) {
            connection.give_back();
        }
    }
}
