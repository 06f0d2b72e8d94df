//! How many leases live: of the gateway, of each dynamic secret, of each identity.
//!
//! A place is taken in the commit that writes INTENT, and given back in the one that ends the lease, so that no crash
//! makes them differ. Everything is counted, also where no cap asks for it: one that is set later must know what lives.
//!
//! Where DynamoDB keeps the store, it cancels one of two transactions that meet at an item. So each counter is in parts,
//! which the leases of a process take in turns, and each lease keeps in its record which ones count it. Where there is a
//! cap, each part has a share of it (see `deal.rs`); to deal that out, all parts are looked at once in a while.

mod deal;

use std::fmt;
use std::ops::Bound;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::try_join_all;
use gateward_clock::Timestamp;
use gateward_store::{Change, Key, Precondition, Store, StoreError, Write, counter};
use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, digest};
use crate::lease::Lease;
use deal::{Counts, Deal, PARTS};

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

/// What a dynamic secret says of how many of its leases may live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfItem {
    /// So many.
    pub most: Option<u64>,
    /// The version of its record, which the commit that begins a lease checks.
    pub version: u64,
}

/// Which parts of its counters count a lease: the gateway's, its dynamic secret's, its identity's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted([u8; 3]);

/// Where a lease is about to begin to count.
pub(super) struct Places {
    places: [Place; 3],
    /// Whose turn it is among the parts.
    turn: u8,
    at: Timestamp,
}

struct Place {
    counter: Counter,
    limit: Limit,
    part: u8,
    /// What its part's share is of, if there is a cap.
    deal: Option<Deal>,
}

/// How many may live, and since which version of the secret that says so.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Limit {
    most: Option<u64>,
    version: u64,
}

/// One of the counters, by the beginning of its sort keys.
struct Counter(String);

/// What is known of a counter that has a cap.
pub(super) struct Looked {
    limit: Limit,
    deal: Deal,
    at: Timestamp,
}

impl Places {
    /// What takes them.
    pub(super) fn writes(&self) -> impl Iterator<Item = Write> {
        self.places.iter().map(|place| Write {
            key: place.counter.key(place.part),
            precondition: place
                .deal
                .map_or(Precondition::Any, |deal| Precondition::Below(deal.share(place.part))),
            change: Change::Add(1),
        })
    }

    pub(super) fn counted(&self) -> Counted {
        Counted([0, 1, 2].map(|place: usize| self.places[place].part))
    }
}

/// What gives the places of `lease` back.
pub(crate) fn release(lease: &Lease) -> [Write; 3] {
    let keys = match lease.counted {
        Some(Counted(parts)) => {
            let [gateway, item, identity] = counters(lease);
            [gateway.key(parts[0]), item.key(parts[1]), identity.key(parts[2])]
        }
        // It began under a version that kept all counters in one partition.
        None => {
            let [Counter(gateway), Counter(item), Counter(identity)] = counters(lease);
            [format!("{gateway}/{:02}", lease.counted_in), item, identity].map(before)
        }
    };
    keys.map(|key| Write { key, precondition: Precondition::Any, change: Change::Add(-1) })
}

/// Which cap it is whose counter stands at `key`.
pub(super) fn full(key: &Key) -> Option<Cap> {
    if !key.partition.starts_with(PARTITIONS) {
        return None;
    }
    match key.sort.split_once('/')?.0 {
        GATEWAY => Some(Cap::Gateway),
        "item" => Some(Cap::Item),
        "identity" => Some(Cap::Identity),
        _ => None,
    }
}

/// Whether `write` counts a lease of a dynamic secret.
pub(super) fn is_of_item(write: &Write) -> bool {
    matches!(write.change, Change::Add(_)) && full(&write.key) == Some(Cap::Item)
}

impl Ledger {
    /// Places for `lease`, as far as is known: its commit says whether they are still free.
    pub(super) async fn places(&self, lease: &Lease, of_item: OfItem) -> Result<Places, LedgerError> {
        let steady = |most| Limit { most, version: 0 };
        let caps = self.caps;
        let item = Limit { most: of_item.most.or(caps.item), version: of_item.version };
        let limits = [steady(caps.gateway), item, steady(caps.identity)];
        let mut places = self.unlimited(lease);
        for (at, limit) in limits.into_iter().enumerate() {
            places.places[at].limit = limit;
            let Some(most) = limit.most else { continue };
            let deal = match self.known(&places.places[at], places.at) {
                Some(deal) => deal,
                None => self.look(&places.places[at], most, places.at).await?.0,
            };
            // Where nothing is dealt out, the commit says whether the cap is still the secret's.
            let part = places.turn.checked_rem(deal.parts()).unwrap_or_default();
            places.places[at].take(part, deal);
        }
        Ok(places)
    }

    /// Places for `lease` that no cap keeps from it.
    pub(super) fn unlimited(&self, lease: &Lease) -> Places {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % PARTS;
        let limit = Limit { most: None, version: 0 };
        let place = |counter| Place { counter, limit, part: turn, deal: None };
        Places { places: counters(lease).map(place), turn, at: lease.created_at }
    }

    /// The part of `cap` that was chosen is full: chooses another, if one is not.
    pub(super) async fn choose_another(&self, places: &mut Places, cap: Cap) -> Result<(), LedgerError> {
        let (at, turn) = (places.at, places.turn);
        let Some(place) = CAPS.iter().position(|one| *one == cap).and_then(|one| places.places.get_mut(one))
        else {
            return Err(LedgerError::Full(cap));
        };
        let Some(most) = place.limit.most.filter(|_| !place.deal.is_some_and(Deal::is_one_whole)) else {
            return Err(LedgerError::Full(cap));
        };
        let (deal, counts) = self.look(place, most, at).await?;
        let has_room = |part: &u8| counts[usize::from(*part)] < deal.share(*part);
        let free: Vec<u8> = (0..deal.parts()).filter(has_room).collect();
        // Not the first of them: others look for one, too.
        let Some(part) = usize::from(turn).checked_rem(free.len()).map(|one| free[one]) else {
            return Err(LedgerError::Full(cap));
        };
        place.take(part, deal);
        places.turn = turn.wrapping_add(1);
        Ok(())
    }

    fn known(&self, place: &Place, now: Timestamp) -> Option<Deal> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = looked.get(&place.counter.0)?;
        let is_fresh = now.saturating_since(known.at) < FRESH;
        (known.limit == place.limit && is_fresh).then_some(known.deal)
    }

    /// Looks at all parts of a counter, and deals `most` out.
    async fn look(&self, place: &Place, most: u64, now: Timestamp) -> Result<(Deal, Counts), LedgerError> {
        let (counts, elsewhere) = place.counter.read(self.store()).await?;
        let deal = Deal::of(most, &counts, elsewhere);
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.len() >= MOST_LOOKED {
            looked.clear();
        }
        looked.insert(place.counter.0.clone(), Looked { limit: place.limit, deal, at: now });
        Ok((deal, counts))
    }

    /// How many leases live.
    pub(crate) async fn live(&self) -> Result<u64, LedgerError> {
        Ok(live(self.store()).await?)
    }
}

impl Place {
    fn take(&mut self, part: u8, deal: Deal) {
        self.part = part;
        self.deal = Some(deal);
    }
}

impl Counter {
    /// Where `part` of it stands. What is counted in the same part of two counters is not to stand in one partition.
    fn key(&self, part: u8) -> Key {
        let first = self.0.bytes().fold(0, u8::wrapping_add);
        let partition = partition(first.wrapping_add(part) % SPREAD);
        Key { partition, sort: format!("{}/{part:02}", self.0) }
    }

    /// How many live in each part, and how many that began before there were so many parts.
    async fn read(&self, store: &dyn Store) -> Result<(Counts, u64), StoreError> {
        // `0` is the character after `/`.
        let range = (Bound::Included(format!("{}/", self.0)), Bound::Excluded(format!("{}0", self.0)));
        let lists = (0..SPREAD).map(|part| {
            let range = range.clone();
            async move { store.list(&partition(part), range, usize::from(PARTS)).await }
        });
        let mut counts = [0; PARTS as usize];
        for entry in try_join_all(lists).await?.into_iter().flatten() {
            let part = entry.key.sort.rsplit('/').next().and_then(|part| part.parse::<usize>().ok());
            if let Some(count) = part.and_then(|part| counts.get_mut(part)) {
                *count = counter(&entry.value).unwrap_or_default();
            }
        }
        let range = match self.0.as_str() {
            GATEWAY => range,
            name => (Bound::Included(name.to_owned()), Bound::Included(name.to_owned())),
        };
        let before = store.list(BEFORE, range, usize::from(PARTS)).await?;
        Ok((counts, before.iter().filter_map(|entry| counter(&entry.value)).sum()))
    }
}

/// How many leases live in `store`.
pub(crate) async fn live(store: &dyn Store) -> Result<u64, StoreError> {
    let (counts, before) = Counter(GATEWAY.to_owned()).read(store).await?;
    Ok(counts.iter().sum::<u64>() + before)
}

/// Those that count `lease`, in the order of [`CAPS`].
fn counters(lease: &Lease) -> [Counter; 3] {
    [
        Counter(GATEWAY.to_owned()),
        Counter(format!("item/{}", lease.item_id)),
        Counter(format!("identity/{}", digest(&[&lease.holder.access_id]))),
    ]
}

fn partition(number: u8) -> String {
    format!("{PARTITIONS}{number:02}")
}

fn before(sort: String) -> Key {
    Key { partition: BEFORE.to_owned(), sort }
}

/// What each of a lease's three counters keeps to.
const CAPS: [Cap; 3] = [Cap::Gateway, Cap::Item, Cap::Identity];

const GATEWAY: &str = "gateway";

/// Into so many partitions the counters are spread: one of DynamoDB's takes a thousand writes a second.
const SPREAD: u8 = 16;
const PARTITIONS: &str = "~count/";

/// Where the leases of the version before are counted. It only loses some.
const BEFORE: &str = "~count";

/// How long a look at all parts of a counter is good for: processes that are started one after the other with another cap may
/// differ for so long.
const FRESH: Duration = Duration::from_secs(60);

/// How many counters are known at once.
const MOST_LOOKED: usize = 4096;
