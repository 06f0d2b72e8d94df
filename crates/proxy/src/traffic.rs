//! What the data threads count: requests, answers, refusals, connections.
//!
//! Each thread counts in a place of its own, so that counting is an addition and no two threads meet. Whoever wants to
//! know adds the places up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use http::StatusCode;

/// What the data threads of a process have counted. Outlives every server.
#[derive(Debug, Default)]
pub struct Traffic {
    threads: Mutex<Vec<Arc<ThreadCounts>>>,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    servers: Mutex<Vec<Weak<dyn Occupancy>>>,
}

/// What has been counted until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that came.
    pub requests: u64,
    /// Answers, by the first digit of their status; at 0 those that have none.
    pub answers: [u64; 6],
    /// What the gateway itself refused or could not do, by the code that the client was told.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Connections that were taken.
    pub accepted: u64,
    /// Connections that there was no room for.
    pub turned_away: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Requests that have no answer yet.
    pub under_way: u64,
}

/// How many are with a server now.
pub(crate) trait Occupancy: Send + Sync + std::fmt::Debug {
    /// Adds its own to `totals`.
    fn add_to(&self, totals: &mut Totals);
}

/// What one data thread has counted.
#[derive(Debug, Default)]
pub(crate) struct ThreadCounts {
    requests: AtomicU64,
    answers: [AtomicU64; 6],
    refusals: [Refusal; MOST_CODES],
}

/// How often one code was told.
#[derive(Debug, Default)]
struct Refusal {
    code: OnceLock<&'static str>,
    count: AtomicU64,
}

impl Traffic {
    /// Everything that has been counted until now.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            accepted: self.accepted.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
            ..Totals::default()
        };
        for thread in locked(&self.threads).iter() {
            totals.requests += thread.requests.load(Ordering::Relaxed);
            for (total, count) in totals.answers.iter_mut().zip(&thread.answers) {
                *total += count.load(Ordering::Relaxed);
            }
            for Refusal { code, count } in &thread.refusals {
                let Some(code) = code.get() else { break };
                *totals.refusals.entry(code).or_default() += count.load(Ordering::Relaxed);
            }
        }
        let mut servers = locked(&self.servers);
        servers.retain(|server| server.strong_count() > 0);
        for server in servers.iter().filter_map(Weak::upgrade) {
            server.add_to(&mut totals);
        }
        totals
    }

    /// A place for one more thread.
    pub(crate) fn thread(&self) -> Arc<ThreadCounts> {
        let counts = Arc::new(ThreadCounts::default());
        locked(&self.threads).push(Arc::clone(&counts));
        counts
    }

    /// A connection came, and was taken unless there was no room for it.
    pub(crate) fn connected(&self, is_taken: bool) {
        let count = if is_taken { &self.accepted } else { &self.turned_away };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on `server` counts too.
    pub(crate) fn watch(&self, server: Weak<dyn Occupancy>) {
        locked(&self.servers).push(server);
    }
}

impl ThreadCounts {
    /// A request came and was answered with `status`.
    pub(crate) fn answered(&self, status: StatusCode) {
        add(&self.requests);
        add(self.answers.get(usize::from(status.as_u16() / 100)).unwrap_or(&self.answers[0]));
    }

    /// A client was told `code`.
    pub(crate) fn refused(&self, code: &'static str) {
        // More codes than there is room for nobody has thought of; the last place takes them together.
        let [others @ .., last] = &self.refusals;
        for Refusal { code: known, count } in others {
            if *known.get_or_init(|| code) == code {
                return add(count);
            }
        }
        last.code.get_or_init(|| "other");
        add(&last.count);
    }
}

/// Adds one. The thread is the only one that does, so that nothing is lost between the two.
fn add(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many codes a thread tells apart.
const MOST_CODES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_count_each_for_itself_and_are_added_up() {
        let traffic = Traffic::default();
        let (one, other) = (traffic.thread(), traffic.thread());
        one.answered(StatusCode::OK);
        one.answered(StatusCode::NOT_FOUND);
        one.refused("no_route");
        other.answered(StatusCode::NOT_FOUND);
        other.refused("overloaded");
        other.refused("no_route");
        drop(other);
        let totals = traffic.totals();
        assert_eq!((totals.requests, totals.answers), (3, [0, 0, 1, 0, 2, 0]));
        assert_eq!(totals.refusals, BTreeMap::from([("no_route", 2), ("overloaded", 1)]));
    }

    #[test]
    fn more_codes_than_there_is_room_for_are_counted_together() {
        let traffic = Traffic::default();
        let thread = traffic.thread();
        let codes: Vec<&'static str> = (0..70).map(|code| &*code.to_string().leak()).collect();
        for code in &codes {
            thread.refused(code);
        }
        let totals = traffic.totals();
        assert_eq!((totals.refusals["0"], totals.refusals["other"]), (1, 39));
    }
}
