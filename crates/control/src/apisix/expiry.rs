//! Resources that are to stand for a time only: those that were written with `?ttl=`.
//!
//! For each there is an entry in the store that says until when, written in the commit that writes the resource, and gone
//! with the next one that writes or deletes it. [`expire`] keeps the entries in memory in the order of their times, waits
//! for the first of them, and deletes what it is for. It starts with what the store holds, so a restart forgets none.
//! Where nothing runs between two events, [`expire_due`] does once what is to be done at that moment.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_model::apisix::{Kind, ResourceId};
use gateward_store::{Change, Changes, Entry, Key, Precondition, StoreError, Write};

use super::place::Place;
use super::{delete, usage};
use crate::ControlParts;
use crate::resources::{ResourceError, deletion};

/// What makes the resource that is written at `place` stand for `ttl`, or for good.
pub(super) async fn write(
    parts: &ControlParts,
    place: &Place,
    ttl: Option<Duration>,
) -> Result<Option<Write>, ResourceError> {
    let key = key(place);
    let before = parts.store.get(&key).await?.map(|entry| entry.version);
    let Some(ttl) = ttl else { return Ok(before.map(|version| deletion(key, version))) };
    let until = parts.clock.now() + ttl;
    Ok(Some(Write {
        key,
        precondition: before.map_or(Precondition::Absent, Precondition::Version),
        change: Change::Put(Bytes::from(until.millis().to_string())),
    }))
}

/// What forgets the time of the resource that is deleted at `place`.
pub(super) async fn forget(parts: &ControlParts, place: &Place) -> Result<Option<Write>, ResourceError> {
    write(parts, place, None).await
}

/// Deletes each resource when its time is over, until the store is closed.
pub(crate) async fn expire(parts: &ControlParts) {
    loop {
        let Err(error) = follow(parts).await;
        match error {
            ResourceError::Store(StoreError::Closed) => return,
            error => tracing::error!(%error, "what has expired cannot be deleted; trying again"),
        }
        parts.clock.sleep(RETRY).await;
    }
}

/// Deletes each resource whose time is over. One that cannot be deleted keeps no other; the first of them is told.
pub(crate) async fn expire_due(parts: &ControlParts) -> Result<(), ResourceError> {
    let mut due = Due::read(parts).await?;
    let now = parts.clock.now();
    let mut outcome = Ok(());
    while let Some((_, name)) = due.first().filter(|(until, _)| *until <= now) {
        match end(parts, &mut due, &name).await {
            Err(error @ ResourceError::Store(StoreError::Closed)) => return Err(error),
            ended => outcome = outcome.and(ended),
        }
        // What somebody writes right now is the next look's.
        due.forget(&name);
    }
    outcome
}

async fn follow(parts: &ControlParts) -> Result<Infallible, ResourceError> {
    let mut seen = parts.store.revision().await?;
    let mut due = Due::read(parts).await?;
    loop {
        let first = due.first();
        let first_is_over = async {
            match &first {
                Some((until, _)) => parts.clock.sleep_until(*until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changes = parts.store.changes(seen) => match changes? {
                Changes::Keys { revision, keys } => {
                    for key in keys.iter().filter(|key| key.partition == PARTITION) {
                        due.set(&key.sort, parts.store.get(key).await?.as_ref());
                    }
                    seen = revision;
                }
                Changes::Forgotten { revision } => {
                    due = Due::read(parts).await?;
                    seen = revision;
                }
            },
            () = first_is_over => {
                if let Some((_, name)) = &first {
                    match end(parts, &mut due, name).await {
                        Ok(()) => {}
                        Err(error @ ResourceError::Store(StoreError::Closed)) => return Err(error),
                        Err(error) => {
                            tracing::error!(name, %error, "what has expired cannot be deleted; trying again");
                            due.put_off(name, parts.clock.now() + RETRY);
                        }
                    }
                }
            }
        }
    }
}

/// Deletes the resource `name`, if its time is over.
async fn end(parts: &ControlParts, due: &mut Due, name: &str) -> Result<(), ResourceError> {
    let key = Key { partition: PARTITION.to_owned(), sort: name.to_owned() };
    let entry = parts.store.get(&key).await?;
    due.set(name, entry.as_ref());
    let Some(entry) = entry.filter(|entry| until(entry) <= parts.clock.now()) else { return Ok(()) };
    let Some(place) = place(name).filter(|place| !parts.is_declared(place.kind.plural())) else {
        // Not for this process to delete: it cannot tell what it is, or a file stands before it.
        due.set(name, None);
        return Ok(());
    };
    let deleted = match parts.standing(place.kind.plural(), &place.sort()).await? {
        Some(standing) => {
            let unmark = usage::unmark(parts, &place).await?;
            delete::remove(parts, &place, &standing, unmark).await
        }
        None => parts.commit(vec![deletion(key, entry.version)]).await,
    };
    match deleted {
        // Somebody writes it right now, and with it says anew until when it stands.
        Err(ResourceError::Changed) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            tracing::info!(kind = place.kind.singular(), id = place.sort(), "a resource has expired");
            due.set(name, None);
            Ok(())
        }
    }
}

/// When what is over.
#[derive(Default)]
struct Due {
    by_name: HashMap<String, Timestamp>,
    by_time: BTreeSet<(Timestamp, String)>,
}

impl Due {
    async fn read(parts: &ControlParts) -> Result<Self, StoreError> {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut due = Self::default();
        for entry in parts.store.list(PARTITION, everything, usize::MAX).await? {
            due.set(&entry.key.sort, Some(&entry));
        }
        Ok(due)
    }

    fn first(&self) -> Option<(Timestamp, String)> {
        self.by_time.first().cloned()
    }

    fn forget(&mut self, name: &str) {
        if let Some(before) = self.by_name.remove(name) {
            self.by_time.remove(&(before, name.to_owned()));
        }
    }

    fn set(&mut self, name: &str, entry: Option<&Entry>) {
        self.forget(name);
        if let Some(entry) = entry {
            self.put_off(name, until(entry));
        }
    }

    /// What failed is not to keep the others, that come after it.
    fn put_off(&mut self, name: &str, until: Timestamp) {
        self.forget(name);
        self.by_name.insert(name.to_owned(), until);
        self.by_time.insert((until, name.to_owned()));
    }
}

/// When what the entry is for is over; what cannot be read is never.
fn until(entry: &Entry) -> Timestamp {
    let text = std::str::from_utf8(&entry.value).ok();
    Timestamp::from_millis(text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
}

fn key(place: &Place) -> Key {
    Key { partition: PARTITION.to_owned(), sort: format!("{}/{}", place.kind.plural(), place.sort()) }
}

fn place(name: &str) -> Option<Place> {
    let (kind, sort) = name.split_once('/')?;
    let id = |text: &str| ResourceId::parse(text).ok();
    match Kind::of(kind)? {
        Kind::Credentials => {
            let (consumer, own) = sort.split_once('/')?;
            Some(Place::new(Kind::Credentials, Some(id(consumer)?), id(own)?))
        }
        kind => Some(Place::new(kind, None, id(sort)?)),
    }
}

/// In the store.
const PARTITION: &str = "expiries";

/// When what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
