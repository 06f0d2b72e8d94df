//! The due index as it stands in the store: its directory, and looking through it.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::PoisonError;

use bytes::Bytes;
use futures_util::future::join_all;
use gateward_clock::Timestamp;
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Write};

use super::{Ledger, LedgerError, PAGE};
use crate::due::{self, DIRECTORY, LeaseKey, Slot};
use crate::lease::Lease;

impl Ledger {
    /// Calls `visit` for each entry that is due from `from` on and before `end`, in order within each slot; where it
    /// says no, the rest of that slot is left out. With `now`, slots that are empty and over lose their place in the
    /// directory.
    pub(crate) async fn look_through(
        &self,
        from: Timestamp,
        end: Timestamp,
        now: Option<Timestamp>,
        mut visit: impl FnMut(Timestamp, LeaseKey) -> bool,
    ) -> Result<(), LedgerError> {
        if let Some(now) = now {
            // Others take slots out of the directory, too, and nobody writes into one whose minute is over.
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).retain(|slot| !slot.is_over(now));
        }
        let range = Slot::directory_range(from, end);
        let directory = self.store.list(DIRECTORY, range, usize::MAX).await?;
        for listed in directory {
            let Some(slot) = Slot::from_directory(&listed.key.sort) else {
                self.set_aside(&listed.key).await;
                continue;
            };
            let is_empty = self.look_through_slot(slot, from, end, &mut visit).await?;
            if let Some(now) = now
                && is_empty
                && slot.is_over(now)
            {
                self.unlist(slot, listed.version).await?;
            }
        }
        Ok(())
    }

    async fn look_through_slot(
        &self,
        slot: Slot,
        from: Timestamp,
        end: Timestamp,
        visit: &mut impl FnMut(Timestamp, LeaseKey) -> bool,
    ) -> Result<bool, LedgerError> {
        let partition = slot.partition();
        let mut start = due::entries_from(from);
        let mut is_empty = true;
        loop {
            let page = self.store.list(&partition, (start, Bound::Unbounded), PAGE).await?;
            is_empty &= page.is_empty();
            for entry in &page {
                match due::read_entry(&entry.key.sort) {
                    Some((due, lease)) if due < end && visit(due, lease) => {}
                    Some(_) => return Ok(false),
                    None => self.set_aside(&entry.key).await,
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => start = Bound::Excluded(last.key.sort.clone()),
                _ => return Ok(is_empty),
            }
        }
    }

    /// An entry that makes no sense is told to people, and stands in nobody's way.
    async fn set_aside(&self, key: &Key) {
        let name = format!("{}/{}", key.partition, key.sort);
        match self.quarantine(&name, "the entry of the due index cannot be read").await {
            Ok(true) => tracing::error!(entry = name, "due entry in quarantine"),
            Ok(false) => {}
            Err(error) => tracing::error!(entry = name, %error, "due entry cannot be read"),
        }
    }

    /// What makes sure, in the commit that writes an entry, that the directory has its slot. Whoever looks through an
    /// empty slot that is over takes it out of the directory; an entry that comes late must not stand where nobody looks.
    pub(super) fn listing(&self, slot: Slot) -> Write {
        // It is put where nothing stands, and put again only to close it.
        let (precondition, change) = match self.is_listed(slot) {
            true => (Precondition::Version(OPEN), Change::Check),
            false => (Precondition::Absent, Change::Put(Bytes::new())),
        };
        Write { key: slot.directory_key(), precondition, change }
    }

    /// Learns whether others have put the slots into the directory that `leases` are about to be put into. A commit that
    /// believes what is not so would be refused, and paid for where DynamoDB keeps the store.
    pub(super) async fn learn(&self, leases: impl Iterator<Item = &Lease>) {
        let slots: BTreeSet<Slot> =
            leases.filter_map(|lease| Some(Slot::of(lease.due()?, lease.id))).collect();
        let unknown = slots.into_iter().filter(|slot| !self.is_listed(*slot));
        let learning = unknown.map(|slot| async move {
            if let Ok(Some(Entry { version: OPEN, .. })) = self.store.get(&slot.directory_key()).await {
                self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
            }
        });
        join_all(learning).await;
    }

    fn is_listed(&self, slot: Slot) -> bool {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).contains(&slot)
    }

    /// What a commit of `writes` believes of the directory.
    pub(super) fn belief(writes: &[Write]) -> Option<Belief> {
        let write = writes.iter().find(|write| write.key.partition == DIRECTORY)?;
        let slot = Slot::from_directory(&write.key.sort)?;
        Some(Belief { slot, key: write.key.clone(), is_listed: write.change == Change::Check })
    }

    /// A commit has failed at `key`. If it was because the directory is not as it was believed to be, the opposite is
    /// believed from now on: not of what others believe by now, for they may have learnt it, too.
    pub(super) fn corrects(&self, belief: Option<&Belief>, key: &Key) -> bool {
        let Some(belief) = belief.filter(|belief| belief.key == *key) else { return false };
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if belief.is_listed {
            listed.remove(&belief.slot);
        } else {
            listed.insert(belief.slot);
        }
        true
    }

    /// The directory has the slot of `lease`, a commit has said so.
    pub(super) fn remember_slot(&self, lease: &Lease) {
        if let Some(due) = lease.due() {
            let slot = Slot::of(due, lease.id);
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
        }
    }

    /// Takes a slot out of the directory that was seen to be empty. First it is closed: an entry that came after the look
    /// is then seen by the second one, and none can come after that.
    async fn unlist(&self, slot: Slot, version: u64) -> Result<(), LedgerError> {
        let key = slot.directory_key();
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        let mut standing = version;
        if standing == OPEN {
            let change = Change::Put(Bytes::new());
            let close = Write { key: key.clone(), precondition: Precondition::Version(OPEN), change };
            if !self.unless_changed(close).await? {
                return Ok(());
            }
            standing += 1;
        }
        let all = (Bound::Unbounded, Bound::Unbounded);
        if self.store.list(&slot.partition(), all, 1).await?.is_empty() {
            let precondition = Precondition::Version(standing);
            self.unless_changed(Write { key, precondition, change: Change::Delete }).await?;
        }
        Ok(())
    }

    /// Writes, if nobody else was faster; says whether.
    pub(super) async fn unless_changed(&self, write: Write) -> Result<bool, LedgerError> {
        match self.store.commit(vec![write]).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

/// What is believed of a slot's place in the directory.
pub(super) struct Belief {
    slot: Slot,
    key: Key,
    is_listed: bool,
}

/// The version of a slot's place in the directory while entries may be put into it.
const OPEN: u64 = 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use gateward_model::ItemName;
    use gateward_store::MemoryStore;

    use super::*;
    use crate::lease::Holder;
    use crate::ledger::{Caps, OfItem};

    #[tokio::test]
    async fn slots_that_another_node_takes_out_of_the_directory_are_not_remembered_for_ever() {
        let store = Arc::new(MemoryStore::new());
        let [one, other] = [(), ()].map(|()| Ledger::new(store.clone(), Caps::default(), None));
        let (name, start) = (ItemName::parse("/item").unwrap(), Timestamp::from_secs(1_700_000_000));
        for minute in 0..3 {
            let holder = Holder { access_id: "p-1".to_owned(), sub_claims: BTreeMap::new() };
            let deadline = start + Duration::from_secs(60 * minute);
            let lease = Lease::intent((7, &name), holder, Duration::from_secs(60), start, deadline);
            one.withdraw(&one.open(lease, &[], OfItem::default()).await.unwrap()).await.unwrap();
        }
        assert_eq!(one.listed.lock().unwrap().len(), 3);
        // The first and the second minute are over for as long as clocks may differ.
        let later = start + Duration::from_secs(60 + 60 + 120);
        for node in [&other, &one] {
            node.look_through(Timestamp::default(), later, Some(later), |_, _| true).await.unwrap();
        }
        assert_eq!(one.listed.lock().unwrap().len(), 1);
    }
}
