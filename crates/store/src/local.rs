//! The embedded store: one directory, one process, a log-structured tree (lsm-tree) below, a journal beside it, and group
//! commit above.
//!
//! What bounds a durable store is the sync, some hundred microseconds to some milliseconds each. So all commits go
//! to one thread, which takes whatever waits, does it as one batch with one sync, and then answers everybody: the
//! longer a sync takes, the more share the next one. One thread also means that a precondition is checked against
//! what no one else is changing, with no lock and no retry. See `writer.rs`.
//!
//! A point read is done where it is asked for: it touches memory, or at worst one block of a file, and handing it to
//! another thread would cost more than that. A listing can touch many blocks, so it goes to the blocking threads.
//!
//! A disk that fails, and a thread that ends in a panic, end the writing and nothing else: every commit from then on is
//! answered with the reason, what was answered before is durable and can be read, and [`Store::failure`] says so. A
//! restart reads what the disk has. A disk that is full is tried again by each commit, and needs no restart.

mod encoding;
mod journal;
mod keeper;
mod lately;
mod tables;
mod trouble;
mod writer;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::history::History;
use crate::{Changes, CommitError, Entry, Key, Revision, Store, StoreError, Write, acceptable};
use journal::Journal;
use keeper::Keeper;
use tables::Tables;
use trouble::Trouble;
use writer::{Order, Writer};

/// A store in a directory of this machine, open in one process at a time.
pub struct LocalStore {
    /// Gone when the store is closed, and with it the hold on the directory.
    opened: RwLock<Option<Arc<Opened>>>,
    history: Arc<History>,
    /// Unbounded, because every sender waits for its answer: no more can stand in it than there are callers, and a
    /// bound would only move where they wait.
    orders: mpsc::UnboundedSender<Order>,
    writer: Mutex<Option<JoinHandle<()>>>,
    trouble: Arc<Trouble>,
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
    /// Something else kept its store there.
    #[error(
        "the store in {} was kept by a development version before 0.1, in a form that is not read any more; move the \
         directory away, or name another data directory",
        directory.display()
    )]
    Older {
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
    /// A thread of the store's could not be started.
    #[error("the store's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// What an open store holds on to.
struct Opened {
    tables: Arc<Tables>,
    /// Locked as long as this lives.
    _lock: File,
}

impl LocalStore {
    /// Opens the store in the directory `path`, or makes one. Waits for the disk.
    pub fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, |journal| journal)
    }

    /// The same, with what `with` makes of the journal that was read.
    fn open_with(path: &Path, with: impl FnOnce(Journal) -> Journal) -> Result<Arc<Self>, OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Engine {
            directory: path.to_owned(),
            source,
        };
        private(path).map_err(|error| failed(error.into()))?;
        // Before the database of an earlier version there would come to be a second store.
        if path.join("keyspaces").exists() {
            return Err(OpenError::Older { directory: path.to_owned() });
        }
        let lock = lock(path).map_err(|error| failed(error.into()))?;
        let lock = lock.ok_or_else(|| OpenError::InUse { directory: path.to_owned() })?;
        let tables = Tables::open(&path.join("tree")).map_err(|error| failed(error.into()))?;
        let folder = path.join("journal");
        let journal = Journal::open(&folder, |change| tables.change([change]));
        let journal = journal.map_err(|error| failed(error.into()))?;
        let tables = Arc::new(tables);
        let revision = revision(&tables).map_err(|error| failed(error.into()))?;
        let history = Arc::new(History::starting_at(revision));
        let (orders, waiting) = mpsc::unbounded_channel();
        let trouble = Arc::new(Trouble::default());
        let keeper = Keeper::start(Arc::clone(&tables), folder, Arc::clone(&trouble));
        let keeper = keeper.map_err(OpenError::Thread)?;
        let (journal, told) = (with(journal), Arc::clone(&trouble));
        let writer = Writer::new(Arc::clone(&tables), journal, keeper, Arc::clone(&history), told);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(OpenError::Thread)?;
        Ok(Arc::new(Self {
            opened: RwLock::new(Some(Arc::new(Opened { tables, _lock: lock }))),
            history,
            orders,
            writer: Mutex::new(Some(thread)),
            trouble,
        }))
    }

    /// Does what was asked for before this call, waits until it is durable, and lets go of the directory. Whatever is
    /// asked for afterwards gets [`StoreError::Closed`]. Dropping the store closes it, too.
    pub fn close(&self) {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = self.orders.send(Order::Close);
            if thread.join().is_err() {
                tracing::error!("the store's thread ended in a panic; what it had answered is durable");
            }
        }
        self.history.close();
        self.opened.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn opened(&self) -> Result<Arc<Opened>, StoreError> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened.clone().ok_or(StoreError::Closed)
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
        let opened = self.opened()?;
        let found = opened.tables.snapshot().get(&encoding::key(key)).map_err(engine)?;
        found.map(|stored| encoding::entry(key.clone(), &stored)).transpose()
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        acceptable::partition(partition)?;
        let opened = self.opened()?;
        let partition = partition.to_owned();
        let listing = tokio::task::spawn_blocking(move || list(&opened.tables, &partition, &range, limit));
        listing.await.map_err(|failure| StoreError::Engine(failure.into()))?
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        acceptable::writes(&writes)?;
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Commit { writes, answer }).map_err(|_| StoreError::Closed)?;
        // Everything that was ordered is answered, unless a panic has ended it.
        answered.await.map_err(|_| {
            // The writer may be about to say so, and whoever hears this asks why.
            self.trouble.ends(PANIC.to_owned());
            StoreError::Engine(PANIC.into())
        })?
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.history.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.opened()?;
        Ok(self.history.newest())
    }

    fn failure(&self) -> Option<String> {
        self.trouble.why()
    }
}

/// Makes the directory `path`, or sees that the one that is there is its owner's alone: what the engine writes into it may be
/// read by whoever reaches it, and the names of items are nobody else's. The directory above may be everybody's.
fn private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if fs::metadata(path)?.mode() & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(0o700)) {
        // Somebody else made it for this process, and decides who may read it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        set => set,
    }
}

/// Makes the directory `path` this process's; nothing, if it is another's.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let lock =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The revision of the last commit.
fn revision(tables: &Tables) -> Result<Revision, StoreError> {
    let stored = tables.snapshot().get(&encoding::REVISION).map_err(engine)?;
    stored.map_or(Ok(Revision(0)), |stored| encoding::version(&stored).map(Revision))
}

fn list(
    tables: &Tables,
    partition: &str,
    range: &(Bound<String>, Bound<String>),
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let encoded = encoding::range(partition, range);
    if ends_before_it_starts(&encoded) {
        return Ok(Vec::new());
    }
    let mut listed = Vec::new();
    let snapshot = tables.snapshot();
    for stored in snapshot.range(encoded).take(limit) {
        let (key, value) = stored.map_err(engine)?;
        listed.push(encoding::entry(encoding::decode_key(partition, &key)?, &value)?);
    }
    Ok(listed)
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

fn engine(error: lsm_tree::Error) -> StoreError {
    StoreError::Engine(error.into())
}

/// What is said of a commit in the middle of which the writer has ended.
const PANIC: &str = "the thread that writes has ended in a panic; restart the gateway";

#[cfg(test)]
mod tests;
