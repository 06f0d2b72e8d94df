//! Attending to what is due: each lane's leases are claimed, the producer is called once for many, and only what it
//! names is believed.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{join, join_all};
use gateward_clock::Timestamp;
use gateward_model::{DynamicSecret, ItemName};
use gateward_seal::SecretValue;

use super::lane::{BATCH, Lane, Offer, Outcome};
use super::{Engine, lock};
use crate::due::LeaseKey;
use crate::failpoint;
use crate::lease::{Lease, LeaseState};
use crate::ledger::{Hold, LedgerError, Recorded, Step};
use crate::producer::{NO_ANSWER, RevokeCallError, RevokeFailure};
use crate::status::{ProducerStatus, StatusChange, Subject};

/// Some leases of one producer that are being worked on, until this is dropped.
struct Work {
    engine: Arc<Engine>,
    item_id: u64,
    /// What the secret is called, where somebody hears of it.
    name: Option<ItemName>,
    leases: Vec<LeaseKey>,
    outcome: Outcome,
}

impl Engine {
    /// Puts leases that are due into their lanes, and begins what may begin.
    pub(super) fn offer(self: &Arc<Self>, due: &[LeaseKey]) {
        let mut items = BTreeSet::new();
        for lease in due {
            let offer = lock(&self.lanes).entry(lease.item_id).or_default().offer(*lease);
            items.insert(lease.item_id);
            if offer == Offer::Known {
                // Whoever is at it may be about to end with it still due.
                self.note_soon(*lease);
            }
        }
        for item_id in items {
            self.begin_work(item_id);
        }
    }

    /// Begins what may begin in one lane.
    pub(super) fn begin_work(self: &Arc<Self>, item_id: u64) {
        loop {
            // What waits is seen to in the next event's time.
            if self.is_out_of_time() {
                return;
            }
            let now = self.clock.now();
            let next = {
                let mut lanes = lock(&self.lanes);
                let Some(lane) = lanes.get_mut(&item_id) else { return };
                if lane.is_idle() {
                    lanes.remove(&item_id);
                    return;
                }
                if lane.takes_more(now) {
                    self.look_again();
                }
                match self.only_wished.load(Ordering::Acquire) {
                    true if lane.urged() == 0 => return,
                    true => lane.next(now, lane.urged().min(BATCH)),
                    false => lane.next(now, BATCH),
                }
            };
            let Some(leases) = next else { return };
            let work =
                Work { engine: Arc::clone(self), item_id, name: None, leases, outcome: Outcome::NotCalled };
            self.runtime.spawn(work.done());
        }
    }

    /// When a lane has to be looked at though nothing falls due.
    pub(super) fn lanes_wake_at(&self) -> Option<Timestamp> {
        lock(&self.lanes).values().filter_map(Lane::wakes_at).min()
    }

    /// Whether some producer is being called.
    pub(super) fn is_at_work(&self) -> bool {
        lock(&self.lanes).values().any(Lane::is_at_work)
    }

    /// Begins what waited for its producer's next probe.
    pub(super) fn wake_lanes(self: &Arc<Self>) {
        let now = self.clock.now();
        let awake: Vec<u64> = {
            let lanes = lock(&self.lanes);
            lanes
                .iter()
                .filter(|(_, lane)| lane.wakes_at().is_some_and(|at| at <= now))
                .map(|(id, _)| *id)
                .collect()
        };
        for item_id in awake {
            self.begin_work(item_id);
        }
    }

    /// Does for each of `leases` what its state asks for. The secret is called `name`, if somebody wants to hear it.
    async fn attend(&self, item_id: u64, leases: &[LeaseKey], name: &mut Option<ItemName>) -> Outcome {
        let (secret, payload) = match self.catalog.producer(item_id).await {
            Ok(Some(producer)) => producer,
            outcome => {
                // Without it nothing can be revoked, and nothing is given up.
                match outcome {
                    Err(error) => tracing::error!(item_id, %error, "producer not read; its leases wait"),
                    Ok(_) => tracing::error!(item_id, "no producer for leases that are due"),
                }
                for lease in leases {
                    self.note_at(self.clock.now() + WITHOUT_PRODUCER, *lease);
                }
                return Outcome::NotCalled;
            }
        };
        *name = self.listener.is_some().then(|| secret.name.clone());
        let most = usize::from(secret.capabilities.max_batch.unwrap_or(u16::MAX)).clamp(1, BATCH);
        let mut calls = leases.chunks(most);
        let mut outcome = Outcome::NotCalled;
        // What is not claimed yet is anybody's: a claim lasts for one call.
        while outcome != Outcome::Failed
            && !self.is_out_of_time()
            && let Some(leases) = calls.next()
        {
            outcome = outcome.max(self.attend_together(&secret, &payload, leases).await);
        }
        calls.flatten().for_each(|lease| self.note_soon(*lease));
        outcome
    }

    /// The same for as many as the producer takes in one call.
    async fn attend_together(
        &self,
        secret: &DynamicSecret,
        payload: &SecretValue,
        leases: &[LeaseKey],
    ) -> Outcome {
        let until = self.clock.now() + Duration::from_secs(secret.timeout_sec) + MARGIN;
        let claimed = self.see_to(leases, until).await;
        let (to_revoke, to_ask): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|claimed| claimed.lease.producer_id().is_some());
        let asking = to_ask.into_iter().map(|claimed| self.ask(secret, payload.clone(), claimed, until));
        let revoking = async {
            if to_revoke.is_empty() {
                return Outcome::NotCalled;
            }
            failpoint::reach("claimed");
            let outcome = self.revoke_claimed(secret, payload.clone(), to_revoke, until).await;
            self.forget_producer(secret.id).await;
            outcome
        };
        let (asked, revoked) = join(join_all(asking), revoking).await;
        asked.into_iter().fold(revoked, Outcome::max)
    }

    /// Reads leases, and claims those with which there is something to be done at their producer.
    async fn see_to(&self, keys: &[LeaseKey], until: Timestamp) -> Vec<Recorded> {
        let due = join_all(keys.iter().map(|key| self.read_due(*key))).await;
        let due: Vec<(Recorded, Timestamp)> = due.into_iter().flatten().collect();
        let steps: Vec<Step<'_>> = due
            .iter()
            .filter_map(|(recorded, now)| {
                // Renewed, revoked or claimed by another node: then it is not ours.
                let lease = recorded.lease.claim(&self.owner, *now, until).ok()?;
                let hold = closing(&lease);
                Some(Step { before: recorded, lease, hold })
            })
            .collect();
        let mut claimed = Vec::with_capacity(steps.len());
        for (Step { before, .. }, done) in steps.iter().zip(self.replace_together(&steps).await) {
            match done {
                Ok(recorded) => claimed.push(recorded),
                Err(error) => claimed.extend(self.claim_after((*before).clone(), error, until).await),
            }
        }
        claimed
    }

    /// Reads a lease that is due, and when; `None` if nothing is to be done at its producer.
    async fn read_due(&self, key: LeaseKey) -> Option<(Recorded, Timestamp)> {
        let recorded = match self.ledger.get(key).await {
            Ok(recorded) => recorded?,
            Err(error) => {
                self.not_read(key, &error).await;
                return None;
            }
        };
        // Before the guard looks at the clock: should that jump right after, what was not due is not due by this.
        let now = self.clock.now();
        let by_time = matches!(recorded.lease.state, LeaseState::Active { .. } | LeaseState::Intent { .. });
        if by_time && self.guard.holds() {
            // A clock that has jumped may have had it taken out of memory; when it is back, that is due on time.
            self.note(&recorded.lease);
            return None;
        }
        match recorded.lease.state {
            LeaseState::Intent { deadline } => {
                if deadline <= now {
                    self.give_up_waiting(&recorded).await;
                }
                None
            }
            _ => Some((recorded, now)),
        }
    }

    async fn not_read(&self, key: LeaseKey, error: &LedgerError) {
        if !matches!(error, LedgerError::Unreadable(_)) {
            tracing::error!(lease = %key.lease_id, %error, "due lease not read");
            return self.note_soon(key);
        }
        self.put_aside(&key.sort(), key).await;
    }

    /// Puts the record called `name`, without which nothing can be done about the lease `key`, into quarantine. The lease
    /// is looked at again with each look through the due index: an older version may have been started by mistake.
    async fn put_aside(&self, name: &str, key: LeaseKey) {
        match self.ledger.quarantine(name, "it cannot be read").await {
            Ok(true) => {
                tracing::error!(lease = %key.lease_id, record = name, "lease in quarantine: a record cannot be read");
            }
            Ok(false) => {}
            Err(error) => tracing::error!(lease = %key.lease_id, %error, "lease not put into quarantine"),
        }
    }

    /// Claims what is due after `error` was in the way, if nobody else is at it. A lease whose credential another one
    /// holds, too, just ends.
    async fn claim_after(
        &self,
        mut recorded: Recorded,
        mut error: LedgerError,
        until: Timestamp,
    ) -> Option<Recorded> {
        let key = LeaseKey::of(&recorded.lease);
        for _ in 0..TRIES {
            if let LedgerError::Shared = error {
                let ended = recorded.lease.let_go(&self.owner, self.clock.now()).ok()?;
                error = match self.replace(&recorded, ended, Hold::LeaveToOthers).await {
                    Ok(ended) => {
                        failpoint::reach("let-go");
                        tracing::info!(lease = %ended.lease.id, "lease over; another holds its credential");
                        return None;
                    }
                    Err(error) => error,
                };
            }
            match error {
                // The other has ended meanwhile, or the lease has changed: what it is now decides.
                LedgerError::Shared | LedgerError::Changed { .. } => {}
                LedgerError::Unreadable(record) => {
                    self.put_aside(&format!("credential/{}/{record}", key.item_id), key).await;
                    return None;
                }
                error => {
                    tracing::error!(lease = %key.lease_id, %error, "lease not claimed");
                    break;
                }
            }
            let claim = match self.read_due(key).await {
                Some((newer, now)) => {
                    recorded = newer;
                    recorded.lease.claim(&self.owner, now, until).ok()?
                }
                // Over, or not to be revoked now; or not read, which is noted.
                None => return None,
            };
            let hold = closing(&claim);
            error = match self.replace(&recorded, claim, hold).await {
                Ok(claimed) => return Some(claimed),
                Err(error) => error,
            };
        }
        self.note_soon(key);
        None
    }

    async fn revoke_claimed(
        &self,
        secret: &DynamicSecret,
        payload: SecretValue,
        claimed: Vec<Recorded>,
        until: Timestamp,
    ) -> Outcome {
        let ids: BTreeSet<String> =
            claimed.iter().filter_map(|recorded| recorded.lease.producer_id().map(str::to_owned)).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let had_time = self.call_end.get() >= self.clock.now() + FAIR;
        let answer = self.call(secret, payload, &ids, until).await;
        failpoint::reach("revoke-answered");
        let outcome = match &answer {
            Ok(_) => Outcome::Answered,
            // It is our time that was too short, and not the producer that was too slow.
            Err(_) if !had_time && self.is_out_of_time() => Outcome::NotCalled,
            Err(_) => Outcome::Failed,
        };
        let (gone, failure, why) = match answer {
            Ok(answer) => {
                let words = answer.message.map(|message| format!("; its own words: \"{message}\""));
                let why = format!("the producer did not name it as revoked{}", words.unwrap_or_default());
                (answer.gone.into_iter().collect(), RevokeFailure::Unnamed, why)
            }
            // One that the producer chokes on is not to park those that were in the same call.
            Err(error) if ids.len() > 1 && error.failure == RevokeFailure::Refused => {
                (HashSet::new(), RevokeFailure::Transient, error.words)
            }
            Err(error) => (HashSet::new(), error.failure, error.words),
        };
        self.settle_claimed(&claimed, &gone, failure, &why).await;
        outcome
    }

    /// One call, which ends before the claims do.
    async fn call(
        &self,
        secret: &DynamicSecret,
        payload: SecretValue,
        ids: &[String],
        until: Timestamp,
    ) -> Result<crate::producer::RevokeAnswer, RevokeCallError> {
        // Something has held this process up: by the time of the call others may be at it.
        if self.clock.now() + Duration::from_secs(secret.timeout_sec) > until {
            return Err(RevokeCallError::transient("the gateway was held up before the call"));
        }
        let producer = self.producers.of(secret, payload);
        tokio::select! {
            biased;
            () = self.clock.sleep_until(until.min(self.call_end.get())) => {
                Err(RevokeCallError::transient(NO_ANSWER))
            }
            answer = producer.revoke(ids) => answer,
        }
    }

    /// Writes down what came of a call: those that were named as `gone` are over, the others are tried again.
    async fn settle_claimed(
        &self,
        claimed: &[Recorded],
        gone: &HashSet<String>,
        failure: RevokeFailure,
        why: &str,
    ) {
        let now = self.clock.now();
        let mut rng = fastrand::Rng::new();
        let steps: Vec<Step<'_>> = claimed
            .iter()
            .filter_map(|before| {
                let named = before.lease.producer_id().is_some_and(|id| gone.contains(id));
                let (next, hold) = match named {
                    true => (before.lease.revoked(now), Hold::Leave),
                    false => (before.lease.retry(failure, why, now, &mut rng), Hold::Keep),
                };
                Some(Step { before, lease: next.ok()?, hold })
            })
            .collect();
        for (Step { before, lease: next, hold }, done) in
            steps.iter().zip(self.replace_together(&steps).await)
        {
            let lease = &before.lease;
            match done {
                Ok(_) if *hold == Hold::Leave => {
                    failpoint::reach("revoked");
                    tracing::info!(lease = %lease.id, item = %lease.item_name, "lease revoked");
                }
                Ok(_) => {
                    let parks = is_parked(next) && !is_parked(lease);
                    failpoint::reach(if parks { "parked" } else { "retried" });
                    if parks || failure == RevokeFailure::Misconfigured {
                        tracing::error!(lease = %lease.id, item = %lease.item_name, why, "revocation needs somebody");
                    } else {
                        tracing::warn!(lease = %lease.id, item = %lease.item_name, "lease not revoked yet");
                    }
                }
                // The claim ends by itself, and then it is tried again: revoking twice harms nobody.
                Err(error) => {
                    tracing::error!(lease = %lease.id, %error, "outcome of a revocation not recorded");
                    self.note_soon(LeaseKey::of(lease));
                }
            }
        }
    }

    /// INTENT's deadline has passed: the answer is lost, by a crash most likely.
    async fn give_up_waiting(&self, recorded: &Recorded) {
        let lease = &recorded.lease;
        let reason = "the gateway stopped, or lost the store, while the producer was called";
        let Ok(unknown) = lease.lose(reason, self.clock.now(), lease.order_kept) else { return };
        match self.replace(recorded, unknown, Hold::Keep).await {
            Ok(_) => {
                failpoint::reach("given-up");
                tracing::error!(lease = %lease.id, item = %lease.item_name, "lease unknown");
            }
            Err(LedgerError::Changed { .. }) => {}
            Err(error) => {
                tracing::error!(lease = %lease.id, %error, "lost lease not recorded yet");
                self.note_soon(LeaseKey::of(lease));
            }
        }
    }
}

impl Work {
    async fn done(mut self) {
        self.outcome = self.engine.attend(self.item_id, &self.leases, &mut self.name).await;
    }
}

/// Also when the task panics: what it was at is seen to again.
impl Drop for Work {
    fn drop(&mut self) {
        let now = self.engine.clock.now();
        let changed = lock(&self.engine.lanes).get_mut(&self.item_id).and_then(|lane| {
            let was_open = lane.is_open();
            lane.ended(&self.leases, self.outcome, now, &mut fastrand::Rng::new());
            (lane.is_open() != was_open).then(|| lane.is_open())
        });
        if let (Some(is_open), Some(listener)) = (changed, &self.engine.listener) {
            let status = if is_open { ProducerStatus::CircuitOpen } else { ProducerStatus::CircuitClosed };
            let item = Subject { id: self.item_id, name: self.name.take() };
            listener.hear(StatusChange::Producer { item, status });
        }
        self.engine.ended.notify_waiters();
        self.engine.begin_work(self.item_id);
        // A circuit that has opened has a time at which it is tried, which the timer is to know.
        if self.outcome == Outcome::Failed {
            self.engine.sooner.notify_one();
        }
    }
}

/// What a claim means for the record of the credential.
fn closing(claim: &Lease) -> Hold {
    if claim.producer_id().is_some() { Hold::Close } else { Hold::Keep }
}

fn is_parked(lease: &Lease) -> bool {
    matches!(lease.state, LeaseState::Parked(_))
}

/// Between the end of the producer's time and the end of the claim.
const MARGIN: Duration = Duration::from_secs(5);

/// A producer that has had so much time and not answered has failed, also if the gateway's own time was over first.
const FAIR: Duration = Duration::from_secs(10);

/// When leases are looked at again whose producer cannot be read.
const WITHOUT_PRODUCER: Duration = Duration::from_secs(30);

/// How often a claim is tried that others get in the way of.
const TRIES: usize = 4;
