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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Our end of a connection, of which `received` was read before, and the other.
    async fn connection(received: &'static str) -> (Upgraded, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ours = TcpStream::connect(address).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        (Upgraded::raw(Stream::plain(ours, address), Bytes::from(received)), theirs)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_tunnel_carries_both_ways_until_both_have_ended() {
        let ((client, mut browser), (peer, mut server)) = (connection("").await, connection("hi ").await);
        let talk = async {
            browser.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            server.read_exact(&mut heard).await.unwrap();
            server.write_all(&heard).await.unwrap();
            server.shutdown().await.unwrap();
            let mut heard = String::new();
            browser.read_to_string(&mut heard).await.unwrap();
            // One end has said all, and the other may still speak.
            browser.write_all(b"bye").await.unwrap();
            browser.shutdown().await.unwrap();
            let mut last = String::new();
            server.read_to_string(&mut last).await.unwrap();
            (heard, last)
        };
        let (ended, (heard, last)) = tokio::join!(tunnel(client, peer, Duration::from_secs(5)), talk);
        assert_eq!((heard.as_str(), last.as_str(), ended.unwrap()), ("hi ping", "bye", (7, 7)));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_tunnel_in_which_nobody_speaks_ends() {
        let ((client, mut browser), (peer, _server)) = (connection("").await, connection("").await);
        let error = tunnel(client, peer, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(browser.read(&mut [0; 1]).await.unwrap(), 0);
    }
}
