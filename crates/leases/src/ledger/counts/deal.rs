//! How a cap is dealt out to the parts of a counter.
//!
//! A lease may begin to count in a part that has less than its share. The shares come to the cap together, so that no part
//! need know of the others. A small cap has few parts, or each would have hardly a place.
//!
//! What lives may be spread otherwise: it began under another cap, or under none. Then fewer places are dealt out than the
//! cap has: the most for which all parts, each as large as its count or its share, whichever is more, come to no more
//! than the cap. That needs a look at all of them, which may be an old one as long as the cap is the same: since then a
//! part that was beyond its share has lost leases and gained none, and what another gained was dealt for.

/// How many parts a counter has.
pub(super) const PARTS: u8 = 64;

/// How many leases live in each part.
pub(super) type Counts = [u64; PARTS as usize];

/// What of a cap is dealt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deal {
    cap: u64,
    dealt: u64,
}

impl Deal {
    /// As much as `cap` leaves, where `counts` live in the parts and `elsewhere` where nothing can begin any more.
    pub(super) fn of(cap: u64, counts: &Counts, elsewhere: u64) -> Self {
        let needed = |dealt: u64| {
            let deal = Self { cap, dealt };
            let parts = (0..PARTS).zip(counts).map(|(part, count)| deal.share(part).max(*count));
            parts.fold(elsewhere, u64::saturating_add)
        };
        if needed(cap) <= cap {
            return Self { cap, dealt: cap };
        }
        // One more place dealt out needs one more, or none.
        let (mut dealt, mut too_much) = (0, cap);
        while too_much - dealt > 1 {
            let middle = dealt + (too_much - dealt) / 2;
            if needed(middle) <= cap {
                dealt = middle;
            } else {
                too_much = middle;
            }
        }
        Self { cap, dealt }
    }

    /// How many leases may live in `part`.
    pub(super) fn share(self, part: u8) -> u64 {
        let parts = parts_of(self.cap);
        match part < parts {
            true => {
                let parts = u64::from(parts);
                self.dealt / parts + u64::from(u64::from(part) < self.dealt % parts)
            }
            false => 0,
        }
    }

    /// How many parts have a share; they are the first ones.
    pub(super) fn parts(self) -> u8 {
        u8::try_from(self.dealt).unwrap_or(PARTS).min(parts_of(self.cap))
    }

    /// Whether one part has all of the cap: if that is full, everything is.
    pub(super) fn is_one_whole(self) -> bool {
        self.dealt == self.cap && self.parts() == 1
    }
}

/// How many parts a cap is dealt out to.
fn parts_of(cap: u64) -> u8 {
    u8::try_from(cap / LEAST).unwrap_or(PARTS).clamp(1, PARTS)
}

/// Of how many places a part is worth having: so few do not stand in each other's way for long.
const LEAST: u64 = 16;

#[cfg(test)]
mod tests;
