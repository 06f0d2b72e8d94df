//! Joins the two ends of an upgraded connection.
//!
//! Once an upstream has answered 101, HTTP is over: bytes go both ways as they come, until one end has nothing more to
//! say, nothing was said for too long, or the server ends.

use std::cell::Cell;
use std::future::pending;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, sleep_until};

use crate::host::server::Tether;

/// How a joined connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both ends had said all.
    Finished,
    /// An end broke off, or the client never became ready.
    Broken,
    /// Nothing was said for too long.
    Idle,
    /// The server ends.
    Stopped,
}

/// Passes bytes between the client, once its 101 has left, and `upstream`. `tether` comes from the request's
/// extensions. To be run in a task of its own, for it lasts as long as the connection.
pub async fn splice<U>(client: OnUpgrade, upstream: U, tether: Option<Tether>, idle: Duration) -> Ending
where
    U: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(Ok(client)) = tokio::time::timeout(idle, client).await else { return Ending::Broken };
    let moved = Cell::new(Instant::now());
    let mut client = Noticed { stream: TokioIo::new(client), moved: &moved };
    let mut upstream = Noticed { stream: upstream, moved: &moved };
    let ending = {
        let copied = copy_bidirectional(&mut client, &mut upstream);
        tokio::select! {
            copied = copied => if copied.is_ok() { Ending::Finished } else { Ending::Broken },
            () = silence(&moved, idle) => Ending::Idle,
            () = end(tether) => Ending::Stopped,
        }
    };
    // Whoever is still there hears that it is over.
    let goodbye = async { tokio::join!(client.stream.shutdown(), upstream.stream.shutdown()) };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    ending
}

/// Completes when nothing has `moved` for `idle`.
async fn silence(moved: &Cell<Instant>, idle: Duration) {
    loop {
        let Some(end) = moved.get().checked_add(idle) else { return pending().await };
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

async fn end(tether: Option<Tether>) {
    match tether {
        Some(mut tether) => tether.end().await,
        None => pending().await,
    }
}

/// A stream that notes when something came by it.
struct Noticed<'m, S> {
    stream: S,
    moved: &'m Cell<Instant>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Noticed<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_ready() {
            this.moved.set(Instant::now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noticed<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// How long the farewell to both ends may take.
const GOODBYE: Duration = Duration::from_millis(200);
