//! A Vault server: where it is, how it is spoken to, and what its answers mean that are no secrets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_model::Invalid;
use gateward_net::{
    Client, ClientCertificate, Limits, Peer, PeerTls, PeerTlsError, PeerTlsSettings, Scheme, retry_after,
};
use gateward_seal::SecretValue;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::super::Surroundings;
use crate::backend::call;
use crate::settings::Settings;
use crate::unresolved::{Miss, MissKind};

/// A Vault server, or several behind one address.
pub(super) struct Server {
    client: Client,
    peer: Peer,
    namespace: Option<HeaderValue>,
}

/// What it answered; the body is wiped when it has been read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long it wants to be left alone, where it says so.
    rest: Option<Duration>,
    body: Bytes,
}

/// A client certificate and its key (PEM).
pub(super) struct Certificate {
    pub(super) chain: String,
    pub(super) key: SecretValue,
}

impl Server {
    pub(super) fn open(
        settings: &Settings<'_>,
        certificate: Option<&Certificate>,
        surroundings: &Surroundings,
    ) -> Result<Self, Invalid> {
        let scheme = match settings.word("protocol", PROTOCOLS)? {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        let host = host(settings)?.unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = settings.whole("port", 1, 65_535)?.and_then(|port| u16::try_from(port).ok());
        let verify = settings.flag("ssl_verify")?.unwrap_or(true);
        let mut peer = Peer::new(scheme, &host, port.unwrap_or(8200), verify);
        if let Some(certificate) = certificate {
            if scheme == Scheme::Http {
                return Err(Invalid::new("protocol", "the login by certificate needs https"));
            }
            peer = peer.with_tls(Arc::new(certificate.tls(verify)?));
        }
        Ok(Self { client: surroundings.client.clone(), peer, namespace: namespace(settings)? })
    }

    /// Sends a request to `/v1/{path}`. What comes back is the server's word about it: no redirect (one is never followed,
    /// as it would take the token along), nor that it has too much to do or is out of order.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretValue>,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer, Miss> {
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
        request = request.header("X-Vault-Request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(token) = token {
            request = request.header("X-Vault-Token", sensitive(token)?);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from_owner(body)
            }
            None => Bytes::new(),
        };
        let long = |_| Miss::new(MissKind::Misconfigured, "the secret's path is too long for a URL");
        let request = request.body(body).map_err(long)?;
        let limits = Limits { timeout: TIMEOUT, max_body: MAX_BODY, verify: self.peer.verify() };
        let response = self.client.fetch_from(&self.peer, request, limits).await;
        let (head, body) = response.map_err(|error| call::unanswered("Vault", &error))?.into_parts();
        let answer = Answer { status: head.status, rest: retry_after(&head.headers), body };
        match answer.trouble() {
            Some((kind, problem)) => Err(Miss::new(kind, problem).resting(answer.rest)),
            None => Ok(answer),
        }
    }

    /// Whether `token` is one that lives. One that may not look at itself counts as dead.
    pub(super) async fn knows(&self, token: &SecretValue) -> Result<bool, Miss> {
        let answer = self.call(Method::GET, "auth/token/lookup-self", Some(token), None).await?;
        Ok(answer.status == StatusCode::OK)
    }
}

impl Answer {
    /// What the answer says, if it is JSON of that form.
    pub(super) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Miss> {
        // A list would do for an object whose fields come in the same order.
        let is_object = self.body.trim_ascii_start().starts_with(b"{");
        serde_json::from_slice(&self.body).ok().filter(|_| is_object).ok_or_else(|| self.garbage())
    }

    /// The miss for an answer that is nothing that Vault would say. It repeats nothing of it.
    pub(super) fn garbage(&self) -> Miss {
        let status = self.status.as_u16();
        let problem = format!(
            "the answer is not one of Vault's (status {status}); see that protocol, host, port and kv are right"
        );
        Miss::new(MissKind::Garbage, problem)
    }

    /// The miss for a status other than 200 and 404.
    pub(super) fn refusal(&self) -> Miss {
        match self.status.as_u16() {
            403 => Miss::new(MissKind::Denied, "Vault refuses the token for it; see what its policies allow"),
            400 | 405 => {
                let status = self.status.as_u16();
                let problem = format!(
                    "Vault takes the request for a wrong one (status {status}); see that protocol, mount, kv and \
                     namespace are right"
                );
                Miss::new(MissKind::Misconfigured, problem)
            }
            _ => self.garbage(),
        }
    }

    /// What keeps the server from answering, if something does.
    fn trouble(&self) -> Option<(MissKind, String)> {
        let status = self.status.as_u16();
        let (kind, what) = match status {
            300..=399 => (
                MissKind::Garbage,
                "leads to another place, where the token is not sent; protocol, host and port must be those of the \
                 active server, or of what stands before all of them",
            ),
            404 if self.says("namespace not found") => {
                (MissKind::Misconfigured, "has no such namespace; see namespace")
            }
            412 => (MissKind::Unavailable, "has not caught up with the others yet"),
            429 => (MissKind::Throttled, "asks for fewer calls"),
            472 | 473 => (MissKind::Unavailable, "is a standby that does not answer reads"),
            503 if self.says("sealed") => (MissKind::Unavailable, "is sealed; unseal it"),
            500..=599 => (MissKind::Unavailable, "is out of order"),
            _ => return None,
        };
        Some((kind, format!("Vault {what} (status {status})")))
    }

    fn says(&self, words: &str) -> bool {
        self.body.windows(words.len()).any(|window| window == words.as_bytes())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Ok(mut body) = std::mem::take(&mut self.body).try_into_mut() {
            body.as_mut().zeroize();
        }
    }
}

impl Certificate {
    fn tls(&self, verify: bool) -> Result<PeerTls, Invalid> {
        let client = ClientCertificate { chain: &self.chain, key: self.key.expose() };
        let settings = PeerTlsSettings { client: Some(client), verify, ..PeerTlsSettings::default() };
        PeerTls::new(&settings).map_err(|error| {
            let field = match error {
                PeerTlsError::Key | PeerTlsError::UnusableKey | PeerTlsError::Mismatch => {
                    "cert_auth_cert_key"
                }
                _ => "cert_auth_cert",
            };
            Invalid::new(field, error.to_string())
        })
    }

    /// Refuses what is none.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        self.tls(true).map(|_| ())
    }
}

/// Checks what the settings' forms do not say.
pub(super) fn check(settings: &Settings<'_>) -> Result<(), Invalid> {
    host(settings)?;
    namespace(settings).map(|_| ())
}

/// A setting that is a path in Vault, as it stands in a URL.
pub(super) fn path(settings: &Settings<'_>, field: &str, default: &str) -> Result<String, Invalid> {
    let text = settings.text(field)?.unwrap_or_else(|| default.to_owned());
    let parts: Vec<&str> = text.trim_matches('/').split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err(Invalid::new(
            field,
            "invalid value: a path in Vault, such as secret or team/kv, is expected",
        ));
    }
    let parts: Vec<String> =
        parts.iter().map(|part| utf8_percent_encode(part, SEGMENT).to_string()).collect();
    Ok(parts.join("/"))
}

/// `body` as JSON, in memory that is wiped.
pub(super) fn json(body: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // Large enough for any login, so that it does not grow and leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(32 * 1024));
    // Structs of text cannot fail to become JSON.
    let _ = serde_json::to_writer(&mut *text, body);
    text
}

fn sensitive(token: &SecretValue) -> Result<HeaderValue, Miss> {
    let unfit = |_| Miss::new(MissKind::Misconfigured, "the token has a character that no token has");
    let mut value = HeaderValue::from_str(token.expose()).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

fn host(settings: &Settings<'_>) -> Result<Option<String>, Invalid> {
    let Some(host) = settings.text("host")? else { return Ok(None) };
    let is_ipv6 = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if is_ipv6 || host.bytes().all(is_name) {
        return Ok(Some(host));
    }
    let problem = "invalid value: a name or an address alone; protocol and port have fields of their own";
    Err(Invalid::new("host", problem))
}

fn namespace(settings: &Settings<'_>) -> Result<Option<HeaderValue>, Invalid> {
    let Some(namespace) = settings.text("namespace")? else { return Ok(None) };
    let unfit = |_| Invalid::new("namespace", "invalid value: it has a character that no namespace has");
    HeaderValue::try_from(namespace).map(Some).map_err(unfit)
}

/// The values of `protocol`.
pub(super) const PROTOCOLS: &[&str] = &["http", "https"];

/// What is not left as it is in a part of a path.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const TIMEOUT: Duration = Duration::from_secs(5);

/// What some of Vault's storages take of one entry; a secret is smaller by far.
const MAX_BODY: usize = 512 * 1024;
