//! Credentials that stay fresh.
//!
//! Who signs reads what is published, without a lock: the set, and the moment from which another is due. The first
//! one to see that the moment has come rings, and the control runtime asks the sources; so does an alarm, if anybody
//! has used the set since the last time, so that no request has to find out that it has ended.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use gateward_clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::keeper::{Given, Keeper, NEVER, View};
use super::source::{Loaded, Missing, Source};
use super::{Credentials, CredentialsError, Tried};

/// Credentials that stay fresh. Shared by `Arc`, and used on any thread.
pub struct Provider(Kind);

enum Kind {
    Fixed(Arc<Credentials>),
    Kept(Arc<Kept>),
}

/// Credentials that are asked for.
struct Kept {
    me: Weak<Kept>,
    /// Asked in this order.
    sources: Vec<Arc<dyn Source>>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    published: ArcSwap<Published>,
    /// Whether the control runtime was told already that a question is due.
    rung: AtomicBool,
    /// Whether anybody has looked since the last question.
    used: AtomicBool,
    state: Mutex<State>,
    answered: watch::Sender<()>,
}

struct Published {
    view: View<Arc<Credentials>>,
    /// Why the last question brought nothing.
    error: Option<CredentialsError>,
}

struct State {
    keeper: Keeper<Arc<Credentials>>,
    error: Option<CredentialsError>,
    alarm: Option<AbortHandle>,
}

impl Provider {
    /// Credentials that are always the same.
    pub fn fixed(credentials: Credentials) -> Arc<Self> {
        Arc::new(Self(Kind::Fixed(Arc::new(credentials))))
    }

    /// The first credentials that one of `sources` has.
    pub(super) fn of(sources: Vec<Arc<dyn Source>>, clock: Arc<dyn Clock>, runtime: Handle) -> Arc<Self> {
        let keeper = Keeper::new();
        let published = Published { view: keeper.view(), error: None };
        let kept = Arc::new_cyclic(|me| Kept {
            me: Weak::clone(me),
            sources,
            clock,
            runtime,
            published: ArcSwap::from_pointee(published),
            rung: AtomicBool::new(false),
            used: AtomicBool::new(false),
            state: Mutex::new(State { keeper, error: None, alarm: None }),
            answered: watch::Sender::new(()),
        });
        Arc::new(Self(Kind::Kept(kept)))
    }

    /// Whether both have the same credentials, now and later.
    pub(super) fn is_same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        match (&self.0, &other.0) {
            (Kind::Fixed(one), Kind::Fixed(another)) => one == another,
            _ => Arc::ptr_eq(self, other),
        }
    }

    /// The credentials, if there are some now. Never waits; what is due is asked for in the background, so that a
    /// call whose answer nobody wants has them fetched in advance.
    pub fn current(&self) -> Option<Arc<Credentials>> {
        match &self.0 {
            Kind::Fixed(credentials) => Some(Arc::clone(credentials)),
            Kind::Kept(kept) => kept.current(),
        }
    }

    /// Says that AWS has refused `credentials` (as expired, or unknown), so that others are asked for, if the sources have not
    /// given these just now. To be called on any thread; never waits.
    pub fn refused(&self, credentials: &Arc<Credentials>) {
        if let Kind::Kept(kept) = &self.0 {
            kept.refused(credentials);
        }
    }

    /// Others in place of `credentials`, which AWS has [refused](Self::refused); waits up to five seconds for them. `None`
    /// if there are none, or the sources have just been asked.
    pub async fn in_place_of(&self, credentials: &Arc<Credentials>) -> Option<Arc<Credentials>> {
        match &self.0 {
            Kind::Fixed(_) => None,
            Kind::Kept(kept) => tokio::time::timeout(PATIENCE, kept.other(credentials)).await.ok().flatten(),
        }
    }

    /// The credentials; waits up to five seconds for the first ones. While their sources fail, and are left alone for a
    /// moment, the answer is the last failure.
    pub async fn get(&self) -> Result<Arc<Credentials>, CredentialsError> {
        match &self.0 {
            Kind::Fixed(credentials) => Ok(Arc::clone(credentials)),
            Kind::Kept(kept) => match kept.current() {
                Some(credentials) => Ok(credentials),
                None => {
                    let waited = tokio::time::timeout(PATIENCE, kept.wait()).await;
                    waited.unwrap_or(Err(CredentialsError::Late))
                }
            },
        }
    }
}

impl Kept {
    fn current(&self) -> Option<Arc<Credentials>> {
        let now = self.clock.now();
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let published = self.published.load();
        if now >= published.view.wake_at {
            self.ring();
        }
        published.view.usable(now).cloned()
    }

    async fn wait(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let mut answered = self.answered.subscribe();
        loop {
            if let Some(credentials) = self.current() {
                return Ok(credentials);
            }
            let published = self.published.load_full();
            let rests = !published.view.asking && self.clock.now() < published.view.wake_at;
            if let Some(error) = published.error.clone().filter(|_| rests) {
                return Err(error);
            }
            // The sender lives as long as this does.
            let _ = answered.changed().await;
        }
    }

    /// Has the control runtime ask, once.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            self.runtime.spawn(async move { me.ask().await });
        }
    }

    /// Gives whether `credentials` are in use, so that a question follows, or the word that none does.
    fn refused(&self, credentials: &Arc<Credentials>) -> bool {
        let published = self.published.load();
        let is_held =
            published.view.usable(self.clock.now()).is_some_and(|held| Arc::ptr_eq(held, credentials));
        if is_held
            && !self.rung.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            self.runtime.spawn(async move {
                me.lock().keeper.doubt(me.clock.now());
                me.ask().await;
            });
        }
        is_held
    }

    async fn other(&self, refused: &Arc<Credentials>) -> Option<Arc<Credentials>> {
        let mut answered = self.answered.subscribe();
        let other = || self.current().filter(|held| held != refused);
        if let Some(held) = other() {
            return Some(held);
        }
        if !self.is_asking() && !self.refused(refused) {
            return None;
        }
        loop {
            // The sender lives as long as this does.
            let _ = answered.changed().await;
            match other() {
                None if self.is_asking() => {}
                held => return held,
            }
        }
    }

    fn is_asking(&self) -> bool {
        self.published.load().view.asking
    }

    /// Asks the sources, if that is due.
    async fn ask(&self) {
        let asks = {
            let mut state = self.lock();
            let asks = state.keeper.asks(self.clock.now());
            self.publish(&state);
            asks
        };
        // Whoever rings from here on has seen what was just published.
        self.rung.store(false, Ordering::Release);
        if !asks {
            // Whoever waits for an answer learns that none is to come.
            self.answered.send_replace(());
            return;
        }
        // A bug in a source must not leave us waiting for its answer for ever.
        let loaded = AssertUnwindSafe(self.load()).catch_unwind().await;
        let bug = || Tried { source: "a source".into(), why: "it has a bug".to_owned() };
        self.take(loaded.unwrap_or_else(|_| Err(CredentialsError::Nothing([bug()].into()))));
    }

    /// What the first source that is set up has.
    async fn load(&self) -> Result<Loaded, CredentialsError> {
        let mut tried = Vec::new();
        for source in &self.sources {
            let now = self.clock.now();
            let loaded = source.load(now).await.and_then(|loaded| match loaded.expires {
                Some(expires) if expires <= self.clock.now() => {
                    Err(Missing::failed(format!("the credentials that it gave have ended at {expires}")))
                }
                _ => Ok(loaded),
            });
            let (why, go_on) = match loaded {
                Ok(loaded) => return Ok(loaded),
                Err(Missing::NotSet(why)) => (why, true),
                Err(Missing::Failed(why)) => (why, false),
            };
            tried.push(Tried { source: source.name().into(), why });
            if !go_on {
                break;
            }
        }
        Err(CredentialsError::Nothing(tried.into()))
    }

    fn take(&self, loaded: Result<Loaded, CredentialsError>) {
        let now = self.clock.now();
        let mut state = self.lock();
        let (given, error) = match loaded {
            Ok(Loaded { credentials, expires, look_again }) => {
                (Some(Given { set: Arc::new(credentials), expires, look_again }), None)
            }
            Err(error) => (None, Some(error)),
        };
        state.keeper.answered(given, fastrand::f64(), now);
        report(state.error.as_ref(), error.as_ref(), state.keeper.view().usable(now).is_some());
        state.error = error;
        self.set_alarm(&mut state);
        self.publish(&state);
        drop(state);
        self.answered.send_replace(());
    }

    fn publish(&self, state: &State) {
        let view = state.keeper.view();
        self.published.store(Arc::new(Published { view, error: state.error.clone() }));
    }

    /// Sees to it that the sources are asked when it is due, if anybody wants to know.
    fn set_alarm(&self, state: &mut State) {
        if let Some(alarm) = state.alarm.take() {
            alarm.abort();
        }
        let wake_at = state.keeper.view().wake_at;
        if wake_at == NEVER {
            return;
        }
        self.used.store(false, Ordering::Relaxed);
        let (sleep, me) = (self.clock.sleep_until(wake_at), Weak::clone(&self.me));
        let alarm = self.runtime.spawn(async move {
            sleep.await;
            if let Some(me) = me.upgrade()
                && me.used.load(Ordering::Relaxed)
            {
                // In a task of its own: the answer sets another alarm, which ends this one.
                me.ring();
            }
        });
        state.alarm = Some(alarm.abort_handle());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(alarm) = state.alarm.take() {
            alarm.abort();
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Fixed(credentials) => write!(formatter, "Provider({})", credentials.access_key),
            Kind::Kept(kept) => {
                let names = kept.sources.iter().map(|source| source.name());
                formatter.debug_list().entries(names).finish()
            }
        }
    }
}

/// Says what an answer changed, and an error once and not each time it comes again.
fn report(before: Option<&CredentialsError>, after: Option<&CredentialsError>, old_set_serves: bool) {
    match (before, after) {
        (Some(_), None) => tracing::info!("AWS credentials are there again"),
        (before, Some(error)) if before != Some(error) => {
            tracing::warn!(old_set_serves, "{error}");
        }
        _ => {}
    }
}

/// How long a caller waits for the first set.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
