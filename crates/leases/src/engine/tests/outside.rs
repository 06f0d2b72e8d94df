//! What really exists out there, and a producer that is hostile to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::DynamicSecret;
use gateward_seal::SecretValue;
use serde_json::{Map, Value};

use super::world::Flaky;
use crate::lease::LeaseId;
use crate::producer::{
    Capabilities, CreateError, Created, Listing, Order, Producer, Producers, RevokeAnswer, RevokeCallError,
    RevokeFailure,
};

/// A credential that works.
#[derive(Clone, Debug)]
pub struct Alive {
    pub item: u64,
    /// Whom it was made for, since it began to work.
    pub made_for: BTreeSet<LeaseId>,
    pub holders: BTreeSet<String>,
}

/// A credential that a caller has.
#[derive(Clone, Debug)]
pub struct InHand {
    pub credential: String,
    pub until: Timestamp,
}

/// What really exists out there, and what went wrong.
#[derive(Default)]
pub struct Outside {
    pub alive: BTreeMap<String, Alive>,
    /// What callers have, and did not ask to be revoked.
    pub in_hand: BTreeMap<LeaseId, InHand>,
    /// Leases that somebody wanted revoked, and up to which number every credential was.
    pub asked: BTreeSet<LeaseId>,
    pub asked_up_to: u64,
    /// What was made under each request id, by the producer that remembers.
    pub made: BTreeMap<LeaseId, String>,
    /// What works and need not be known any more: the store was put back to before it, or somebody let it be.
    pub beyond: BTreeSet<String>,
    /// Nothing may be revoked by time: the clock or the store are wrong.
    pub protected: bool,
    /// What went wrong, in words.
    pub wrong: Vec<String>,
    pub count: u64,
    pub calls: u64,
    /// The most credentials that may work at once: of an item, of a holder, of all.
    pub caps: [Option<usize>; 3],
    /// The next credential's answer cannot be handed out.
    pub unusable: bool,
    /// The next credential is not made.
    pub refuses: bool,
    /// The next credential is made, and its answer lost.
    pub loses: bool,
    /// With the next credential that is made, this store goes down.
    pub brings_down: Option<Arc<Flaky>>,
    /// Every credential has one of so many names.
    pub names: Option<u64>,
    /// How long a call to revoke takes.
    pub call_takes: Duration,
    /// A call to revoke gets no answer.
    pub hangs: bool,
    /// A call to create gets no answer.
    pub is_silent: bool,
    /// A list tells what was made for any item.
    pub lists_all: bool,
    /// Every call to revoke fails.
    pub down: Option<RevokeFailure>,
    pub faulty: bool,
    pub rng: fastrand::Rng,
}

#[derive(Clone)]
pub struct Hostile {
    pub outside: Arc<Mutex<Outside>>,
    pub clock: ManualClock,
    item: u64,
    remembers: bool,
}

impl Hostile {
    pub fn new(outside: Arc<Mutex<Outside>>, clock: ManualClock) -> Self {
        Self { outside, clock, item: 0, remembers: false }
    }

    fn outside(&self) -> MutexGuard<'_, Outside> {
        self.outside.lock().unwrap()
    }

    fn chance(&self, percent: u8) -> bool {
        let mut outside = self.outside();
        outside.faulty && outside.rng.u8(0..100) < percent
    }

    async fn take_a_while(&self) {
        let turns = self.outside().rng.usize(0..4);
        yield_many(turns).await;
    }
}

impl Producers for Hostile {
    fn of(&self, secret: &DynamicSecret, payload: SecretValue) -> Box<dyn Producer> {
        assert_eq!(payload.expose(), "canary-payload");
        Box::new(Self { item: secret.id, remembers: secret.capabilities.request_id, ..self.clone() })
    }
}

#[async_trait]
impl Producer for Hostile {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        self.take_a_while().await;
        if self.outside().is_silent || self.chance(3) {
            std::future::pending::<()>().await;
        }
        let refuses = std::mem::take(&mut self.outside().refuses);
        if refuses || self.chance(12) {
            return Err(CreateError::NotCreated("refused".to_owned()));
        }
        let id = self.outside().make(self.item, order, self.remembers);
        if let Some(store) = self.outside().brings_down.take() {
            store.state().down = true;
        }
        self.take_a_while().await;
        if self.chance(3) {
            std::future::pending::<()>().await;
        }
        let loses = std::mem::take(&mut self.outside().loses);
        if loses || self.chance(10) {
            return Err(CreateError::Lost { reason: "timeout".to_owned(), timeout: true });
        }
        let unusable = std::mem::take(&mut self.outside().unusable);
        if unusable || self.chance(8) {
            return Err(CreateError::Unusable { id, reason: "no object".to_owned() });
        }
        let response = Map::from_iter([("user".to_owned(), Value::from(id.clone()))]);
        Ok(Created { id, response })
    }

    async fn dry_run(&self) -> Result<Capabilities, String> {
        if self.outside().hangs {
            std::future::pending::<()>().await;
        }
        Ok(Capabilities::default())
    }

    async fn list(&self, _: Option<&str>) -> Result<Option<Listing>, RevokeCallError> {
        let outside = self.outside();
        let here = outside.alive.iter().filter(|(_, alive)| outside.lists_all || alive.item == self.item);
        Ok(Some(Listing { ids: here.map(|(id, _)| id.clone()).collect(), next: None }))
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        self.outside().calls += 1;
        if ids.len() > 100 || ids.iter().collect::<BTreeSet<_>>().len() != ids.len() || ids.is_empty() {
            self.outside().wrong.push(format!("a call with {} ids, or with one twice", ids.len()));
        }
        self.take_a_while().await;
        if self.outside().hangs || self.chance(3) {
            std::future::pending::<()>().await;
        }
        let takes = self.outside().call_takes;
        self.clock.advance(takes);
        let down = self.outside().down;
        let failure = down.or_else(|| self.chance(20).then_some(RevokeFailure::Transient));
        let failure = failure.or_else(|| self.chance(3).then_some(RevokeFailure::Misconfigured));
        if let Some(failure) = failure.or_else(|| self.chance(2).then_some(RevokeFailure::Refused)) {
            return Err(RevokeCallError { failure, words: "no".to_owned() });
        }
        let mut gone = Vec::new();
        for id in ids {
            // Says nothing of it, names another, or names one twice.
            if self.chance(12) {
                continue;
            }
            if self.chance(5) {
                gone.push(format!("{id}-not"));
                continue;
            }
            let now = self.clock.now();
            self.outside().revoke(id, now);
            gone.push(id.clone());
            if self.chance(5) {
                gone.push(id.clone());
            }
        }
        self.take_a_while().await;
        // Done, and the answer lost.
        if self.chance(10) {
            return Err(RevokeCallError::transient("reset"));
        }
        Ok(RevokeAnswer { gone, message: None })
    }
}

impl Outside {
    fn make(&mut self, item: u64, order: &Order, remembers: bool) -> String {
        if let Some(made) = self.made.get(&order.lease_id).filter(|_| remembers) {
            return made.clone();
        }
        self.count += 1;
        let number = self.names.map_or(self.count, |names| self.rng.u64(0..names));
        let id = format!("user-{item}-{number}");
        self.made.insert(order.lease_id, id.clone());
        self.beyond.remove(&id);
        let alive = self.alive.entry(id.clone()).or_insert_with(|| Alive {
            item,
            made_for: BTreeSet::new(),
            holders: BTreeSet::new(),
        });
        alive.made_for.insert(order.lease_id);
        alive.holders.insert(order.holder.access_id.clone());
        let known = || self.alive.iter().filter(|(id, _)| !self.beyond.contains(*id)).map(|(_, alive)| alive);
        let of_item = known().filter(|alive| alive.item == item).count();
        let of_holder = known().filter(|alive| alive.holders.contains(&order.holder.access_id)).count();
        let counts = [of_item, of_holder, known().count()];
        for (place, (count, cap)) in counts.into_iter().zip(self.caps).enumerate() {
            // Whoever shared a credential that others still hold is not told apart here.
            if place == 1 && self.names.is_some() {
                continue;
            }
            if cap.is_some_and(|cap| count > cap) {
                self.wrong.push(format!("{counts:?} credentials work; no more may than {:?}", self.caps));
            }
        }
        id
    }

    /// Whether somebody wanted it revoked.
    pub fn was_asked_for(&self, lease: &LeaseId, credential: &str) -> bool {
        let number: u64 = credential.rsplit('-').next().unwrap().parse().unwrap();
        self.asked.contains(lease) || number <= self.asked_up_to
    }

    fn revoke(&mut self, id: &str, now: Timestamp) {
        self.alive.remove(id);
        let protected = self.protected;
        let robbed = self
            .in_hand
            .iter()
            .find(|(lease, hand)| {
                hand.credential == id && (protected || now < hand.until) && !self.was_asked_for(lease, id)
            })
            .map(|(lease, hand)| format!("{lease}: {id} was revoked at {now:?}, early: {:?}", hand.until));
        self.wrong.extend(robbed);
    }
}

pub async fn yield_many(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}
