//! A connection that has left HTTP, and what joins two of them.

use std::cell::Cell;
use std::io::Result;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::Stream;
use crate::pool::after;

/// The raw stream of a connection on which 101 was answered: a client's, which hyper gives, or a peer's.
#[derive(Debug)]
pub struct Upgraded(Kind);

#[derive(Debug)]
enum Kind {
    Client(TokioIo<hyper::upgrade::Upgraded>),
    /// With what came right behind the answer.
    Peer(Box<Stream>, Bytes),
}

impl From<hyper::upgrade::Upgraded> for Upgraded {
    fn from(upgraded: hyper::upgrade::Upgraded) -> Self {
        Self(Kind::Client(TokioIo::new(upgraded)))
    }
}

impl Upgraded {
    /// `stream`, of which `received` has been read already.
    pub(crate) fn raw(stream: Stream, received: Bytes) -> Self {
        Self(Kind::Peer(Box::new(stream), received))
    }
}

/// Carries bytes both ways between `client` and `peer`, until both have said all they had to say, one breaks off, or
/// neither has said anything for as long as `silence`. Returns how many bytes came from each.
pub async fn tunnel(client: Upgraded, peer: Upgraded, silence: Duration) -> Result<(u64, u64)> {
    let last = Rc::new(Cell::new(Instant::now()));
    let mut client = Heard { stream: client, last: Rc::clone(&last) };
    let mut peer = Heard { stream: peer, last: Rc::clone(&last) };
    let mut both = pin!(tokio::io::copy_bidirectional(&mut client, &mut peer));
    loop {
        let deadline = after(last.get(), silence);
        tokio::select! {
            ended = &mut both => return ended,
            () = sleep_until(deadline) => {}
        }
        if after(last.get(), silence) <= Instant::now() {
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "neither end has said anything"));
        }
    }
}

/// A stream that writes down when something came by it.
struct Heard {
    stream: Upgraded,
    last: Rc<Cell<Instant>>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.last.set(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            Kind::Client(client) => Pin::new(client).poll_read(cx, buf),
            Kind::Peer(stream, received) if received.is_empty() => Pin::new(stream).poll_read(cx, buf),
            Kind::Peer(_, received) => {
                let piece = received.split_to(received.len().min(buf.remaining()));
                buf.put_slice(&piece);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        match &mut self.0 {
            Kind::Client(client) => Pin::new(client).poll_write(cx, buf),
            Kind::Peer(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            Kind::Client(client) => Pin::new(client).poll_flush(cx),
            Kind::Peer(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            Kind::Client(client) => Pin::new(client).poll_shutdown(cx),
            Kind::Peer(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
