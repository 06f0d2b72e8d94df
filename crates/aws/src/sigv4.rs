//! AWS Signature Version 4, in request headers.
//!
//! A signature is made over a *canonical request*: the request rewritten so that sender and receiver, whatever
//! proxies did in between, arrive at the same bytes (`canonical`). Its hash, the time and the *scope* (date,
//! region, service) make the *string to sign*, which is signed with a key that is derived from the secret and is
//! good for one scope (`key`). Only the day changes in a scope, so the key is derived once a day and kept.

mod canonical;
mod key;

use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use gateward_clock::Timestamp;
use http::Request;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};
use thiserror::Error;

use crate::Credentials;
use canonical::{push_hex, write_hex};
use key::SigningKey;

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";

/// Signs requests to one service in one region. Shared by all who call it; no signature waits for another.
pub struct Signer {
    region: Box<str>,
    service: Box<str>,
    rules: Rules,
    key: ArcSwapOption<SigningKey>,
}

/// How a service wants the canonical request made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether `.`, `..` and empty segments are taken out of the path.
    pub normalize_path: bool,
    /// Whether the path, which is percent-encoded on the wire already, is encoded once more.
    pub encode_path_again: bool,
    /// Whether the hash of the body is sent along in `x-amz-content-sha256`.
    pub send_payload_hash: bool,
    /// Which headers the signature covers.
    pub headers: SignedHeaders,
}

/// Which headers a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedHeaders {
    /// `host`, `content-type`, `content-md5` and `x-amz-*`: what AWS wants, and nothing that a proxy may rewrite.
    Needed,
    /// All that the request has.
    All,
}

impl Rules {
    /// What `service` wants. S3 takes a path as it comes, because an object's name may hold `//`.
    pub fn of(service: &str) -> Self {
        let s3 = service == "s3";
        Self {
            normalize_path: !s3,
            encode_path_again: !s3,
            send_payload_hash: s3,
            headers: SignedHeaders::Needed,
        }
    }
}

/// What is known of the body.
#[derive(Clone, Copy)]
pub enum PayloadHash<'a> {
    /// The body itself, to be hashed.
    Bytes(&'a [u8]),
    /// Its SHA-256 in lower-case hexadecimal, or one of the words that AWS takes instead (`UNSIGNED-PAYLOAD`).
    Precomputed(&'a str),
}

/// Why a request could not be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignError {
    /// AWS refuses a signature that does not cover the host.
    #[error("a request without a Host header cannot be signed")]
    NoHost,
    /// The access key id holds characters that no header can.
    #[error("the access key id holds characters that cannot stand in a header")]
    AccessKey,
    /// The session token holds characters that no header can.
    #[error("the session token holds characters that cannot stand in a header")]
    SessionToken,
    /// The rewritten query is not a valid request target.
    #[error("the path and query are too long to be sent")]
    Target,
}

impl Signer {
    /// A signer for `service` in `region`, by the rules of that service.
    pub fn new(region: &str, service: &str) -> Self {
        Self::with_rules(region, service, Rules::of(service))
    }

    /// A signer by other rules than the service's own.
    pub fn with_rules(region: &str, service: &str, rules: Rules) -> Self {
        Self { region: region.into(), service: service.into(), rules, key: ArcSwapOption::empty() }
    }

    /// The service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Signs `request`, which must be complete: a `Host` header without the scheme's default port, the headers, the
    /// target. Adds `authorization`, `x-amz-date` and, for temporary credentials, `x-amz-security-token`; what the
    /// request had of these is replaced.
    ///
    /// The query is rewritten into the one spelling that is signed (order kept): whoever checks the signature, by
    /// reading `+` as a space, or as a plus, or by taking the text as it is, then sees the same.
    pub fn sign<B>(
        &self,
        credentials: &Credentials,
        request: &mut Request<B>,
        payload: PayloadHash<'_>,
        now: Timestamp,
    ) -> Result<(), SignError> {
        if !request.headers().contains_key(http::header::HOST) {
            return Err(SignError::NoHost);
        }
        let key = self.key_of(credentials, now);
        let date = key.date_time(now);
        let mut hashed = [0; 64];
        let payload_hash = match payload {
            PayloadHash::Bytes(body) => hex(digest::digest(&digest::SHA256, body).as_ref(), &mut hashed),
            PayloadHash::Precomputed(hash) => hash,
        };
        self.set_headers(credentials, request.headers_mut(), payload_hash, &date)?;

        // One buffer holds all three texts, one after the other.
        let token = credentials.session_token.as_ref().map_or(0, |token| token.expose().len());
        let mut buffer = Vec::with_capacity(1024 + token);
        let signed = (request.method(), request.uri(), request.headers());
        let canonical = canonical::write(&mut buffer, signed, self.rules, payload_hash);
        let value = authorization(&mut buffer, canonical.signed_headers, credentials, &key, &date)?;
        if let Some(query) = canonical.rewritten_query {
            *request.uri_mut() = canonical::with_query(request.uri(), &query).ok_or(SignError::Target)?;
        }
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }

    /// The headers that the signature covers and that are the signer's to set.
    fn set_headers(
        &self,
        credentials: &Credentials,
        headers: &mut HeaderMap,
        payload_hash: &str,
        date: &[u8; 16],
    ) -> Result<(), SignError> {
        headers.remove(AUTHORIZATION);
        let date = HeaderValue::from_bytes(date).expect("digits and letters make a header");
        headers.insert(X_AMZ_DATE, date);
        match &credentials.session_token {
            Some(token) => {
                let token = HeaderValue::from_str(token.expose()).map_err(|_| SignError::SessionToken)?;
                headers.insert(X_AMZ_SECURITY_TOKEN, sensitive(token));
            }
            None => {
                headers.remove(X_AMZ_SECURITY_TOKEN);
            }
        }
        if self.rules.send_payload_hash || headers.contains_key(&X_AMZ_CONTENT_SHA256) {
            match HeaderValue::from_str(payload_hash) {
                Ok(hash) => headers.insert(X_AMZ_CONTENT_SHA256, hash),
                Err(_) => headers.remove(&X_AMZ_CONTENT_SHA256),
            };
        }
        Ok(())
    }

    /// The key for today's scope: the kept one, unless the day or the secret has changed.
    fn key_of(&self, credentials: &Credentials, now: Timestamp) -> Arc<SigningKey> {
        if let Some(key) = &*self.key.load()
            && key.is_for(&credentials.secret_key, now)
        {
            return Arc::clone(key);
        }
        let key = SigningKey::derive(&credentials.secret_key, now, &self.region, &self.service);
        let key = Arc::new(key);
        self.key.store(Some(Arc::clone(&key)));
        key
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Signer({} in {})", self.service, self.region)
    }
}

/// The header that says who signed what, and the signature: over the canonical request that is all that `buffer` holds,
/// in which the names of the signed headers stand at `signed_headers`.
fn authorization(
    buffer: &mut Vec<u8>,
    signed_headers: Range<usize>,
    credentials: &Credentials,
    key: &SigningKey,
    date: &[u8; 16],
) -> Result<HeaderValue, SignError> {
    let canonical_hash = digest::digest(&digest::SHA256, buffer);
    let string_to_sign = buffer.len();
    for text in [ALGORITHM, b"\n", date, b"\n", key.scope(), b"\n"] {
        buffer.extend_from_slice(text);
    }
    push_hex(buffer, canonical_hash.as_ref());
    let signature = hmac::sign(key.hmac(), &buffer[string_to_sign..]);

    let authorization = buffer.len();
    for text in [ALGORITHM, b" Credential=", credentials.access_key.as_bytes(), b"/", key.scope()] {
        buffer.extend_from_slice(text);
    }
    buffer.extend_from_slice(b", SignedHeaders=");
    buffer.extend_from_within(signed_headers);
    buffer.extend_from_slice(b", Signature=");
    push_hex(buffer, signature.as_ref());
    let value = HeaderValue::from_bytes(&buffer[authorization..]).map_err(|_| SignError::AccessKey)?;
    Ok(sensitive(value))
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// `bytes`, which must be 32, in hexadecimal, written into `text`.
fn hex<'a>(bytes: &[u8], text: &'a mut [u8; 64]) -> &'a str {
    write_hex(text, bytes);
    std::str::from_utf8(text).expect("hexadecimal digits are ASCII")
}

#[cfg(test)]
mod tests;
