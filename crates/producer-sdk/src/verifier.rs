//! Decides whether a call comes from the gateway that a producer belongs to.
//!
//! Two ways. With the gateway's public keys the decision is made here, and the gateway is asked for its keys now and
//! then. Or the gateway is asked about every token (`validate-producer-credentials`): that is what Akeyless
//! publishes, so a producer that moves from there changes one URL.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::jwks::Jwks;
use crate::token::{self, Call, Expected, Refused};
use crate::web::{Web, WebError};

/// Keys are fetched again when they are this old, so that a key that the gateway withdrew stops to count.
const FRESH_SECONDS: u64 = 600;

/// However many tokens with unknown keys come in, the gateway is asked for its keys no more often than this.
const PAUSE_SECONDS: u64 = 5;

/// The same after a fetch that failed: soon again, but calls do not queue up behind a gateway that hangs.
const PAUSE_AFTER_FAILURE_SECONDS: u64 = 1;

/// Tells the time, in seconds since 1970.
type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Knows which gateway may call.
pub struct Verifier {
    judge: Judge,
    access_id: String,
    item_name: Option<String>,
    web: Web,
    now: Now,
}

/// Who knows whether a signature is right.
enum Judge {
    Keys(Jwks),
    JwksUrl(PublishedKeys),
    ValidateUrl(Uri),
}

impl Verifier {
    /// Trusts `keys`, for the gateway whose own access id is `access_id`. Nothing is fetched.
    pub fn with_keys(keys: Jwks, access_id: impl Into<String>) -> Self {
        Self::new(Judge::Keys(keys), access_id.into())
    }

    /// Trusts the keys that the gateway publishes at `url`, usually `…/.well-known/jwks.json`.
    pub fn with_jwks_url(url: Uri, access_id: impl Into<String>) -> Self {
        Self::new(Judge::JwksUrl(PublishedKeys::at(url)), access_id.into())
    }

    /// Asks the gateway about each token, at `url`, usually `…/validate-producer-credentials`.
    pub fn with_validate_url(url: Uri, access_id: impl Into<String>) -> Self {
        Self::new(Judge::ValidateUrl(url), access_id.into())
    }

    /// Serves the item `name` only. Without this any item of the gateway may name this producer.
    #[must_use]
    pub fn item_name(mut self, name: impl Into<String>) -> Self {
        self.item_name = Some(name.into());
        self
    }

    /// Asks the gateway through `web`: it trusts the gateway's certificate, and knows how long to wait.
    #[must_use]
    pub fn web(mut self, web: Web) -> Self {
        self.web = web;
        self
    }

    /// Takes the time (seconds since 1970) from `now` and not from the system.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.now = Arc::new(now);
        self
    }

    /// Whether `token` lets the gateway make `call`.
    pub async fn verify(&self, token: &str, call: Call<'_>) -> Result<(), VerifyError> {
        let expected = Expected { access_id: &self.access_id, item_name: self.item_name.as_deref() };
        let now = (self.now)();
        match &self.judge {
            Judge::Keys(keys) => {
                token::verify(token, keys, expected, call, now)?;
            }
            Judge::JwksUrl(published) => {
                let kid = token::key_id(token)?;
                let keys = published.keys_for(&kid, now, &self.web).await?;
                token::verify(token, &keys, expected, call, now)?;
            }
            Judge::ValidateUrl(url) => {
                ask_about(token, url, expected, &self.web).await?;
                // The gateway vouched for the token, but it has seen neither this address nor this body. Other
                // gateways' tokens have no public form, so there its word is all there is.
                if token::is_for_producers(token) {
                    token::verify_claims(token, expected, call, now)?;
                }
            }
        }
        Ok(())
    }

    fn new(judge: Judge, access_id: String) -> Self {
        Self { judge, access_id, item_name: None, web: Web::new(), now: Arc::new(system_seconds) }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a producer stands alone: here is its one look at the system's clock"
)]
pub(crate) fn system_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_epoch| since_epoch.as_secs())
}

/// Asks the gateway at `url` whether it made `token`.
async fn ask_about(token: &str, url: &Uri, expected: Expected<'_>, web: &Web) -> Result<(), VerifyError> {
    #[derive(Deserialize)]
    struct Word {
        access_id: String,
    }

    let question = json!({
        "creds": token,
        "expected_access_id": expected.access_id,
        "expected_item_name": expected.item_name.unwrap_or_default(),
    });
    let answer = web.post(url, &[], question.to_string().into()).await?;
    if answer.status() == StatusCode::TOO_MANY_REQUESTS || answer.status().is_server_error() {
        return Err(WebError::Status(answer.status()).into());
    }
    let word: Option<Word> = serde_json::from_slice(answer.body()).ok();
    match word {
        Some(word) if answer.status() == StatusCode::OK && word.access_id == expected.access_id => Ok(()),
        _ => Err(Refused::NotVouchedFor.into()),
    }
}

/// The keys that a gateway publishes, kept between calls.
struct PublishedKeys {
    url: Uri,
    known: RwLock<Known>,
    /// Held by whoever fetches, so that many calls at once make one fetch.
    fetching: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Arc<Jwks>,
    fetched_at: u64,
    tried_at: u64,
    failed: bool,
}

impl Known {
    /// Whether to ask the gateway again before a token signed with `kid` is judged.
    fn wants_fetch(&self, kid: &str, now: u64) -> bool {
        let due = !self.keys.has(kid) || now.saturating_sub(self.fetched_at) >= FRESH_SECONDS;
        let pause = if self.failed { PAUSE_AFTER_FAILURE_SECONDS } else { PAUSE_SECONDS };
        due && now.abs_diff(self.tried_at) >= pause
    }

    /// The keys to judge by; an unknown key after a failed fetch is nobody's fault yet.
    fn usable_for(self, kid: &str) -> Result<Arc<Jwks>, WebError> {
        if self.failed && !self.keys.has(kid) { Err(WebError::JustFailed) } else { Ok(self.keys) }
    }
}

impl PublishedKeys {
    fn at(url: Uri) -> Self {
        Self { url, known: RwLock::default(), fetching: Mutex::new(()) }
    }

    /// The keys, fetched if `kid` is not among them or if they are old.
    async fn keys_for(&self, kid: &str, now: u64, web: &Web) -> Result<Arc<Jwks>, WebError> {
        let known = self.known();
        if !known.wants_fetch(kid, now) {
            return known.usable_for(kid);
        }
        let _turn = self.fetching.lock().await;
        let known = self.known();
        if !known.wants_fetch(kid, now) {
            return known.usable_for(kid);
        }
        match self.fetch(web).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                self.learn(Known { keys: Arc::clone(&keys), fetched_at: now, tried_at: now, failed: false });
                Ok(keys)
            }
            Err(error) => {
                self.learn(Known { tried_at: now, failed: true, ..known.clone() });
                if !known.keys.has(kid) {
                    return Err(error);
                }
                tracing::warn!(%error, "the gateway's keys could not be fetched again; the old ones still count");
                Ok(known.keys)
            }
        }
    }

    async fn fetch(&self, web: &Web) -> Result<Jwks, WebError> {
        let answer = web.get(&self.url).await?;
        if answer.status() != StatusCode::OK {
            return Err(WebError::Status(answer.status()));
        }
        Ok(Jwks::parse(answer.body())?)
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// Why a call is not let in.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The token is wrong.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nobody can tell at the moment.
    #[error("the token cannot be checked at the moment")]
    Unavailable(#[from] WebError),
}

#[cfg(test)]
mod tests;
