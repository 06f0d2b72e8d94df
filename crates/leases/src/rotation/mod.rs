//! Rotation: the payload of a producer, or the value of a rotated secret, is replaced by one that the producer makes.
//!
//! That a call is under way is durable before it is made, and the new payload before it is used. A payload before is
//! kept until a call with the new one has succeeded (a rotated secret keeps it as a version). [`state`] is what may
//! happen, [`due`] when it happens by itself, [`schedule`] sees to that, [`secrets`] are the rotated secrets, and
//! [`Rotator`] makes the calls.

mod due;
mod loaded;
mod schedule;
mod secrets;
mod state;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateward_clock::{Clock, Timestamp};
use gateward_items::{ItemError, ItemKind, ItemState};
use gateward_model::{ItemName, ProducerUrl};
use gateward_seal::SecretValue;
use gateward_store::Store;
use tokio::runtime::Handle;
use tokio::sync::{Notify, RwLock, Semaphore};

use loaded::Loaded;

pub use due::Subject;
pub(crate) use due::moved;
pub use secrets::{KnownRotated, NewRotatedSecret, RotatedSecretChange, RotatedSecrets};
pub use state::{Every, MINUTES_A_DAY, Rotation, UnderWay};

use crate::CallEnd;
use crate::failpoint;
use crate::items::{Catalog, Producer};
use crate::producer::{NO_ANSWER, Producers, RotateCall, RotateError};
use crate::status::{self, RotationStatus, StatusChange, StatusListener};

/// What the rotator is made of.
pub struct RotatorParts {
    /// Where the index of what is due stands.
    pub store: Arc<dyn Store>,
    /// The dynamic secrets.
    pub catalog: Arc<Catalog>,
    /// The rotated secrets.
    pub secrets: Arc<RotatedSecrets>,
    /// What rotates.
    pub producers: Arc<dyn Producers>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where its tasks run.
    pub runtime: Handle,
    /// Who hears of what came of rotations.
    pub listener: Option<Arc<dyn StatusListener>>,
    /// Until when producers are waited for, whatever their items say.
    pub call_end: Arc<CallEnd>,
}

/// Rotates payloads, on demand and by itself.
pub struct Rotator {
    parts: RotatorParts,
    /// What some task of this process is at.
    at_work: Mutex<BTreeSet<Subject>>,
    /// Rung when some task is at it no longer.
    ended: Notify,
    /// Rung when something may be due sooner than the timer's next look.
    sooner: Notify,
    seats: Semaphore,
    /// Held for reading by each rotation, so that a stop can wait for all of them.
    rotating: Arc<RwLock<()>>,
}

/// Why nothing was rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateFailure {
    /// The item is not there, or is no item that is rotated.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// Its producer has no call for it.
    #[error("item {0} has no rotate-sync-url; set one with dynamic-secret update")]
    NoUrl(ItemName),
    /// Somebody is at it.
    #[error("a rotation of item {0} is under way already")]
    Busy(ItemName),
    /// The producer did not do it.
    #[error("{0}")]
    Producer(String),
    /// The producer's answer is lost.
    #[error("{0}")]
    Lost(String),
    /// The producer took too long, and may have done it; or there was no time to ask it.
    #[error("{0}")]
    Timeout(String),
    /// The rotator's task was ended.
    #[error("the gateway is stopping; try again")]
    Stopping,
}

/// Who wishes a rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Somebody, now.
    Asked,
    /// The schedule.
    Due,
}

/// The time of the event in which a rotation was wished. A call that the next event's time is taken for is one that the
/// next event knows nothing of: it would be cut, and the new payload lost with it.
#[derive(Clone, Copy)]
struct EventTime {
    end: Timestamp,
    /// With less than this nobody is asked.
    least: Duration,
}

impl EventTime {
    fn is_over(self, now: Timestamp) -> bool {
        self.end < now + self.least
    }
}

impl Rotator {
    /// A rotator; it rotates by itself from [`Rotator::start`] on.
    pub fn new(parts: RotatorParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            at_work: Mutex::default(),
            ended: Notify::new(),
            sooner: Notify::new(),
            seats: Semaphore::new(AT_ONCE),
            rotating: Arc::default(),
        })
    }

    /// The rotated secrets.
    pub fn secrets(&self) -> &Arc<RotatedSecrets> {
        &self.parts.secrets
    }

    /// Looks at the schedule again: it may have changed.
    pub fn look_again(&self) {
        self.sooner.notify_one();
    }

    /// Completes when no producer is being asked for a new payload any more. A stop waits for it.
    pub async fn finish(&self) {
        let _nobody_rotates = self.rotating.write().await;
    }

    /// Rotates the item called `name` now. A task of its own: once begun it is done, whoever hangs up.
    pub async fn rotate(self: &Arc<Self>, name: &ItemName) -> Result<(), RotateFailure> {
        let item = self.parts.catalog.tree().get(name).await?.item;
        item.check_enabled()?;
        let id = item.record.id;
        let subject = match item.record.kind {
            ItemKind::DynamicSecret => Subject::Dynamic(id),
            ItemKind::RotatedSecret => Subject::Rotated(id),
            kind => {
                let wanted = "rotated secret or dynamic secret";
                return Err(ItemError::Kind { name: name.clone(), kind: kind.words(), wanted }.into());
            }
        };
        let time = EventTime { end: self.parts.call_end.get(), least: LEAST };
        let rotator = Arc::clone(self);
        let task =
            self.parts.runtime.spawn(async move { rotator.rotate_subject(subject, Wish::Asked, time).await });
        task.await.unwrap_or(Err(RotateFailure::Stopping))
    }

    async fn rotate_subject(
        self: &Arc<Self>,
        subject: Subject,
        wish: Wish,
        time: EventTime,
    ) -> Result<(), RotateFailure> {
        let _rotating = Arc::clone(&self.rotating).read_owned().await;
        let Some(begun) = self.begin(subject, wish, time).await? else { return Ok(()) };
        failpoint::reach("rotating");
        let Begun { id, name, is_repeatable, until, call } = begun;
        let answer = match &call {
            // Writing down that it begins has taken all of it.
            Ok(_) if until < self.parts.clock.now() + LEAST => Err(RotateError::Refused(NO_TIME.to_owned())),
            Ok(call) => tokio::select! {
                biased;
                answer = self.parts.producers.rotate(call) => answer,
                () = self.parts.clock.sleep_until(until) => {
                    Err(RotateError::Lost { reason: NO_ANSWER.to_owned(), timeout: true })
                }
            },
            Err(error) => Err(RotateError::Refused(error.to_string())),
        };
        failpoint::reach("rotated");
        let now = self.parts.clock.now();
        let mut rng = fastrand::Rng::new();
        match answer {
            Ok(payload) => {
                self.settle(subject, &id, Some(&payload), |rotation| rotation.done(now)).await?;
                tracing::info!(item = %name, "payload rotated");
                self.tell(subject, name, RotationStatus::Rotated);
                Ok(())
            }
            Err(RotateError::Refused(why)) => {
                tracing::error!(item = %name, why, "payload not rotated");
                let next = |rotation: &Rotation| rotation.failed(why.clone(), now, &mut rng.clone());
                self.settle(subject, &id, None, next).await?;
                let words = format!("item {name} was not rotated: {why}");
                self.tell(subject, name, RotationStatus::NotRotated);
                match call {
                    Err(RotateFailure::Producer(_)) | Ok(_) => Err(RotateFailure::Producer(words)),
                    Err(error) => Err(error),
                }
            }
            Err(RotateError::Lost { reason: why, timeout }) => {
                tracing::error!(item = %name, why, "the answer to a rotation is lost");
                let next = |rotation: &Rotation| rotation.lost(&why, is_repeatable, now, &mut rng);
                self.settle(subject, &id, None, next).await?;
                let then = match is_repeatable {
                    true => "the producer is asked again by itself",
                    false => "rotate it again, or set the payload that the producer has",
                };
                let words = format!("item {name} may have been rotated or not: {why}; {then}");
                self.tell(subject, name, RotationStatus::Unknown);
                Err(if timeout { RotateFailure::Timeout(words) } else { RotateFailure::Lost(words) })
            }
        }
    }

    fn tell(&self, subject: Subject, name: ItemName, status: RotationStatus) {
        let (Subject::Dynamic(id) | Subject::Rotated(id)) = subject;
        if let Some(listener) = &self.parts.listener {
            let item = status::Subject { id, name: Some(name) };
            listener.hear(StatusChange::Rotation { item, status });
        }
    }

    /// Writes down that a call begins; none if there is nothing to do.
    async fn begin(
        &self,
        subject: Subject,
        wish: Wish,
        time: EventTime,
    ) -> Result<Option<Begun>, RotateFailure> {
        loop {
            let Some(loaded) = self.load(subject).await? else { return Ok(None) };
            let (name, rotation, is_repeatable) = (loaded.name(), loaded.rotation(), loaded.is_repeatable());
            let now = self.parts.clock.now();
            if wish == Wish::Due && rotation.next_at.is_none_or(|due| due > now) {
                return Ok(None);
            }
            if wish == Wish::Due && rotation.is_overdue(now) && !is_repeatable {
                let why = "the gateway stopped while the producer was called";
                tracing::error!(item = %name, "the answer to a rotation is lost");
                let lost = rotation.lost(why, false, now, &mut fastrand::Rng::new());
                match self.save(&loaded, lost, None).await {
                    Err(ItemError::Changed(_)) => continue,
                    Ok(()) => {
                        self.tell(subject, name, RotationStatus::Unknown);
                        return Ok(None);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            // It stays due, so that it is rotated when it is enabled again.
            if wish == Wish::Due && self.is_disabled(&name).await? {
                return Ok(None);
            }
            if wish == Wish::Asked && loaded.has_no_url() {
                return Err(RotateFailure::NoUrl(name));
            }
            if time.is_over(now) {
                return match wish {
                    Wish::Asked => Err(RotateFailure::Timeout(NO_TIME.to_owned())),
                    Wish::Due => Ok(None),
                };
            }
            let until = (now + loaded.timeout() + MARGIN).min(time.end);
            let begun = rotation
                .begin(now, until, is_repeatable)
                .map_err(|_busy| RotateFailure::Busy(name.clone()))?;
            let id = begun.under_way.as_ref().map(|call| call.id.clone()).unwrap_or_default();
            match self.save(&loaded, begun, None).await {
                Ok(()) => {
                    let call = self.call(&loaded, &id).await;
                    return Ok(Some(Begun { id, name, is_repeatable, until, call }));
                }
                Err(ItemError::Changed(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn is_disabled(&self, name: &ItemName) -> Result<bool, ItemError> {
        let item = self.parts.catalog.tree().get(name).await?.item;
        Ok(item.record.state == ItemState::Disabled)
    }

    async fn call(&self, loaded: &Loaded, id: &str) -> Result<RotateCall, RotateFailure> {
        let (url, payload, previous): (ProducerUrl, SecretValue, _) = match loaded {
            Loaded::Dynamic(read) => {
                let Producer { secret, payload, previous, .. } = &read.0;
                let url = secret.rotate_sync_url().cloned();
                let url = url.ok_or_else(|| RotateFailure::NoUrl(secret.name.clone()))?;
                (url, payload.clone(), previous.clone())
            }
            Loaded::Rotated(rotated) => {
                let (url, payload) = self.parts.secrets.call(rotated).await?;
                (url, payload, None)
            }
        };
        let (timeout, rotation_id) = (loaded.timeout(), id.to_owned());
        Ok(RotateCall { item_name: loaded.name(), url, timeout, payload, previous, rotation_id })
    }

    /// Writes down what came of the call `id`. A new payload is known to nobody but us, so that is tried until it is
    /// done.
    async fn settle(
        &self,
        subject: Subject,
        id: &str,
        payload: Option<&SecretValue>,
        mut next: impl FnMut(&Rotation) -> Rotation,
    ) -> Result<(), RotateFailure> {
        let mut wait = Duration::from_millis(50);
        let mut tried = None;
        loop {
            let outcome = match self.load(subject).await {
                Ok(Some(loaded)) if loaded.rotation().is_at(id) => {
                    let rotation = next(&loaded.rotation());
                    tried = Some(rotation.clone());
                    self.save(&loaded, rotation, payload).await
                }
                // Written, though the store did not say so.
                Ok(Some(loaded)) if tried == Some(loaded.rotation()) => Ok(()),
                // Deleted, or somebody has set a payload: what came is about nothing any more.
                Ok(_) => {
                    tracing::error!(?subject, "what a rotation brought is not kept: the item has changed");
                    return Err(RotateFailure::Producer("the item has changed in the meantime".to_owned()));
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    self.sooner.notify_one();
                    return Ok(());
                }
                Err(ItemError::Changed(_)) => {}
                // That the call is overdue tells the rest.
                Err(error) if payload.is_none() => return Err(error.into()),
                Err(error) => {
                    tracing::error!(?subject, %error, "a new payload without a record");
                    self.parts.clock.sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(30));
                }
            }
        }
    }

    async fn load(&self, subject: Subject) -> Result<Option<Loaded>, ItemError> {
        Ok(match subject {
            Subject::Dynamic(id) => {
                self.parts.catalog.rotating(id).await?.map(|read| Loaded::Dynamic(Box::new(read)))
            }
            Subject::Rotated(id) => {
                self.parts.secrets.rotating(id).await?.map(|rotated| Loaded::Rotated(Box::new(rotated)))
            }
        })
    }

    async fn save(
        &self,
        loaded: &Loaded,
        rotation: Rotation,
        payload: Option<&SecretValue>,
    ) -> Result<(), ItemError> {
        match loaded {
            Loaded::Dynamic(read) => {
                self.parts.catalog.put_rotation((**read).clone(), rotation, payload).await
            }
            Loaded::Rotated(rotated) => self.parts.secrets.put_rotation(rotated, rotation, payload).await,
        }
    }
}

/// A call that has begun.
struct Begun {
    id: String,
    name: ItemName,
    is_repeatable: bool,
    /// When its answer counts as lost.
    until: Timestamp,
    /// What to call, or why that cannot be said.
    call: Result<RotateCall, RotateFailure>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Between the end of the producer's time and the moment at which its answer counts as lost.
const MARGIN: Duration = Duration::from_secs(5);

/// With less time than this a producer is not asked.
const LEAST: Duration = Duration::from_millis(500);

const NO_TIME: &str = "there is no time left to ask the producer; nothing was rotated, so try again";

/// How many rotations are made by themselves at once.
const AT_ONCE: usize = 8;

#[cfg(test)]
mod tests;
