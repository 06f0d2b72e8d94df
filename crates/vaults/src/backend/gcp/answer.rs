//! What Secret Manager answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateward_seal::SecretValue;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::crc32c::crc32c;
use crate::backend::call::{Answer, Service, word};
use crate::unresolved::{Miss, MissKind};

#[derive(Deserialize)]
struct Accessed {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    data: SecretValue,
    /// A number, in a text as 64 bits do not fit into every reader's numbers.
    #[serde(rename = "dataCrc32c")]
    checksum: Option<Checksum>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Checksum {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    versions: Vec<Listing>,
    #[serde(rename = "nextPageToken")]
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    name: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    reason: String,
}

/// A page of versions, the newest first.
pub(super) struct Versions {
    pub(super) numbers: Vec<String>,
    pub(super) next_page: Option<String>,
}

/// The secret in an answer.
pub(super) fn payload(service: &Service, answer: &Answer) -> Result<Zeroizing<Vec<u8>>, Miss> {
    if answer.status.as_u16() != 200 {
        return Err(refusal(service, answer));
    }
    let garbage = || service.garbage(answer.status);
    let Payload { data, checksum } = answer.read::<Accessed>().ok_or_else(garbage)?.payload;
    let decoded = STANDARD.decode(data.expose()).map(Zeroizing::new).map_err(|_| garbage())?;
    let expected = match checksum {
        None => return Ok(decoded),
        Some(Checksum::Text(text)) => text.parse().ok(),
        Some(Checksum::Number(number)) => Some(number),
    };
    if expected != Some(u64::from(crc32c(&decoded))) {
        let problem = "the secret was damaged on its way: its checksum is another";
        return Err(Miss::new(MissKind::Garbage, problem));
    }
    Ok(decoded)
}

/// The versions in an answer.
pub(super) fn versions(service: &Service, answer: &Answer) -> Result<Versions, Miss> {
    if answer.status.as_u16() != 200 {
        return Err(refusal(service, answer));
    }
    let listed: Listed = answer.read().ok_or_else(|| service.garbage(answer.status))?;
    let numbers = listed.versions.iter().map(|listing| {
        let number = listing.name.rsplit('/').next().unwrap_or_default();
        let is_one =
            !number.is_empty() && number.len() <= 20 && number.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then(|| number.to_owned())
    });
    let numbers = numbers.collect::<Option<_>>().ok_or_else(|| service.garbage(answer.status))?;
    Ok(Versions { numbers, next_page: listed.next_page.filter(|token| !token.is_empty()) })
}

/// What an answer without a secret means.
fn refusal(service: &Service, answer: &Answer) -> Miss {
    let number = answer.status.as_u16();
    let Some(Refusal { error }) = answer.read() else {
        return match number {
            401 | 403 => Miss::new(MissKind::Denied, format!("Google refuses the call (status {number})")),
            // Not Google's own words, so it may be anybody's: a 404 must not look like a deletion.
            _ => service.garbage(answer.status),
        };
    };
    let status = word(&error.status);
    let reason = |name: &str| error.details.iter().any(|detail| detail.reason == name);
    let (kind, what) = match (number, status.as_str()) {
        (404, _) => (MissKind::NotFound, "there is no such secret in the project, or it has no such version"),
        (400, "FAILED_PRECONDITION") => (MissKind::NotFound, "that version of it is disabled or destroyed"),
        (401, _) => {
            (MissKind::Denied, "Google does not take the token; see that the service account is enabled")
        }
        (403, _) if reason("SERVICE_DISABLED") => {
            (MissKind::Misconfigured, "the Secret Manager API is not enabled in the project; enable it there")
        }
        (403, _) => (
            MissKind::Denied,
            "the service account may not read it; it needs roles/secretmanager.secretAccessor, and for #2 \
             secretmanager.versions.list",
        ),
        (_, "RESOURCE_EXHAUSTED") => (MissKind::Throttled, "Google asks for fewer calls"),
        (400, _) => {
            (MissKind::Misconfigured, "Google does not understand the call; see that project_id is right")
        }
        _ => return service.garbage(answer.status),
    };
    Miss::new(kind, format!("{what} ({status}, status {number})"))
}
