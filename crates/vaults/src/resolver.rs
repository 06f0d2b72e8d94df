//! Asks vaults, keeps what they said, and tells whoever is bound to it.
//!
//! There is one [`Entry`] for a secret (of one vault, on the same terms), whoever wants it and whichever field of it:
//! so one call serves all, and the fields of one secret change together. Calls run on the control runtime and belong
//! to nobody, so who hangs up ends none. All state is behind one lock that is never held over a call, nor while
//! somebody is told.

mod binding;
mod shown;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use gateward_aws::Chain;
use gateward_clock::Clock;
use gateward_model::{Invalid, Vault};
use gateward_net::Client;
use gateward_seal::SecretValue;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::backend::{self, KINDS, Surroundings, Wanted};
use crate::dependencies;
use crate::entry::{Event, Ticket};
use crate::reference::Reference;
use crate::unresolved::{Miss, MissKind, Unresolved};
use crate::vault;
use binding::Bound;
pub use binding::{Asked, Binding, Changed};
pub use shown::{ReferenceState, ValueState, VaultCounts};
use state::{Key, Probe, Slot, State};

/// Resolves references. Shared by `Arc`; lives on the control runtime.
pub struct Resolver {
    me: Weak<Resolver>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    surroundings: Surroundings,
    state: Mutex<State>,
    /// Takes doubts in, from threads that wait for nothing.
    doubts: mpsc::Sender<Vec<Reference>>,
}

/// What a [`Resolver`] is made of.
pub struct ResolverParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What calls vaults.
    pub client: Client,
    /// The process's environment: the `env` vault, and defaults for vaults' settings.
    pub environment: BTreeMap<String, String>,
    /// Where calls run.
    pub runtime: Handle,
}

/// How a process proves to clouds who it is.
#[derive(Clone, Debug)]
pub struct Clouds {
    /// Whom AWS takes it for.
    pub aws: Arc<Chain>,
    /// What calls the metadata services of clouds, which no other client may.
    pub metadata_client: Client,
}

impl Resolver {
    /// A resolver that knows the backends by their own names, no entities yet, no AWS credentials, and no metadata services.
    pub fn new(parts: ResolverParts) -> Arc<Self> {
        let aws = Chain::without_sources(Arc::clone(&parts.clock), parts.runtime.clone());
        let metadata_client = parts.client.clone();
        Self::with_clouds(parts, Clouds { aws, metadata_client })
    }

    /// [`Resolver::new`] with what proves to `clouds` who this process is.
    pub fn with_clouds(parts: ResolverParts, clouds: Clouds) -> Arc<Self> {
        let environment = Arc::new(parts.environment);
        let surroundings = Surroundings {
            clock: Arc::clone(&parts.clock),
            runtime: parts.runtime.clone(),
            client: parts.client,
            environment,
            aws: clouds.aws,
            metadata_client: clouds.metadata_client,
        };
        let vaults = vault::open_all(Vec::new(), &surroundings);
        let state = State::new(vaults, parts.clock.now());
        let (doubts, mut doubted) = mpsc::channel::<Vec<Reference>>(DOUBTS);
        Arc::new_cyclic(|me| {
            let myself: Weak<Self> = Weak::clone(me);
            parts.runtime.spawn(async move {
                while let Some(references) = doubted.recv().await {
                    let Some(resolver) = Weak::upgrade(&myself) else { return };
                    resolver.doubt(&references);
                }
            });
            Self {
                me: Weak::clone(me),
                clock: parts.clock,
                runtime: parts.runtime,
                surroundings,
                state: Mutex::new(state),
                doubts,
            }
        })
    }

    /// Whether `name` is a backend's, so that references to it need no entity.
    pub fn has_backend(name: &str) -> bool {
        backend::kind(name).is_some()
    }

    /// Checks an entity: its prefix, that the backend exists, and that its settings are known and of the right type.
    pub fn check_vault(vault: &Vault) -> Result<(), Invalid> {
        vault::check(vault)
    }

    /// Checks entities together: that the vaults exist to which their settings refer, and that none needs itself
    /// before it can be opened. Gives the prefix of the one that is wrong.
    pub fn check_vaults(vaults: &[Vault]) -> Result<(), (String, Invalid)> {
        dependencies::check(vaults)
    }

    /// The names of the backends.
    pub fn kinds() -> Vec<&'static str> {
        KINDS.iter().map(|kind| kind.name).collect()
    }

    /// What Kong's Admin API calls the schema of the backend `kind`. None if there is no such backend.
    pub fn schema(kind: &str) -> Option<serde_json::Value> {
        let fields = backend::kind(kind)?.all_fields().map(|field| json!({ field.name: field.schema() }));
        let config = json!({"type": "record", "required": true, "fields": fields.collect::<Vec<_>>()});
        Some(json!({"entity_checks": [], "fields": [{ "config": config }]}))
    }

    /// Which settings of the backend `kind` are secrets themselves.
    pub fn secret_fields(kind: &str) -> Vec<&'static str> {
        let fields = backend::kind(kind).into_iter().flat_map(backend::Kind::all_fields);
        fields.filter(|field| field.is_secret()).map(|field| field.name).collect()
    }

    /// What each vault has given, and what is kept of it.
    pub fn counts(&self) -> Vec<VaultCounts> {
        self.lock().counts()
    }

    /// How it stands with each reference that something is bound to.
    pub fn references(&self) -> Vec<ReferenceState> {
        let now = self.clock.now();
        self.lock().references(now)
    }

    /// An upstream refused a request (401, 403) that used the values of `references`: they may have changed. Asks
    /// their vaults, at most once in 30 s for each value. Callable from any thread: it waits for nothing.
    pub fn refused(&self, references: &[Reference]) {
        let now = self.clock.now();
        let doubted = references.iter().filter(|reference| reference.doubt(now, DOUBTED_EVERY));
        let doubted: Vec<_> = doubted.cloned().collect();
        if !doubted.is_empty() {
            // Where nobody can keep up with the doubts, one more tells nothing new.
            let _ = self.doubts.try_send(doubted);
        }
    }

    fn doubt(&self, references: &[Reference]) {
        let mut state = self.lock();
        let now = self.clock.now();
        for reference in references {
            let (probe, looked_at) = state.probe(reference, now);
            let Some(key) = looked_at.last().filter(|_| matches!(probe, Probe::Known(Ok(_)))) else {
                continue;
            };
            self.step(&mut state, key, Event::Doubted);
        }
    }

    /// What the vault says of `reference` now, whatever is kept of it: for who tries a vault out.
    pub async fn ask(&self, reference: &Reference) -> Result<SecretValue, Unresolved> {
        self.resolve(reference).await
    }

    /// Takes `vaults` for the entities that there are. What a changed one gave is asked for again, and serves until
    /// the answer comes; what a removed one gave is gone.
    pub fn set_vaults(&self, vaults: Vec<Vault>) {
        let opened = vault::open_all(vaults, &self.surroundings);
        let affected = {
            let mut state = self.lock();
            let now = self.clock.now();
            let changed = state.replace_vaults(opened, now);
            for key in state.bound_keys_of(&changed) {
                self.step(&mut state, &key, Event::Needed);
            }
            state.bindings_of(&changed)
        };
        self.tell(affected);
    }

    /// The value of `reference`: the one that is kept, while it is good, else what the vault says now.
    pub async fn resolve(&self, reference: &Reference) -> Result<SecretValue, Unresolved> {
        self.lock().sweep(self.clock.now());
        let (mut settled, mut waited) = (Vec::new(), false);
        loop {
            let (probe, unsettled) = {
                let mut state = self.lock();
                let (probe, looked_at) = state.probe(reference, self.clock.now());
                (probe, looked_at.into_iter().find(|key| !settled.contains(key)))
            };
            match (unsettled, probe) {
                (Some(key), _) => {
                    waited |= self.settle(&key).await;
                    settled.push(key);
                }
                (None, Probe::Known(result)) => {
                    if result.is_ok() && !waited {
                        self.lock().tally(reference.vault()).hits += 1;
                    }
                    return result;
                }
                (None, Probe::Unknown) => {
                    let problem = "its vault was changed while it was asked; ask again".to_owned();
                    let kind = MissKind::Unavailable;
                    return Err(Unresolved { reference: reference.to_string(), kind, problem });
                }
            }
        }
    }

    /// Asks for `references` and keeps them fresh until the [`Binding`] is dropped. Calls `changed` with the values,
    /// in order, once all are there and each time one has changed, and with `None` when one is missing. It is called
    /// on the control runtime, one call at a time.
    pub fn bind(self: &Arc<Self>, references: Vec<Reference>, changed: Changed) -> Binding {
        let (bound, asked) = Bound::new(references, changed);
        let id = self.lock().add_binding(Arc::new(bound));
        self.tell([id]);
        Binding::new(id, Weak::clone(&self.me), asked)
    }

    fn unbind(&self, id: u64) {
        let mut state = self.lock();
        let now = self.clock.now();
        state.remove_binding(id, now);
        state.sweep(now);
    }

    /// Sees to it that `key` was asked for, if that is due, and waits for the answer. False if there was none to come.
    async fn settle(&self, key: &Key) -> bool {
        let mut ended = {
            let mut state = self.lock();
            self.step(&mut state, key, Event::Needed);
            match state.slot(key) {
                Some(slot) => slot.ended.subscribe(),
                None => return false,
            }
        };
        let mut waited = false;
        while self.lock().slot(key).is_some_and(|slot| slot.entry.is_being_asked()) {
            waited = true;
            if ended.changed().await.is_err() {
                break;
            }
        }
        waited
    }

    /// Takes `event` into the entry of `key`, and does what follows: a call, another alarm.
    fn step(&self, state: &mut State, key: &Key, event: Event<SecretValue>) {
        let now = self.clock.now();
        let Some(slot) = state.slot_mut(key) else { return };
        slot.used = now;
        if let Some(ticket) = slot.entry.on(event, now) {
            self.call(state, key, ticket);
        }
        self.set_alarm(state, key);
    }

    /// Calls the vault.
    fn call(&self, state: &State, key: &Key, ticket: Ticket) {
        let backend = match state.vault(key) {
            Some(vault) => vault.backend.clone(),
            None => return,
        };
        let (me, key, now) = (Weak::clone(&self.me), key.clone(), self.clock.now());
        self.runtime.spawn(async move {
            let answer = match backend {
                Ok(backend) => {
                    let wanted = Wanted { name: &key.secret, version: key.version, now };
                    AssertUnwindSafe(backend.fetch(wanted)).catch_unwind().await
                }
                Err(invalid) => Ok(Err(Miss::new(MissKind::Misconfigured, invalid.to_string()))),
            };
            // A bug in a backend must not leave the entry waiting for an answer for ever.
            let answer =
                answer.unwrap_or_else(|_| Err(Miss::new(MissKind::Garbage, "the backend has a bug")));
            if let Some(resolver) = me.upgrade() {
                resolver.answered(&key, ticket, answer);
            }
        });
    }

    fn answered(&self, key: &Key, ticket: Ticket, answer: Result<SecretValue, Miss>) {
        let failure = answer.as_ref().err().cloned();
        let bindings = {
            let mut state = self.lock();
            state.tally(&key.vault).count(failure.as_ref());
            let was_stale = state.slot(key).is_some_and(|slot| slot.entry.is_stale());
            self.step(&mut state, key, Event::Answered { ticket, answer, jitter: fastrand::f64() });
            let Some(slot) = state.slot(key) else { return };
            slot.ended.send_replace(());
            report(key, failure.as_ref(), was_stale, slot.entry.is_stale());
            slot.listeners()
        };
        self.tell(bindings);
    }

    /// Sees to it that the entry of `key`, if somebody is bound to it, is looked at when its time comes.
    fn set_alarm(&self, state: &mut State, key: &Key) {
        let Some(slot) = state.slot_mut(key) else { return };
        let at = slot.entry.wake_at().filter(|_| slot.is_wanted());
        if slot.alarm_at == at {
            return;
        }
        slot.silence();
        let Some(at) = at else { return };
        let (sleep, me, key) = (self.clock.sleep_until(at), Weak::clone(&self.me), key.clone());
        let alarm = self.runtime.spawn(async move {
            sleep.await;
            if let Some(resolver) = me.upgrade() {
                resolver.rings(&key);
            }
        });
        slot.alarm_at = Some(at);
        slot.alarm = Some(alarm.abort_handle());
    }

    fn rings(&self, key: &Key) {
        let bindings = {
            let mut state = self.lock();
            let Some(slot) = state.slot_mut(key) else { return };
            slot.alarm = None;
            slot.alarm_at = None;
            self.step(&mut state, key, Event::Due);
            state.slot(key).map(Slot::listeners).unwrap_or_default()
        };
        self.tell(bindings);
    }

    /// Looks at `bindings` again, and tells those for whom something has changed; on the control runtime.
    fn tell(&self, bindings: impl IntoIterator<Item = u64>) {
        for id in bindings {
            let me = Weak::clone(&self.me);
            self.runtime.spawn(async move {
                if let Some(resolver) = me.upgrade() {
                    resolver.tell_one(id);
                }
            });
        }
    }

    fn tell_one(&self, id: u64) {
        let Some(bound) = self.lock().binding(id) else {
            return;
        };
        bound.tell(|references| self.evaluate(id, references));
    }

    /// The values for a binding. `None` while a vault is still being asked for one that is not there.
    fn evaluate(&self, id: u64, references: &[Reference]) -> Option<Result<Vec<SecretValue>, Unresolved>> {
        let mut state = self.lock();
        state.binding(id)?;
        let mut probes = Vec::with_capacity(references.len());
        let mut keys = HashMap::new();
        for reference in references {
            let (probe, looked_at) = self.probe_and_ask(&mut state, id, reference);
            let found = matches!(probe, Probe::Known(Ok(_)));
            let last = looked_at.len();
            for (place, key) in looked_at.into_iter().enumerate() {
                // Where the longer name gave the value, there is nothing to be had under the shorter.
                let wants = !found || place + 1 == last;
                *keys.entry(key).or_insert(false) |= wants;
            }
            probes.push(probe);
        }
        let let_go = state.hang(id, &keys);
        for key in let_go.iter().chain(keys.keys()) {
            self.set_alarm(&mut state, key);
        }
        let known = probes.into_iter().map(|probe| match probe {
            Probe::Known(result) => Some(result),
            Probe::Unknown => None,
        });
        let known: Vec<_> = known.collect::<Option<_>>()?;
        Some(known.into_iter().collect())
    }

    /// What is known of `reference`; what a binding comes to need for the first time is asked for.
    fn probe_and_ask(&self, state: &mut State, id: u64, reference: &Reference) -> (Probe, Vec<Key>) {
        let mut asked = Vec::new();
        loop {
            let (probe, looked_at) = state.probe(reference, self.clock.now());
            let last = looked_at.last().filter(|_| matches!(probe, Probe::Unknown));
            let needed = looked_at.iter().find(|key| {
                let unknown =
                    last == Some(*key) && !state.slot(key).is_some_and(|slot| slot.entry.is_being_asked());
                !asked.contains(*key) && (unknown || !state.hangs_on(id, key))
            });
            let Some(needed) = needed.cloned() else { return (probe, looked_at) };
            self.step(state, &needed, Event::Needed);
            asked.push(needed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line when a value goes stale, one when it comes back; a miss is for those who tell of references.
fn report(key: &Key, failure: Option<&Miss>, was_stale: bool, is_stale: bool) {
    let (vault, secret) = (&key.vault, &key.secret);
    match failure {
        Some(miss) if is_stale && !was_stale => {
            let (class, problem) = (miss.kind.word(), &miss.problem);
            tracing::warn!(%vault, %secret, class, %problem, "a secret could not be refreshed; its last value serves on");
        }
        Some(miss) => {
            let (class, problem) = (miss.kind.word(), &miss.problem);
            tracing::debug!(%vault, %secret, class, %problem, "a vault gave no value");
        }
        None if was_stale => tracing::info!(%vault, %secret, "a secret could be refreshed again"),
        None => tracing::debug!(%vault, %secret, "a vault gave a value"),
    }
}

/// How often a value is asked for at most because an upstream refused it.
const DOUBTED_EVERY: Duration = Duration::from_secs(30);
/// How many doubts may wait.
const DOUBTS: usize = 256;

#[cfg(test)]
mod tests;
