//! An idempotency key: the same caller who asks again with it gets the same lease, as long as that one lives.
//!
//! The same caller is the same access id with the same sub-claims: behind one auth method of AWS stand many identities.
//!
//! The key's digest is written with INTENT, and goes with the commit that ends ACTIVE. The producer's answer is kept,
//! sealed, for leases that have one, and for no others.

use bytes::Bytes;
use gateward_model::DynamicSecret;
use gateward_store::{Change, Key, Precondition, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Engine, IssueError, Issued, Wish};
use crate::due::LeaseKey;
use crate::items::{CatalogError, OpenSecret};
use crate::lease::{Holder, Lease, LeaseId, LeaseState};
use crate::ledger::{LedgerError, digest, sealed};

/// A wish that may have been made before.
pub(super) struct Again {
    /// Of the caller, the item and the key.
    digest: String,
    /// Of what was asked for.
    asked: String,
    /// Whose key it is.
    holder: Holder,
}

/// What stands where an idempotency key stands.
#[derive(Serialize, Deserialize)]
struct Given {
    item_id: u64,
    lease_id: LeaseId,
    asked: String,
}

impl Again {
    /// If the wish has a key.
    pub(super) fn of(secret: &DynamicSecret, holder: &Holder, wish: &Wish) -> Option<Self> {
        let key = wish.idempotency_key.as_deref()?;
        let ttl = wish.ttl.map(|ttl| ttl.as_millis().to_string()).unwrap_or_default();
        let (item, claims) = (secret.id.to_string(), serde_json::to_string(&holder.sub_claims).ok()?);
        let mut whose = vec![holder.access_id.as_str(), &item, key];
        // Keys of callers of whom nothing else is known stay where they always stood.
        if !holder.sub_claims.is_empty() {
            whose.push(&claims);
        }
        Some(Self {
            digest: digest(&whose),
            asked: digest(&[&Value::Object(wish.input.clone()).to_string(), &ttl]),
            holder: holder.clone(),
        })
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it stands at `key`.
    pub(super) fn is_at(&self, key: &Key) -> bool {
        *key == sealed::again_key(&self.digest)
    }

    /// Takes the key for `lease`, if nobody has it.
    pub(super) fn take(&self, lease: &Lease) -> Write {
        let given = Given { item_id: lease.item_id, lease_id: lease.id, asked: self.asked.clone() };
        let bytes = serde_json::to_vec(&given).unwrap_or_default();
        Write {
            key: sealed::again_key(&self.digest),
            precondition: Precondition::Absent,
            change: Change::Put(bytes.into()),
        }
    }
}

impl Engine {
    /// The lease that was given for the same wish; `None` if it has gone in the meantime.
    pub(super) async fn given_before(&self, again: &Again) -> Result<Option<Issued>, IssueError> {
        let store = self.ledger.store();
        let entry = store.get(&sealed::again_key(&again.digest)).await.map_err(LedgerError::from)?;
        let Some(entry) = entry else { return Ok(None) };
        let unreadable = || LedgerError::Unreadable(entry.key.sort.clone());
        let given: Given = serde_json::from_slice(&entry.value).map_err(|_| unreadable())?;
        if given.asked != again.asked {
            return Err(IssueError::Again(
                "the idempotency key was used with other arguments; use another key for another wish",
            ));
        }
        let key = LeaseKey { item_id: given.item_id, lease_id: given.lease_id };
        let Some(recorded) = self.ledger.get(key).await? else { return Ok(None) };
        // An older version put the keys of all identities of one access id in one place.
        if recorded.lease.holder != again.holder {
            return Err(IssueError::Again("the idempotency key is somebody else's; use another"));
        }
        match recorded.lease.state {
            LeaseState::Active { expires_at, .. } if expires_at > self.clock.now() => {
                let response = self.answer(key).await?;
                Ok(response.map(|response| Issued { lease_id: given.lease_id, expires_at, response }))
            }
            LeaseState::Active { .. } => {
                Err(IssueError::Again("the lease of this idempotency key is over; try again in a moment"))
            }
            LeaseState::Intent { .. } => Err(IssueError::Again(
                "the lease of this idempotency key is being made; try again in a moment",
            )),
            _ => Ok(None),
        }
    }

    /// Keeps the producer's answer beside `lease`, sealed as the payload of `open` is.
    pub(super) fn keep_answer(
        &self,
        open: &OpenSecret,
        lease: &Lease,
        response: &Map<String, Value>,
    ) -> Option<Write> {
        let key = sealed::answer_key(LeaseKey::of(lease));
        let plaintext = Zeroizing::new(serde_json::to_vec(response).unwrap_or_default());
        // It was opened with that fragment; without it no answer would be kept, and none given twice.
        let sealer = self.catalog.sealer();
        let value: Bytes = sealer.seal_at_with(open.fragment.as_ref(), PURPOSE, &key, 1, &plaintext).ok()?;
        Some(Write { key, precondition: Precondition::Absent, change: Change::Put(value) })
    }

    async fn answer(&self, lease: LeaseKey) -> Result<Option<Map<String, Value>>, IssueError> {
        let entry = self.ledger.store().get(&sealed::answer_key(lease)).await.map_err(LedgerError::from)?;
        let Some(entry) = entry else { return Ok(None) };
        let sealed = |why: String| CatalogError::Sealed { item: lease.item_id.to_string(), why };
        let plaintext =
            self.catalog.sealer().open_entry(PURPOSE, &entry).map_err(|error| sealed(error.to_string()))?;
        let answer = serde_json::from_slice(&plaintext).map_err(|_| sealed("it is no answer".to_owned()))?;
        Ok(Some(answer))
    }
}

const PURPOSE: &str = "answer for an idempotency key";
