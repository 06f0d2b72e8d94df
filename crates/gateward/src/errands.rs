//! What a Lambda function does between requests: revocations, rotations and the end of what was to stand for a time, at
//! ticks of its schedule and for messages of its queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join};
use gateward_aws::sqs::Queue;
use gateward_clock::{Clock, Timestamp};
use gateward_control::Control;
use gateward_leases::{Announcer, Turns};
use gateward_plugins::Spans;
use gateward_proxy::host::lambda::{ErrandFailed, Errands};
use serde::{Deserialize, Serialize};

use crate::status_events::StatusEvents;

/// The errands of a Lambda function.
pub struct Chores {
    /// What revokes and rotates, where the store lasts.
    pub turns: Option<Turns>,
    /// What knows which resources were to stand for a time only.
    pub control: Control,
    /// What tells others of changes, before each errand ends: nothing runs afterwards.
    pub events: Option<Arc<StatusEvents>>,
    /// What tells collectors of requests, as soon.
    pub spans: Arc<Spans>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A queue of SQS, by which the function calls itself later.
pub struct Later(pub Queue);

/// Look then what is due.
#[derive(Serialize, Deserialize)]
struct Message {
    /// In milliseconds since the epoch.
    due: Timestamp,
}

impl Errands for Chores {
    fn tick(&self, until: Timestamp) -> BoxFuture<'_, Result<(), ErrandFailed>> {
        async move {
            let turn = async {
                match &self.turns {
                    Some(turns) => turns.tick(until).await.map_err(failed),
                    None => Ok(()),
                }
            };
            let (done, ()) = join(turn, self.control.expire_due(until - FOR_EVENTS)).await;
            self.tell(until).await;
            done
        }
        .boxed()
    }

    fn begin(&self, until: Timestamp) {
        if let Some(turns) = &self.turns {
            turns.begin(until);
        }
    }

    fn settle(&self, until: Timestamp) -> BoxFuture<'_, ()> {
        async move {
            if let Some(turns) = &self.turns {
                turns.settle(until).await;
            }
            self.tell(until).await;
        }
        .boxed()
    }

    fn message<'m>(&'m self, body: &'m str, until: Timestamp) -> BoxFuture<'m, Result<(), ErrandFailed>> {
        async move {
            let message: Message = serde_json::from_str(body)
                .map_err(|_| ErrandFailed("this is no message that Gateward has sent".to_owned()))?;
            let done = match &self.turns {
                Some(turns) => turns.message(message.due, until).await.map_err(failed),
                None => {
                    Err(ErrandFailed("nothing is issued with this store, so nothing is revoked".to_owned()))
                }
            };
            self.tell(until).await;
            done
        }
        .boxed()
    }
}

impl Chores {
    /// An answer waits until others were told, but not for a bus or a collector that is out of order.
    async fn tell(&self, until: Timestamp) {
        let now = self.clock.now();
        let until = until.min(now + FOR_EVENTS);
        let events = async {
            if let Some(events) = &self.events {
                events.flush(until).await;
            }
        };
        join(events, self.spans.flush(until.saturating_since(now))).await;
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

/// The longest that an answer waits for others to be told; what is left then goes with the next one.
const FOR_EVENTS: Duration = Duration::from_secs(2);
