//! Notices logins that are refused again and again: somebody guesses, or a machine has an old key.
//!
//! Counted by access id, in this process only: nobody is locked out by it, so nobody can lock others out.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateward_clock::Timestamp;

use crate::AccessId;

/// Hears of logins that were refused again and again.
pub trait LoginAlarm: Send + Sync {
    /// Logins as `access_id`, which there may not be, were refused `times` times within a few minutes. It must not wait for
    /// anything.
    fn refused_again(&self, access_id: &AccessId, times: u32);
}

/// The refusals of late.
pub(crate) struct Refusals {
    alarm: Arc<dyn LoginAlarm>,
    counts: Mutex<HashMap<AccessId, Count>>,
}

struct Count {
    since: Timestamp,
    times: u32,
}

impl Refusals {
    pub(crate) fn new(alarm: Arc<dyn LoginAlarm>) -> Self {
        Self { alarm, counts: Mutex::default() }
    }

    /// A login as `access_id` was refused at `now`. The alarm hears of each fifth one.
    pub(crate) fn note(&self, access_id: &str, now: Timestamp) {
        // What is no access id is nobody's, and does not go into an event.
        let Ok(access_id) = access_id.parse::<AccessId>() else { return };
        let times = {
            let mut counts = self.lock();
            if counts.len() >= MOST {
                counts.retain(|_, count| count.is_late(now));
            }
            if counts.len() >= MOST && !counts.contains_key(&access_id) {
                return;
            }
            let count = counts.entry(access_id.clone()).or_insert(Count { since: now, times: 0 });
            if !count.is_late(now) {
                *count = Count { since: now, times: 0 };
            }
            count.times = count.times.saturating_add(1);
            count.times
        };
        if times % EACH == 0 {
            tracing::warn!(%access_id, times, "logins are refused again and again");
            self.alarm.refused_again(&access_id, times);
        }
    }

    /// A login as `access_id` was right.
    pub(crate) fn forget(&self, access_id: &str) {
        if let Ok(access_id) = access_id.parse::<AccessId>() {
            self.lock().remove(&access_id);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AccessId, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn is_late(&self, now: Timestamp) -> bool {
        now.saturating_since(self.since) < WINDOW
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Refusals").finish_non_exhaustive()
    }
}

/// So many refusals are told of, as the vendor does.
const EACH: u32 = 5;

/// Refusals that are farther apart than this have nothing to do with each other.
const WINDOW: Duration = Duration::from_secs(600);

/// How many access ids are counted at once; whoever makes them up fills no memory.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(String, u32)>>);

    impl LoginAlarm for Heard {
        fn refused_again(&self, access_id: &AccessId, times: u32) {
            self.0.lock().unwrap().push((access_id.as_str().to_owned(), times));
        }
    }

    fn refusals() -> (Arc<Heard>, Refusals) {
        let heard = Arc::new(Heard::default());
        (Arc::clone(&heard), Refusals::new(heard))
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    #[test]
    fn each_fifth_refusal_of_an_access_id_is_told_and_a_right_login_ends_the_count() {
        let (heard, refusals) = refusals();
        for second in 0..10 {
            refusals.note("p-1", at(second));
            refusals.note("p-2", at(second));
            if second == 3 {
                refusals.forget("p-2");
            }
        }
        let of = |id: &str, times| (id.to_owned(), times);
        assert_eq!(*heard.0.lock().unwrap(), [of("p-1", 5), of("p-2", 5), of("p-1", 10)]);
    }

    #[test]
    fn refusals_that_are_far_apart_are_not_counted_together() {
        let (heard, refusals) = refusals();
        (0..20).for_each(|number| refusals.note("p-1", at(number * 150)));
        assert!(heard.0.lock().unwrap().is_empty());
    }

    #[test]
    fn names_that_are_made_up_fill_no_memory_and_end_nobodys_count_for_long() {
        let (heard, refusals) = refusals();
        refusals.note("no access id \u{7}", at(0));
        (0..5 * MOST).for_each(|number| refusals.note(&format!("p-{number}"), at(0)));
        assert_eq!(refusals.lock().len(), MOST);
        (0..5).for_each(|_| refusals.note("p-new", at(0)));
        assert!(heard.0.lock().unwrap().is_empty(), "there is no room");
        (0..5).for_each(|_| refusals.note("p-new", at(WINDOW.as_secs())));
        assert_eq!(*heard.0.lock().unwrap(), [("p-new".to_owned(), 5)]);
    }
}
