//! What a Lambda function does between requests: revocations and rotations, at ticks of its schedule and for messages of
//! its queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gateward_aws::sqs::Queue;
use gateward_clock::Timestamp;
use gateward_leases::{Announcer, Turns};
use gateward_proxy::host::lambda::{ErrandFailed, Errands};
use serde::{Deserialize, Serialize};

/// Turns, as errands of a Lambda function.
pub struct Revocations(pub Turns);

/// A queue of SQS, by which the function calls itself later.
pub struct Later(pub Queue);

/// Look then what is due.
#[derive(Serialize, Deserialize)]
struct Message {
    /// In milliseconds since the epoch.
    due: Timestamp,
}

impl Errands for Revocations {
    fn tick(&self, until: Timestamp) -> BoxFuture<'_, Result<(), ErrandFailed>> {
        async move { self.0.tick(until).await.map_err(failed) }.boxed()
    }

    fn settle(&self, until: Timestamp) -> BoxFuture<'_, ()> {
        self.0.settle(until).boxed()
    }

    fn message<'m>(&'m self, body: &'m str, until: Timestamp) -> BoxFuture<'m, Result<(), ErrandFailed>> {
        async move {
            let message: Message = serde_json::from_str(body)
                .map_err(|_| ErrandFailed("this is no message that Gateward has sent".to_owned()))?;
            self.0.call(message.due, until).await.map_err(failed)
        }
        .boxed()
    }
}

#[async_trait]
impl Announcer for Later {
    async fn announce(&self, due: Timestamp, delay: Duration) -> Result<(), String> {
        // The queue counts whole seconds; one too early would find nothing.
        let delay = Duration::from_secs(delay.as_secs() + u64::from(delay.subsec_nanos() > 0));
        let body = serde_json::json!(Message { due }).to_string();
        self.0.send(&body, delay).await.map_err(|error| error.to_string())
    }
}

fn failed(error: impl std::fmt::Display) -> ErrandFailed {
    ErrandFailed(error.to_string())
}

/// The errands of a function whose store lasts.
pub fn errands(turns: Turns) -> Arc<dyn Errands> {
    Arc::new(Revocations(turns))
}
