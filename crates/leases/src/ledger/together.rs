//! Steps of several leases in one commit.
//!
//! Leases that are claimed together, or that end together, share some of what they write: the parts of the counters, the
//! directory of the due index. Each in a commit of its own, they would be in each other's way where DynamoDB keeps the
//! store, as it cancels one of two transactions that meet at an item. So those that share go together, as many as a
//! commit takes and one commit after the other; the others go beside them.
//!
//! A commit of several is done or not done as one. If some lease in it is not as it was, each of them goes alone.

use std::collections::{BTreeMap, HashMap, VecDeque};

use futures_util::future::join_all;
use gateward_store::{Change, Key, MAX_WRITES, Precondition, StoreError, Write};

use super::{Hold, Ledger, LedgerError, Recorded, TRIES, counts};
use crate::due;
use crate::lease::Lease;

/// A step of a lease.
pub(crate) struct Step<'before> {
    pub before: &'before Recorded,
    pub lease: Lease,
    pub hold: Hold,
}

/// A commit that is put together.
#[derive(Default)]
struct Together {
    /// The places of its steps among all.
    steps: Vec<usize>,
    writes: Vec<Write>,
    written: HashMap<Key, usize>,
    bytes: usize,
}

/// A step's place among all, and what it writes.
type Waiting = (usize, Vec<Write>);

impl Ledger {
    /// Does each of `steps` as [`Ledger::replace`] does it, and says of each what came of it.
    pub(crate) async fn replace_together(&self, steps: &[Step<'_>]) -> Vec<Result<Recorded, LedgerError>> {
        self.learn(steps.iter().map(|step| &step.lease)).await;
        let writing = steps.iter().map(|step| self.replacing(step.before, &step.lease, step.hold, true, &[]));
        let mut done = Vec::with_capacity(steps.len());
        let mut sharing: BTreeMap<Option<Key>, VecDeque<Waiting>> = BTreeMap::new();
        for (at, writes) in join_all(writing).await.into_iter().enumerate() {
            match writes {
                Ok(writes) => sharing.entry(shared(&writes)).or_default().push_back((at, writes)),
                Err(error) => done.push((at, Err(error))),
            }
        }
        let others = join_all(side_by_side(sharing).map(|waiting| self.one_by_one(steps, waiting))).await;
        done.extend(others.into_iter().flatten());
        done.sort_unstable_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, done)| done).collect()
    }

    /// Commits what shares something, as much as fits at a time.
    async fn one_by_one(
        &self,
        steps: &[Step<'_>],
        mut waiting: VecDeque<Waiting>,
    ) -> Vec<(usize, Result<Recorded, LedgerError>)> {
        let mut done = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let mut together = Together::default();
            while let Some((at, writes)) = waiting.pop_front() {
                if let Err(writes) = together.take(at, writes) {
                    waiting.push_front((at, writes));
                    break;
                }
            }
            let Together { steps: places, writes, .. } = together;
            let committed = self.commit_corrected(writes).await;
            for at in places {
                let Step { before, lease, hold } = &steps[at];
                let result = match &committed {
                    Ok(()) => Ok(self.replaced(before, lease.clone())),
                    Err(LedgerError::Store(error)) => {
                        Err(StoreError::Engine(error.to_string().into()).into())
                    }
                    Err(_) => self.replace(before, lease.clone(), *hold, &[]).await,
                };
                done.push((at, result));
            }
        }
        done
    }

    /// Commits `writes`, if need be with what turns out to be true of the directory of the due index.
    async fn commit_corrected(&self, mut writes: Vec<Write>) -> Result<(), LedgerError> {
        for _ in 0..TRIES {
            let belief = Self::belief(&writes);
            match self.commit(writes.clone()).await {
                Err(LedgerError::Changed { key }) if self.corrects(belief.as_ref(), &key) => {
                    for write in writes.iter_mut().filter(|write| write.key == key) {
                        if let Some(slot) = due::Slot::from_directory(&key.sort) {
                            *write = self.listing(slot);
                        }
                    }
                }
                result => return result,
            }
        }
        self.commit(writes).await
    }
}

impl Together {
    /// Takes a step in, if there is room and nothing in it contradicts the others; the first always.
    fn take(&mut self, at: usize, writes: Vec<Write>) -> Result<(), Vec<Write>> {
        let fits = |write: &Write| match self.written.get(&write.key) {
            Some(place) => merged(&self.writes[*place], write).is_some(),
            None => true,
        };
        let new = writes.iter().filter(|write| !self.written.contains_key(&write.key)).count();
        let bytes: usize = writes.iter().map(bytes).sum();
        let has_room = self.writes.len() + new <= MAX_WRITES && self.bytes + bytes <= MOST_BYTES;
        if !(self.steps.is_empty() || has_room && writes.iter().all(fits)) {
            return Err(writes);
        }
        self.steps.push(at);
        self.bytes += bytes;
        for write in writes {
            match self.written.get(&write.key) {
                Some(place) => {
                    let standing = &mut self.writes[*place];
                    if let Some(both) = merged(standing, &write) {
                        *standing = both;
                    }
                }
                None => {
                    self.written.insert(write.key.clone(), self.writes.len());
                    self.writes.push(write);
                }
            }
        }
        Ok(())
    }
}

/// What does what `one` and `other` do, which are about the same key; `None` if nothing does.
fn merged(one: &Write, other: &Write) -> Option<Write> {
    match (&one.change, &other.change) {
        (Change::Add(some), Change::Add(more))
            if (one.precondition, other.precondition) == (Precondition::Any, Precondition::Any) =>
        {
            Some(Write { change: Change::Add(some.checked_add(*more)?), ..one.clone() })
        }
        // Both want a slot to stand in the directory. Anywhere else the same write twice is two writes: of two leases that
        // let go of one credential, say.
        _ => (one == other && is_listing(one)).then(|| one.clone()),
    }
}

/// What may be committed at the same time: each has whole groups of those that write the same, as far as they fit into one
/// commit. So on a store that is not in its own way nothing waits for a second commit, unless all write the same.
fn side_by_side(
    sharing: BTreeMap<Option<Key>, VecDeque<Waiting>>,
) -> impl Iterator<Item = VecDeque<Waiting>> {
    let mut beside: Vec<VecDeque<Waiting>> = Vec::new();
    let mut room = 0;
    for waiting in sharing.into_values() {
        let is_one = waiting.iter().any(|(_, writes)| writes_shared(writes));
        // Those that only check the same may be apart.
        let groups =
            if is_one { vec![waiting] } else { waiting.into_iter().map(|one| [one].into()).collect() };
        for group in groups {
            let needed = group.iter().map(|(_, writes)| writes.len()).sum();
            match beside.last_mut() {
                Some(last) if needed <= room => {
                    last.extend(group);
                    room -= needed;
                }
                _ => {
                    beside.push(group);
                    room = MAX_WRITES.saturating_sub(needed);
                }
            }
        }
    }
    beside.into_iter()
}

/// What others are most likely to write or check, too.
fn shared(writes: &[Write]) -> Option<Key> {
    let counted = writes.iter().find(|write| counts::is_of_item(write));
    counted.or_else(|| writes.iter().find(|write| is_listing(write))).map(|write| write.key.clone())
}

/// Whether that is written.
fn writes_shared(writes: &[Write]) -> bool {
    let is_put = |write: &Write| is_listing(write) && write.change != Change::Check;
    writes.iter().any(|write| counts::is_of_item(write) || is_put(write))
}

fn is_listing(write: &Write) -> bool {
    write.key.partition == due::DIRECTORY
}

fn bytes(write: &Write) -> usize {
    match &write.change {
        Change::Put(value) => value.len(),
        _ => 0,
    }
}

/// A third of what a commit may have: the engines add to it.
const MOST_BYTES: usize = gateward_store::MAX_COMMIT_BYTES / 3;
