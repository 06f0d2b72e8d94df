//! What a resolver knows: vaults, secrets, and who is bound to which. It calls nobody and tells nobody: what is to be
//! done goes into an [`Outbox`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use tokio::sync::futures::OwnedNotified;

use super::binding::Bound;
use super::lane::{Admission, Lane, Turn};
use super::outbox::{Call, Outbox, Report};
use super::place::{Place, unusable};
use super::shown::Tally;
use super::slot::{Key, Slot};
use crate::entry::{Event, Reading, Standing, Terms, Ticket};
use crate::reference::{Overrides, Reference};
use crate::unresolved::Miss;
use crate::vault::{Backing, OpenVault};

/// What a resolver knows.
pub(super) struct State {
    pub(super) places: BTreeMap<Arc<str>, Place>,
    pub(super) slots: HashMap<Arc<Key>, Box<Slot>>,
    pub(super) bindings: HashMap<u64, Registered>,
    alarms: BTreeMap<(Timestamp, u64), Arc<Key>>,
    pub(super) tallies: HashMap<Arc<str>, Tally>,
    pub(super) outbox: Outbox,
    /// Numbers bindings, slots and epochs.
    last_id: u64,
    swept: Timestamp,
}

pub(super) struct Registered {
    pub(super) bound: Arc<Bound>,
    /// It is about to be looked at, so that one more change is no reason for one more look.
    pub(super) is_told_soon: bool,
    /// The secrets that its values hang on.
    keys: Vec<Arc<Key>>,
}

impl State {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            places: BTreeMap::new(),
            slots: HashMap::new(),
            bindings: HashMap::new(),
            alarms: BTreeMap::new(),
            tallies: HashMap::new(),
            outbox: Outbox::default(),
            last_id: 0,
            swept: now,
        }
    }

    pub(super) fn slot(&self, key: &Key) -> Option<&Slot> {
        self.slots.get(key).map(|slot| &**slot)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn terms(&self, key: &Key) -> Terms {
        let overrides = key.overrides.as_deref().copied().unwrap_or_default();
        self.places.get(&key.vault).map_or_else(Terms::default, |place| place.vault.terms(overrides))
    }

    pub(super) fn read(&self, key: &Key, now: Timestamp) -> Reading<'_, SecretValue> {
        let terms = self.terms(key);
        self.slots.get(key).map_or(Reading::Unknown, |slot| slot.entry.read(&terms, now))
    }

    /// The key for the secret `secret` of the vault that `reference` names. None if there is no such vault.
    pub(super) fn key(&self, reference: &Reference, secret: String) -> Option<Key> {
        let (vault, _) = self.places.get_key_value(reference.vault())?;
        let overrides = reference.overrides();
        let overrides = (overrides != Overrides::default()).then(|| Box::new(overrides));
        let version = reference.version();
        Some(Key { vault: Arc::clone(vault), secret: secret.into(), version, overrides })
    }

    /// Somebody wants the value of `key`, which is kept from now on; `event` is why.
    pub(super) fn want(&mut self, key: &Key, event: Event<SecretValue>, now: Timestamp) {
        let known = self.slots.get_key_value(key).map(|(key, _)| Arc::clone(key));
        let key = known.unwrap_or_else(|| {
            let key = Arc::new(key.clone());
            let slot = Slot::new(self.next_id(), now);
            self.slots.insert(Arc::clone(&key), Box::new(slot));
            key
        });
        let event = if self.slot(&key).is_some_and(|slot| slot.entry.standing() == Standing::Unasked) {
            Event::Needed
        } else {
            event
        };
        self.step(&key, event, now);
        let served = self.slot(&key).is_some_and(|slot| !slot.entry.is_being_asked());
        if served && matches!(self.read(&key, now), Reading::Value(_)) {
            self.tally(&key.vault).hits += 1;
        }
    }

    /// Takes `event` into the entry of `key`, and sees to what follows: a call, another alarm.
    pub(super) fn step(&mut self, key: &Arc<Key>, event: Event<SecretValue>, now: Timestamp) {
        let terms = self.terms(key);
        let Some(slot) = self.slots.get_mut(key) else { return };
        // To be let go of is no use.
        if !matches!(event, Event::LetGo) {
            slot.used = now;
        }
        let had_a_value = slot.entry.held().is_some();
        let ticket = slot.entry.on(event, &terms, now);
        // Whatever is looked at may turn out to be too old.
        if had_a_value && slot.entry.held().is_none() {
            self.outbox.tell(&slot.bindings);
        }
        if let Some(ticket) = ticket {
            self.dispatch(key, ticket, now);
        }
        self.set_alarm(key);
    }

    /// Sees to it that a call is made now, or later, or not.
    fn dispatch(&mut self, key: &Arc<Key>, ticket: Ticket, now: Timestamp) {
        let Some(place) = self.places.get_mut(&key.vault) else { return };
        match place.lane.admit(key, ticket, now) {
            Admission::Call => self.call(key, ticket),
            Admission::Wait => {}
            Admission::HeldBack(miss) => self.hold_back(key, ticket, miss, now),
        }
    }

    fn call(&mut self, key: &Arc<Key>, ticket: Ticket) {
        let Some(place) = self.places.get(&key.vault) else { return };
        let backing = place.vault.backing.clone();
        self.outbox.calls.push(Call { key: Arc::clone(key), ticket, epoch: place.epoch, backing });
    }

    fn hold_back(&mut self, key: &Arc<Key>, ticket: Ticket, miss: Miss, now: Timestamp) {
        let terms = self.terms(key);
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.entry.waits_for(ticket)) else { return };
        let (was_held_back, was_stale) = (slot.entry.is_held_back(), slot.entry.is_stale());
        slot.entry.on(Event::HeldBack { ticket, miss: miss.clone() }, &terms, now);
        slot.call_has_ended();
        self.outbox.tell(&slot.bindings);
        if slot.entry.is_stale() && !was_stale {
            self.outbox.reports.push(Report::WentStale(Arc::clone(key), miss));
        }
        if !was_held_back && let Some(place) = self.places.get_mut(&key.vault) {
            place.lane.hold(Arc::clone(key));
        }
    }

    /// A call has ended.
    pub(super) fn answered(
        &mut self,
        call: &Call,
        answer: Result<SecretValue, Miss>,
        jitter: f64,
        now: Timestamp,
    ) {
        let (key, ticket) = (&call.key, call.ticket);
        let Some(place) = self.places.get_mut(&key.vault).filter(|place| place.epoch == call.epoch) else {
            return;
        };
        let failure = answer.as_ref().err().cloned();
        let turn = place.lane.ended(key, ticket, failure.as_ref(), now, jitter);
        self.tally(&key.vault).count(failure.as_ref());
        if let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.entry.waits_for(ticket)) {
            let was_stale = slot.entry.is_stale();
            let is_new = match &answer {
                Ok(value) => slot.entry.held() != Some(value),
                Err(_) => false,
            };
            if is_new {
                slot.revision = slot.revision.wrapping_add(1);
            }
            slot.call_has_ended();
            // Where a value stays what it was, nobody hears of anything new.
            if is_new || failure.is_some() {
                self.outbox.tell(&slot.bindings);
            }
            self.step(key, Event::Answered { ticket, answer, jitter }, now);
            let is_stale = self.slot(key).is_some_and(|slot| slot.entry.is_stale());
            self.outbox.reports.push(Report::of(key, failure, was_stale, is_stale));
        }
        match turn {
            Turn::Nothing => {}
            Turn::OutOfOrder(waiting, miss) => {
                self.outbox.reports.push(Report::OutOfOrder(Arc::clone(&key.vault), miss.clone()));
                for (key, ticket) in waiting {
                    self.hold_back(&key, ticket, miss.clone(), now);
                    self.set_alarm(&key);
                }
            }
            Turn::InOrder(held) => {
                self.outbox.reports.push(Report::InOrder(Arc::clone(&key.vault)));
                for key in held {
                    self.release(&key, now);
                }
            }
        }
        self.pump(&Arc::clone(&key.vault));
    }

    /// Makes the calls whose turn has come.
    fn pump(&mut self, vault: &Arc<str>) {
        while let Some((key, ticket)) = self.places.get_mut(vault).and_then(|place| place.lane.next()) {
            if self.slot(&key).is_some_and(|slot| slot.entry.waits_for(ticket)) {
                self.call(&key, ticket);
            } else if let Some(place) = self.places.get_mut(vault) {
                place.lane.not_made();
            }
        }
    }

    /// Sees to it that the entry of `key`, if somebody is bound to it, is looked at when its time comes.
    pub(super) fn set_alarm(&mut self, key: &Arc<Key>) {
        let terms = self.terms(key);
        let Some(slot) = self.slots.get_mut(key) else { return };
        let at = if slot.is_wanted() { slot.entry.wake_at(&terms) } else { None };
        if slot.alarm_at == at {
            return;
        }
        if let Some(before) = slot.alarm_at {
            self.alarms.remove(&(before, slot.serial));
        }
        if let Some(at) = at {
            self.alarms.insert((at, slot.serial), Arc::clone(key));
        }
        slot.alarm_at = at;
    }

    /// When there is something to do without anybody asking.
    pub(super) fn next_alarm(&self) -> Option<Timestamp> {
        let secret = self.alarms.first_key_value().map(|((at, _), _)| *at);
        let probes = self.places.values().filter_map(|place| place.lane.probe_at());
        secret.into_iter().chain(probes).min()
    }

    /// Does what is due.
    pub(super) fn ring(&mut self, now: Timestamp) {
        while let Some(first) = self.alarms.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            slot.alarm_at = None;
            self.step(&key, Event::Due, now);
            if self.slot(&key).is_some_and(|slot| slot.alarm_at.is_some_and(|at| at <= now)) {
                // Nothing came of it: looking again at once would be for ever.
                self.postpone(&key, now + AT_LEAST);
            }
        }
        let due = |place: &Place| place.lane.probe_at().is_some_and(|at| at <= now);
        let due: Vec<_> =
            self.places.iter().filter(|(_, place)| due(place)).map(|(name, _)| Arc::clone(name)).collect();
        for vault in due {
            while let Some(key) = self.places.get(&vault).and_then(|place| place.lane.first()).cloned() {
                self.release(&key, now);
                if self.slot(&key).is_some_and(|slot| slot.entry.is_being_asked()) {
                    break;
                }
                if let Some(place) = self.places.get_mut(&vault) {
                    place.lane.pass(&key);
                }
            }
        }
    }

    /// Lets `key`, which was held back, be asked for: now where somebody wants it, else when somebody does.
    fn release(&mut self, key: &Arc<Key>, now: Timestamp) {
        let is_wanted = self.slot(key).is_some_and(Slot::is_wanted);
        self.step(key, if is_wanted { Event::Released } else { Event::LetGo }, now);
    }

    fn postpone(&mut self, key: &Arc<Key>, at: Timestamp) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if let Some(before) = slot.alarm_at.replace(at) {
            self.alarms.remove(&(before, slot.serial));
        }
        self.alarms.insert((at, slot.serial), Arc::clone(key));
    }

    /// What tells that the call for `key` has ended. None if none is under way.
    pub(super) fn ended(&mut self, key: &Key) -> Option<OwnedNotified> {
        let slot = self.slots.get_mut(key).filter(|slot| slot.entry.is_being_asked())?;
        Some(Arc::clone(slot.ended.get_or_insert_default()).notified_owned())
    }

    pub(super) fn tally(&mut self, vault: &Arc<str>) -> &mut Tally {
        self.tallies.entry(Arc::clone(vault)).or_default()
    }

    pub(super) fn add_binding(&mut self, bound: Arc<Bound>) -> u64 {
        let id = self.next_id();
        self.bindings.insert(id, Registered { bound, is_told_soon: true, keys: Vec::new() });
        id
    }

    /// Whether the values of binding `id` hang on `key` already.
    pub(super) fn hangs_on(&self, id: u64, key: &Key) -> bool {
        let slot = self.slots.get(key);
        slot.is_some_and(|slot| slot.bindings.binary_search_by_key(&id, |(id, _)| *id).is_ok())
    }

    /// Makes binding `id` hang on `keys`, wanting those that say so, and on no others.
    pub(super) fn hang(&mut self, id: u64, keys: &HashMap<Arc<Key>, bool>) {
        let Some(registered) = self.bindings.get_mut(&id) else { return };
        let before = std::mem::replace(&mut registered.keys, keys.keys().cloned().collect());
        for (key, wants) in keys {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.hang(id, *wants);
            }
            self.set_alarm(key);
        }
        for key in before.iter().filter(|key| !keys.contains_key(*key)) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.let_go(id);
            }
            self.set_alarm(key);
        }
    }

    pub(super) fn remove_binding(&mut self, id: u64, now: Timestamp) {
        let Some(registered) = self.bindings.remove(&id) else { return };
        for key in registered.keys {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.let_go(id);
                slot.used = now;
            }
            self.set_alarm(&key);
        }
    }

    /// Forgets, and so wipes, what nobody is bound to and nobody has wanted for a while. A while, because a changed
    /// configuration lets go of a secret and takes it again a moment later, and the vault may be out of order then.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        if now.saturating_since(self.swept) < SWEEP_EVERY {
            return;
        }
        self.swept = now;
        self.slots.retain(|_, slot| {
            let wanted = !slot.bindings.is_empty() || slot.entry.is_being_asked();
            wanted || now.saturating_since(slot.used) < KEPT_UNBOUND
        });
        for place in self.places.values_mut() {
            place.lane.forget(|key| self.slots.contains_key(key));
        }
    }

    /// Takes `vaults` in place of those there are; gives the names of those that are new, changed or gone.
    pub(super) fn replace_vaults(
        &mut self,
        vaults: BTreeMap<Arc<str>, OpenVault>,
        now: Timestamp,
    ) -> BTreeSet<Arc<str>> {
        let mut before = std::mem::take(&mut self.places);
        let mut changed = BTreeSet::new();
        for (name, vault) in vaults {
            let kept = match before.remove(&name) {
                // Unchanged ones are kept: they know their signing key, and how it stands with the vault.
                Some(place) if place.vault.is_as(&vault) => {
                    self.outbox.dropped.push(Place::new(vault, 0));
                    place
                }
                other => {
                    self.outbox.dropped.extend(other);
                    changed.insert(Arc::clone(&name));
                    Place::new(vault, self.next_id())
                }
            };
            self.places.insert(name, kept);
        }
        for (name, place) in before {
            self.tallies.remove(&name);
            self.outbox.dropped.push(place);
            changed.insert(name);
        }
        self.reconfigure(&changed, now);
        changed
    }

    /// Everything that the vaults `changed` gave serves on until they, as they are now, have answered; what a vault
    /// gave that is gone is gone.
    fn reconfigure(&mut self, changed: &BTreeSet<Arc<str>>, now: Timestamp) {
        let concerned = self.slots.keys().filter(|key| changed.contains(&key.vault));
        for key in concerned.cloned().collect::<Vec<_>>() {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            slot.call_has_ended();
            self.outbox.tell(&slot.bindings);
            if !self.places.contains_key(&key.vault) {
                if let Some(at) = slot.alarm_at {
                    self.alarms.remove(&(at, slot.serial));
                }
                self.slots.remove(&key);
                continue;
            }
            let is_bound = !slot.bindings.is_empty();
            self.step(&key, Event::Reconfigured, now);
            if is_bound {
                self.step(&key, Event::Needed, now);
            }
        }
        let names_one = |registered: &Registered| {
            registered.bound.references().iter().any(|reference| changed.contains(reference.vault()))
        };
        let concerned = self.bindings.iter().filter(|(_, registered)| names_one(registered));
        self.outbox.told.extend(concerned.map(|(id, _)| *id));
    }

    /// The vault that was set as `generation` is opened, or broken, from now on. Nothing happens if another has taken
    /// its place.
    pub(super) fn install(&mut self, name: &Arc<str>, generation: u64, backing: Backing, now: Timestamp) {
        let epoch = self.next_id();
        let Some(place) = self.places.get_mut(name).filter(|place| place.generation == generation) else {
            return;
        };
        let was_pending = matches!(place.vault.backing, Backing::Pending);
        match &backing {
            // What was had of it serves on; who asks is told why there is no more to be had.
            Backing::Broken(invalid) => {
                place.lane = Lane::shut(unusable(invalid));
                place.epoch = epoch;
                place.vault.backing = backing;
                self.reconfigure(&BTreeSet::from([Arc::clone(name)]), now);
            }
            Backing::Open(_) if was_pending => {
                place.lane.open();
                place.vault.backing = backing;
                self.pump(name);
            }
            Backing::Open(_) | Backing::Pending => {
                place.epoch = epoch;
                place.lane = Lane::new();
                place.vault.backing = backing;
                self.reconfigure(&BTreeSet::from([Arc::clone(name)]), now);
            }
        }
    }

    /// The value of `key` was refused. It is asked for, if it was not for the same reason less than `span` ago.
    pub(super) fn doubt(&mut self, key: &Key, now: Timestamp, span: Duration) {
        let Some((key, slot)) = self.slots.get_key_value(key) else { return };
        if slot.doubted.is_some_and(|doubted| now.saturating_since(doubted) < span) {
            return;
        }
        let key = Arc::clone(key);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.doubted = Some(now);
        }
        self.step(&key, Event::Doubted, now);
    }

    /// What is known under `name` of a vault may not be what it has now.
    pub(super) fn doubt_all(&mut self, vault: &str, name: &str, now: Timestamp) {
        let concerned = self.slots.keys().filter(|key| *key.vault == *vault && *key.secret == *name);
        for key in concerned.cloned().collect::<Vec<_>>() {
            self.step(&key, Event::Doubted, now);
        }
    }
}

#[cfg(test)]
mod attended;

/// How long a secret is kept that nobody is bound to.
const KEPT_UNBOUND: Duration = Duration::from_secs(300);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How long after an alarm that came to nothing the next one rings.
const AT_LEAST: Duration = Duration::from_millis(100);
