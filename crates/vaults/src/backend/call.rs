//! Calls to a service over HTTP, and what each way in which they can fail means.
//!
//! No redirect is followed: a call carries credentials.

use std::time::Duration;

use bytes::Bytes;
use gateward_net::{Client, FetchError, Limits, retry_after};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, StatusCode};
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;
use url::{Host, Url};
use zeroize::Zeroize as _;

use crate::unresolved::{Miss, MissKind};

/// A service that is called over HTTP.
pub(super) struct Service {
    client: Client,
    /// What messages call it.
    name: &'static str,
    timeout: Duration,
}

/// What a service answered; its body is wiped when it has been read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Service {
    pub(super) fn new(client: Client, name: &'static str, timeout: Duration) -> Self {
        Self { client, name, timeout }
    }

    /// Sends `request`, which can be sent twice without harm. What comes back is the service's word about it: neither a
    /// redirect nor that it has too much to do, or is out of order.
    pub(super) async fn call(&self, request: Request<Bytes>) -> Result<Answer, Miss> {
        let limits = Limits { timeout: self.timeout, max_body: MAX_BODY, verify: true };
        let response = match self.client.fetch(request.clone(), limits).await {
            // A kept connection that had ended unseen.
            Err(FetchError::Closed(_)) => self.client.fetch(request, limits).await,
            other => other,
        };
        let (head, body) = response.map_err(|error| unanswered(self.name, &error))?.into_parts();
        let answer = Answer { status: head.status, headers: head.headers, body };
        let status = answer.status.as_u16();
        let (kind, what) = match status {
            429 => (MissKind::Throttled, "asks for fewer calls"),
            500..=599 => (MissKind::Unavailable, "is out of order"),
            300..=399 => (
                MissKind::Garbage,
                "leads to another place, where no credentials are sent; its address must be the final one",
            ),
            _ => return Ok(answer),
        };
        let miss = Miss::new(kind, format!("{} {what} (status {status})", self.name));
        Err(miss.resting(retry_after(&answer.headers)))
    }

    /// The miss for an answer that is nothing that the service would say.
    pub(super) fn garbage(&self, status: StatusCode) -> Miss {
        let problem = format!(
            "the answer is not one of {}'s (status {}); see that its address is right",
            self.name,
            status.as_u16()
        );
        Miss::new(MissKind::Garbage, problem)
    }
}

impl Answer {
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The JSON object in it, if it is one. What is wrong with it is not told: serde_json quotes what it dislikes, and that may
    /// be a secret.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        // Without this look a list would do for an object whose fields come in the same order.
        let is_object = self.body.trim_ascii_start().starts_with(b"{");
        serde_json::from_slice(&self.body).ok().filter(|_| is_object)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Ok(mut body) = std::mem::take(&mut self.body).try_into_mut() {
            body.as_mut().zeroize();
        }
    }
}

/// The miss for a call of `name` that got no answer.
pub(super) fn unanswered(name: &str, error: &FetchError) -> Miss {
    let miss = Miss::because(kind_of(error), error);
    let advice = match error {
        FetchError::Tls(_) => "; if an authority of your own vouches for it, name that in tls.ca",
        _ => "",
    };
    Miss::new(miss.kind, format!("{name} gave no answer: {}{advice}", miss.problem))
}

/// What it means for a value that a call got no answer.
pub(super) fn kind_of(error: &FetchError) -> MissKind {
    match error {
        FetchError::Address | FetchError::Forbidden => MissKind::Misconfigured,
        FetchError::TooLarge { .. }
        | FetchError::Protocol(_)
        | FetchError::Switched
        | FetchError::NotHttp2 => MissKind::Garbage,
        _ => MissKind::Unavailable,
    }
}

/// Reads the address of a service that tokens are sent to: a plain URL, and over plain HTTP no further than this machine.
pub(super) fn address(url: &str) -> Result<Url, String> {
    let url = gateward_aws::check_endpoint(url).map_err(|invalid| invalid.problem)?;
    let is_here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() == "https" || is_here {
        return Ok(url);
    }
    Err("https is needed, as credentials are sent there; http is for this machine itself".to_owned())
}

/// A POST of `fields`, as a form.
pub(super) fn form(url: &str, fields: &[(&str, &str)]) -> Result<Request<Bytes>, http::Error> {
    let form = Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.into())
}

/// A service's own word for an error. Letters, digits, `_` and `-` only, so that no other part of an answer can come
/// along.
pub(super) fn word(text: &str) -> String {
    let word: String =
        text.chars().filter(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-')).take(64).collect();
    if word.is_empty() { "no error named".to_owned() } else { word }
}

/// No secret is larger than 64 KiB, which is 86 KiB of base64; in JSON each byte of text may take six.
const MAX_BODY: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_over_tls_or_nowhere_else() {
        for good in ["https://vault.example", "http://127.0.0.1:80/", "http://[::1]:1", "http://localhost:9"]
        {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://vault.example",
            "http://10.0.0.1",
            "ftp://x",
            "",
            "https://u:canary@x",
            "https://x?canary",
        ] {
            let problem = address(bad).unwrap_err();
            assert!(!problem.contains("canary"), "{problem}");
        }
    }

    #[test]
    fn a_services_word_carries_nothing_else_along() {
        assert_eq!(word("PERMISSION_DENIED"), "PERMISSION_DENIED");
        assert_eq!(word("a b\n\"{secret}\""), "absecret");
        assert_eq!(word("…"), "no error named");
    }
}
