//! Who holds a credential.
//!
//! Producers may give one name to several leases: the credential goes with the last of them. So each name has a record of
//! how many leases hold it, changed in the commit that begins or ends each. From the claim of its last lease on the
//! record says that the credential is *going*, and no lease can begin to hold it: it would be revoked under its holder. Nor
//! can one whose order was placed before the credential was *gone*: nobody knows which of the two came first at the
//! producer. So the record outlives its last lease, until that one's tombstone is forgotten.

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_store::{Change, Key, Precondition, Write};

use super::{Ledger, LedgerError, digest};
use crate::lease::{Lease, LeaseState};

/// What a step of a lease means for the record of its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    Keep,
    /// The lease begins to hold it; refused if it is going.
    Join,
    /// The lease begins to hold it, and nobody is to have it.
    JoinToRevoke,
    /// It is about to be revoked; refused if another lease holds it, too.
    Close,
    /// The lease ends.
    Leave,
    /// The lease ends without a revocation; refused unless another holds it.
    LeaveToOthers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holding {
    leases: u32,
    going: bool,
    /// When it was revoked last.
    gone_at: Option<Timestamp>,
}

impl Ledger {
    /// The write that `hold` asks for; `look` if the record is to be read first.
    pub(super) async fn hold(
        &self,
        before: &Lease,
        after: &Lease,
        hold: Hold,
        look: bool,
    ) -> Result<Option<Write>, LedgerError> {
        let Some(producer_id) = after.producer_id().or(before.producer_id()) else { return Ok(None) };
        if hold == Hold::Keep {
            return Ok(None);
        }
        let key = key(after.item_id, producer_id);
        let (standing, precondition) = match look {
            true => self.holding(&key).await?,
            false => (Holding::NOBODY, Precondition::Absent),
        };
        if hold == Hold::Join && standing.gone_at.is_some_and(|gone| gone >= after.created_at) {
            return Err(LedgerError::Going);
        }
        let Some(mut next) = standing.after(hold)? else { return Ok(None) };
        if let LeaseState::Revoked { at, .. } = after.state
            && hold == Hold::Leave
        {
            next.gone_at = Some(at);
        }
        Ok(Some(Write { key, precondition, change: Change::Put(next.bytes()) }))
    }

    /// Forgets the record of a credential that nobody holds, with the last tombstone of a lease that did.
    pub(super) async fn forget_credential(&self, lease: &Lease) -> Result<(), LedgerError> {
        let Some(producer_id) = lease.producer_id() else { return Ok(()) };
        let key = key(lease.item_id, producer_id);
        let (Holding { leases: 0, .. }, precondition @ Precondition::Version(_)) = self.holding(&key).await?
        else {
            return Ok(());
        };
        match self.commit(vec![Write { key, precondition, change: Change::Delete }]).await {
            // Somebody holds it again.
            Ok(()) | Err(LedgerError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether some lease of `item_id` holds `producer_id`.
    pub(crate) async fn is_held(&self, item_id: u64, producer_id: &str) -> Result<bool, LedgerError> {
        Ok(self.holding(&key(item_id, producer_id)).await?.0.leases > 0)
    }

    async fn holding(&self, key: &Key) -> Result<(Holding, Precondition), LedgerError> {
        let Some(entry) = self.store.get(key).await? else {
            return Ok((Holding::NOBODY, Precondition::Absent));
        };
        let holding =
            Holding::read(&entry.value).ok_or_else(|| LedgerError::Unreadable(entry.key.sort.clone()))?;
        Ok((holding, Precondition::Version(entry.version)))
    }
}

impl Holding {
    const NOBODY: Self = Self { leases: 0, going: false, gone_at: None };

    /// What stands there after `hold`; `None` if nothing changes.
    fn after(self, hold: Hold) -> Result<Option<Self>, LedgerError> {
        let Self { leases, going, .. } = self;
        Ok(match hold {
            Hold::Keep => None,
            Hold::Join if going => return Err(LedgerError::Going),
            Hold::Join | Hold::JoinToRevoke => Some(Self { leases: leases.saturating_add(1), ..self }),
            Hold::Close if going => None,
            Hold::Close if leases > 1 => return Err(LedgerError::Shared),
            Hold::Close => Some(Self { leases: 1, going: true, ..self }),
            Hold::LeaveToOthers if going || leases < 2 => return Err(LedgerError::Shared),
            Hold::Leave | Hold::LeaveToOthers => {
                let left = leases.saturating_sub(1);
                Some(Self { leases: left, going: going && left > 0, ..self })
            }
        })
    }

    fn bytes(self) -> Bytes {
        let mut bytes = vec![u8::from(self.going)];
        bytes.extend_from_slice(&self.leases.to_be_bytes());
        bytes.extend_from_slice(&self.gone_at.unwrap_or_default().millis().to_be_bytes());
        bytes.into()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 13] = bytes.try_into().ok()?;
        let ([going], rest) = bytes.split_first_chunk()?;
        let (leases, gone_at) = rest.split_first_chunk()?;
        let gone_at = u64::from_be_bytes(gone_at.try_into().ok()?);
        Some(Self {
            leases: u32::from_be_bytes(*leases),
            going: *going == 1,
            gone_at: (gone_at > 0).then(|| Timestamp::from_millis(gone_at)),
        })
    }
}

/// Whether `key` is that of such a record.
pub(super) fn is_one(key: &Key) -> bool {
    key.partition.starts_with("~held/")
}

fn key(item_id: u64, producer_id: &str) -> Key {
    Key { partition: format!("~held/{item_id}"), sort: digest(&[producer_id]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOLE: Holding = Holding { leases: 1, going: false, gone_at: None };

    #[test]
    fn a_record_reads_back_and_anything_else_does_not() {
        let gone = Holding { leases: 70_000, going: true, gone_at: Some(Timestamp::from_secs(9)) };
        for holding in [SOLE, gone] {
            assert_eq!(Holding::read(&holding.bytes()), Some(holding));
        }
        for bytes in [b"".as_slice(), b"going", b"thirteenbytes!"] {
            assert_eq!(Holding::read(bytes), None);
        }
    }

    #[test]
    fn what_is_going_takes_nobody_in_but_who_wants_it_gone() {
        let going = SOLE.after(Hold::Close).unwrap().unwrap();
        assert!(matches!(going.after(Hold::Join), Err(LedgerError::Going)));
        assert_eq!(going.after(Hold::JoinToRevoke).unwrap(), Some(Holding { leases: 2, ..going }));
    }

    #[test]
    fn what_two_hold_is_not_closed_and_what_one_holds_is_not_left_to_others() {
        let two = SOLE.after(Hold::Join).unwrap().unwrap();
        assert!(matches!(two.after(Hold::Close), Err(LedgerError::Shared)));
        assert_eq!(two.after(Hold::LeaveToOthers).unwrap(), Some(SOLE));
        assert!(matches!(SOLE.after(Hold::LeaveToOthers), Err(LedgerError::Shared)));
        assert_eq!(SOLE.after(Hold::Leave).unwrap(), Some(Holding::NOBODY));
    }
}
