//! A cloud id: a request to AWS STS that somebody has signed and not sent, so that we can send it and hear who it was.
//!
//! What a client hands over decides nothing but the signature: the method and the body are known, the host is one of STS,
//! and of the headers those are kept that the signature needs. Nothing is sent before all of it was found right.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A signed request that may be sent to STS.
#[derive(Debug)]
pub struct SignedRequest {
    /// The host that it was signed for.
    pub host: String,
    /// The headers to send, without `Host`. Their values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// When it was signed.
    pub signed: Timestamp,
    /// The signature, 64 hexadecimal digits: no two requests have the same.
    pub signature: String,
}

/// What cloud ids are held to here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verifier<'v> {
    /// A host that is STS's besides AWS's own.
    pub own_host: Option<&'v str>,
    /// Whom they must have been signed for, where that is asked: the value of [`SERVER_ID_HEADER`].
    pub server_id: Option<&'v str>,
}

/// Why a cloud id is none. For the log; whoever sent it hears one message for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoCloudId(pub &'static str);

#[derive(Deserialize)]
struct Encoded {
    sts_request_method: String,
    sts_request_url: String,
    sts_request_body: String,
    sts_request_headers: SecretValue,
}

impl SignedRequest {
    /// Reads a cloud id that was signed around `now`, and that `verifier` takes.
    pub fn parse(cloud_id: &str, verifier: Verifier<'_>, now: Timestamp) -> Result<Self, NoCloudId> {
        let Verifier { own_host, server_id } = verifier;
        if cloud_id.len() > LONGEST {
            return Err(NoCloudId("it is longer than 16 KiB"));
        }
        let json = decoded(cloud_id).ok_or(NoCloudId("it is no base64"))?;
        let encoded: Encoded =
            serde_json::from_str(&json).map_err(|_| NoCloudId("it is no JSON of a request"))?;
        if encoded.sts_request_method != "POST" {
            return Err(NoCloudId("the method is not POST"));
        }
        if decoded(&encoded.sts_request_body).as_deref() != Some(BODY) {
            return Err(NoCloudId("the body is not that of GetCallerIdentity"));
        }
        let url = decoded(&encoded.sts_request_url).ok_or(NoCloudId("the URL is no base64"))?;
        let host = host_of(&url, own_host).ok_or(NoCloudId("the URL is none of STS"))?;
        let headers = decoded(encoded.sts_request_headers.expose());
        let headers: Option<Map<String, Value>> = headers.and_then(|json| serde_json::from_str(&json).ok());
        let mut kept = kept(&headers.ok_or(NoCloudId("the headers are no base64 of JSON"))?, host)?;
        let authorization = kept.iter().find(|(name, _)| name == header::AUTHORIZATION);
        let authorization = authorization.ok_or(NoCloudId("there is no Authorization"))?;
        let authorization = authorization.1.to_str().map_err(|_| NoCloudId("Authorization is no text"))?;
        let date =
            kept.iter().find(|(name, _)| name == "x-amz-date").and_then(|(_, date)| date.to_str().ok());
        let date = date.ok_or(NoCloudId("there is no X-Amz-Date"))?;
        let signed = time_of(date).ok_or(NoCloudId("X-Amz-Date is no time"))?;
        let distance = now.saturating_since(signed).max(signed.saturating_since(now));
        if distance.as_secs() > FRESH_SECONDS {
            return Err(NoCloudId("it was signed too long ago, or is to be signed yet"));
        }
        let Signed { signature, headers } = check_authorization(authorization, host, own_host, date)?;
        let is_covered = |name: &HeaderName| headers.iter().any(|covered| covered == name.as_str());
        // What nobody signed, anybody may have added; STS is to hear nothing of it.
        let is_loose = |name: &HeaderName| name.as_str().starts_with("x-") && !is_covered(name);
        if kept.iter().any(|(name, _)| is_loose(name)) {
            return Err(NoCloudId("the signature does not cover each header of AWS's and ours"));
        }
        kept.retain(|(name, _)| *name == header::AUTHORIZATION || is_covered(name));
        if let Some(server_id) = server_id {
            let named = kept.iter().find(|(name, _)| name == SERVER_ID_HEADER);
            if named.is_none_or(|(_, value)| value.as_bytes() != server_id.as_bytes()) {
                return Err(NoCloudId("it was not signed for this server (X-Gateward-Server-Id)"));
            }
        }
        let host = host.to_owned();
        Ok(Self { host, headers: kept, signed, signature })
    }
}

/// The host in `url`, if that is `https://`, one of STS's hosts, and nothing else.
fn host_of<'u>(url: &'u str, own_host: Option<&str>) -> Option<&'u str> {
    let rest = url.strip_prefix("https://")?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    (own_host == Some(host) || region_of(host).is_some()).then_some(host)
}

/// The region that one of AWS's own hosts of STS stands in.
fn region_of(host: &str) -> Option<&str> {
    if host == "sts.amazonaws.com" {
        return Some("us-east-1");
    }
    let rest = host.strip_prefix("sts.")?;
    let (region, is_china) = match rest.strip_suffix(".amazonaws.com.cn") {
        Some(region) => (region, true),
        None => (rest.strip_suffix(".amazonaws.com")?, false),
    };
    // Names such as sts.s3.amazonaws.com belong to whoever was first to take them: `eu-west-1`, and nothing looser.
    let words: Vec<&str> = region.split('-').collect();
    let [first, middle @ .., last] = &words[..] else { return None };
    let letters = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_region = first.len() == 2
        && letters(first)
        && (1..=2).contains(&middle.len())
        && middle.iter().all(letters)
        && (1..=2).contains(&last.len())
        && last.bytes().all(|byte| byte.is_ascii_digit());
    (is_region && is_china == (*first == "cn")).then_some(region)
}

/// The headers that are sent on; each one text, and none twice.
fn kept(headers: &Map<String, Value>, host: &str) -> Result<Vec<(HeaderName, HeaderValue)>, NoCloudId> {
    let mut kept: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in headers {
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| NoCloudId("a header has no valid name"))?;
        let is_sent = name.as_str().starts_with("x-amz-")
            || name == SERVER_ID_HEADER
            || name == NONCE_HEADER
            || matches!(name.as_str(), "authorization" | "content-type" | "content-length" | "host");
        if !is_sent {
            continue;
        }
        let text = match value {
            Value::String(text) => Some(text.as_str()),
            Value::Array(list) => list.first().filter(|_| list.len() == 1).and_then(Value::as_str),
            _ => None,
        };
        let text = text.ok_or(NoCloudId("a header has another value than one text"))?;
        match name.as_str() {
            "host" if text != host => return Err(NoCloudId("Host is not the host that is called")),
            "content-length" if text != "43" => {
                return Err(NoCloudId("Content-Length is not that of the body"));
            }
            "content-type" if !is_form(text) => {
                return Err(NoCloudId("Content-Type is not that of the body"));
            }
            // Whoever sends it makes both.
            "host" | "content-length" => continue,
            _ => {}
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| NoCloudId("a header has no valid value"))?;
        value.set_sensitive(true);
        if kept.iter().any(|(other, _)| *other == name) {
            return Err(NoCloudId("a header stands there twice"));
        }
        kept.push((name, value));
    }
    Ok(kept)
}

/// Whether it is the type of a form, in whatever character set.
fn is_form(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A signature, and the names of the headers that it covers.
struct Signed {
    signature: String,
    headers: Vec<String>,
}

/// Looks at what the signature covers and for whom it is, and gives it.
fn check_authorization(
    authorization: &str,
    host: &str,
    own_host: Option<&str>,
    date: &str,
) -> Result<Signed, NoCloudId> {
    let wrong = NoCloudId("Authorization is no signature of version 4");
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or(wrong)?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or(wrong)?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(wrong),
        };
        if place.replace(value).is_some() {
            return Err(wrong);
        }
    }
    let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature)
    else {
        return Err(wrong);
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [key, day, region, service, end] = scope[..] else { return Err(wrong) };
    if key.is_empty() || service != "sts" || end != "aws4_request" {
        return Err(NoCloudId("the signature is for another service"));
    }
    if Some(day) != date.get(..8) {
        return Err(NoCloudId("the signature is for another day than X-Amz-Date"));
    }
    if own_host != Some(host) && region_of(host) != Some(region) {
        return Err(NoCloudId("the signature is for another region than the host's"));
    }
    let covers = |wanted: &str| signed_headers.split(';').any(|name| name == wanted);
    if !covers("host") || !covers("x-amz-date") {
        return Err(NoCloudId("the signature covers neither host nor x-amz-date, or one of them only"));
    }
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if signature.len() != 64 || !signature.bytes().all(is_hex) {
        return Err(wrong);
    }
    let headers = signed_headers.split(';').map(str::to_owned).collect();
    Ok(Signed { signature: signature.to_owned(), headers })
}

/// `20260101T000000Z` as a time.
fn time_of(date: &str) -> Option<Timestamp> {
    let bytes = date.as_bytes();
    if bytes.len() != 16 || !date.is_ascii() {
        return None;
    }
    let digits = |from: usize, to: usize| {
        date.get(from..to).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        digits(0, 4)?,
        digits(4, 6)?,
        digits(6, 8)?,
        digits(9, 11)?,
        digits(11, 13)?,
        digits(13, 15)?
    );
    (bytes[8] == b'T' && bytes[15] == b'Z').then(|| Timestamp::parse_rfc3339(&text)).flatten()
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

/// What is asked of STS, and nothing else is.
pub(crate) const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// What that is, to HTTP.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The header in which a cloud id says whom it was signed for.
pub const SERVER_ID_HEADER: &str = "x-gateward-server-id";

/// The header that makes two cloud ids of one second different, so that both are good.
pub const NONCE_HEADER: &str = "x-gateward-nonce";

/// How far the time of a signature may be from ours.
pub(crate) const FRESH_SECONDS: u64 = 5 * 60;

const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests;
