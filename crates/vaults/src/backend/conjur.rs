//! CyberArk Conjur as a vault: its variables.
//!
//! Conjur numbers the values of a variable and keeps the last twenty. `#2` is the second newest of those that it lists,
//! for which the login needs the privilege to `read` the variable, besides that to `execute` it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroizing;

use super::call::{Answer, Service, address};
use super::tokens::{Given, Login, Token, Tokens};
use super::{Backend, Kind, Surroundings, Wanted, text};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};

pub(super) const KIND: Kind = Kind {
    name: "conjur",
    fields: &[
        Field::text("endpoint_url"),
        Field::one_of("auth_method", &["api_key"]),
        Field::text("account"),
        Field::text("login"),
        Field::secret("api_key", &["endpoint_url"]),
    ],
    is_constant: false,
    check: |settings| endpoint(settings).map(|_| ()),
    open,
};

struct Conjur {
    service: Arc<Service>,
    /// `https://conjur.example.com`
    endpoint: String,
    /// As it stands in a URL.
    account: String,
    tokens: Arc<Tokens>,
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    let missing = |name: &str| Invalid::new(name, "required field missing");
    let endpoint = endpoint(settings)?.ok_or_else(|| missing("endpoint_url"))?;
    let account = encoded(&settings.required("account")?);
    let login = encoded(&settings.required("login")?);
    let key = settings.secret_for("api_key", &["endpoint_url"])?.ok_or_else(|| missing("api_key"))?;
    let service = Arc::new(Service::new(surroundings.client.clone(), "Conjur", TIMEOUT));
    let url = format!("{endpoint}/authn/{account}/{login}/authenticate");
    let login = ApiKey { service: Arc::clone(&service), url, key };
    Ok(Arc::new(Conjur { service, endpoint, account, tokens: Tokens::new(Box::new(login)) }))
}

fn endpoint(settings: &Settings<'_>) -> Result<Option<String>, Invalid> {
    let Some(url) = settings.text("endpoint_url")? else { return Ok(None) };
    let url = address(&url).map_err(|problem| Invalid::new("endpoint_url", problem))?;
    Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
}

#[async_trait]
impl Backend for Conjur {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let token = self.tokens.get(wanted.now).await?;
        if let Some(secret) = self.read(&token, wanted).await? {
            return Ok(secret);
        }
        let denied = || Miss::new(MissKind::Denied, "Conjur refuses the token that it gave to the login");
        if !self.tokens.refused(&token, wanted.now) {
            return Err(denied());
        }
        let another = self.tokens.get(wanted.now).await?;
        self.read(&another, wanted).await?.ok_or_else(denied)
    }
}

impl Conjur {
    /// The secret; `None` if the token is refused.
    async fn read(
        &self,
        token: &Token,
        Wanted { name, version, .. }: Wanted<'_>,
    ) -> Result<Option<SecretValue>, Miss> {
        let variable = format!("{}/variable/{}", self.account, encoded(name));
        let query = match version {
            Version::Current => String::new(),
            Version::Previous => {
                let Some(listed) = self.get(token, &format!("resources/{variable}")).await? else {
                    return Ok(None);
                };
                format!("?version={}", self.previous(&listed)?)
            }
        };
        let answer = self.get(token, &format!("secrets/{variable}{query}")).await?;
        answer.map(|answer| text::of_bytes(answer.body())).transpose()
    }

    /// The number of the second newest value.
    fn previous(&self, listed: &Answer) -> Result<u64, Miss> {
        #[derive(Deserialize)]
        struct Variable {
            #[serde(default)]
            secrets: Vec<Numbered>,
        }
        #[derive(Deserialize)]
        struct Numbered {
            version: u64,
        }
        let variable: Variable = listed.read().ok_or_else(|| self.service.garbage(listed.status))?;
        let mut numbers: Vec<u64> = variable.secrets.iter().map(|secret| secret.version).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        let only = || Miss::new(MissKind::NotFound, "the variable has had one value only");
        numbers.get(1).copied().ok_or_else(only)
    }

    /// `None` if the token is refused.
    async fn get(&self, token: &Token, path: &str) -> Result<Option<Answer>, Miss> {
        let shown = Zeroizing::new(format!("Token token=\"{}\"", token.value().expose()));
        let unfit = |_| Miss::new(MissKind::Garbage, "the token that Conjur gave cannot be sent");
        let mut shown = HeaderValue::from_str(&shown).map_err(unfit)?;
        shown.set_sensitive(true);
        let request = Request::get(format!("{}/{path}", self.endpoint)).header(AUTHORIZATION, shown);
        let long = |_| Miss::new(MissKind::Misconfigured, "the variable's name is too long for a URL");
        let answer = self.service.call(request.body(Bytes::new()).map_err(long)?).await?;
        let (kind, problem) = match answer.status.as_u16() {
            // A variable may hold anything; a page for people is from something that stands before Conjur.
            200 if !is_page(&answer) => return Ok(Some(answer)),
            401 => return Ok(None),
            403 => {
                (MissKind::Denied, "Conjur does not let the login have it; it needs the privilege execute")
            }
            404 if is_conjurs_word(&answer) => (
                MissKind::NotFound,
                "Conjur has no such variable, or none that the login may see, or no value in it",
            ),
            400 | 422 => (MissKind::Misconfigured, "Conjur takes the request for a wrong one; see account"),
            _ => return Err(self.service.garbage(answer.status)),
        };
        Err(Miss::new(kind, problem))
    }
}

fn is_page(answer: &Answer) -> bool {
    answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Whether a 404 comes from Conjur itself, and not from something that stands before it.
fn is_conjurs_word(answer: &Answer) -> bool {
    answer.read::<Value>().is_some_and(|said| said.get("error").is_some_and(Value::is_object))
}

/// Logs in with the key that the login was given when it was made.
struct ApiKey {
    service: Arc<Service>,
    url: String,
    key: SecretValue,
}

#[async_trait]
impl Login for ApiKey {
    async fn log_in(&self, _: Timestamp) -> Result<Given, Miss> {
        let key = Zeroizing::new(self.key.expose().as_bytes().to_vec());
        let request = Request::post(&self.url)
            .header(CONTENT_TYPE, "text/plain")
            .header(ACCEPT_ENCODING, "base64")
            .body(Bytes::from_owner(key));
        let long = |_| Miss::new(MissKind::Misconfigured, "account or login is too long for a URL");
        let answer = self.service.call(request.map_err(long)?).await?;
        match answer.status.as_u16() {
            200 => {
                let token = std::str::from_utf8(answer.body()).unwrap_or_default().trim();
                if !is_token(token) {
                    return Err(self.service.garbage(answer.status));
                }
                Ok(Given { token: SecretValue::from(token), lasts: TOKEN_LASTS })
            }
            401 | 403 => {
                Err(Miss::new(MissKind::Denied, "Conjur refuses the login; see account, login and api_key"))
            }
            _ => Err(self.service.garbage(answer.status)),
        }
    }
}

/// Whether it can be a token: the base64 of a JSON object.
fn is_token(text: &str) -> bool {
    let Ok(token) = STANDARD.decode(text).map(Zeroizing::new) else { return false };
    token.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(&token).is_ok()
}

/// As one part of a path; Conjur wants slashes encoded too.
fn encoded(text: &str) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, PLAIN).to_string()
}

const TIMEOUT: Duration = Duration::from_secs(5);

/// Conjur's tokens are good for eight minutes. Less, as its clock is another; one is replaced at half of it.
const TOKEN_LASTS: Duration = Duration::from_secs(7 * 60);
