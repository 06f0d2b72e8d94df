//! What a resolver knows: vaults, secrets, and who is bound to which.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::binding::Bound;
use super::shown::{ReferenceState, Tally, ValueState, VaultCounts};
use crate::entry::{Entry, Event, Reading};
use crate::reference::{Overrides, Reference, Version};
use crate::secret::field;
use crate::unresolved::{Miss, MissKind, Unresolved};
use crate::vault::OpenVault;

/// One secret of one vault, on the same terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) vault: String,
    pub(super) secret: String,
    pub(super) version: Version,
    pub(super) overrides: Overrides,
}

/// What is kept of one secret.
pub(super) struct Slot {
    pub(super) entry: Entry<SecretValue>,
    /// Told whenever a call has ended.
    pub(super) ended: watch::Sender<()>,
    /// Who hears of it, and whether they want it still or have found their value elsewhere.
    pub(super) bindings: BTreeMap<u64, bool>,
    /// When it was last of use.
    pub(super) used: Timestamp,
    /// What looks at the entry when its time comes, and when that is.
    pub(super) alarm: Option<AbortHandle>,
    pub(super) alarm_at: Option<Timestamp>,
}

impl Slot {
    /// Whether anybody is served by keeping it fresh.
    pub(super) fn is_wanted(&self) -> bool {
        self.bindings.values().any(|wants| *wants)
    }

    pub(super) fn listeners(&self) -> Vec<u64> {
        self.bindings.keys().copied().collect()
    }

    pub(super) fn silence(&mut self) {
        self.alarm_at = None;
        if let Some(alarm) = self.alarm.take() {
            alarm.abort();
        }
    }
}

/// What is known of a reference, without asking anybody.
pub(super) enum Probe {
    /// Its value, or why it has none.
    Known(Result<SecretValue, Unresolved>),
    /// The vault was not asked, or has not answered.
    Unknown,
}

/// What a resolver knows.
pub(super) struct State {
    vaults: BTreeMap<String, OpenVault>,
    slots: HashMap<Key, Slot>,
    bindings: HashMap<u64, Registered>,
    last_id: u64,
    swept: Timestamp,
    tallies: HashMap<String, Tally>,
}

struct Registered {
    bound: Arc<Bound>,
    /// The vaults that its references name.
    vaults: BTreeSet<String>,
    /// The secrets that its values hang on.
    keys: HashSet<Key>,
}

impl State {
    pub(super) fn new(vaults: BTreeMap<String, OpenVault>, now: Timestamp) -> Self {
        Self {
            vaults,
            slots: HashMap::new(),
            bindings: HashMap::new(),
            last_id: 0,
            swept: now,
            tallies: HashMap::new(),
        }
    }

    pub(super) fn vault(&self, key: &Key) -> Option<&OpenVault> {
        self.vaults.get(&key.vault)
    }

    pub(super) fn slot(&self, key: &Key) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(super) fn slot_mut(&mut self, key: &Key) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    /// What is known of `reference` now, and which secrets that hangs on.
    ///
    /// The secret `a/b` with a field `c` comes first; where there is none, the secret `a/b/c`.
    pub(super) fn probe(&mut self, reference: &Reference, now: Timestamp) -> (Probe, Vec<Key>) {
        let known = |result: Result<SecretValue, Miss>| {
            Probe::Known(result.map_err(|miss| Unresolved {
                reference: reference.to_string(),
                kind: miss.kind,
                problem: miss.problem,
            }))
        };
        if let Err(miss) = self.usable(reference.vault()) {
            return (known(Err(miss)), Vec::new());
        }
        let first = self.key(reference, reference.secret(), now);
        let from_first = match (self.read(&first, now), reference.field()) {
            (Reading::Unknown, _) => return (Probe::Unknown, vec![first]),
            (Reading::Value(secret), None) => return (known(Ok(secret.clone())), vec![first]),
            (Reading::Missing(miss), None) => return (known(Err(about(&first, miss))), vec![first]),
            (Reading::Missing(miss), Some(_)) => about(&first, miss),
            (Reading::Value(secret), Some(name)) => match field(secret, name) {
                Ok(value) => return (known(Ok(value)), vec![first]),
                Err(error) => {
                    let problem =
                        format!("the secret {:?} is there, but no field {name:?}: {error}", first.secret);
                    Miss::new(MissKind::NotFound, problem)
                }
            },
        };
        if !from_first.is_the_vaults_word() {
            return (known(Err(from_first)), vec![first]);
        }
        let whole = self.key(reference, reference.whole(), now);
        let probe = match self.read(&whole, now) {
            Reading::Unknown => Probe::Unknown,
            Reading::Value(secret) => known(Ok(secret.clone())),
            Reading::Missing(miss) if miss.is_the_vaults_word() => {
                let problem = format!("{}; nor {}", from_first.problem, about(&whole, miss).problem);
                known(Err(Miss::new(from_first.kind, problem)))
            }
            Reading::Missing(miss) => known(Err(about(&whole, miss))),
        };
        (probe, vec![first, whole])
    }

    /// Whether the vault is there and can be asked.
    fn usable(&self, name: &str) -> Result<(), Miss> {
        let problem = match self.vaults.get(name).map(|vault| &vault.backend) {
            Some(Ok(_)) => return Ok(()),
            Some(Err(invalid)) => format!("the vault {name:?} cannot be used: {invalid}"),
            None => format!("there is no vault {name:?}; make one with PUT /vaults/{name}"),
        };
        Err(Miss::new(MissKind::Misconfigured, problem))
    }

    /// The key for `secret`, which has a slot from now on.
    fn key(&mut self, reference: &Reference, secret: String, now: Timestamp) -> Key {
        let overrides = reference.overrides();
        let version = reference.version();
        let key = Key { vault: reference.vault().to_owned(), secret, version, overrides };
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.used = now;
            return key;
        }
        let terms = self.vault(&key).map(|vault| vault.terms(overrides)).unwrap_or_default();
        let slot = Slot {
            entry: Entry::new(terms),
            ended: watch::Sender::new(()),
            bindings: BTreeMap::new(),
            used: now,
            alarm: None,
            alarm_at: None,
        };
        self.slots.insert(key.clone(), slot);
        key
    }

    fn read(&self, key: &Key, now: Timestamp) -> Reading<'_, SecretValue> {
        self.slots.get(key).map_or(Reading::Unknown, |slot| slot.entry.read(now))
    }

    pub(super) fn add_binding(&mut self, bound: Arc<Bound>) -> u64 {
        self.last_id += 1;
        let references = bound.references().iter();
        let vaults = references.map(|reference| reference.vault().to_owned()).collect();
        let registered = Registered { bound, vaults, keys: HashSet::new() };
        self.bindings.insert(self.last_id, registered);
        self.last_id
    }

    pub(super) fn binding(&self, id: u64) -> Option<Arc<Bound>> {
        self.bindings.get(&id).map(|registered| Arc::clone(&registered.bound))
    }

    /// Whether the values of binding `id` hang on `key` already.
    pub(super) fn hangs_on(&self, id: u64, key: &Key) -> bool {
        self.bindings.get(&id).is_some_and(|registered| registered.keys.contains(key))
    }

    /// Makes binding `id` hang on `keys`, wanting those that say so, and on no others. Gives those it let go.
    pub(super) fn hang(&mut self, id: u64, keys: &HashMap<Key, bool>) -> HashSet<Key> {
        let Some(registered) = self.bindings.get_mut(&id) else { return HashSet::new() };
        let before = std::mem::replace(&mut registered.keys, keys.keys().cloned().collect());
        for (key, wants) in keys {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.bindings.insert(id, *wants);
            }
        }
        let let_go = before.into_iter().filter(|key| !keys.contains_key(key)).collect();
        for key in &let_go {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.bindings.remove(&id);
            }
        }
        let_go
    }

    pub(super) fn remove_binding(&mut self, id: u64, now: Timestamp) {
        let Some(registered) = self.bindings.remove(&id) else { return };
        for key in registered.keys {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.bindings.remove(&id);
                slot.used = now;
                if !slot.is_wanted() {
                    slot.silence();
                }
            }
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
    }

    /// Takes `vaults` in place of those there are; gives the names of those that are new, changed or gone.
    pub(super) fn replace_vaults(
        &mut self,
        vaults: BTreeMap<String, OpenVault>,
        now: Timestamp,
    ) -> BTreeSet<String> {
        let mut before = std::mem::take(&mut self.vaults);
        let mut changed = BTreeSet::new();
        for (name, vault) in vaults {
            let vault = match before.remove(&name) {
                // Unchanged ones are kept: they know their signing key.
                Some(kept) if kept.is_as(&vault) => kept,
                _ => {
                    changed.insert(name.clone());
                    vault
                }
            };
            self.vaults.insert(name, vault);
        }
        changed.extend(before.into_keys());
        let still_there = &self.vaults;
        self.slots.retain(|key, slot| {
            if !changed.contains(&key.vault) {
                return true;
            }
            match still_there.get(&key.vault) {
                Some(vault) => {
                    slot.entry.on(Event::Reconfigured(vault.terms(key.overrides)), now);
                    true
                }
                None => {
                    slot.silence();
                    false
                }
            }
        });
        changed
    }

    pub(super) fn tally(&mut self, vault: &str) -> &mut Tally {
        self.tallies.entry(vault.to_owned()).or_default()
    }

    pub(super) fn counts(&self) -> Vec<VaultCounts> {
        let empty = Tally::default();
        let count = |(name, vault): (&String, &OpenVault)| {
            let mut counts = self.tallies.get(name).unwrap_or(&empty).counts(name, &vault.name);
            for (_, slot) in self.slots.iter().filter(|(key, _)| key.vault == *name) {
                let Some(since) = slot.entry.held_since() else { continue };
                counts.values += 1;
                counts.stale += usize::from(slot.entry.is_stale());
                counts.oldest = Some(counts.oldest.map_or(since, |oldest| oldest.min(since)));
            }
            counts.problem = vault.backend.as_ref().err().map(ToString::to_string);
            counts
        };
        self.vaults.iter().map(count).collect()
    }

    /// How it stands with each reference that somebody is bound to.
    pub(super) fn references(&mut self, now: Timestamp) -> Vec<ReferenceState> {
        let bound =
            self.bindings.values().flat_map(|registered| registered.bound.references().iter().cloned());
        let references: HashSet<Reference> = bound.collect();
        let mut states: Vec<_> =
            references.iter().map(|reference| self.reference_state(reference, now)).collect();
        states.sort_by(|one, other| one.reference.cmp(&other.reference));
        states
    }

    fn reference_state(&mut self, reference: &Reference, now: Timestamp) -> ReferenceState {
        let (probe, looked_at) = self.probe(reference, now);
        let entry = looked_at.last().and_then(|key| self.slot(key)).map(|slot| &slot.entry);
        let miss = entry.and_then(Entry::last_miss);
        let (state, kind, problem) = match probe {
            Probe::Unknown => (ValueState::Asking, None, None),
            Probe::Known(Ok(_)) => {
                let stale = entry.is_some_and(Entry::is_stale);
                let state = if stale { ValueState::Stale } else { ValueState::Fresh };
                (state, miss.map(|miss| miss.kind), miss.map(|miss| miss.problem.clone()))
            }
            Probe::Known(Err(missing)) => {
                let gone = missing.kind == MissKind::Expired;
                let state = if gone { ValueState::Gone } else { ValueState::Missing };
                (state, Some(missing.kind), Some(missing.problem))
            }
        };
        ReferenceState {
            reference: reference.to_string(),
            vault: reference.vault().to_owned(),
            state,
            kind,
            problem,
            since: entry.and_then(Entry::held_since),
        }
    }

    pub(super) fn bound_keys_of(&self, vaults: &BTreeSet<String>) -> Vec<Key> {
        let bound = self.slots.iter().filter(|(_, slot)| !slot.bindings.is_empty());
        bound.map(|(key, _)| key).filter(|key| vaults.contains(&key.vault)).cloned().collect()
    }

    /// Those whose references name one of `vaults`.
    pub(super) fn bindings_of(&self, vaults: &BTreeSet<String>) -> Vec<u64> {
        let bindings = self.bindings.iter();
        let concerned = bindings.filter(|(_, registered)| !registered.vaults.is_disjoint(vaults));
        concerned.map(|(id, _)| *id).collect()
    }

    #[cfg(test)]
    pub(super) fn vaults_mut(&mut self) -> &mut BTreeMap<String, OpenVault> {
        &mut self.vaults
    }
}

/// `miss`, with the name of the secret that it is about.
fn about(key: &Key, miss: &Miss) -> Miss {
    Miss::new(miss.kind, format!("the secret {:?}: {}", key.secret, miss.problem))
}

/// How long a secret is kept that nobody is bound to.
const KEPT_UNBOUND: Duration = Duration::from_secs(300);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
