//! What is known of a reference without asking anybody.
//!
//! The secret `a/b` with a field `c` comes first; where there is none, the secret `a/b/c`.

use std::collections::HashSet;

use gateward_clock::Timestamp;
use gateward_seal::SecretValue;

use super::shown::{ReferenceState, ValueState, VaultCounts};
use super::slot::Key;
use super::state::State;
use crate::backend;
use crate::entry::{Reading, Standing};
use crate::reference::Reference;
use crate::secret::{FieldError, field};
use crate::unresolved::{Miss, MissKind, Unresolved};

/// What is known of a reference.
pub(super) enum Probe {
    /// Its value, or why it has none.
    Known(Result<Given, Unresolved>),
    /// The vault was not asked, or has not answered.
    Unknown,
}

/// A value, and a mark by which it is known to be the same as before.
pub(super) struct Given {
    pub(super) value: SecretValue,
    pub(super) mark: Mark,
}

/// Tells values apart without keeping them: which secret it is of, the how manieth of it, and whether it was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    serial: u64,
    revision: u32,
    is_base64: bool,
}

impl State {
    /// What is known of `reference` now, and which secrets that hangs on.
    pub(super) fn probe(&self, reference: &Reference, now: Timestamp) -> (Probe, Vec<Key>) {
        let known = |result: Result<Given, Miss>| {
            Probe::Known(result.map_err(|miss| Unresolved {
                reference: reference.to_string(),
                kind: miss.kind,
                problem: miss.problem,
            }))
        };
        let first = match self.key_of(reference, reference.secret()) {
            Ok(first) => first,
            Err(miss) => return (known(Err(miss)), Vec::new()),
        };
        let mut looked_at = Vec::new();
        let from_first = match (self.admitted(&first, now), reference.field()) {
            (Err(miss), _) => about(&first, &miss),
            (Ok(reading), field_name) => {
                looked_at.push(first.clone());
                match (reading, field_name) {
                    (Reading::Unknown, _) => return (Probe::Unknown, looked_at),
                    (Reading::Missing(miss), _) => about(&first, miss),
                    (Reading::Value(secret), None) => {
                        return (known(self.given(&first, secret.clone())), looked_at);
                    }
                    (Reading::Value(secret), Some(name)) => match field(secret, name) {
                        Ok(value) => return (known(self.given(&first, value)), looked_at),
                        Err(error) => no_field(&first, name, error),
                    },
                }
            }
        };
        if reference.field().is_none() || !from_first.is_the_vaults_word() {
            return (known(Err(from_first)), looked_at);
        }
        let whole = Key { secret: reference.whole().into(), ..first };
        let neither = |miss: &Miss| {
            let problem = format!("{}; nor {}", from_first.problem, about(&whole, miss).problem);
            known(Err(Miss::new(from_first.kind, problem)))
        };
        let probe = match self.admitted(&whole, now) {
            Err(miss) => return (neither(&miss), looked_at),
            Ok(Reading::Unknown) => Probe::Unknown,
            Ok(Reading::Value(secret)) => known(self.given(&whole, secret.clone())),
            Ok(Reading::Missing(miss)) if miss.is_the_vaults_word() => neither(miss),
            Ok(Reading::Missing(miss)) => known(Err(about(&whole, miss))),
        };
        looked_at.push(whole);
        (probe, looked_at)
    }

    /// The key for `secret`; none if the vault is not there. One that is broken keeps what it gave.
    fn key_of(&self, reference: &Reference, secret: String) -> Result<Key, Miss> {
        let name = reference.vault();
        self.key(reference, secret).ok_or_else(|| {
            let problem = format!("there is no vault {name:?}; make one with PUT /vaults/{name}");
            Miss::new(MissKind::Misconfigured, problem)
        })
    }

    /// What is known under `key`, if the vault's entity gives that.
    fn admitted(&self, key: &Key, now: Timestamp) -> Result<Reading<'_, SecretValue>, Miss> {
        if let Some(place) = self.places.get(&key.vault) {
            place.vault.rules.admit(&key.vault, &key.secret)?;
        }
        Ok(self.read(key, now))
    }

    /// What is given for `text`, which is the secret of `key` or a field of it.
    fn given(&self, key: &Key, text: SecretValue) -> Result<Given, Miss> {
        let (Some(place), Some(slot)) = (self.places.get(&key.vault), self.slot(key)) else {
            return Err(Miss::new(MissKind::Misconfigured, "there is no such vault"));
        };
        let rules = &place.vault.rules;
        let value = rules.decode(text).map_err(|miss| about(key, &miss))?;
        let mark = Mark { serial: slot.serial, revision: slot.revision, is_base64: rules.is_base64 };
        Ok(Given { value, mark })
    }

    /// Counts for each vault.
    pub(super) fn counts(&self) -> Vec<VaultCounts> {
        // A backend that nobody has set up, and that nobody wants anything of, is no vault that could be out of order.
        let wanted: HashSet<&str> = self.slots.keys().map(|key| &*key.vault).collect();
        let counts = |name: &str| {
            backend::kind(name).is_none() || wanted.contains(name) || self.tallies.contains_key(name)
        };
        let mut counts: Vec<_> = self
            .places
            .iter()
            .filter(|(name, _)| counts(name))
            .map(|(name, place)| {
                let tally = self.tallies.get(name).cloned().unwrap_or_default();
                let problem = place.lane.problem().map(str::to_owned);
                VaultCounts { problem, ..tally.counts(name, &place.vault.kind) }
            })
            .collect();
        for (key, slot) in &self.slots {
            let Ok(at) = counts.binary_search_by(|counts| (*counts.vault).cmp(&*key.vault)) else { continue };
            let (Some(since), counts) = (slot.entry.held_since(), &mut counts[at]) else { continue };
            counts.values += 1;
            counts.stale += usize::from(slot.entry.is_stale());
            counts.oldest = Some(counts.oldest.map_or(since, |oldest| oldest.min(since)));
        }
        counts
    }

    /// How it stands with each reference that somebody is bound to, in the order of their texts.
    pub(super) fn references(&self, now: Timestamp) -> Vec<ReferenceState> {
        let bound = self.bindings.values().flat_map(|registered| registered.bound.references());
        let mut references: Vec<_> = bound.collect();
        references.sort_by_key(|reference| reference.text());
        references.dedup();
        references.into_iter().map(|reference| self.reference_state(reference, now)).collect()
    }

    fn reference_state(&self, reference: &Reference, now: Timestamp) -> ReferenceState {
        let (probe, looked_at) = self.probe(reference, now);
        let slot = looked_at.last().and_then(|key| self.slot(key));
        let standing = slot.map_or(Standing::Unasked, |slot| slot.entry.standing());
        let (state, miss, since) = match (probe, standing) {
            (Probe::Known(Ok(_)), Standing::Stale { since, miss }) => {
                (ValueState::Stale, Some((miss.kind, miss.problem.clone())), Some(since))
            }
            (Probe::Known(Ok(_)), standing) => (ValueState::Fresh, None, standing.since()),
            // While it is asked for again, what was known last is what is known.
            (Probe::Unknown, Standing::Missing { since, miss }) => {
                (ValueState::Missing, Some((miss.kind, miss.problem.clone())), Some(since))
            }
            (Probe::Unknown, Standing::Gone { since, miss }) => {
                (ValueState::Gone, Some((miss.kind, miss.problem.clone())), Some(since))
            }
            (Probe::Unknown, _) => (ValueState::Asking, None, None),
            (Probe::Known(Err(missing)), standing) => {
                let gone = matches!(standing, Standing::Gone { .. });
                let state = if gone { ValueState::Gone } else { ValueState::Missing };
                (state, Some((missing.kind, missing.problem)), standing.since())
            }
        };
        let (kind, problem) = miss.unzip();
        let vault = reference.vault().to_owned();
        ReferenceState { reference: reference.to_string(), vault, state, kind, problem, since }
    }
}

fn no_field(key: &Key, name: &str, error: FieldError) -> Miss {
    let problem = format!("the secret {:?} is there, but no field {name:?}: {error}", key.secret);
    Miss::new(MissKind::NotFound, problem)
}

/// `miss`, with the name of the secret that it is about.
fn about(key: &Key, miss: &Miss) -> Miss {
    Miss::new(miss.kind, format!("the secret {:?}: {}", key.secret, miss.problem))
}
