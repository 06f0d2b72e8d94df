//! The sorted tree, and what readers see of it.
//!
//! Changes go into memory first; memory that is full is sealed and becomes a sorted file, and sorted files are merged. That
//! is the library's (lsm-tree). Ours is which changes are shown: a batch gets one number, and readers see everything below
//! the number that is shown, so they see batches whole. A number that a reader looks below is kept from being merged away.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lsm_tree::compaction::Leveled;
use lsm_tree::{AbstractTree as _, AnyTree, Cache, Config, SeqNo, SequenceNumberCounter, UserKey, UserValue};

use super::journal::Changed;

/// The sorted tree.
pub(super) struct Tables {
    tree: AnyTree,
    /// Where the sorted files are, each under its number.
    folder: PathBuf,
    numbers: SequenceNumberCounter,
    shown: Mutex<Shown>,
}

/// What readers may see.
struct Shown {
    below: SeqNo,
    /// Below which numbers somebody looks, and how many do.
    readers: BTreeMap<SeqNo, usize>,
}

/// The tree as it was at a moment, for as long as this lives.
pub(super) struct Snapshot<'t> {
    tables: &'t Tables,
    below: SeqNo,
}

impl Tables {
    /// Opens the tree in the directory `path`, or makes one.
    pub(super) fn open(path: &Path) -> Result<Self, lsm_tree::Error> {
        let numbers = SequenceNumberCounter::new(1);
        let tree = Config::new(path, numbers.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::new(Cache::with_capacity_bytes(BLOCK_CACHE_BYTES)))
            .open()?;
        numbers.fetch_max(tree.get_highest_persisted_seqno().map_or(1, |highest| highest + 1));
        let shown = Mutex::new(Shown { below: numbers.get(), readers: BTreeMap::new() });
        Ok(Self { tree, folder: path.join("tables"), numbers, shown })
    }

    /// Makes `changes`, which readers see all at once. They are durable by now, and one caller at a time makes any.
    pub(super) fn change<'c>(&self, changes: impl IntoIterator<Item = Changed<'c>>) {
        let number = self.numbers.next();
        for (key, value) in changes {
            match value {
                Some(value) => self.tree.insert(key, value, number),
                None => self.tree.remove(key, number),
            };
        }
        self.shown().below = number + 1;
    }

    /// The tree as it is now.
    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        let mut shown = self.shown();
        let below = shown.below;
        *shown.readers.entry(below).or_default() += 1;
        Snapshot { tables: self, below }
    }

    /// Whether the memory for changes is full.
    pub(super) fn is_full(&self) -> bool {
        self.tree.active_memtable().size() > WRITE_BUFFER_BYTES
    }

    /// Sets the memory for changes aside, until [`Tables::flush`] writes it out.
    pub(super) fn seal(&self) {
        self.tree.rotate_memtable();
    }

    /// Writes everything that was sealed to a sorted file, and waits for the disk.
    pub(super) fn flush(&self) -> Result<(), lsm_tree::Error> {
        let lock = self.tree.get_flush_lock();
        self.tree.flush(&lock, self.oldest_seen()).map(|_| ())
    }

    /// Merges sorted files where there are too many; says whether there may be more to do.
    pub(super) fn compact(&self) -> Result<bool, lsm_tree::Error> {
        let before = self.tree.current_version().id();
        self.tree.compact(Arc::new(Leveled::default()), self.oldest_seen())?;
        Ok(self.tree.current_version().id() != before)
    }

    /// The sorted files that there are, by their names.
    pub(super) fn files(&self) -> BTreeSet<OsString> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    }

    /// Deletes files that were begun since there were those of `before`, and that nobody has finished. Nobody must be writing
    /// any at the moment.
    pub(super) fn forget_unfinished(&self, before: &BTreeSet<OsString>) {
        let version = self.tree.current_version();
        let finished: BTreeSet<OsString> =
            version.iter_tables().map(|table| table.id().to_string().into()).collect();
        for name in self.files() {
            if before.contains(&name) || finished.contains(&name) {
                continue;
            }
            if let Err(error) = fs::remove_file(self.folder.join(&name)) {
                tracing::warn!(%error, "an unfinished file of the store stays until the next start");
            }
        }
    }

    /// How many sorted files there are that were not merged yet, each of which a reader has to look into.
    pub(super) fn unmerged(&self) -> usize {
        self.tree.l0_run_count()
    }

    /// Below this number nobody looks for what was there before.
    fn oldest_seen(&self) -> SeqNo {
        let shown = self.shown();
        shown.readers.first_key_value().map_or(shown.below, |(oldest, _)| *oldest)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // A panic while the lock was held left nothing half done: each holder makes one change.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot<'_> {
    /// What stands at `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<UserValue>, lsm_tree::Error> {
        self.tables.tree.get(key, self.below)
    }

    /// What stands at the keys of `range`, in order.
    pub(super) fn range(
        &self,
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ) -> impl Iterator<Item = Result<(UserKey, UserValue), lsm_tree::Error>> {
        self.tables.tree.range(range, self.below, None).map(lsm_tree::Guard::into_inner)
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let mut shown = self.tables.shown();
        if let Some(count) = shown.readers.get_mut(&self.below) {
            *count -= 1;
            if *count == 0 {
                shown.readers.remove(&self.below);
            }
        }
    }
}

/// Blocks of files that are kept in memory.
const BLOCK_CACHE_BYTES: u64 = 16 << 20;

/// What is written goes to a sorted file when it has come to this. A start reads it again, so it is most of a start.
#[cfg(not(test))]
const WRITE_BUFFER_BYTES: u64 = 8 << 20;
/// Little, so that tests see files come and go.
#[cfg(test)]
const WRITE_BUFFER_BYTES: u64 = 2 << 10;
