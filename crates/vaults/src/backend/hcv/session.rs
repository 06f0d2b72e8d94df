//! The token with which secrets are read: had by one login at a time, renewed before it ends, had anew when it is dead.
//!
//! Whoever needs a token while there is none waits for the one login that is under way, and hears what it hears. A token
//! that can be renewed is renewed in time even when nobody reads: it may be the only one that we will ever have. One
//! that cannot is replaced when it is needed. A login that failed is not repeated at once, whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, Timestamp};
use gateward_seal::SecretValue;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::unresolved::{Miss, MissKind};

/// A way to come by a token.
#[async_trait]
pub(super) trait Logins: Send + Sync + 'static {
    /// A token.
    async fn log_in(&self) -> Result<Grant, Miss>;

    /// The same token, for longer.
    async fn renew(&self, token: &SecretValue) -> Result<Grant, Miss>;
}

/// A token as it was given.
pub(super) struct Grant {
    pub(super) token: SecretValue,
    /// For how long; `None` for ever.
    pub(super) lease: Option<Duration>,
    pub(super) is_renewable: bool,
}

/// A token, and its times.
pub(super) struct Token {
    value: SecretValue,
    /// How long it was given for when it was new.
    full: Duration,
    is_renewable: bool,
    due: Option<Timestamp>,
    ends: Option<Timestamp>,
}

impl Token {
    pub(super) fn value(&self) -> &SecretValue {
        &self.value
    }

    /// Its times run from before it was asked for: Vault's clock may have started then.
    fn granted(grant: Grant, full: Option<Duration>, asked_at: Timestamp) -> Self {
        let Grant { token, lease, is_renewable } = grant;
        let full = full.or(lease).unwrap_or_default();
        // Renewing gives ever less towards the end of the longest time that a token may live: that is when to have another.
        let is_renewable = is_renewable && lease.is_some_and(|lease| lease >= full / 2);
        Self {
            value: token,
            full,
            is_renewable,
            due: lease.map(|lease| asked_at + until_due(lease, fastrand::f64())),
            ends: lease.map(|lease| asked_at + lease),
        }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }
}

/// Keeps the token of one login.
pub(super) struct Session<L> {
    me: Weak<Self>,
    login: L,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    held: Mutex<Held>,
    /// Who has it talks to Vault about the token.
    gate: tokio::sync::Mutex<Attempts>,
}

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    /// Renews the token in time.
    keeper: Option<AbortHandle>,
}

/// What came of the last attempts.
#[derive(Default)]
struct Attempts {
    failures: u32,
    /// Why the last one failed, and until when there is no other.
    failed: Option<(Miss, Timestamp)>,
}

impl<L: Logins> Session<L> {
    pub(super) fn new(login: L, clock: Arc<dyn Clock>, runtime: Handle) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            login,
            clock,
            runtime,
            held: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn login(&self) -> &L {
        &self.login
    }

    /// A token: the one that is held, while it is good, else another.
    pub(super) async fn token(&self) -> Result<Arc<Token>, Miss> {
        let now = self.clock.now();
        let Some(token) = self.held().token.clone().filter(|token| !token.is_over(now)) else {
            let mut attempts = self.gate.lock().await;
            let come_meanwhile = self.held().token.clone().filter(|token| !token.is_over(now));
            return match come_meanwhile {
                Some(token) => Ok(token),
                None => self.attempt(&mut attempts, None).await,
            };
        };
        if token.is_due(now)
            && let Ok(mut attempts) = self.gate.try_lock()
        {
            // While it has not ended it serves, whatever comes of this.
            return Ok(self.attempt(&mut attempts, Some(&token)).await.unwrap_or(token));
        }
        Ok(token)
    }

    /// Another token than `refused`, which is dead.
    pub(super) async fn another(&self, refused: &Arc<Token>) -> Result<Arc<Token>, Miss> {
        let mut attempts = self.gate.lock().await;
        let come_meanwhile = self.held().token.clone().filter(|token| !Arc::ptr_eq(token, refused));
        match come_meanwhile {
            Some(token) => Ok(token),
            None => {
                self.held().token = None;
                self.attempt(&mut attempts, None).await
            }
        }
    }

    /// Renews `old`, if that can be done, else logs in. Holds what comes of it.
    async fn attempt(&self, attempts: &mut Attempts, old: Option<&Arc<Token>>) -> Result<Arc<Token>, Miss> {
        let asked_at = self.clock.now();
        if let Some((miss, until)) = &attempts.failed
            && asked_at < *until
        {
            return Err(miss.clone());
        }
        match self.renewed_or_new(old, asked_at).await {
            Ok(token) => {
                *attempts = Attempts::default();
                let token = Arc::new(token);
                self.hold(Arc::clone(&token));
                Ok(token)
            }
            Err(miss) => {
                attempts.failures = attempts.failures.saturating_add(1);
                let pause = pause(attempts.failures, fastrand::f64()).max(miss.rest.unwrap_or_default());
                let until = self.clock.now() + pause;
                attempts.failed = Some((miss.clone(), until));
                Err(miss)
            }
        }
    }

    async fn renewed_or_new(&self, old: Option<&Arc<Token>>, asked_at: Timestamp) -> Result<Token, Miss> {
        if let Some(old) = old.filter(|old| old.is_renewable) {
            match self.login.renew(&old.value).await {
                Ok(grant) => {
                    tracing::debug!("a token of Vault was renewed");
                    return Ok(Token::granted(grant, Some(old.full), asked_at));
                }
                Err(miss) if matches!(miss.kind, MissKind::Unavailable | MissKind::Throttled) => {
                    return Err(miss);
                }
                Err(miss) => {
                    tracing::debug!(problem = %miss.problem, "a token of Vault could not be renewed");
                }
            }
        }
        let asked_at = self.clock.now();
        let grant = self.login.log_in().await?;
        tracing::debug!("logged in to Vault");
        Ok(Token::granted(grant, None, asked_at))
    }

    fn hold(&self, token: Arc<Token>) {
        let is_kept = token.is_renewable && token.due.is_some();
        let mut held = self.held();
        held.token = Some(token);
        if is_kept && held.keeper.as_ref().is_none_or(AbortHandle::is_finished) {
            let keeper = self.runtime.spawn(keep(Weak::clone(&self.me), Arc::clone(&self.clock)));
            held.keeper = Some(keeper.abort_handle());
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Drop for Session<L> {
    fn drop(&mut self) {
        if let Some(keeper) = self.held.get_mut().unwrap_or_else(PoisonError::into_inner).keeper.take() {
            keeper.abort();
        }
    }
}

/// Renews the token that a session holds whenever that is due, for as long as it can be.
async fn keep<L: Logins>(session: Weak<Session<L>>, clock: Arc<dyn Clock>) {
    let mut not_before = clock.now();
    loop {
        let due = {
            let Some(session) = session.upgrade() else { return };
            let held = session.held();
            let token = held.token.as_ref().filter(|token| token.is_renewable && !token.is_over(clock.now()));
            match token.and_then(|token| token.due) {
                Some(due) => due.max(not_before),
                None => return,
            }
        };
        clock.sleep_until(due).await;
        let Some(session) = session.upgrade() else { return };
        let mut attempts = session.gate.lock().await;
        let now = clock.now();
        let token = session.held().token.clone().filter(|token| token.is_due(now) && !token.is_over(now));
        if let Some(token) = token {
            // What goes wrong is told to those who need a token and have none.
            let _ = session.attempt(&mut attempts, Some(&token)).await;
        }
        not_before = attempts.failed.as_ref().map_or(now, |(_, until)| *until);
    }
}

/// How long a token that is good for `lease` is left alone: for about two thirds of it, so that servers that started
/// together do not come back together.
fn until_due(lease: Duration, jitter: f64) -> Duration {
    lease.mul_f64(0.6 + 0.13 * jitter.clamp(0.0, 1.0)).max(SHORTEST.min(lease))
}

/// How long it is after the `failures`th failure in a row until the next attempt: twice as long each time, and between
/// half and all of that.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
