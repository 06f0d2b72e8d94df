//! What is wrong with a store: known to each of its threads, and told to whoever asks.
//!
//! A disk without room is waited for: what it refused is not there, and what is tried later may be. Whatever else fails ends
//! the writing for good, for nobody knows what the disk has then.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is wrong, if something is.
#[derive(Default)]
pub(super) struct Trouble(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// Why nothing can be written any more.
    ended: Option<String>,
    /// Who finds no room on the disk, and what it was told.
    waiting: BTreeMap<Part, String>,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Journal,
    Flush,
    Merge,
}

impl Trouble {
    /// Nothing can be written any more. What went wrong first is what is told: a second failure follows from it.
    pub(super) fn ends(&self, why: String) {
        self.told().ended.get_or_insert(why);
    }

    /// `part` finds no room, and tries again.
    pub(super) fn waits(&self, part: Part, why: String) {
        self.told().waiting.insert(part, why);
    }

    /// `part` has written something; whether it had waited.
    pub(super) fn goes_on(&self, part: Part) -> bool {
        self.told().waiting.remove(&part).is_some()
    }

    /// What is wrong, in a sentence.
    pub(super) fn why(&self) -> Option<String> {
        let told = self.told();
        if let Some(why) = &told.ended {
            return Some(format!("nothing can be written until a restart: {why}"));
        }
        let why = told.waiting.values().next()?;
        Some(format!("the disk has no room, and what it refuses is tried again: {why}"))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // A panic while the lock was held left nothing half done: each holder makes one change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `error` only says that there is no room now.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_good_is_told_first_and_what_is_over_not_at_all() {
        let trouble = Trouble::default();
        assert_eq!((trouble.why(), trouble.goes_on(Part::Flush)), (None, false));
        trouble.waits(Part::Flush, "no room".to_owned());
        trouble.waits(Part::Merge, "no room to merge".to_owned());
        assert_eq!(
            trouble.why().unwrap(),
            "the disk has no room, and what it refuses is tried again: no room"
        );
        assert!(trouble.goes_on(Part::Flush));
        assert!(trouble.why().unwrap().ends_with(": no room to merge"));
        trouble.ends("the disk burns".to_owned());
        trouble.ends("and smokes".to_owned());
        assert!(trouble.goes_on(Part::Merge));
        assert_eq!(trouble.why().unwrap(), "nothing can be written until a restart: the disk burns");
    }
}
