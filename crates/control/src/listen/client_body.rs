//! The body of a control request, which has some time to come.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body that breaks off if it has not come whole within [`TIME`] of the first look for more.
pub(super) struct ClientBody<B> {
    body: B,
    /// Made when something is waited for: most bodies are here with their heads.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// The time was over.
#[derive(Debug, thiserror::Error)]
#[error("the request's body did not come in time")]
struct Late;

impl<B> ClientBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, alarm: None }
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + TIME)));
        alarm.as_mut().poll(cx).map(|()| Some(Err(Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is written here is small.
const TIME: Duration = Duration::from_secs(60);
