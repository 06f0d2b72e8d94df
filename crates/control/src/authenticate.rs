//! Who a request is from: one authenticator for all dialects.
//!
//! A token is looked for where each dialect's clients put it: `Authorization: Bearer`, `Kong-Admin-Token`,
//! `X-API-KEY`, and `token` in a JSON body. Never in a cookie, so no page can act in its visitor's name.

use gateward_access::{Identity, Need, OutOfReach, TokenError};
use gateward_seal::SecretValue;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::{ControlParts, audit};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nothing says who it is.
    #[error("no token; log in with /auth (gateward auth) and send the token it gives")]
    Missing,
    /// What says who it is does not stand.
    #[error("the token is not valid, or has expired; log in again")]
    Wrong,
    /// Who it is may not do it.
    #[error(
        "you may not do this; whoever administers this gateway can allow it (gateway-create-allowed-access)"
    )]
    Forbidden,
    /// Nobody can be looked up.
    #[error("{OutOfReach}")]
    Unavailable,
}

impl Refusal {
    /// The status of an answer that says so.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Invalid | TokenError::Expired => Self::Wrong,
            TokenError::Unavailable(OutOfReach) => Self::Unavailable,
        }
    }
}

/// Whom the token in `headers`, or else `in_body`, was given to, if they may do what takes `need`.
pub(crate) fn identity(
    parts: &ControlParts,
    headers: &HeaderMap,
    in_body: Option<&str>,
    need: Need,
) -> Result<Identity, Refusal> {
    let token = token(headers).or(in_body).ok_or(Refusal::Missing)?;
    let identity = parts.authenticator.verify(token)?;
    audit::note(identity.access_id.as_str());
    if !parts.authenticator.permits(&identity, need) {
        tracing::warn!(access_id = %identity.access_id, "a call was refused to somebody who may not make it");
        return Err(Refusal::Forbidden);
    }
    Ok(identity)
}

/// What somebody may do with the resources of the APISIX Admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// Look at them.
    Viewer,
}

/// The role of whoever has one of the APISIX keys, or a token. A key in the query counts before one in the header.
pub(crate) fn apisix(
    parts: &ControlParts,
    headers: &HeaderMap,
    in_query: Option<&str>,
    need: Need,
) -> Result<Role, Refusal> {
    let in_query = in_query.filter(|key| !key.is_empty());
    if let Some(key) = in_query.or_else(|| text(headers, &API_KEY)) {
        let is = |ours: &Option<SecretValue>| ours.as_ref().is_some_and(|ours| ours.matches(key));
        if is(&parts.apisix_admin_key) {
            audit::note("apisix_admin_key");
            return Ok(Role::Admin);
        }
        if is(&parts.apisix_viewer_key) {
            audit::note("apisix_viewer_key");
            return Ok(Role::Viewer);
        }
    }
    identity(parts, headers, in_query, need).map(|_| Role::Admin)
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, &header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    bearer.or_else(|| text(headers, &KONG_TOKEN)).or_else(|| text(headers, &API_KEY))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KONG_TOKEN: HeaderName = HeaderName::from_static("kong-admin-token");
