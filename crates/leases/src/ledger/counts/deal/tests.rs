use super::*;

/// A counter, and processes that know of it what they saw when they last looked.
struct World {
    rng: fastrand::Rng,
    counts: Counts,
    elsewhere: u64,
    cap: Option<u64>,
    known: [Option<Deal>; 3],
}

impl World {
    fn live(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.elsewhere
    }

    fn look(&self, cap: u64) -> Deal {
        Deal::of(cap, &self.counts, self.elsewhere)
    }

    /// One process wants a place; it looks again only if what it knows has none.
    fn begin(&mut self, process: usize) {
        let Some(cap) = self.cap else {
            self.counts[self.rng.usize(0..usize::from(PARTS))] += 1;
            return;
        };
        let known = self.known[process].unwrap_or_else(|| self.look(cap));
        self.known[process] = Some(known);
        let part = self.rng.u8(0..PARTS);
        if !self.take(part, known) {
            let known = self.look(cap);
            self.known[process] = Some(known);
            let taken = (0..PARTS).any(|part| self.take(part, known));
            assert!(taken || self.live() >= cap, "{} of {cap} live, and there is no place", self.live());
        }
    }

    fn take(&mut self, part: u8, deal: Deal) -> bool {
        let count = &mut self.counts[usize::from(part)];
        let taken = *count < deal.share(part);
        *count += u64::from(taken);
        if let (true, Some(cap)) = (taken, self.cap) {
            assert!(self.live() <= cap, "{} live of {cap}", self.live());
        }
        taken
    }

    fn end(&mut self) {
        let live: Vec<usize> = (0..self.counts.len()).filter(|part| self.counts[*part] > 0).collect();
        match self.rng.choice(live) {
            Some(part) if self.elsewhere == 0 || self.rng.bool() => self.counts[part] -= 1,
            _ => self.elsewhere = self.elsewhere.saturating_sub(1),
        }
    }
}

#[test]
fn no_cap_is_passed_and_no_place_is_lost_whatever_the_caps_before_and_however_old_the_looks() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let elsewhere = rng.u64(0..20);
        let mut world = World { rng, counts: [0; PARTS as usize], elsewhere, cap: None, known: [None; 3] };
        for _ in 0..2000 {
            match world.rng.u8(0..200) {
                0 => {
                    let caps = [None, Some(1), Some(5), Some(31), Some(32), Some(100), Some(700), Some(3000)];
                    world.cap = world.rng.choice(caps).flatten();
                    // Whoever begins a lease under another cap than the one that stands is refused.
                    world.known = [None; 3];
                }
                1..110 => {
                    let process = world.rng.usize(0..3);
                    world.begin(process);
                }
                _ => world.end(),
            }
        }
    }
}

#[test]
fn the_shares_are_the_cap_and_small_caps_are_not_crumbled() {
    for cap in [0, 1, 15, 31, 32, 100, 1023, 1024, 100_001, u64::MAX] {
        let deal = Deal::of(cap, &[0; PARTS as usize], 0);
        let shares: u128 = (0..PARTS).map(|part| u128::from(deal.share(part))).sum();
        assert_eq!(shares, u128::from(cap));
        assert!((0..deal.parts()).all(|part| deal.share(part) >= LEAST.min(cap)), "{cap}");
        assert!((deal.parts()..PARTS).all(|part| deal.share(part) == 0), "{cap}");
    }
}
