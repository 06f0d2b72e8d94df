//! The model: a sorted map under a mutex, so simple that it is right.
//!
//! It says what the other engines must do; nothing in it is there for speed, and nothing of it is durable.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::history::History;
use crate::{
    Change, Changes, CommitError, Entry, Key, Revision, Store, StoreError, Write, acceptable, counted,
    counter, is_quiet,
};

/// A store that lasts as long as the process.
pub struct MemoryStore {
    values: Mutex<BTreeMap<Key, Value>>,
    history: History,
}

#[derive(Clone)]
struct Value {
    version: u64,
    bytes: Bytes,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { values: Mutex::default(), history: History::starting_at(Revision(0)) }
    }

    /// Another store with what stands in this one now, as a backup has it.
    #[must_use]
    pub fn copy(&self) -> Self {
        let values = self.values();
        let history = History::starting_at(self.history.newest());
        Self { values: Mutex::new(values.clone()), history }
    }

    /// Nothing that holds this lock can panic half way, so a poisoned lock guards a whole value.
    fn values(&self) -> MutexGuard<'_, BTreeMap<Key, Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        acceptable::key(key)?;
        Ok(self.values().get(key).map(|value| value.at(key)))
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        acceptable::partition(partition)?;
        let first = Key { partition: partition.to_owned(), sort: String::new() };
        let values = self.values();
        let listed = values
            .range(first..)
            .take_while(|(key, _)| key.partition == partition)
            .filter(|(key, _)| range.contains(&key.sort))
            .take(limit);
        Ok(listed.map(|(key, value)| value.at(key)).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        acceptable::writes(&writes)?;
        let mut values = self.values();
        for Write { key, precondition, change } in &writes {
            let standing = values.get(key);
            let count = || standing.map_or(Some(0), |value| counter(&value.bytes));
            if !precondition.holds(standing.map(|value| value.version), count) {
                return Err(CommitError::Conflict { key: key.clone() });
            }
            if matches!(change, Change::Add(_)) && count().is_none() {
                return Err(acceptable::no_counter().into());
            }
        }
        let revision = Revision(self.history.newest().0 + 1);
        let mut written = Vec::with_capacity(writes.len());
        for Write { key, change, .. } in writes {
            match change {
                Change::Put(bytes) => {
                    let version = values.get(&key).map_or(0, |value| value.version) + 1;
                    values.insert(key.clone(), Value { version, bytes });
                }
                Change::Add(add) => {
                    let standing = values.get(&key).map(|value| (value.version, counter(&value.bytes)));
                    let (version, count) = standing.unwrap_or_default();
                    match counted(count.unwrap_or_default(), add) {
                        Some(bytes) => values.insert(key.clone(), Value { version: version + 1, bytes }),
                        None => values.remove(&key),
                    };
                }
                Change::Delete => {
                    values.remove(&key);
                }
                Change::Check => continue,
            }
            if !is_quiet(&key.partition) {
                written.push((revision, key));
            }
        }
        if written.is_empty() {
            return Ok(self.history.newest());
        }
        self.history.record(revision, written);
        Ok(revision)
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.history.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.history.newest())
    }
}

impl Value {
    fn at(&self, key: &Key) -> Entry {
        Entry { key: key.clone(), value: self.bytes.clone(), version: self.version }
    }
}
