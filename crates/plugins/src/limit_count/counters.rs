//! Counters of requests, which all data threads and all configurations of a process share.
//!
//! A hash table without locks. A counter is three words in a slot: whose it is (a hash of 64 bits, under a key of this
//! process's own), when its window ends, and how much of it is used, beside a few bits that say of which window. The
//! last two are read and changed one at a time; these bits are what keeps a late count of an old window out of the new.
//!
//! Memory is bounded: there are [`SEGMENTS`] times [`SLOTS`] slots, made segment by segment when first needed. A slot
//! whose window has ended is free. Where none is free among the [`PROBES`] that a counter may stand in, the one that
//! ends first makes room, and whoever it counted starts anew: somebody who floods the table with keys can shorten a
//! window so, but neither fill the memory nor lock others out. Two requests that are at the very same slot while it
//! changes hands may be miscounted by one.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// All counters of a process.
pub(super) struct Counters {
    hasher: RandomState,
    segments: Box<[OnceLock<Box<[Slot]>>]>,
}

#[derive(Default)]
struct Slot {
    /// Whose it is; 0 for nobody's yet.
    key: AtomicU64,
    /// When its window ends, in milliseconds since 1970; 0 while it changes hands.
    ends: AtomicU64,
    /// The tag of the window, and how much of it is used.
    used: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Whether the request is within the limit. If not, it was not counted.
    pub(super) admitted: bool,
    /// How many more would be.
    pub(super) remaining: u64,
    /// In how many milliseconds there will be room again, or all of it.
    pub(super) reset: u64,
}

impl Counters {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        let segments = (0..SEGMENTS).map(|_| OnceLock::new()).collect();
        Self { hasher: RandomState::new(), segments }
    }

    /// What a counter is found by: a hash of everything that sets it apart.
    pub(super) fn key(&self, apart: impl Hash) -> u64 {
        self.hasher.hash_one(apart).max(1)
    }

    /// The same for one of the counters that `base` has in common.
    pub(super) fn key_of(&self, base: u64, kind: u8, bytes: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(base);
        hasher.write_u8(kind);
        hasher.write(bytes);
        hasher.finish().max(1)
    }

    /// Counts one request at `now` against `limit` in a window of `span` that begins with its first request.
    pub(super) fn fixed(&self, key: u64, limit: u64, span: u64, now: u64) -> Count {
        let limit = limit.min(MOST);
        let slot = self.slot(key, now);
        let (admitted, used, ends) = slot.count(now, now.saturating_add(span), span, |used| used < limit);
        Count { admitted, remaining: limit.saturating_sub(used), reset: ends.saturating_sub(now) }
    }

    /// Counts one request at `now` against `limit` in a window of `span` that ends now: what is left of the window
    /// before counts for as much as of it is not yet past.
    pub(super) fn sliding(&self, key: u64, limit: u64, span: u64, now: u64) -> Count {
        let limit = limit.min(MOST);
        let window = now / span;
        let window_key = |window: u64| self.key_of(key, 0, &window.to_ne_bytes());
        let before = self.used(window_key(window.wrapping_sub(1)), now).min(limit);
        let left = span - now % span;
        let weighed = u128::from(before) * u128::from(left);
        let still = u64::try_from(weighed / u128::from(span)).unwrap_or(u64::MAX);
        let at_most = limit.saturating_sub(still);
        // Kept for one window more, for the weighing.
        let ends = (window + 2).saturating_mul(span);
        let slot = self.slot(window_key(window), now);
        let (admitted, used, _) = slot.count(now, ends, span.saturating_mul(2), |used| used < at_most);
        if admitted {
            let still = u64::try_from(weighed.div_ceil(u128::from(span))).unwrap_or(u64::MAX);
            return Count {
                admitted,
                remaining: limit.saturating_sub(used).saturating_sub(still),
                reset: left,
            };
        }
        let room = u128::from(limit.saturating_sub(used)) * u128::from(span) / u128::from(before.max(1));
        let reset = left.saturating_sub(u64::try_from(room).unwrap_or(u64::MAX));
        Count { admitted, remaining: 0, reset: if used >= limit { left } else { reset } }
    }

    /// How much is used of a window that has not ended.
    fn used(&self, key: u64, now: u64) -> u64 {
        let Some(segment) = self.segments[segment_of(key)].get() else { return 0 };
        let slot = probe(segment, key).find(|slot| slot.key.load(Acquire) == key);
        let Some(slot) = slot else { return 0 };
        let (ends, word) = (slot.ends.load(Acquire), slot.used.load(Acquire));
        if ends > now && word >> COUNT_BITS == tag(ends) { word & MOST } else { 0 }
    }

    /// The slot of the counter `key`, taken over from another one where it has none yet.
    fn slot(&self, key: u64, now: u64) -> &Slot {
        let segment = self.segments[segment_of(key)]
            .get_or_init(|| std::iter::repeat_with(Slot::default).take(SLOTS).collect());
        loop {
            // Whom the counter takes the place of: somebody whose window has ended, or whose ends first.
            let mut ended = None;
            let mut first_to_end = None;
            for slot in probe(segment, key) {
                let holder = slot.key.load(Acquire);
                if holder == key {
                    return slot;
                }
                let ends = slot.ends.load(Acquire);
                let place = Place { slot, holder, ends };
                if holder == 0 {
                    ended = ended.or(Some(place));
                    // What was ever given away is never empty again, so `key` cannot stand further on.
                    break;
                }
                if ends == 0 {
                    continue;
                }
                if ends <= now {
                    ended = ended.or(Some(place));
                } else if first_to_end.as_ref().is_none_or(|first: &Place<'_>| ends < first.ends) {
                    first_to_end = Some(place);
                }
            }
            if let Some(place) = ended.or(first_to_end)
                && place.slot.key.compare_exchange(place.holder, key, AcqRel, Acquire).is_ok()
            {
                if place.ends > now {
                    // The other's window is not ours. Where this fails, somebody has begun a new one for `key` already.
                    let _ = place.slot.ends.compare_exchange(place.ends, 0, AcqRel, Acquire);
                }
                return place.slot;
            }
        }
    }
}

/// A slot as it was seen.
struct Place<'s> {
    slot: &'s Slot,
    holder: u64,
    ends: u64,
}

impl Slot {
    /// Counts one more, if `admits` says so of what is used. A window that is over, or that would last longer than
    /// `longest` (because somebody set the clock back), is followed by one until `next`.
    ///
    /// Says whether it was counted, how much is used, and when the window ends.
    fn count(&self, now: u64, next: u64, longest: u64, admits: impl Fn(u64) -> bool) -> (bool, u64, u64) {
        loop {
            let mut ends = self.ends.load(Acquire);
            if ends <= now || ends - now > longest.saturating_add(2) {
                // What was counted before, for whomever, must not look like counted in the new window.
                let before = [tag(ends), self.used.load(Acquire) >> COUNT_BITS];
                let next = (next..).find(|next| !before.contains(&tag(*next))).unwrap_or(next);
                if self.ends.compare_exchange(ends, next, AcqRel, Acquire).is_err() {
                    continue;
                }
                ends = next;
            }
            let word = self.used.load(Acquire);
            let used = if word >> COUNT_BITS == tag(ends) {
                word & MOST
            } else if self.ends.load(Acquire) == ends {
                // Nobody has counted in this window yet.
                0
            } else {
                continue;
            };
            if !admits(used) {
                return (false, used, ends);
            }
            let more = tag(ends) << COUNT_BITS | (used + 1);
            if self.used.compare_exchange(word, more, AcqRel, Acquire).is_ok() {
                return (true, used + 1, ends);
            }
        }
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Counters")
    }
}

fn segment_of(key: u64) -> usize {
    (key >> 32) as usize % SEGMENTS
}

/// The slots that the counter `key` may stand in, in this order.
fn probe(segment: &[Slot], key: u64) -> impl Iterator<Item = &Slot> {
    (0..PROBES).map(move |step| &segment[(key as usize).wrapping_add(step) % SLOTS])
}

/// The bits that tell the window that ends then from the one before it.
fn tag(ends: u64) -> u64 {
    ends & ((1 << (64 - COUNT_BITS)) - 1)
}

/// Together 262 144 slots of 24 bytes: 6 MiB once all of them were needed.
const SEGMENTS: usize = 1024;
const SLOTS: usize = 256;
const PROBES: usize = 64;

/// How many bits the count has; the others of its word are the window's tag.
const COUNT_BITS: u32 = 44;

/// The most that can be counted in a window: 17 million million.
const MOST: u64 = (1 << COUNT_BITS) - 1;

#[cfg(test)]
mod tests;
