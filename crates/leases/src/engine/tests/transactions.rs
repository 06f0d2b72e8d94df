//! A store that does commits as DynamoDB does transactions: each takes a while, and one that meets another at an item is
//! cancelled at once, and tried again after a pause. Time is the turns of the runtime that its tasks run in.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use gateward_store::{
    Change, Changes, CommitError, Entry, Key, MemoryStore, Revision, Store, StoreError, Write,
};

use super::outside::yield_many;

/// When two transactions that both have to do with an item are in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// If one of them writes it.
    Writes,
    /// Always, also if both only check it: that is how AWS's documentation reads.
    Anything,
}

pub struct Transactions {
    pub inner: MemoryStore,
    rule: Rule,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many have to do with an item, and whether one writes it.
    busy: HashMap<Key, (usize, bool)>,
    tally: Tally,
}

/// What was done since somebody asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub transactions: u32,
    pub cancelled: u32,
    /// Items that were written, and items that were only checked: among these a slot's place in the directory, which is
    /// written by the first lease of its minute; and not the day's of tombstones.
    pub written: u32,
    pub checked: u32,
    pub reads: u32,
    /// The longest that a commit had to wait for its time.
    pub waited: usize,
}

impl Transactions {
    pub fn new(rule: Rule) -> Self {
        Self { inner: MemoryStore::new(), rule, state: Mutex::default() }
    }

    pub fn tally(&self) -> Tally {
        std::mem::take(&mut self.state().tally)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn begins(&self, writes: &[Write]) -> bool {
        let mut state = self.state();
        let meets = |write: &Write| match state.busy.get(&write.key) {
            Some((_, is_written)) => self.rule == Rule::Anything || *is_written || is_written_by(write),
            None => false,
        };
        if writes.iter().any(meets) {
            state.tally.cancelled += 1;
            return false;
        }
        for write in writes {
            let (count, is_written) = state.busy.entry(write.key.clone()).or_default();
            *count += 1;
            *is_written |= is_written_by(write);
        }
        true
    }

    fn ends(&self, keys: Vec<Key>, waited: usize) {
        let mut state = self.state();
        state.tally.transactions += 1;
        state.tally.waited = state.tally.waited.max(waited);
        for key in keys {
            match state.busy.get_mut(&key) {
                Some((count, _)) if *count > 1 => *count -= 1,
                _ => drop(state.busy.remove(&key)),
            }
        }
    }
}

fn is_written_by(write: &Write) -> bool {
    !matches!(write.change, Change::Check)
}

#[async_trait]
impl Store for Transactions {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.state().tally.reads += 1;
        self.inner.get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.state().tally.reads += 1;
        self.inner.list(partition, range, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        let (mut waited, mut ceiling) = (0, 2 * LONG);
        while !self.begins(&writes) {
            let pause = fastrand::usize(0..=ceiling);
            waited += pause + 1;
            assert!(waited < TOO_LONG, "given up: {writes:?}");
            yield_many(pause + 1).await;
            ceiling = (ceiling * 2).min(LONGEST_PAUSE);
        }
        yield_many(LONG).await;
        let keys = writes.iter().map(|write| write.key.clone()).collect();
        let lasting = || writes.iter().filter(|write| write.key.partition != "~over");
        let is_checked = |write: &&Write| !is_written_by(write) || write.key.partition == "~due";
        let checked = lasting().filter(is_checked).count();
        let written = lasting().count() - checked;
        let done = self.inner.commit(writes).await;
        if done.is_ok() {
            let tally = &mut self.state().tally;
            tally.written += u32::try_from(written).unwrap();
            tally.checked += u32::try_from(checked).unwrap();
        }
        self.ends(keys, waited);
        done
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.inner.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }
}

/// How many turns a transaction takes: one turn stands for 2.5 ms.
const LONG: usize = 5;

/// The engine's second, and its ten.
const LONGEST_PAUSE: usize = 400;
const TOO_LONG: usize = 4000;
