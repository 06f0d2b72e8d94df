//! Holds revocation back when time or the store cannot be trusted.
//!
//! A store that was put back to an earlier state, and a clock that was set forward, make leases look expired that are
//! not. Then nothing is revoked by itself until an operator lets go, or a set time has passed. A hold is durable, and
//! every engine on the store keeps to it. Many small steps forward are as bad as a great one, so they are added up for an
//! hour.
//!
//! A clock that is set back only makes revocations late: that is told, and nothing waits. When it is put right again that is
//! a jump all the same: what was issued meanwhile would be revoked early. A clock that comes back to what it was
//! before it jumped forward ends its hold by itself.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::{Clock, Timestamp};
use gateward_store::{Change, CommitError, Key, Precondition, Store, StoreError, Write, counter};
use serde::{Deserialize, Serialize};

use super::lock;
use crate::failpoint;
use crate::lease::Verdict;
use crate::ledger::counts;
use crate::witness::{Seen, Witness};

/// Revocation waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when, if nobody lets go before.
    pub until: Timestamp,
}

/// Watches the clock and the store.
pub(super) struct Guard {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    witness: Option<Arc<dyn Witness>>,
    hold_for: Duration,
    watch: Mutex<Watch>,
}

#[derive(Default)]
struct Watch {
    /// Both clocks at the last look.
    last: Option<(Timestamp, Duration)>,
    /// How little the wall clock has been ahead of the uptime lately.
    lowest: Option<Lowest>,
    held: Option<InMemory>,
    /// Which store this is; known when the guard has begun.
    store: Option<String>,
    /// How many commits there had been when the witness heard of the store last.
    told: Option<u64>,
}

struct Lowest {
    /// In milliseconds.
    ahead: i64,
    /// By the uptime, since when it is counted.
    since: Duration,
}

impl Watch {
    /// From now on the clocks are compared with these.
    fn begin_at(&mut self, now: Timestamp, uptime: Duration) {
        self.last = Some((now, uptime));
        self.lowest = Some(Lowest { ahead: ahead(now, uptime), since: uptime });
    }
}

struct InMemory {
    held: Held,
    durable: bool,
    /// By the uptime, when it ends.
    ends: Duration,
    /// How far the wall clock was ahead of the uptime before it jumped, in milliseconds.
    before_jump: Option<i64>,
}

/// Why the guard could not do its work; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuardError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the witness of the store cannot be read or written")]
    Witness(#[source] io::Error),
}

impl Guard {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        witness: Option<Arc<dyn Witness>>,
        hold_for: Duration,
    ) -> Self {
        Self { store, clock, witness, hold_for, watch: Mutex::default() }
    }

    /// Compares the store with its witness, before anything is revoked.
    pub(super) async fn begin(&self) -> Result<(), GuardError> {
        let (id, is_new) = self.store_id().await?;
        let ticks = self.ticks().await?;
        self.reload().await?;
        // Once: a clock that jumps after it was compared with the witness is seen at the next look, by this one.
        let looked = (self.clock.now(), self.clock.uptime());
        if let Some(witness) = &self.witness {
            let seen = witness.recall().await.map_err(GuardError::Witness)?;
            // In a store that is new there is nothing to be revoked.
            let reason =
                seen.filter(|_| !is_new).and_then(|seen| self.contradicts(&seen, &id, ticks, looked));
            if let Some(reason) = reason {
                let mut watch = lock(&self.watch);
                // By a clock that was set meanwhile, an earlier hold looks over.
                let is_held = watch.held.as_ref().is_some_and(|hold| hold.ends > self.clock.uptime());
                if !is_held {
                    self.hold_in(&mut watch, reason, None);
                }
            }
        }
        let mut watch = lock(&self.watch);
        watch.store = Some(id);
        watch.begin_at(looked.0, looked.1);
        Ok(())
    }

    fn contradicts(
        &self,
        seen: &Seen,
        store: &str,
        ticks: u64,
        (now, uptime): (Timestamp, Duration),
    ) -> Option<String> {
        if seen.store != store {
            return Some("another store stands where one was seen before".to_owned());
        }
        if seen.ticks > ticks {
            let text = "the store was put back to an earlier state; what was renewed since looks expired";
            return Some(text.to_owned());
        }
        let same_boot = seen.boot.is_some() && seen.boot == self.witness.as_ref()?.boot();
        let passed = uptime.checked_sub(seen.uptime).filter(|_| same_boot)?;
        let shown = now.saturating_since(seen.now);
        (shown > passed + JUMP).then(|| set_forward(shown - passed))
    }

    /// Looks at the clocks, and says whether revocation waits.
    pub(super) fn holds(&self) -> bool {
        self.look(&mut lock(&self.watch))
    }

    /// The clocks are read with the lock held: what another task has seen since would look like a clock that came back,
    /// and end its hold.
    fn look(&self, watch: &mut Watch) -> bool {
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        let Some((last, last_uptime)) = watch.last.replace((now, uptime)) else {
            return true;
        };
        let ahead_now = ahead(now, uptime);
        let lowest = watch.lowest.take().filter(|lowest| uptime.saturating_sub(lowest.since) < ADDED_UP);
        let lowest = lowest.unwrap_or(Lowest { ahead: ahead(last, last_uptime), since: last_uptime });
        let forward = Duration::from_millis(u64::try_from(ahead_now - lowest.ahead).unwrap_or_default());
        if forward > JUMP {
            self.hold_in(watch, set_forward(forward), Some(lowest.ahead));
            watch.lowest = Some(Lowest { ahead: ahead_now, since: uptime });
        } else {
            if ahead(last, last_uptime) - ahead_now > signed_millis(JUMP) {
                tracing::error!("the clock was set back; what is due now is revoked later by as much");
            }
            watch.lowest = Some(Lowest { ahead: lowest.ahead.min(ahead_now), ..lowest });
        }
        if let Some(hold) = &watch.held {
            let back =
                hold.before_jump.is_some_and(|before| (ahead_now - before).abs() <= signed_millis(JUMP));
            return !(back || hold.ends <= uptime);
        }
        false
    }

    /// Makes durable what the clocks have shown, ends a hold that is over, and tells the witness, if there were more
    /// `commits` than the last time. To be called often.
    pub(super) async fn tend(&self, commits: u64) -> Result<(), GuardError> {
        let (held, over, unsaved) = {
            let mut watch = lock(&self.watch);
            let held = self.look(&mut watch);
            let hold = watch.held.as_ref();
            let over = hold.filter(|_| !held).map(|hold| hold.held.clone());
            (held, over, hold.filter(|hold| !hold.durable).map(|hold| hold.held.clone()))
        };
        if let Some(over) = over {
            tracing::warn!("the hold on revocations has ended by itself");
            self.end(&over).await?;
        } else if let Some(hold) = unsaved {
            let value = serde_json::to_vec(&hold).map_err(|error| StoreError::Engine(error.into()))?;
            self.write(Write {
                key: key("hold"),
                precondition: Precondition::Any,
                change: Change::Put(value.into()),
            })
            .await?;
            failpoint::reach("held");
            // Another jump meanwhile has made another hold of it, which is to be written, too.
            if let Some(now) = lock(&self.watch).held.as_mut().filter(|now| now.held == hold) {
                now.durable = true;
            }
        }
        if held || lock(&self.watch).told == Some(commits) {
            return Ok(());
        }
        self.bear_witness().await?;
        lock(&self.watch).told = Some(commits);
        Ok(())
    }

    /// Takes over what another engine, or an earlier process, has written.
    pub(super) async fn reload(&self) -> Result<(), GuardError> {
        let held = self.store.get(&key("hold")).await?;
        // One that cannot be read is one all the same.
        let held =
            held.map(|entry| serde_json::from_slice(&entry.value).unwrap_or_else(|_| self.unreadable()));
        let mut watch = lock(&self.watch);
        match held {
            None => {
                // Let go elsewhere; what this engine alone has seen so far stays.
                if watch.held.as_ref().is_some_and(|hold| hold.durable) {
                    watch.held = None;
                }
            }
            Some(held) if watch.held.is_none() => {
                let left = held.until.saturating_since(self.clock.now()).min(self.hold_for);
                let ends = self.clock.uptime() + left;
                watch.held = Some(InMemory { held, durable: true, ends, before_jump: None });
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// The hold, if there is one.
    pub(super) fn held(&self) -> Option<Held> {
        lock(&self.watch).held.as_ref().map(|hold| hold.held.clone())
    }

    /// An operator lets go; says whether anything was held.
    pub(super) async fn let_go(&self, verdict: &Verdict) -> Result<bool, GuardError> {
        let Some(held) = self.held() else { return Ok(false) };
        self.end(&held).await?;
        tracing::warn!(held.reason, verdict.by, why = verdict.reason, "the hold on revocations was let go");
        Ok(true)
    }

    /// Holds from now on, also if there is a hold already: its time begins anew. It ends by itself only when the clock is
    /// back at what it showed before the first jump.
    fn hold_in(&self, watch: &mut Watch, reason: String, before_jump: Option<i64>) {
        tracing::error!(reason, "revocations are held; let them go when what is due may be revoked");
        let since = self.clock.now();
        let held = Held { since, reason, until: since + self.hold_for };
        let ends = self.clock.uptime() + self.hold_for;
        let before_jump = watch.held.as_ref().map_or(before_jump, |hold| hold.before_jump);
        watch.held = Some(InMemory { held, durable: false, ends, before_jump });
    }

    fn unreadable(&self) -> Held {
        let (since, reason) = (self.clock.now(), "the record of a hold cannot be read".to_owned());
        Held { since, reason, until: since + self.hold_for }
    }

    /// Ends the hold `ended`. A jump while this goes on makes a hold of its own, which stays.
    async fn end(&self, ended: &Held) -> Result<(), GuardError> {
        // The witness first: should this be interrupted, what it says now would be a reason to hold again.
        self.bear_witness().await?;
        self.write(Write { key: key("hold"), precondition: Precondition::Any, change: Change::Delete })
            .await?;
        let mut watch = lock(&self.watch);
        match &mut watch.held {
            Some(hold) if hold.held != *ended => hold.durable = false,
            held => *held = None,
        }
        Ok(())
    }

    /// Lets the store come a step further, and tells the witness how far it has come.
    async fn bear_witness(&self) -> Result<(), GuardError> {
        let Some(witness) = &self.witness else { return Ok(()) };
        let Some(store) = lock(&self.watch).store.clone() else { return Ok(()) };
        let tick = Write { key: key("ticks"), precondition: Precondition::Any, change: Change::Add(1) };
        self.write(tick).await?;
        let ticks = self.ticks().await?;
        // What was looked at, and not what the clocks show by now: one may have jumped since.
        let looked = lock(&self.watch).last;
        let (now, uptime) = looked.unwrap_or_else(|| (self.clock.now(), self.clock.uptime()));
        let seen = Seen { store, ticks, now, uptime, boot: witness.boot() };
        witness.remember(&seen).await.map_err(GuardError::Witness)
    }

    async fn ticks(&self) -> Result<u64, GuardError> {
        let entry = self.store.get(&key("ticks")).await?;
        Ok(entry.and_then(|entry| counter(&entry.value)).unwrap_or_default())
    }

    /// Which store this is, and whether it is new: then it is given a name. One without a name in which leases live is not
    /// new: it was put back to a moment before it had got one.
    async fn store_id(&self) -> Result<(String, bool), GuardError> {
        let mut is_new = false;
        loop {
            if let Some(entry) = self.store.get(&key("store")).await? {
                return Ok((String::from_utf8_lossy(&entry.value).into_owned(), is_new));
            }
            is_new = counts::live(&*self.store).await? == 0;
            let name = Bytes::from(format!("{:032x}", fastrand::u128(..)));
            let write =
                Write { key: key("store"), precondition: Precondition::Absent, change: Change::Put(name) };
            self.write(write).await?;
        }
    }

    async fn write(&self, write: Write) -> Result<(), GuardError> {
        match self.store.commit(vec![write]).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

fn set_forward(by: Duration) -> String {
    format!("the clock was set forward by {} s; what is not over looks expired", by.as_secs())
}

/// How far the wall clock is ahead of the uptime, in milliseconds.
fn ahead(now: Timestamp, uptime: Duration) -> i64 {
    i64::try_from(now.millis()).unwrap_or(i64::MAX).saturating_sub(signed_millis(uptime))
}

fn signed_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn key(name: &str) -> Key {
    Key { partition: "~leases".to_owned(), sort: name.to_owned() }
}

/// A wall clock may be put right by so much, at once or in steps.
const JUMP: Duration = Duration::from_secs(30);

/// For how long its steps are added up. What keeps clocks right moves them by two seconds in this time.
const ADDED_UP: Duration = Duration::from_secs(3600);
