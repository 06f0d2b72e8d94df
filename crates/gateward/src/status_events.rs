//! Events of EventBridge: others hear when a credential or a producer has changed, and of what else somebody may have to
//! look at.
//!
//! A change is noted in memory when it is durable, and put on the bus by a task of its own, or, in a Lambda function, before
//! the answer. Nothing waits for the bus, and no lease depends on it: what it does not take after some tries is told in the log
//! and forgotten, as is what no longer fits into memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateward_access::{AccessId, LoginAlarm};
use gateward_aws::events::{AT_ONCE, Event, EventBus};
use gateward_clock::{Clock, Timestamp};
use gateward_leases::status::{StatusChange, StatusListener, Subject};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Changes on their way to a bus.
pub struct StatusEvents {
    bus: EventBus,
    clock: Arc<dyn Clock>,
    noted: Mutex<VecDeque<Event>>,
    /// Rung when there is something to put, and when there will never be anything again.
    bell: Arc<Notify>,
    /// One call at a time, so that events come in the order in which things happened.
    calling: tokio::sync::Mutex<()>,
    /// In milliseconds since 1970.
    resting_until: AtomicU64,
}

impl StatusEvents {
    /// Events for `bus`.
    pub fn new(bus: EventBus, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            bus,
            clock,
            noted: Mutex::default(),
            bell: Arc::default(),
            calling: tokio::sync::Mutex::default(),
            resting_until: AtomicU64::new(0),
        })
    }

    /// Puts what is noted on the bus from now on, as long as somebody else holds this.
    pub fn start(self: &Arc<Self>, runtime: &Handle) {
        let weak = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                let Some(events) = weak.upgrade() else { return };
                events.put_noted().await;
                // Only the bell is held while nothing happens, so that the task can end.
                let bell = Arc::clone(&events.bell);
                drop(events);
                bell.notified().await;
            }
        });
    }

    /// The gateway itself has changed.
    pub fn tell_of_gateway(&self, status: &'static str) {
        let detail = json!({"status": status, "at": self.clock.now().rfc3339_millis(), "version": env!("CARGO_PKG_VERSION")});
        self.note(Event { source: SOURCE, kind: GATEWAY, detail });
    }

    /// Puts what is noted on the bus, and ends at `until` whatever is left. A bus that was too slow is left alone for a while:
    /// no answer is to wait for it again and again.
    pub async fn flush(&self, until: Timestamp) {
        if self.clock.now().millis() < self.resting_until.load(Ordering::Relaxed) {
            return;
        }
        tokio::select! {
            biased;
            () = self.put_noted() => {}
            () = self.clock.sleep_until(until) => {
                let left = self.lock().len();
                self.resting_until.store((self.clock.now() + REST).millis(), Ordering::Relaxed);
                tracing::warn!(left, "events are still on their way at the end of the time for them");
            }
        }
    }

    async fn put_noted(&self) {
        let _one_at_a_time = self.calling.lock().await;
        loop {
            // They stay noted until they are taken: whoever gives up in between loses none.
            let batch: Vec<Event> = self.lock().iter().take(AT_ONCE).cloned().collect();
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let mut left = batch;
            for wait in WAITS {
                match self.bus.put(&left).await {
                    Ok(refused) => {
                        left = refused.into_iter().filter_map(|place| left.get(place).cloned()).collect();
                    }
                    Err(error) => tracing::warn!(%error, "the event bus does not take events"),
                }
                if left.is_empty() {
                    break;
                }
                self.clock.sleep_until(self.clock.now() + wait).await;
            }
            if !left.is_empty() {
                tracing::error!(events = left.len(), "events were not taken by the bus, and are lost");
            }
            self.lock().drain(..count);
        }
    }

    fn note(&self, event: Event) {
        let mut noted = self.lock();
        if noted.len() >= MOST {
            drop(noted);
            tracing::error!("more events than fit into memory; one is lost");
            return;
        }
        noted.push_back(event);
        drop(noted);
        self.bell.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Event>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StatusEvents {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}

impl StatusListener for StatusEvents {
    fn hear(&self, change: StatusChange) {
        let at = self.clock.now().rfc3339_millis();
        let (kind, mut detail, item) = match change {
            StatusChange::Lease { lease_id, item, access_id, status, expires_at } => {
                let mut detail = json!({
                    "status": status, "lease_id": lease_id.to_string(), "access_id": access_id, "at": at,
                });
                if let Some(expires_at) = expires_at {
                    detail["expires_at"] = expires_at.rfc3339_millis().into();
                }
                (LEASE, detail, item)
            }
            StatusChange::Producer { item, status } => (PRODUCER, json!({"status": status, "at": at}), item),
            StatusChange::Rotation { item, status } => (ROTATION, json!({"status": status, "at": at}), item),
        };
        about(&mut detail, &item);
        self.note(Event { source: SOURCE, kind, detail });
    }
}

impl LoginAlarm for StatusEvents {
    fn refused_again(&self, access_id: &AccessId, times: u32) {
        let at = self.clock.now().rfc3339_millis();
        let detail = json!({"status": "refused_repeatedly", "access_id": access_id.as_str(), "times": times, "at": at});
        self.note(Event { source: SOURCE, kind: LOGIN, detail });
    }
}

fn about(detail: &mut Value, item: &Subject) {
    detail["item_id"] = item.id.into();
    if let Some(name) = &item.name {
        detail["item_name"] = name.as_str().into();
    }
}

const SOURCE: &str = "gateward";
const LEASE: &str = "Gateward Lease Status Change";
const PRODUCER: &str = "Gateward Producer Status Change";
const ROTATION: &str = "Gateward Rotation Status Change";
const LOGIN: &str = "Gateward Login Status Change";
const GATEWAY: &str = "Gateward Gateway Status Change";

/// How many events wait in memory.
const MOST: usize = 20_000;

/// What is waited after each try.
const WAITS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3), Duration::ZERO];

/// For how long answers no longer wait for a bus that was too slow.
const REST: Duration = Duration::from_secs(30);
