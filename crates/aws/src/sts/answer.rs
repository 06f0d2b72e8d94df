//! What STS answered: XML of which a few elements matter.
//!
//! Only elements without attributes are looked for, by their names, inside one another; that is what STS sends, and
//! whatever else may come is no answer.

use std::borrow::Cow;

use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::StatusCode;

use super::{Answer, Identity, Session, StsError};
use crate::{Credentials, ErrorType};

/// The session in an answer to either way of assuming a role.
pub(crate) fn session(answer: &Answer) -> Result<Session, StsError> {
    let read = || {
        let xml = std::str::from_utf8(&answer.0).ok()?;
        let credentials = element(xml, "Credentials")?;
        let expires = text(credentials, "Expiration").and_then(|time| Timestamp::parse_rfc3339(&time))?;
        Some(Session {
            credentials: Credentials {
                access_key: text(credentials, "AccessKeyId")?.into_owned(),
                secret_key: SecretValue::new(text(credentials, "SecretAccessKey")?.into_owned()),
                session_token: Some(SecretValue::new(text(credentials, "SessionToken")?.into_owned())),
            },
            expires,
        })
    };
    read().ok_or(StsError::Garbage { status: 200 })
}

/// The identity in an answer.
pub(crate) fn identity(answer: &Answer) -> Result<Identity, StsError> {
    let read = || {
        let xml = std::str::from_utf8(&answer.0).ok()?;
        let result = element(xml, "GetCallerIdentityResult")?;
        let [account, arn, user_id] = ["Account", "Arn", "UserId"].map(|name| text(result, name));
        Some(Identity {
            account: account?.into_owned(),
            arn: arn?.into_owned(),
            user_id: user_id?.into_owned(),
        })
    };
    read().ok_or(StsError::Garbage { status: 200 })
}

/// Sorts a refusal.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> StsError {
    let xml = std::str::from_utf8(body).unwrap_or_default();
    let code = element(xml, "Error").and_then(|error| text(error, "Code"));
    let error = code.map(|code| ErrorType::of(&code)).unwrap_or_default();
    let overloaded = matches!(
        error.as_str(),
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "IDPCommunicationError"
    );
    let status = status.as_u16();
    match status {
        _ if overloaded => StsError::Unavailable { status, error },
        429 | 500..=599 => StsError::Unavailable { status, error },
        401 | 403 => StsError::Refused { status, error },
        400..=499 if !error.as_str().is_empty() => StsError::Refused { status, error },
        _ => StsError::Garbage { status },
    }
}

/// What stands in the first element called `name`.
fn element<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (inner, _) = after.split_once(&format!("</{name}>"))?;
    Some(inner)
}

/// The text of the first element called `name`; `None` if it is empty or holds other elements.
fn text<'x>(xml: &'x str, name: &str) -> Option<Cow<'x, str>> {
    let inner = element(xml, name)?.trim();
    if inner.is_empty() || inner.contains('<') {
        return None;
    }
    unescaped(inner)
}

/// `text` without the five escapes that XML has of its own, and those of single characters.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('&') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (escape, after) = after.split_once(';')?;
        plain.push(match escape {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(Cow::Owned(plain))
}
