//! The rotation of one payload: what is known of it between two calls, and each step that it may take.
//!
//! Pure, like the lease machine: a step takes the state and the time, and gives the next state or refuses. That a
//! rotation is under way is durable before the producer is called, for the new payload comes with the answer and with
//! nothing else.

use std::time::Duration;

use gateward_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::producer::RevokeFailure;

/// What is known of the rotation of a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotation {
    /// How often it is rotated by itself; never, if this is not said.
    pub every: Option<Every>,
    /// When it is rotated by itself, or tried again, or found to be lost.
    pub next_at: Option<Timestamp>,
    /// The call that is under way, or of which the answer was lost.
    pub under_way: Option<UnderWay>,
    /// When it last succeeded.
    pub last_at: Option<Timestamp>,
    /// How often it has failed since.
    pub attempts: u32,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// Why it failed last, for people.
    pub failure: Option<String>,
}

/// How often a payload is rotated by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Every {
    /// So many minutes after the last time.
    pub minutes: u64,
    /// At this hour of the day (UTC); for whole days only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<u8>,
}

/// A call to rotate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Names it to the producer: the same again is the same rotation.
    pub id: String,
    /// Until when its answer is waited for; then it counts as lost.
    pub until: Timestamp,
}

/// Why no rotation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rotation is under way already")]
pub struct Busy;

impl Rotation {
    /// The same with another schedule, which begins now.
    #[must_use]
    pub fn scheduled(&self, every: Option<Every>, now: Timestamp) -> Self {
        let next_at =
            if self.under_way.is_some() { self.next_at } else { every.map(|every| every.after(now)) };
        Self { every, next_at, ..self.clone() }
    }

    /// A call begins, and its answer is waited for until `until`. One whose answer was lost is repeated if the producer
    /// knows the same call again, else this is a new one.
    pub fn begin(&self, now: Timestamp, until: Timestamp, is_repeatable: bool) -> Result<Self, Busy> {
        let id = match &self.under_way {
            Some(call) if call.until > now => return Err(Busy),
            Some(call) if is_repeatable => call.id.clone(),
            _ => format!("r-{:032x}", fastrand::u128(..)),
        };
        Ok(Self { under_way: Some(UnderWay { id, until }), next_at: Some(until), ..self.clone() })
    }

    /// Whether the call `id` is under way.
    pub fn is_at(&self, id: &str) -> bool {
        self.under_way.as_ref().is_some_and(|call| call.id == id)
    }

    /// Whether the answer of a call is overdue, because the process that made it ended.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.under_way.as_ref().is_some_and(|call| call.until <= now)
    }

    /// The producer has given a new payload.
    #[must_use]
    pub fn done(&self, now: Timestamp) -> Self {
        let next_at = self.every.map(|every| every.after(now));
        Self { every: self.every, next_at, last_at: Some(now), ..Self::default() }
    }

    /// The producer has made no new payload, for certain. What is rotated by itself is tried again.
    #[must_use]
    pub fn failed(&self, why: String, now: Timestamp, rng: &mut fastrand::Rng) -> Self {
        let failed = self.failing(why, now);
        Self { under_way: None, next_at: self.every.map(|_| failed.retry_at(now, rng)), ..failed }
    }

    /// The producer may have made a new payload, and the answer is lost. The same call is repeated where the producer
    /// knows it again; else nothing happens by itself any more, for a second new payload might make the first useless.
    #[must_use]
    pub fn lost(&self, why: &str, is_repeatable: bool, now: Timestamp, rng: &mut fastrand::Rng) -> Self {
        if is_repeatable {
            let failed = self.failing(why.to_owned(), now);
            let next_at = Some(failed.retry_at(now, rng));
            let under_way = failed.under_way.clone().map(|call| UnderWay { until: now, ..call });
            return Self { next_at, under_way, ..failed };
        }
        let words = format!(
            "{why}; the producer may have made a payload that nobody knows. The one before is kept, and nothing is \
             rotated by itself until somebody rotates it or sets a payload"
        );
        Self { under_way: None, next_at: None, ..self.failing(words, now) }
    }

    fn failing(&self, why: String, now: Timestamp) -> Self {
        let failing_since = self.failing_since.or(Some(now));
        Self { attempts: self.attempts.saturating_add(1), failing_since, failure: Some(why), ..self.clone() }
    }

    fn retry_at(&self, now: Timestamp, rng: &mut fastrand::Rng) -> Timestamp {
        let since = self.failing_since.unwrap_or(now);
        now + backoff::delay(RevokeFailure::Transient, self.attempts, now.saturating_since(since), rng)
    }
}

impl Every {
    /// Every `days` days.
    pub fn days(days: u64) -> Self {
        Self { minutes: days.saturating_mul(MINUTES_A_DAY), hour: None }
    }

    /// When the next rotation is, after one at `last`.
    fn after(self, last: Timestamp) -> Timestamp {
        let next = last + Duration::from_secs(self.minutes.saturating_mul(60));
        let Some(hour) = self.hour else { return next };
        let day = next.secs() - next.secs() % SECONDS_A_DAY;
        Timestamp::from_secs(day + u64::from(hour) * 3600).max(last + Duration::from_secs(60))
    }
}

/// The minutes of a day.
pub const MINUTES_A_DAY: u64 = 24 * 60;

const SECONDS_A_DAY: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + secs)
    }

    fn hourly() -> Rotation {
        Rotation::default().scheduled(Some(Every { minutes: 60, hour: None }), at(0))
    }

    #[test]
    fn a_second_call_does_not_begin_while_one_is_under_way() {
        let begun = hourly().begin(at(0), at(40), true).unwrap();
        assert_eq!(begun.begin(at(39), at(80), true), Err(Busy));
        assert!(begun.is_overdue(at(40)) && !begun.is_overdue(at(39)));
    }

    #[test]
    fn a_call_whose_answer_is_lost_is_repeated_by_its_name_only_where_the_producer_knows_it() {
        let begun = hourly().begin(at(0), at(40), true).unwrap();
        let again = begun.begin(at(40), at(80), true).unwrap();
        assert_eq!(again.under_way.as_ref().unwrap().id, begun.under_way.as_ref().unwrap().id);
        let other = begun.begin(at(40), at(80), false).unwrap();
        assert_ne!(other.under_way.unwrap().id, begun.under_way.as_ref().unwrap().id);
        let mut rng = fastrand::Rng::with_seed(1);
        let lost = begun.lost("timeout", true, at(41), &mut rng);
        assert!(lost.is_overdue(at(41)) && lost.next_at > Some(at(41)), "{lost:?}");
        let lost = begun.lost("timeout", false, at(41), &mut rng);
        assert_eq!((lost.next_at, &lost.under_way), (None, &None));
        assert!(lost.failure.unwrap().starts_with("timeout; the producer may have made"));
    }

    #[test]
    fn a_failure_is_tried_again_where_there_is_a_schedule_and_a_success_ends_it() {
        let mut rng = fastrand::Rng::with_seed(1);
        let begun = hourly().begin(at(0), at(40), false).unwrap();
        let failed = begun.failed("401".to_owned(), at(1), &mut rng);
        assert!(failed.next_at > Some(at(1)) && failed.next_at < Some(at(40)), "{failed:?}");
        assert_eq!((failed.attempts, failed.failure.as_deref()), (1, Some("401")));
        let done = failed.begin(at(2), at(42), false).unwrap().done(at(3));
        assert_eq!((done.next_at, done.last_at), (Some(at(3603)), Some(at(3))));
        assert_eq!((done.attempts, done.failure, done.under_way), (0, None, None));
        let on_demand = Rotation::default().begin(at(0), at(40), false).unwrap();
        assert_eq!(on_demand.failed("401".to_owned(), at(1), &mut rng).next_at, None);
    }

    #[test]
    fn whole_days_may_have_an_hour() {
        let every = Every { hour: Some(3), ..Every::days(2) };
        let next = every.after(at(0));
        assert_eq!(next.secs() % SECONDS_A_DAY, 3 * 3600);
        assert!(next > at(SECONDS_A_DAY) && next < at(3 * SECONDS_A_DAY));
    }
}
