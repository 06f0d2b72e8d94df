//! The one thread that writes: it takes what waits, does it as one batch with one sync, and answers everybody.
//!
//! Each commit is judged against the tables and what the commits before it in the group will leave there. Nobody is
//! answered before the sync, not even those who are refused: the reason may be a commit of the same group, and until
//! the sync that one may still fail.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::journal::{Batch, Changed, Journal, JournalError};
use super::keeper::Keeper;
use super::lately::{Lately, Standing};
use super::tables::Tables;
use super::trouble::{Part, Trouble};
use super::{PANIC, encoding, engine};
use crate::history::History;
use crate::{
    Change, CommitError, Key, Precondition, Revision, StoreError, Write, acceptable, counted, counter,
    is_quiet,
};

/// What the writer is asked to do.
pub(super) enum Order {
    /// Do these writes and tell whoever waits.
    Commit { writes: Vec<Write>, answer: Answer },
    /// Do what was ordered before, and end.
    Close,
    /// Panic, which a test wants to see the end of.
    #[cfg(test)]
    Panic,
}

type Answer = oneshot::Sender<Result<Revision, CommitError>>;

/// The writing end of the store.
pub(super) struct Writer {
    tables: Arc<Tables>,
    lately: Lately,
    journal: Journal,
    keeper: Keeper,
    history: Arc<History>,
    /// What has failed: from then on nobody knows what stands in the journal.
    failed: Option<Failure>,
    /// Why the last group could not be made durable, where the next one may.
    refused: Option<Failure>,
    /// Where both are told.
    trouble: Arc<Trouble>,
}

type Failure = Arc<dyn std::error::Error + Send + Sync>;

/// Commits that share a sync, and what they will leave in the tables together.
struct Group<'w> {
    tables: &'w Tables,
    lately: &'w mut Lately,
    revision: Revision,
    staged: HashMap<Vec<u8>, Staged>,
    written: Vec<(Revision, Key)>,
}

/// What will stand at a key: its version and its stored form, or nothing.
type Staged = Option<(u64, Vec<u8>)>;

impl Writer {
    pub(super) fn new(
        tables: Arc<Tables>,
        journal: Journal,
        keeper: Keeper,
        history: Arc<History>,
        trouble: Arc<Trouble>,
    ) -> Self {
        let lately = Lately::of_at_most(REMEMBERED);
        Self { tables, lately, journal, keeper, history, failed: None, refused: None, trouble }
    }

    /// Works until it is told to close. Should it panic, everybody is answered that it has.
    pub(super) fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Order>) {
        // What a panic has left half done is in memory, and nobody looks at it any more: the writer is not used again, and
        // readers see what was shown before.
        let worked = catch_unwind(AssertUnwindSafe(|| self.work(&mut waiting)));
        if worked.is_ok() {
            return;
        }
        tracing::error!("the store's writer ended in a panic; every commit fails until a restart");
        self.trouble.ends(PANIC.to_owned());
        while let Some(order) = waiting.blocking_recv() {
            match order {
                Order::Commit { answer, .. } => {
                    let _ = answer.send(Err(StoreError::Engine(PANIC.into()).into()));
                }
                Order::Close => waiting.close(),
                #[cfg(test)]
                Order::Panic => {}
            }
        }
    }

    fn work(&mut self, waiting: &mut mpsc::UnboundedReceiver<Order>) {
        let mut orders = Vec::with_capacity(MAX_GROUP);
        // Zero: nobody is left who could order anything, and nothing is waiting.
        while waiting.blocking_recv_many(&mut orders, MAX_GROUP) > 0 {
            let mut commits = Vec::with_capacity(orders.len());
            for order in orders.drain(..) {
                match order {
                    Order::Commit { writes, answer } => commits.push((writes, answer)),
                    // What is waiting still comes, and then there is no more.
                    Order::Close => waiting.close(),
                    #[cfg(test)]
                    Order::Panic => panic!("as a test has ordered"),
                }
            }
            self.commit_together(commits);
        }
    }

    /// Does `commits` with one sync, then answers each.
    fn commit_together(&mut self, commits: Vec<(Vec<Write>, Answer)>) {
        let mut group = Group::after(self.history.newest(), &self.tables, &mut self.lately);
        let mut verdicts = Vec::with_capacity(commits.len());
        for (writes, answer) in commits {
            verdicts.push((answer, group.stage(writes)));
        }
        let Group { revision, staged, written, .. } = group;
        match self.make_durable(revision, staged, written) {
            Ok(()) => {
                for (answer, verdict) in verdicts {
                    // Whoever asked may have gone; what they asked for is done all the same.
                    let _ = answer.send(verdict);
                }
            }
            Err(failure) => {
                for (answer, _) in verdicts {
                    let _ = answer.send(Err(StoreError::Engine(Arc::clone(&failure).into()).into()));
                }
            }
        }
        // Why there is none is told to the next group.
        let _ = self.make_room();
    }

    /// Writes the whole group and its revision, waits for the disk, and shows it to readers and followers.
    fn make_durable(
        &mut self,
        revision: Revision,
        staged: HashMap<Vec<u8>, Staged>,
        written: Vec<(Revision, Key)>,
    ) -> Result<(), Failure> {
        if let Some(failure) = &self.failed {
            return Err(Arc::clone(failure));
        }
        if staged.is_empty() {
            return Ok(());
        }
        // Memory must not grow while there is no room for it on the disk.
        if self.refused.is_some() {
            self.make_room()?;
        }
        let number = revision.0.to_be_bytes();
        let changed = staged.iter().map(|(key, staged)| -> Changed<'_> {
            (key, staged.as_ref().map(|(_, stored)| stored.as_slice()))
        });
        let changes: Vec<_> = changed.chain([(&encoding::REVISION[..], Some(&number[..]))]).collect();
        let mut batch = Batch::new();
        for change in &changes {
            batch.push(*change);
        }
        self.journal.append(batch).map_err(|error| self.refuse(error))?;
        self.goes_on();
        self.tables.change(changes);
        for (key, staged) in staged {
            self.lately.note(key, standing_of(staged.as_ref()));
        }
        if !written.is_empty() {
            self.history.record(revision, written);
        }
        Ok(())
    }

    /// Sets memory aside that is full, to be written to a sorted file, and waits until there is not too much of it.
    fn make_room(&mut self) -> Result<(), Failure> {
        if self.failed.is_some() {
            return Ok(());
        }
        if self.tables.is_full() {
            let segment = self.journal.begin_next().map_err(|error| self.refuse(error))?;
            self.tables.seal();
            self.keeper.sealed(segment);
        }
        self.keeper.room().map_err(|error| {
            // The keeper tells what is wrong.
            self.refused = Some(Arc::clone(&error) as Failure);
            error as Failure
        })
    }

    fn refuse(&mut self, error: JournalError) -> Failure {
        match error {
            JournalError::Full(error) => {
                if self.refused.is_none() {
                    tracing::error!(%error, "the disk has no room; each commit tries again");
                }
                self.trouble.waits(Part::Journal, error.to_string());
                let failure: Failure = Arc::new(error);
                self.refused = Some(Arc::clone(&failure));
                failure
            }
            JournalError::Broken(error) => {
                tracing::error!(%error, "the store cannot write; every commit fails until a restart");
                self.trouble.ends(error.to_string());
                let failure: Failure = Arc::new(error);
                self.failed = Some(Arc::clone(&failure));
                failure
            }
        }
    }

    fn goes_on(&mut self) {
        self.refused = None;
        if self.trouble.goes_on(Part::Journal) {
            tracing::info!("the store writes again");
        }
    }
}

impl<'w> Group<'w> {
    fn after(revision: Revision, tables: &'w Tables, lately: &'w mut Lately) -> Self {
        Self { tables, lately, revision, staged: HashMap::new(), written: Vec::new() }
    }

    /// Takes one commit into the group, whole or not at all.
    fn stage(&mut self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        let mut judged = Vec::with_capacity(writes.len());
        for Write { key, precondition, change } in &writes {
            let encoded = encoding::key(key);
            // What stands there does not matter to such a write, and looking for it is most of what a write costs.
            if matches!((precondition, change), (Precondition::Any, Change::Delete)) {
                judged.push((encoded, Standing::default()));
                continue;
            }
            let standing = self.standing(&encoded)?;
            if !precondition.holds(standing.version, || standing.counter) {
                return Err(CommitError::Conflict { key: key.clone() });
            }
            if matches!(change, Change::Add(_)) && standing.counter.is_none() {
                return Err(acceptable::no_counter().into());
            }
            judged.push((encoded, standing));
        }
        let next = Revision(self.revision.0 + 1);
        for (write, (encoded, standing)) in writes.into_iter().zip(judged) {
            let version = standing.version.unwrap_or(0) + 1;
            let staged = match write.change {
                Change::Put(bytes) => Some((version, encoding::value(version, &bytes))),
                Change::Add(add) => counted(standing.counter.unwrap_or_default(), add)
                    .map(|bytes| (version, encoding::value(version, &bytes))),
                Change::Delete => None,
                Change::Check => continue,
            };
            self.staged.insert(encoded, staged);
            if !is_quiet(&write.key.partition) {
                self.written.push((next, write.key));
                self.revision = next;
            }
        }
        Ok(self.revision)
    }

    /// What stands at `key`, as the commits before this one leave it.
    fn standing(&mut self, key: &[u8]) -> Result<Standing, StoreError> {
        if let Some(staged) = self.staged.get(key) {
            return Ok(standing_of(staged.as_ref()));
        }
        if let Some(standing) = self.lately.get(key) {
            return Ok(standing);
        }
        let Some(stored) = self.tables.snapshot().get(key).map_err(engine)? else {
            return Ok(Standing::NOTHING);
        };
        let version = Some(encoding::version(&stored)?);
        let standing = Standing { version, counter: encoding::bytes(&stored).and_then(counter) };
        self.lately.note(key.to_owned(), standing);
        Ok(standing)
    }
}

fn standing_of(staged: Option<&(u64, Vec<u8>)>) -> Standing {
    staged.map_or(Standing::NOTHING, |(version, stored)| Standing {
        version: Some(*version),
        counter: encoding::bytes(stored).and_then(counter),
    })
}

/// The most commits that share a sync: what 1 024 callers can have waiting, and a bound on what a failed one takes
/// with it.
const MAX_GROUP: usize = 1024;

/// How many keys are remembered, twice: what some hundred leases that are under way, and every commit's counters, are judged
/// by, in two MiB.
const REMEMBERED: usize = 8 * MAX_GROUP;
