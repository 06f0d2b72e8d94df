//! What Key Vault answered.

use gateward_seal::SecretValue;
use serde::Deserialize;

use crate::backend::call::{Answer, Service, word};
use crate::unresolved::{Miss, MissKind};

#[derive(Deserialize)]
struct Found {
    value: SecretValue,
}

#[derive(Deserialize)]
struct Listed {
    value: Vec<Listing>,
    #[serde(rename = "nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listing {
    id: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    enabled: bool,
    #[serde(default)]
    created: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(rename = "innererror")]
    inner: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
}

/// A page of versions.
pub(super) struct Versions {
    pub(super) enabled: Vec<Enabled>,
    pub(super) next: Option<String>,
}

/// A version; the later one is the greater.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Enabled {
    created: u64,
    pub(super) id: String,
}

/// The secret in an answer.
pub(super) fn value(service: &Service, answer: &Answer) -> Result<SecretValue, Miss> {
    if answer.status.as_u16() != 200 {
        return Err(refusal(service, answer));
    }
    let found: Option<Found> = answer.read();
    found.map(|found| found.value).ok_or_else(|| service.garbage(answer.status))
}

/// The versions in an answer.
pub(super) fn versions(service: &Service, answer: &Answer) -> Result<Versions, Miss> {
    if answer.status.as_u16() != 200 {
        return Err(refusal(service, answer));
    }
    let garbage = || service.garbage(answer.status);
    let Listed { value, next } = answer.read().ok_or_else(garbage)?;
    let mut enabled = Vec::new();
    for Listing { id, attributes } in value {
        let id = id.rsplit('/').next().unwrap_or_default();
        if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(garbage());
        }
        if attributes.enabled {
            enabled.push(Enabled { created: attributes.created, id: id.to_owned() });
        }
    }
    Ok(Versions { enabled, next: next.filter(|next| !next.is_empty()) })
}

/// What an answer without a secret means.
fn refusal(service: &Service, answer: &Answer) -> Miss {
    let number = answer.status.as_u16();
    let Some(Refusal { error }) = answer.read() else {
        return match number {
            401 | 403 => Miss::new(MissKind::Denied, format!("Azure refuses the call (status {number})")),
            // Not Azure's own words, so it may be anybody's: a 404 must not look like a deletion.
            _ => service.garbage(answer.status),
        };
    };
    let inner = error.inner.map(|inner| word(&inner.code));
    let code = inner.unwrap_or_else(|| word(&error.code));
    let (kind, what) = match (number, code.as_str()) {
        (404, _) => (MissKind::NotFound, "there is no such secret in the key vault, or it was deleted"),
        (403, "SecretDisabled") => (MissKind::NotFound, "its newest version is disabled"),
        (403, "ForbiddenByFirewall" | "ForbiddenByConnection") => (
            MissKind::Denied,
            "the key vault's firewall lets no call through from here; allow this network there",
        ),
        (403, _) => (
            MissKind::Denied,
            "this identity may not read it; it needs the role Key Vault Secrets User, or the access policy's Get (and \
             List for #2)",
        ),
        (401, _) => (
            MissKind::Denied,
            "Key Vault does not take the token; see that tenant_id is the tenant that the key vault belongs to",
        ),
        (400, _) => {
            (MissKind::Misconfigured, "Key Vault does not understand the call; see that vault_uri is right")
        }
        _ => return service.garbage(answer.status),
    };
    Miss::new(kind, format!("{what} ({code}, status {number})"))
}
