//! How many leases live: of the gateway, of each dynamic secret, of each identity.
//!
//! A place is taken in the commit that writes INTENT, and given back in the one that ends the lease, so that no crash
//! makes them differ. The gateway's counter is in parts, so that not all creations write the same key; each part
//! has its share of the cap.

use std::collections::HashSet;
use std::fmt;
use std::ops::Bound;

use gateward_store::{Change, Key, Precondition, Store, StoreError, Write, counter};

use super::{Ledger, LedgerError, digest};
use crate::lease::Lease;

/// How many leases may live at once, besides what each dynamic secret says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// Of the whole gateway.
    pub gateway: Option<u64>,
    /// Of each identity.
    pub identity: Option<u64>,
    /// Of each dynamic secret that does not say itself how many.
    pub item: Option<u64>,
}

/// Which cap was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// The gateway's.
    Gateway,
    /// The dynamic secret's.
    Item,
    /// The caller's.
    Identity,
}

impl fmt::Display for Cap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gateway => "the gateway has as many live leases as it may have; revoke some, or wait",
            Self::Item => "this item has as many live leases as it may have; revoke some, or wait",
            Self::Identity => "you hold as many live leases as you may; revoke some, or wait",
        })
    }
}

impl Caps {
    /// What takes a place for `lease`, if there is one.
    pub(super) fn reserve(&self, lease: &Lease, of_item: Option<u64>) -> [Write; 3] {
        let share = |cap: u64| {
            let parts = u64::from(PARTS);
            cap / parts + u64::from(u64::from(lease.counted_in) < cap % parts)
        };
        let bounds = [self.gateway.map(share), of_item.or(self.item), self.identity];
        let mut writes = keys(lease).map(|key| add(key, 1));
        for (write, bound) in writes.iter_mut().zip(bounds) {
            write.precondition = bound.map_or(Precondition::Any, Precondition::Below);
        }
        writes
    }

    /// Notes that `part` of the gateway's counter is full, and says whether another may not be.
    pub(super) fn has_room_in_another(&self, part: u8, full: &mut HashSet<u8>) -> bool {
        full.insert(part);
        full.len() < usize::from(PARTS) && self.gateway.is_some_and(|cap| cap > 0)
    }
}

/// What gives the place of `lease` back.
pub(super) fn release(lease: &Lease) -> [Write; 3] {
    keys(lease).map(|key| add(key, -1))
}

/// Which cap it is whose counter stands at `key`.
pub(super) fn full(key: &Key) -> Option<Cap> {
    if key.partition != PARTITION {
        return None;
    }
    match key.sort.split_once('/')?.0 {
        "gateway" => Some(Cap::Gateway),
        "item" => Some(Cap::Item),
        "identity" => Some(Cap::Identity),
        _ => None,
    }
}

impl Ledger {
    /// How many leases live.
    pub(crate) async fn live(&self) -> Result<u64, LedgerError> {
        Ok(live(self.store()).await?)
    }
}

/// How many leases live in `store`.
pub(crate) async fn live(store: &dyn Store) -> Result<u64, StoreError> {
    // `0` is the character after `/`.
    let range = (Bound::Included("gateway/".to_owned()), Bound::Excluded("gateway0".to_owned()));
    let parts = store.list(PARTITION, range, usize::from(PARTS)).await?;
    Ok(parts.iter().filter_map(|entry| counter(&entry.value)).sum())
}

fn keys(lease: &Lease) -> [Key; 3] {
    [
        format!("gateway/{:02}", lease.counted_in),
        format!("item/{}", lease.item_id),
        format!("identity/{}", digest(&[&lease.holder.access_id])),
    ]
    .map(|sort| Key { partition: PARTITION.to_owned(), sort })
}

fn add(key: Key, add: i64) -> Write {
    Write { key, precondition: Precondition::Any, change: Change::Add(add) }
}

const PARTITION: &str = "~count";

/// Of the gateway's counter.
pub(super) const PARTS: u8 = 16;
