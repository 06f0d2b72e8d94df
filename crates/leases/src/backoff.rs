//! When a revocation that failed is tried again: soon at first, ever slower, and without end.

use std::time::Duration;

/// The wait before the next attempt, when `attempts` have failed and the first was `since_first` ago.
///
/// Full jitter up to 1 s, 2 s, 4 s … 5 min in the first hour; then about every 15 min for a day; then about hourly.
pub(crate) fn delay(attempts: u32, since_first: Duration, rng: &mut fastrand::Rng) -> Duration {
    if since_first < HOUR {
        let ceiling = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_AT_FIRST);
        // Never at once: a producer that fails fast must not be called in a tight loop.
        return (ceiling.mul_f64(rng.f64())).max(SHORTEST);
    }
    let about = if since_first < DAY { QUARTER } else { HOUR };
    about.mul_f64(0.75 + rng.f64() / 2.0)
}

const SHORTEST: Duration = Duration::from_millis(100);
const FIRST: Duration = Duration::from_secs(1);
const LONGEST_AT_FIRST: Duration = Duration::from_secs(300);
const QUARTER: Duration = Duration::from_secs(900);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_five_minutes_then_a_quarter_then_an_hour_and_never_ends() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..1000 {
            assert!(delay(1, Duration::ZERO, &mut rng) <= FIRST);
            assert!(delay(1, Duration::ZERO, &mut rng) >= SHORTEST);
            assert!(delay(4, Duration::ZERO, &mut rng) <= FIRST * 8);
            assert!(delay(u32::MAX, Duration::from_secs(3599), &mut rng) <= LONGEST_AT_FIRST);
            let quarter = delay(u32::MAX, HOUR, &mut rng);
            assert!(quarter >= QUARTER.mul_f64(0.7) && quarter <= QUARTER.mul_f64(1.3));
            let hour = delay(u32::MAX, DAY * 400, &mut rng);
            assert!(hour >= HOUR.mul_f64(0.7) && hour <= HOUR.mul_f64(1.3));
        }
    }
}
