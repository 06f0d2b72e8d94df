//! The embedded store: one directory, one process, a log-structured tree (fjall) below and group commit above.
//!
//! What bounds a durable store is the sync, some hundred microseconds to some milliseconds each. So all commits go
//! to one thread, which takes whatever waits, does it as one batch with one sync, and then answers everybody: the
//! longer a sync takes, the more share the next one. One thread also means that a precondition is checked against
//! what no one else is changing, with no lock and no retry. See `writer.rs`.
//!
//! A point read is done where it is asked for: it touches memory, or at worst one block of a file, and handing it to
//! another thread would cost more than that. A listing can touch many blocks, so it goes to the blocking threads.

mod encoding;
mod writer;

use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Readable};
use tokio::sync::{mpsc, oneshot};

use crate::history::History;
use crate::{Changes, CommitError, Entry, Key, Revision, Store, StoreError, Write, acceptable};
use writer::{Order, Writer};

/// A store in a directory of this machine, open in one process at a time.
pub struct LocalStore {
    /// Gone when the store is closed, and with it the hold on the directory.
    tables: RwLock<Option<Tables>>,
    history: Arc<History>,
    /// Unbounded, because every sender waits for its answer: no more can stand in it than there are callers, and a
    /// bound would only move where they wait.
    orders: mpsc::UnboundedSender<Order>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory open.
    #[error(
        "the store in {} is in use by another process; stop that one, or give this one a data directory of its own",
        directory.display()
    )]
    InUse {
        /// The store's directory.
        directory: PathBuf,
    },
    /// The directory cannot be made or read, or what is in it is no store.
    #[error("the store in {} cannot be opened", directory.display())]
    Engine {
        /// The store's directory.
        directory: PathBuf,
        /// What the engine says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that writes could not be started.
    #[error("the store's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// The engine's handles; cheap to clone.
#[derive(Clone)]
struct Tables {
    database: Database,
    entries: Keyspace,
}

impl LocalStore {
    /// Opens the store in the directory `path`, or makes one. Waits for the disk.
    pub fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Engine {
            directory: path.to_owned(),
            source,
        };
        let tables = Tables::open(path).map_err(|error| match error {
            fjall::Error::Locked => OpenError::InUse { directory: path.to_owned() },
            error => failed(error.into()),
        })?;
        let revision = tables.revision().map_err(|error| failed(error.into()))?;
        let history = Arc::new(History::starting_at(revision));
        let (orders, waiting) = mpsc::unbounded_channel();
        let writer = Writer::new(tables.clone(), Arc::clone(&history));
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(OpenError::Thread)?;
        Ok(Arc::new(Self {
            tables: RwLock::new(Some(tables)),
            history,
            orders,
            writer: Mutex::new(Some(thread)),
        }))
    }

    /// Does what was asked for before this call, waits until it is durable, and lets go of the directory. Whatever is
    /// asked for afterwards gets [`StoreError::Closed`]. Dropping the store closes it, too.
    pub fn close(&self) {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread may be gone already, by a panic that the next line reports.
            let _ = self.orders.send(Order::Close);
            if thread.join().is_err() {
                tracing::error!("the store's writer ended in a panic; what it had answered is durable");
            }
        }
        self.history.close();
        self.tables.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn tables(&self) -> Result<Tables, StoreError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.clone().ok_or(StoreError::Closed)
    }
}

impl Drop for LocalStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Store for LocalStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        acceptable::key(key)?;
        let Tables { database, entries } = self.tables()?;
        // Through a snapshot, here and below: the bare tables show a batch while it is being applied.
        let found = database.snapshot().get(&entries, encoding::key(key)).map_err(engine)?;
        found.map(|stored| encoding::entry(key.clone(), &stored)).transpose()
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        acceptable::partition(partition)?;
        let tables = self.tables()?;
        let partition = partition.to_owned();
        let listing = tokio::task::spawn_blocking(move || tables.list(&partition, &range, limit));
        listing.await.map_err(|failure| StoreError::Engine(failure.into()))?
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        acceptable::writes(&writes)?;
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Commit { writes, answer }).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.history.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.tables()?;
        Ok(self.history.newest())
    }
}

impl Tables {
    fn open(path: &Path) -> Result<Self, fjall::Error> {
        let database = Database::builder(path)
            .cache_size(BLOCK_CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(MAINTENANCE_THREADS)
            .open()?;
        let entries = database
            .keyspace("entries", || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES))?;
        Ok(Self { database, entries })
    }

    /// The revision of the last commit.
    fn revision(&self) -> Result<Revision, StoreError> {
        let stored = self.entries.get(encoding::REVISION).map_err(engine)?;
        stored.map_or(Ok(Revision(0)), |stored| encoding::version(&stored).map(Revision))
    }

    fn list(
        &self,
        partition: &str,
        range: &(Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let encoded = encoding::range(partition, range);
        if ends_before_it_starts(&encoded) {
            return Ok(Vec::new());
        }
        let mut listed = Vec::new();
        for stored in self.database.snapshot().range(&self.entries, encoded).take(limit) {
            let (key, value) = stored.into_inner().map_err(engine)?;
            listed.push(encoding::entry(encoding::decode_key(partition, &key)?, &value)?);
        }
        Ok(listed)
    }
}

/// Asked before the engine is: sorted maps panic at such a range.
fn ends_before_it_starts(range: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

fn engine(error: fjall::Error) -> StoreError {
    StoreError::Engine(error.into())
}

/// Blocks of files that are kept in memory.
const BLOCK_CACHE_BYTES: u64 = 16 << 20;
/// What is written goes to a sorted file when it has come to this.
const WRITE_BUFFER_BYTES: u64 = 8 << 20;
/// The engine takes no less.
const JOURNAL_BYTES: u64 = 64 << 20;
/// One to write buffers out while the other merges files.
const MAINTENANCE_THREADS: usize = 2;

#[cfg(test)]
mod tests;
