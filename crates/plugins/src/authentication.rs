//! What the plugins that authenticate have in common: what becomes of somebody whom they do not recognise.

use gateward_model::Invalid;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::answer::message;
use crate::{Exchange, Step, holds_reference};

/// What becomes of somebody who is not recognised: a challenge, or passage in the name of a consumer for strangers.
#[derive(Debug)]
pub(crate) struct Challenge {
    asks_for: HeaderValue,
    anonymous: Option<Box<str>>,
}

impl Challenge {
    /// Checks what is not a reference yet to be replaced.
    pub(crate) fn check(realm: &str, anonymous: Option<&str>) -> Result<(), Invalid> {
        if !holds_reference(realm) {
            check_realm(realm)?;
        }
        match anonymous {
            Some("") => Err(Invalid::new("anonymous_consumer", "must not be empty")),
            _ => Ok(()),
        }
    }

    /// Asks for credentials of the kind `scheme` for `realm`, or lets strangers pass as the consumer `anonymous`.
    pub(crate) fn build(scheme: &str, realm: &str, anonymous: Option<String>) -> Result<Self, Invalid> {
        check_realm(realm)?;
        let asks_for = HeaderValue::try_from(format!("{scheme} realm=\"{realm}\""))
            .map_err(|_| Invalid::new("realm", "holds characters that cannot stand in a header"))?;
        if anonymous.as_deref() == Some("") {
            return Err(Invalid::new("anonymous_consumer", "must not be empty"));
        }
        Ok(Self { asks_for, anonymous: anonymous.map(Into::into) })
    }

    /// Ends the turn of a plugin at a request of which it found `problem`.
    pub(crate) fn meet<'s>(&self, problem: &str, exchange: &mut Exchange<'_>) -> Step<'s> {
        let Some(anonymous) = &self.anonymous else { return self.refuse(problem) };
        match exchange.consumers.named(anonymous) {
            Some(caller) => {
                caller.enter(exchange);
                Step::CONTINUE
            }
            None => self.refuse("Invalid user authorization"),
        }
    }

    fn refuse<'s>(&self, problem: &str) -> Step<'s> {
        let mut response = message(StatusCode::UNAUTHORIZED, problem);
        response.headers_mut().insert(WWW_AUTHENTICATE, self.asks_for.clone());
        response.into()
    }
}

/// Checks that a setting names a header field, if it is not a reference yet to be replaced.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    match holds_reference(name) {
        true => Ok(()),
        false => header_name(field, name).map(drop),
    }
}

/// The header field that a setting names.
pub(crate) fn header_name(field: &str, name: &str) -> Result<HeaderName, Invalid> {
    HeaderName::try_from(name).map_err(|_| Invalid::new(field, "is not the name of a header field"))
}

fn check_realm(realm: &str) -> Result<(), Invalid> {
    let fits = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\\');
    match (1..=128).contains(&realm.len()) && realm.bytes().all(fits) {
        true => Ok(()),
        false => Err(Invalid::new("realm", "is 1 to 128 printable ASCII characters without \" and \\")),
    }
}
