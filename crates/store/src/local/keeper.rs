//! Keeps the tree in shape while others write: one thread writes sealed memory to sorted files, another merges those.
//!
//! Two, because a merge may take seconds, and memory must not fill up meanwhile. Whoever writes faster than both waits.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::journal;
use super::tables::Tables;
use super::trouble::{Part, Trouble, is_full};

/// The two threads.
pub(super) struct Keeper {
    work: Arc<Work>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share with who writes.
struct Work {
    tables: Arc<Tables>,
    journal: PathBuf,
    todo: Mutex<ToDo>,
    changed: Condvar,
    /// Where it is told that nothing can be kept in shape.
    trouble: Arc<Trouble>,
}

#[derive(Default)]
struct ToDo {
    /// The segments of the journal for sealed memory that is not in a sorted file yet.
    sealed: Vec<u64>,
    /// Whether there may be something to merge.
    merge: bool,
    closing: bool,
    /// How many threads write files, which files there were when the first of them began, and whether one was refused since.
    writing: usize,
    files_before: BTreeSet<OsString>,
    unfinished: bool,
    /// Why nothing can be kept in shape at the moment.
    waiting: BTreeMap<Part, Arc<lsm_tree::Error>>,
    /// The same, any more.
    ended: Option<Arc<lsm_tree::Error>>,
}

impl Keeper {
    /// Starts both threads; the journal stands in the directory `journal`.
    pub(super) fn start(tables: Arc<Tables>, journal: PathBuf, trouble: Arc<Trouble>) -> io::Result<Self> {
        // A crash may have left files to be merged.
        let todo = Mutex::new(ToDo { merge: true, ..ToDo::default() });
        let work = Arc::new(Work { tables, journal, todo, changed: Condvar::new(), trouble });
        let mut keeper = Self { work, threads: Vec::new() };
        for (name, run) in [("store-flush", Work::flush as fn(&Work)), ("store-merge", Work::merge)] {
            let work = Arc::clone(&keeper.work);
            // If the second cannot be started, the first ends with the keeper.
            keeper.threads.push(Builder::new().name(name.to_owned()).spawn(move || run(&work))?);
        }
        Ok(keeper)
    }

    /// Has the memory written out that was sealed with the segment `segment`.
    pub(super) fn sealed(&self, segment: u64) {
        self.work.todo().sealed.push(segment);
        self.work.changed.notify_all();
    }

    /// Waits while there is too much to do; an error if nothing of it can be done.
    pub(super) fn room(&self) -> Result<(), Arc<lsm_tree::Error>> {
        let mut todo = self.work.todo();
        loop {
            if let Some(error) = &todo.ended {
                return Err(Arc::clone(error));
            }
            if todo.sealed.len() <= MOST_SEALED && self.work.tables.unmerged() < MOST_UNMERGED {
                return Ok(());
            }
            if let Some(error) = todo.waiting.values().next() {
                return Err(Arc::clone(error));
            }
            todo = self.work.wait(todo);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.work.todo().closing = true;
        self.work.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that keeps the store in shape ended in a panic; nothing is lost");
            }
        }
    }
}

impl Work {
    fn flush(&self) {
        let _told = Told(self);
        loop {
            let mut todo = self.todo();
            let last = loop {
                if todo.closing {
                    return;
                }
                if let Some(last) = todo.sealed.last() {
                    break *last;
                }
                todo = self.wait(todo);
            };
            self.begin(&mut todo);
            drop(todo);
            let written = self.tables.flush().and_then(|()| Ok(journal::forget(&self.journal, last)?));
            let mut todo = self.todo();
            self.end(&mut todo, written.is_err());
            match written {
                Ok(()) => {
                    todo.sealed.retain(|segment| *segment > last);
                    todo.merge = true;
                    self.goes_on(&mut todo, Part::Flush);
                }
                Err(error) => {
                    if self.fail(todo, Part::Flush, error) {
                        return;
                    }
                    continue;
                }
            }
            self.changed.notify_all();
        }
    }

    fn merge(&self) {
        let _told = Told(self);
        loop {
            let mut todo = self.todo();
            while !todo.merge && !todo.closing {
                todo = self.wait(todo);
            }
            if todo.closing {
                return;
            }
            todo.merge = false;
            self.begin(&mut todo);
            drop(todo);
            let merged = self.tables.compact();
            let mut todo = self.todo();
            self.end(&mut todo, merged.is_err());
            match merged {
                Ok(is_more) => {
                    todo.merge |= is_more;
                    self.goes_on(&mut todo, Part::Merge);
                }
                Err(error) => {
                    todo.merge = true;
                    if self.fail(todo, Part::Merge, error) {
                        return;
                    }
                    continue;
                }
            }
            self.changed.notify_all();
        }
    }

    /// Says that `part` has failed, and waits a while where it may try again; whether it may not.
    fn fail(&self, mut todo: MutexGuard<'_, ToDo>, part: Part, error: lsm_tree::Error) -> bool {
        let told = error.to_string();
        let is_over = !matches!(&error, lsm_tree::Error::Io(error) if is_full(error));
        if is_over {
            tracing::error!(
                error = told,
                "the store cannot write its files; every commit fails until a restart"
            );
            self.trouble.ends(told);
            todo.ended.get_or_insert(Arc::new(error));
            self.changed.notify_all();
            return true;
        }
        if todo.waiting.insert(part, Arc::new(error)).is_none() {
            tracing::error!(error = told, "the disk has no room for the store's files; they are tried again");
        }
        self.trouble.waits(part, told);
        self.changed.notify_all();
        let is_open = |todo: &mut ToDo| !todo.closing;
        let waited = self.changed.wait_timeout_while(todo, AGAIN, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closing
    }

    /// A thread begins to write files.
    fn begin(&self, todo: &mut ToDo) {
        if todo.writing == 0 {
            todo.files_before = self.tables.files();
        }
        todo.writing += 1;
    }

    /// It has ended. What it could not finish would take the room that it lacks; what the other writes is not touched.
    fn end(&self, todo: &mut ToDo, is_refused: bool) {
        todo.writing -= 1;
        todo.unfinished |= is_refused;
        if todo.writing == 0 && std::mem::take(&mut todo.unfinished) {
            self.tables.forget_unfinished(&todo.files_before);
        }
    }

    fn goes_on(&self, todo: &mut ToDo, part: Part) {
        todo.waiting.remove(&part);
        if self.trouble.goes_on(part) {
            tracing::info!("the store writes its files again");
        }
    }

    fn todo(&self) -> MutexGuard<'_, ToDo> {
        // A panic while the lock was held left nothing half done: each holder makes one change.
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'t>(&self, todo: MutexGuard<'t, ToDo>) -> MutexGuard<'t, ToDo> {
        self.changed.wait(todo).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that ends in a panic tells who waits for it.
struct Told<'w>(&'w Work);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = io::Error::other("a thread that keeps the store in shape has ended in a panic");
            self.0.fail(self.0.todo(), Part::Flush, error.into());
        }
    }
}

/// When a disk that had no room is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How much sealed memory may wait: what a start has to read again, besides what is not sealed.
const MOST_SEALED: usize = 1;

/// More sorted files than these are too many to look into for each read.
const MOST_UNMERGED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ends_in_a_panic_is_told_to_who_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Arc::new(Tables::open(&directory.path().join("tree")).unwrap());
        let trouble = Arc::new(Trouble::default());
        let keeper = Keeper::start(tables, directory.path().join("journal"), Arc::clone(&trouble)).unwrap();
        let work = Arc::clone(&keeper.work);
        let ended = std::thread::spawn(move || {
            let _told = Told(&work);
            panic!("as a test wants it");
        });
        assert!(ended.join().is_err());
        assert!(keeper.room().is_err_and(|error| error.to_string().contains("panic")));
        assert!(trouble.why().is_some_and(|why| why.contains("panic")));
    }

    #[test]
    fn what_a_refused_thread_left_is_deleted_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let tables = Arc::new(Tables::open(&directory.path().join("tree")).unwrap());
        let write = |key: &[u8]| {
            tables.change([(key, Some(&b"value"[..]))]);
            tables.seal();
            tables.flush().unwrap();
        };
        let folder = directory.path().join("tree/tables");
        write(b"a");
        std::fs::write(folder.join("1000"), "from before").unwrap();
        let keeper =
            Keeper::start(Arc::clone(&tables), directory.path().join("journal"), Arc::default()).unwrap();
        let work = Arc::clone(&keeper.work);
        drop(keeper);
        let (mut todo, refused) = (work.todo(), true);
        work.begin(&mut todo);
        work.begin(&mut todo);
        write(b"b");
        std::fs::write(folder.join("1001"), "what found room").unwrap();
        work.end(&mut todo, refused);
        assert!(folder.join("1001").exists(), "the other thread may be writing it");
        work.end(&mut todo, !refused);
        assert!(!folder.join("1001").exists() && folder.join("1000").exists());
        let snapshot = tables.snapshot();
        assert!(snapshot.get(b"a").unwrap().is_some() && snapshot.get(b"b").unwrap().is_some());
    }
}
