//! The streams of an HTTP/2 connection.
//!
//! A client says by windows how much it will take. With its window closed it may answer every ping and take nothing of an
//! answer for ever; nothing is written meanwhile, so the socket cannot tell. The stream can: it asks the answer's body for a
//! piece, and for the next one only when the client's window had room for that. Whoever leaves no room for too long
//! loses the stream, and after those that are under way the connection, which may still hold what the client did not
//! take.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gateward_net::{Progress, Turn};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::vigil::Vigil;

/// Runs the streams of an HTTP/2 connection where the connection itself runs, on its data thread, and counts them.
#[derive(Clone)]
pub(super) struct Streams(Rc<Shared>);

struct Shared {
    vigil: Arc<Vigil>,
    /// How long a client may leave no room for the next piece of an answer.
    patience: Duration,
    /// What the answer's body said last that was asked for a piece: that of the stream that is being polled.
    progress: Rc<Progress>,
    /// Whether a client has left no room for too long.
    gave_up: Cell<bool>,
}

impl Streams {
    pub(super) fn new(vigil: Arc<Vigil>, patience: Duration) -> Self {
        Self(Rc::new(Shared { vigil, patience, progress: Rc::default(), gave_up: Cell::new(false) }))
    }

    /// To whom the answers' bodies say how far they are.
    pub(super) fn progress(&self) -> &Rc<Progress> {
        &self.0.progress
    }

    /// Whether a stream was given up, so that the connection should end.
    pub(super) fn gave_up(&self) -> bool {
        self.0.gave_up.get()
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.vigil.begin_stream();
        // It is large, and spawning moves what it is given many times over.
        let future = Box::pin(future);
        tokio::task::spawn_local(Stream { future, shared: Rc::clone(&self.0), due: None, alarm: None });
    }
}

struct Stream<F> {
    future: Pin<Box<F>>,
    shared: Rc<Shared>,
    /// Until when the client must leave room, while it is the client that is waited for.
    due: Option<Instant>,
    /// Made when the client is waited for the first time, and then kept: most streams never do.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match this.shared.progress.take_turn() {
            // The body was not asked: all is as it was.
            None => {}
            Some(Turn::Source) => this.due = None,
            Some(Turn::Reader | Turn::Answer | Turn::Nobody) => {
                this.due = Some(Instant::now() + this.shared.patience);
            }
        }
        let Some(due) = this.due else { return Poll::Pending };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if due <= Instant::now() {
                tracing::debug!("a client took nothing of an answer for too long, and its stream is reset");
                this.shared.gave_up.set(true);
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }
}

impl<F> Drop for Stream<F> {
    fn drop(&mut self) {
        self.shared.vigil.end_stream();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use gateward_net::Body;
    use http_body::Body as _;
    use tokio::sync::mpsc;
    use tokio::time::sleep;

    use super::super::super::Limits;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// How long a stream lasts that sends `pieces` and waits for `room` for each as hyper does, after it has the piece;
    /// and whether it was given up.
    async fn lasts(
        pieces: impl Future<Output = ()> + 'static,
        send: mpsc::UnboundedReceiver<()>,
        room: impl AsyncFn(),
    ) -> (u64, bool) {
        let streams = Streams::new(Vigil::new(&Limits::default()), PATIENCE);
        let mut body = Body::boxed(Pieces(send));
        body.report_to(streams.progress());
        let future = async {
            while poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {
                room().await;
            }
        };
        let begun = Instant::now();
        let shared = Rc::clone(&streams.0);
        shared.vigil.begin_stream();
        let stream = Stream { future: Box::pin(future), shared, due: None, alarm: None };
        let stream = async {
            stream.await;
            begun.elapsed().as_secs()
        };
        let (lasted, ()) = tokio::join!(stream, pieces);
        (lasted, streams.gave_up())
    }

    struct Pieces(mpsc::UnboundedReceiver<()>);

    impl http_body::Body for Pieces {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
            let piece = ready!(self.0.poll_recv(cx));
            Poll::Ready(piece.map(|()| Ok(http_body::Frame::data("piece".into()))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_be_slow_and_an_upstream_slower_but_no_piece_may_wait_for_ever() {
        let (sender, send) = mpsc::unbounded_channel();
        let upstream = async move {
            for _ in 0..10 {
                sleep(Duration::from_secs(300)).await;
                let _ = sender.send(());
            }
        };
        assert_eq!(lasts(upstream, send, async || sleep(Duration::from_secs(59)).await).await, (3059, false));
        let (sender, send) = mpsc::unbounded_channel();
        let upstream = async move {
            sleep(Duration::from_secs(300)).await;
            let _ = sender.send(());
        };
        assert_eq!(lasts(upstream, send, async || std::future::pending().await).await, (360, true));
    }
}
