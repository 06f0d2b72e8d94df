//! Tokens that a login gives: kept, renewed before they end, and asked for once however many wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use crate::unresolved::{Miss, MissKind};

/// A way to come by tokens.
#[async_trait]
pub(super) trait Login: Send + Sync {
    /// Another token.
    async fn log_in(&self, now: Timestamp) -> Result<Given, Miss>;
}

/// A token as it came.
pub(super) struct Given {
    pub(super) token: SecretValue,
    pub(super) lasts: Duration,
}

/// A token, and its times.
#[derive(Debug)]
pub(super) struct Token {
    value: SecretValue,
    since: Timestamp,
    renew_at: Timestamp,
    ends: Timestamp,
}

impl Token {
    pub(super) fn value(&self) -> &SecretValue {
        &self.value
    }

    /// Shows it in `headers`.
    pub(super) fn show(&self, headers: &mut http::HeaderMap) -> Result<(), Miss> {
        let shown = Zeroizing::new(format!("Bearer {}", self.value.expose()));
        let unreadable = |_| Miss::new(MissKind::Garbage, "the token that the login gave cannot be sent");
        let mut shown = HeaderValue::from_str(&shown).map_err(unreadable)?;
        shown.set_sensitive(true);
        headers.insert(AUTHORIZATION, shown);
        Ok(())
    }
}

/// Keeps the token of one login.
pub(super) struct Tokens {
    login: Box<dyn Login>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Token>>,
    /// The login that is under way, if one is; whoever needs its token waits for it.
    flight: Option<Flight>,
    failed: Option<(Timestamp, Miss)>,
}

type Flight = Shared<BoxFuture<'static, Result<Arc<Token>, Miss>>>;

impl Tokens {
    pub(super) fn new(login: Box<dyn Login>) -> Arc<Self> {
        Arc::new(Self { login, state: Mutex::default() })
    }

    /// A token that is good: the one that is kept, or another.
    pub(super) async fn get(self: &Arc<Self>, now: Timestamp) -> Result<Arc<Token>, Miss> {
        let (flight, held) = {
            let mut state = self.lock();
            let held = state.held.clone().filter(|token| now < token.ends);
            if let Some(token) = held.as_ref().filter(|token| now < token.renew_at) {
                return Ok(Arc::clone(token));
            }
            if let Some((at, miss)) = &state.failed
                && now.saturating_since(*at) < miss.rest.unwrap_or_default().max(PAUSE)
            {
                return held.ok_or_else(|| miss.clone());
            }
            let flight = match &state.flight {
                Some(flight) => flight.clone(),
                None => {
                    let me = Arc::clone(self);
                    let flight = async move { me.log_in(now).await }.boxed().shared();
                    state.flight = Some(flight.clone());
                    flight
                }
            };
            (flight, held)
        };
        // The old one serves until it has really ended.
        flight.await.or_else(|miss| held.ok_or(miss))
    }

    /// Takes it that the service refuses `token`. Gives whether another may do better: one that was given just now is as
    /// good as any.
    pub(super) fn refused(&self, token: &Arc<Token>, now: Timestamp) -> bool {
        let mut state = self.lock();
        match &state.held {
            Some(held) if !Arc::ptr_eq(held, token) => true,
            _ if now.saturating_since(token.since) < DOUBT_AFTER => false,
            _ => {
                state.held = None;
                true
            }
        }
    }

    async fn log_in(&self, now: Timestamp) -> Result<Arc<Token>, Miss> {
        let given = self.login.log_in(now).await;
        let mut state = self.lock();
        state.flight = None;
        match given {
            Ok(Given { token, lasts }) => {
                let renew_at = now + lasts.saturating_sub(RENEW_AHEAD).max(lasts / 2);
                let token = Arc::new(Token { value: token, since: now, renew_at, ends: now + lasts });
                state.held = Some(Arc::clone(&token));
                state.failed = None;
                Ok(token)
            }
            Err(miss) => {
                state.failed = Some((now, miss.clone()));
                Err(miss)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long before its end a token is renewed; one that is short, at half its time. (Google's metadata server keeps a token
/// until five minutes before its end.)
const RENEW_AHEAD: Duration = Duration::from_secs(4 * 60);

/// For how long a token that was just given is not doubted.
const DOUBT_AFTER: Duration = Duration::from_secs(60);

/// How long it is after a login that failed until the next.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
