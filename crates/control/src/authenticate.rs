//! Who a request is from: one authenticator for all dialects.
//!
//! A token is looked for where each dialect's clients put it: `Authorization: Bearer`, `Kong-Admin-Token`,
//! `X-API-KEY`, and `token` in a JSON body. Never in a cookie, so no page can act in its visitor's name.

use gateward_access::Identity;
use http::{HeaderMap, HeaderName, header};

use crate::ControlParts;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Nothing says who it is.
    #[error("no token; log in with /auth (gateward auth) and send the token it gives")]
    Missing,
    /// What says who it is does not stand.
    #[error("the token is not valid, or has expired; log in again")]
    Wrong,
}

/// Whom the token in `headers`, or else `in_body`, was given to.
pub(crate) fn identity(
    parts: &ControlParts,
    headers: &HeaderMap,
    in_body: Option<&str>,
) -> Result<Identity, Refusal> {
    let token = token(headers).or(in_body).ok_or(Refusal::Missing)?;
    parts.authenticator.verify(token).map_err(|_| Refusal::Wrong)
}

/// Lets in whoever has the APISIX admin key, or a token.
pub(crate) fn apisix(
    parts: &ControlParts,
    headers: &HeaderMap,
    in_query: Option<&str>,
) -> Result<(), Refusal> {
    let in_query = in_query.filter(|key| !key.is_empty());
    let key = in_query.or_else(|| text(headers, &API_KEY));
    if let (Some(key), Some(ours)) = (key, &parts.apisix_admin_key)
        && ours.matches(key)
    {
        return Ok(());
    }
    identity(parts, headers, in_query).map(|_| ())
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
