//! What a function does when no request asks for it: at each tick of its schedule, and for messages of its queue.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use gateward_clock::Timestamp;

use super::event::Message;

/// What is to be done between requests. The binary wires it.
pub trait Errands: Send + Sync {
    /// Does what is due, and must be done at `until`.
    fn tick(&self, until: Timestamp) -> BoxFuture<'_, Result<(), ErrandFailed>>;

    /// A request is about to be answered, which must be done at `until`.
    fn begin(&self, until: Timestamp);

    /// Ends what the request that was just answered has begun, and must be done at `until`. The answer is not given before.
    fn settle(&self, until: Timestamp) -> BoxFuture<'_, ()>;

    /// Does what a message says that this gateway has sent itself, and must be done at `until`. The same message may
    /// come twice, late, and before another that was sent earlier.
    fn message<'m>(&'m self, body: &'m str, until: Timestamp) -> BoxFuture<'m, Result<(), ErrandFailed>>;
}

/// An errand could not be done, and is to be tried again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ErrandFailed(pub String);

/// Does what is due. What is answered, nobody reads.
pub(super) async fn tick(
    errands: Option<&Arc<dyn Errands>>,
    until: Timestamp,
) -> Result<Bytes, ErrandFailed> {
    if let Some(errands) = errands {
        errands.tick(until).await?;
    }
    Ok(Bytes::from_static(b"null"))
}

/// Does what `messages` say, and answers which of them the queue must keep.
pub(super) async fn queue(
    errands: Option<&Arc<dyn Errands>>,
    messages: &[Message],
    until: Timestamp,
) -> Bytes {
    let outcomes = messages.iter().map(|message| async move {
        let outcome = match errands {
            Some(errands) => errands.message(&message.body, until).await,
            None => Err(ErrandFailed("this function has nothing to do for a queue".to_owned())),
        };
        outcome.err().map(|error| {
            report(&message.id, &error);
            serde_json::json!({"itemIdentifier": message.id})
        })
    });
    let failures: Vec<_> = join_all(outcomes).await.into_iter().flatten().collect();
    Bytes::from(serde_json::json!({"batchItemFailures": failures}).to_string())
}

fn report(message: &str, error: &dyn fmt::Display) {
    tracing::warn!(message, %error, "a message of the queue stays there");
}
