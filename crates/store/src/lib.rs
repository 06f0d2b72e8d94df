//! One trait over partitioned, versioned keys, and its engines.
//!
//! A key is a *partition* and a *sort key*. Every value has a version: 1 when it is created, one more at each
//! change. [`Store::commit`] is atomic and durable: when it returns, a power cut does not undo it. Nothing lists
//! across partitions, and nothing above the trait knows which engine runs.
//!
//! | engine | what it is for |
//! |---|---|
//! | [`MemoryStore`] | the model: what the others are compared with, and a store for tests |
//! | [`LocalStore`] | the default: one directory, one process |
//! | [`DynamoStore`] | for functions and for any scale: one table of DynamoDB, any number of processes |
//!
//! Every sentence of [`Store`]'s documentation is a test in `conformance.rs`, and every engine passes them all.

mod acceptable;
#[cfg(test)]
mod conformance;
pub mod dynamodb;
mod history;
pub mod local;
mod memory;
mod watched;

pub use acceptable::{MAX_COMMIT_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use dynamodb::{DynamoStore, Looks};
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use watched::{Call, Watched};

use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;

/// The most writes that one commit takes.
pub const MAX_WRITES: usize = 50;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The group that is listed together, for example `routes` or `due/29374623/3`.
    pub partition: String,
    /// The place in the group; a group is listed in the byte order of its sort keys.
    pub sort: String,
}

/// A value as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub key: Key,
    /// What stands there.
    pub value: Bytes,
    /// 1 when created, one more at each change.
    pub version: u64,
}

/// What must hold of a key for the whole commit to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    Any,
    /// Nothing stands there.
    Absent,
    /// What stands there has this version.
    Version(u64),
    /// What stands there is a counter that is less than this; nothing counts as zero.
    Below(u64),
}

impl Precondition {
    /// Whether it holds of a key that stands at `version`, or is absent, and reads as `counter`.
    fn holds(self, version: Option<u64>, counter: impl FnOnce() -> Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => version.is_none(),
            Self::Version(expected) => version == Some(expected),
            Self::Below(bound) => counter().is_some_and(|count| count < bound),
        }
    }
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The value stands there afterwards.
    Put(Bytes),
    /// Nothing stands there afterwards.
    Delete,
    /// A counter stands there afterwards that is larger (or smaller) by this; at zero it reads as if nothing stood there.
    /// So many can count at one key without any of them having read it. Nothing else is ever to stand at such a key, and
    /// no more is taken away than was added.
    Add(i64),
    /// Only the precondition counts.
    Check,
}

/// What the value of a counter says; `None` if it is none.
pub fn counter(value: &[u8]) -> Option<u64> {
    value.try_into().map(u64::from_be_bytes).ok()
}

/// The value of a counter after `add`; `None` where nothing is to stand.
fn counted(count: u64, add: i64) -> Option<Bytes> {
    match count.saturating_add_signed(add) {
        0 => None,
        sum => Some(Bytes::copy_from_slice(&sum.to_be_bytes())),
    }
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// Only if.
    pub precondition: Precondition,
    /// What.
    pub change: Change,
}

/// Whether nobody follows what is written in `partition`, because so much is: its name begins with [`QUIET`].
pub fn is_quiet(partition: &str) -> bool {
    partition.starts_with(QUIET)
}

/// What the names of quiet partitions begin with; see [`Store`].
pub const QUIET: char = '~';

/// A point in the store's history; each commit that changes something in a followed partition has a later one than the
/// commit before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What has changed after a [`Revision`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These keys were put or deleted up to `revision`.
    Keys {
        /// Up to here; what [`Store::changes`] is to be asked with next.
        revision: Revision,
        /// Each key once, in the order of the last write to each.
        keys: Vec<Key>,
    },
    /// The history does not reach back so far: read everything again.
    Forgotten {
        /// What is read from now on is at least as new as this.
        revision: Revision,
    },
}

/// Why a commit did not happen. Nothing of it did.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A precondition failed: somebody else was faster, or the key is (not) there.
    #[error("{} in {} has changed in the meantime", key.sort, key.partition)]
    Conflict {
        /// The first key whose precondition failed.
        key: Key,
    },
    /// The store did not do it, or cannot say that it did.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed.
    #[error("the store failed: {0}")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A part of a key beyond [`MAX_KEY_BYTES`], or values beyond [`MAX_VALUE_BYTES`] each or [`MAX_COMMIT_BYTES`] together.
    #[error("this is too large to be kept: {0}")]
    TooLarge(&'static str),
    /// More than [`MAX_WRITES`] writes, two for one key, NUL in a partition, or a counter where something else stands.
    #[error("the store cannot take this: {0}")]
    Unacceptable(&'static str),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// Partitioned, versioned keys.
///
/// Whoever was told of a commit sees it in every later read. A list that is made while a commit happens may see a part
/// of it, each entry whole; what it missed of a followed partition, [`Store::changes`] tells.
///
/// Partitions are *followed*, but those that are *quiet* ([`is_quiet`]): there commits happen so often that not even a
/// counter may be shared by all of them. What is written in a quiet partition takes no revision, and no change tells of
/// it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What stands at `key`.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError>;

    /// The first `limit` entries of `partition` within `range` of sort keys, in order. A range that ends before it
    /// starts has none.
    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError>;

    /// Does all of `writes`, or none. Durable when it returns, also if whoever asked for it has gone away.
    ///
    /// One that puts or deletes in a followed partition returns a revision of its own, even if all that it deletes was
    /// absent. A commit of [`Change::Check`]s alone changes nothing and returns the newest revision; one in quiet
    /// partitions alone returns the newest that the engine has seen. A key that was deleted starts at version 1 again.
    ///
    /// An error that is no conflict may mean that it was done and that nobody can say so.
    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError>;

    /// What has changed after `since`; waits until something has.
    ///
    /// [`Changes::Forgotten`] if `since` is older than what the engine remembers, or newer than the store (it was
    /// put back to an earlier state).
    async fn changes(&self, since: Revision) -> Result<Changes, StoreError>;

    /// The newest revision. Read it before what is to be watched, then nothing falls between.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// Why nothing can be written, and until when, if that is so; a sentence for whoever looks after the store.
    fn failure(&self) -> Option<String> {
        None
    }
}
