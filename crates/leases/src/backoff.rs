//! When a revocation that failed is tried again: soon at first, ever slower, and without end.

use std::time::Duration;

use crate::producer::RevokeFailure;

/// The wait before the next attempt, when `attempts` have failed so and the first was `since_first` ago.
///
/// Full jitter up to 1 s, 2 s, 4 s … 5 min in the first hour; then about every 15 min for a day; then about hourly. What
/// a person has to put right is tried slowly from the start.
pub(crate) fn delay(
    failure: RevokeFailure,
    attempts: u32,
    since_first: Duration,
    rng: &mut fastrand::Rng,
) -> Duration {
    let passing = matches!(failure, RevokeFailure::Transient | RevokeFailure::Unnamed);
    if passing && since_first < HOUR {
        let ceiling = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_AT_FIRST);
        // Never at once: a producer that fails fast must not be called in a tight loop.
        return (ceiling.mul_f64(rng.f64())).max(SHORTEST);
    }
    let about = if since_first < DAY && failure != RevokeFailure::Refused { QUARTER } else { HOUR };
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
        let mut transient = |attempts, since| delay(RevokeFailure::Transient, attempts, since, &mut rng);
        for _ in 0..1000 {
            assert!(transient(1, Duration::ZERO) <= FIRST);
            assert!(transient(1, Duration::ZERO) >= SHORTEST);
            assert!(transient(4, Duration::ZERO) <= FIRST * 8);
            assert!(transient(u32::MAX, Duration::from_secs(3599)) <= LONGEST_AT_FIRST);
            assert!(about(transient(u32::MAX, HOUR), QUARTER));
            assert!(about(transient(u32::MAX, DAY * 400), HOUR));
        }
    }

    #[test]
    fn what_a_person_has_to_put_right_is_tried_slowly_from_the_start() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..1000 {
            let misconfigured = delay(RevokeFailure::Misconfigured, 1, Duration::ZERO, &mut rng);
            assert!(about(misconfigured, QUARTER), "{misconfigured:?}");
            let refused = delay(RevokeFailure::Refused, 1, Duration::ZERO, &mut rng);
            assert!(about(refused, HOUR), "{refused:?}");
        }
    }

    fn about(wait: Duration, expected: Duration) -> bool {
        wait >= expected.mul_f64(0.7) && wait <= expected.mul_f64(1.3)
    }
}
