//! Asks vaults, keeps what they said, and tells whoever is bound to it.
//!
//! There is one [`Entry`] for a secret (of one vault, on the same terms), whoever wants it and whichever field of it:
//! so one call serves all, and the fields of one secret change together. Calls run on the control runtime and belong
//! to nobody, so who hangs up ends none. All state is behind one lock that is never held over a call, nor while
//! somebody is told.

mod binding;
mod catalogue;
mod doubts;
mod lane;
mod outbox;
mod place;
mod probe;
mod shown;
mod slot;
mod state;
mod under_way;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::FutureExt as _;
use gateward_aws::Chain;
use gateward_clock::{Clock, Timestamp};
use gateward_items::StaticSecrets;
use gateward_model::{Invalid, Vault};
use gateward_net::Client;
use gateward_seal::SecretValue;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::backend::{Changes, Doubt, Fence, Surroundings, Wanted};
use crate::entry::{Event, Standing};
use crate::reference::Reference;
use crate::unresolved::{Miss, MissKind, Unresolved};
use crate::vault::{self, Backing, OpenVault};
use binding::Bound;
pub use binding::{Asked, Binding, Changed};
use doubts::{DOUBTS, hear_doubts};
use outbox::Call;
use probe::{Given, Probe};
pub use shown::{ReferenceState, ValueState, VaultCounts};
use slot::Key;
use state::State;
use under_way::{One, UnderWay};

/// Resolves references. Shared by `Arc`; lives on the control runtime.
pub struct Resolver {
    me: Weak<Resolver>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    surroundings: Surroundings,
    state: Mutex<State>,
    /// Takes doubts in, from threads that wait for nothing.
    doubts: mpsc::Sender<Doubt>,
    under_way: UnderWay,
    /// When there is something to do without anybody asking.
    alarm: watch::Sender<Option<Timestamp>>,
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

/// What a gateway has of its own.
#[derive(Default)]
pub struct Own {
    /// The secrets that it keeps itself, which the vault `gateward` gives.
    pub secrets: Option<Arc<StaticSecrets>>,
    /// Its files and directories, which no vault reads.
    pub files: Vec<PathBuf>,
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
        Self::with_own(parts, clouds, Own::default())
    }

    /// [`Resolver::with_clouds`] in a gateway that has something of its `own`.
    pub fn with_own(parts: ResolverParts, clouds: Clouds, own: Own) -> Arc<Self> {
        let environment = Arc::new(parts.environment);
        let surroundings = Surroundings {
            clock: Arc::clone(&parts.clock),
            runtime: parts.runtime.clone(),
            client: parts.client,
            environment,
            aws: clouds.aws,
            metadata_client: clouds.metadata_client,
            unwrapped: Arc::default(),
            secrets: own.secrets,
            fence: Arc::new(Fence::around(own.files)),
        };
        let state = State::new(parts.clock.now());
        let (doubts, doubted) = mpsc::channel(DOUBTS);
        let (alarm, rung) = watch::channel(None);
        let resolver = Arc::new_cyclic(|me| {
            parts.runtime.spawn(hear_doubts(Weak::clone(me), doubted));
            parts.runtime.spawn(ring(Weak::clone(me), Arc::clone(&parts.clock), rung));
            Self {
                me: Weak::clone(me),
                clock: parts.clock,
                runtime: parts.runtime,
                surroundings,
                state: Mutex::new(state),
                doubts,
                under_way: UnderWay::default(),
                alarm,
            }
        });
        resolver.set_vaults(Vec::new());
        resolver
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

    /// Does what is due, and waits until no vault is being asked any more and everybody has heard of what was answered: for
    /// a process that may have been frozen since, or is about to be.
    pub async fn catch_up(&self) {
        let now = self.clock.now();
        let is_due = self.alarm.borrow().is_some_and(|at| at <= now);
        if is_due {
            self.ring(now);
        }
        self.under_way.ended().await;
    }

    fn ring(&self, now: Timestamp) {
        let mut state = self.lock();
        state.ring(now);
        self.finish(state);
    }

    /// Takes `vaults` for the entities that there are. What a changed one gave is asked for again, and serves until
    /// the answer comes; what a removed one gave is gone.
    pub fn set_vaults(&self, vaults: Vec<Vault>) {
        self.take(vault::open_all(vaults, &self.surroundings));
    }

    fn take(&self, vaults: BTreeMap<Arc<str>, OpenVault>) {
        let mut state = self.lock();
        let changed = state.replace_vaults(vaults, self.clock.now());
        let mut pending = Vec::new();
        for name in changed {
            let Some(place) = state.places.get(&name) else { continue };
            match &place.vault.backing {
                Backing::Pending => pending.push((name, place.generation, place.vault.unopened())),
                Backing::Open(backend) => backend.follow(self.changes_of(&name)),
                Backing::Broken(_) => {}
            }
        }
        self.finish(state);
        for (name, generation, vault) in pending {
            self.follow_settings(&name, generation, vault);
        }
    }

    /// Opens `vault` when the values are there that its settings refer to, and anew each time one has changed.
    fn follow_settings(&self, name: &Arc<str>, generation: u64, vault: OpenVault) {
        let Some(me) = self.me.upgrade() else { return };
        let (weak, place, references) = (Weak::clone(&self.me), Arc::clone(name), vault.references());
        let changed = move |values: Option<&[SecretValue]>| {
            let Some(resolver) = weak.upgrade() else { return };
            let referred = values.and_then(|values| vault.fill(values));
            let backing = match &referred {
                Some(referred) => vault.open(referred, &resolver.surroundings),
                None => Backing::Broken(resolver.why_missing(&vault)),
            };
            if let Backing::Open(backend) = &backing {
                backend.follow(resolver.changes_of(&place));
            }
            let mut state = resolver.lock();
            state.install(&place, generation, backing, resolver.clock.now());
            resolver.finish(state);
        };
        let binding = me.bind(references, Box::new(changed));
        let mut state = self.lock();
        // Where another vault has been set meanwhile, the binding is over when it is dropped: after the lock.
        let place = state.places.get_mut(name).filter(|place| place.generation == generation);
        let unused = match place {
            Some(place) => place.binding.replace(binding),
            None => Some(binding),
        };
        self.finish(state);
        drop(unused);
    }

    /// What is wrong with the settings of `vault`, which refer to what has no value.
    fn why_missing(&self, vault: &OpenVault) -> Invalid {
        let (state, now) = (self.lock(), self.clock.now());
        let missing = vault.references().into_iter().find_map(|reference| {
            let Probe::Known(Err(unresolved)) = state.probe(&reference, now).0 else { return None };
            Some(Invalid::new(vault.field_of(&reference), unresolved.to_string()))
        });
        missing
            .unwrap_or_else(|| Invalid::new("", "what its settings refer to has no value"))
            .within("config")
    }

    fn changes_of(&self, vault: &Arc<str>) -> Changes {
        Changes { vault: Arc::clone(vault), doubts: self.doubts.clone() }
    }

    /// The value of `reference`: the one that is kept, while it is good, else what the vault says now.
    pub async fn resolve(&self, reference: &Reference) -> Result<SecretValue, Unresolved> {
        self.settled(reference, || Event::Needed).await.map(|given| given.value)
    }

    /// What the vault says of `reference` now, whatever is kept of it: for who tries a vault out.
    pub async fn ask(&self, reference: &Reference) -> Result<SecretValue, Unresolved> {
        let given = self.settled(reference, || Event::Doubted).await?;
        let state = self.lock();
        let (_, looked_at) = state.probe(reference, self.clock.now());
        let slot = looked_at.last().and_then(|key| state.slot(key));
        match slot.map(|slot| slot.entry.standing()) {
            Some(Standing::Stale { miss, .. }) => {
                let problem = miss.problem.clone();
                Err(Unresolved { reference: reference.to_string(), kind: miss.kind, problem })
            }
            _ => Ok(given.value),
        }
    }

    /// What is known of `reference` when `event` has happened to all secrets that it may mean.
    async fn settled(
        &self,
        reference: &Reference,
        event: impl Fn() -> Event<SecretValue>,
    ) -> Result<Given, Unresolved> {
        let mut rounds = 0;
        let mut settled: Vec<Key> = Vec::new();
        loop {
            let (probe, ended) = {
                let mut state = self.lock();
                let now = self.clock.now();
                state.sweep(now);
                let (probe, looked_at) = state.probe(reference, now);
                let unsettled = looked_at.into_iter().find(|key| !settled.contains(key));
                let ended = unsettled.map(|key| {
                    state.want(&key, event(), now);
                    let ended = state.ended(&key);
                    settled.push(key);
                    ended
                });
                self.finish(state);
                (probe, ended)
            };
            match (ended, probe) {
                (Some(Some(ended)), _) => ended.await,
                (Some(None), _) => {}
                (None, Probe::Known(result)) => return result,
                // The vault was changed while it was asked.
                (None, Probe::Unknown) if rounds < ROUNDS => {
                    rounds += 1;
                    settled.clear();
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
        let references: Arc<[Reference]> = references.into();
        let (bound, asked) = Bound::new(Arc::clone(&references), changed);
        let id = self.lock().add_binding(Arc::new(bound));
        self.tell([id]);
        Binding::new(id, Weak::clone(&self.me), asked, references)
    }

    fn unbind(&self, id: u64) {
        let mut state = self.lock();
        let now = self.clock.now();
        state.remove_binding(id, now);
        state.sweep(now);
        self.finish(state);
    }

    /// Lets go of the lock, and does what is to be done.
    fn finish(&self, mut state: MutexGuard<'_, State>) {
        let mut outbox = std::mem::take(&mut state.outbox);
        outbox.told.retain(|id| {
            let registered = state.bindings.get_mut(id);
            registered.is_some_and(|registered| !std::mem::replace(&mut registered.is_told_soon, true))
        });
        let next = state.next_alarm();
        drop(state);
        self.alarm.send_if_modified(|at| std::mem::replace(at, next) != next);
        for call in outbox.calls {
            self.make(call);
        }
        self.tell(outbox.told);
        outbox.reports.iter().for_each(outbox::Report::write);
    }

    /// Calls the vault.
    fn make(&self, call: Call) {
        let (me, now, one) = (Weak::clone(&self.me), self.clock.now(), self.under_way.one());
        self.runtime.spawn(async move {
            // To the end: what follows from the answer is under way before this one ends.
            let _one: One = one;
            let answer = match &call.backing {
                Backing::Open(backend) => {
                    let wanted = Wanted { name: &call.key.secret, version: call.key.version, now };
                    AssertUnwindSafe(backend.fetch(wanted)).catch_unwind().await
                }
                Backing::Pending | Backing::Broken(_) => {
                    Ok(Err(Miss::new(MissKind::Misconfigured, "the vault cannot be used")))
                }
            };
            // A bug in a backend must not leave the entry waiting for an answer for ever.
            let answer =
                answer.unwrap_or_else(|_| Err(Miss::new(MissKind::Garbage, "the backend has a bug")));
            if let Some(resolver) = me.upgrade() {
                let mut state = resolver.lock();
                state.answered(&call, answer, fastrand::f64(), resolver.clock.now());
                resolver.finish(state);
            }
        });
    }

    /// Looks at `bindings` again, and tells those for whom something has changed; on the control runtime.
    fn tell(&self, bindings: impl IntoIterator<Item = u64>) {
        for id in bindings {
            let (me, one) = (Weak::clone(&self.me), self.under_way.one());
            self.runtime.spawn(async move {
                let _one: One = one;
                if let Some(resolver) = me.upgrade() {
                    resolver.tell_one(id);
                }
            });
        }
    }

    fn tell_one(&self, id: u64) {
        let bound = self.lock().bindings.get(&id).map(|registered| Arc::clone(&registered.bound));
        if let Some(bound) = bound {
            bound.tell(|references| self.evaluate(id, references));
        }
    }

    /// The values for a binding. `None` while a vault is still being asked for one that is not there.
    fn evaluate(&self, id: u64, references: &[Reference]) -> Option<Result<Vec<Given>, Unresolved>> {
        let mut state = self.lock();
        state.bindings.get_mut(&id)?.is_told_soon = false;
        let now = self.clock.now();
        let mut probes = Vec::with_capacity(references.len());
        let mut keys = HashMap::new();
        for reference in references {
            let (probe, looked_at) = probe_and_ask(&mut state, id, reference, now);
            let found = matches!(probe, Probe::Known(Ok(_)));
            let last = looked_at.len();
            for (place, key) in looked_at.into_iter().enumerate() {
                // Where the longer name gave the value, there is nothing to be had under the shorter.
                let wants = !found || place + 1 == last;
                if let Some((key, _)) = state.slots.get_key_value(&key) {
                    *keys.entry(Arc::clone(key)).or_insert(false) |= wants;
                }
            }
            probes.push(probe);
        }
        state.hang(id, &keys);
        self.finish(state);
        let known = probes.into_iter().map(|probe| match probe {
            Probe::Known(result) => Some(result),
            Probe::Unknown => None,
        });
        let known: Vec<_> = known.collect::<Option<_>>()?;
        Some(known.into_iter().collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of `reference`; what a binding comes to need for the first time is asked for.
fn probe_and_ask(state: &mut State, id: u64, reference: &Reference, now: Timestamp) -> (Probe, Vec<Key>) {
    let mut asked: Vec<Key> = Vec::new();
    loop {
        let (probe, looked_at) = state.probe(reference, now);
        let last = looked_at.last().filter(|_| matches!(probe, Probe::Unknown));
        let needed = looked_at.iter().find(|key| {
            let unasked = !state.slot(key).is_some_and(|slot| slot.entry.is_being_asked());
            let unknown = last == Some(*key) && unasked;
            !asked.contains(*key) && (unknown || !state.hangs_on(id, key))
        });
        let Some(needed) = needed.cloned() else { return (probe, looked_at) };
        state.want(&needed, Event::Needed, now);
        asked.push(needed);
    }
}

/// Does what is due when it is due, for as long as the resolver lives.
async fn ring(
    resolver: Weak<Resolver>,
    clock: Arc<dyn Clock>,
    mut alarm: watch::Receiver<Option<Timestamp>>,
) {
    loop {
        let due = match *alarm.borrow_and_update() {
            Some(at) => clock.sleep_until(at),
            None => Box::pin(std::future::pending()),
        };
        tokio::select! {
            () = due => {
                let Some(resolver) = resolver.upgrade() else { return };
                resolver.ring(resolver.clock.now());
            }
            changed = alarm.changed() => if changed.is_err() { return },
        }
    }
}

/// How often a vault may change under somebody who asks it.
const ROUNDS: u32 = 3;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
