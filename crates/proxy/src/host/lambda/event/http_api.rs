//! Events of HTTP APIs and of function URLs: payload format 2.0.

use gateward_net::Scheme;
use http::header::COOKIE;

use super::envelope::{Context, Envelope};
use super::mapped::own;
use super::request::{Origin, Parsed, assemble, field_value, headers};
use super::target::path;

/// The request of `event`.
pub(super) fn request(event: &Envelope<'_>) -> Parsed {
    let Some((context, http, raw_path)) = event
        .context()
        .and_then(|context| Some((context, context.http.as_ref()?, event.raw_path.as_deref()?)))
    else {
        return Ok(None);
    };
    let mut target = path(own(raw_path, event).unwrap_or_else(|| without_stage(raw_path, context)));
    if let Some(query) = event.raw_query_string.as_deref().filter(|query| !query.is_empty()) {
        target.push('?');
        target.push_str(query);
    }
    let mut headers = headers(event)?;
    if let Some(cookies) = event.cookies.as_deref().filter(|cookies| !cookies.is_empty()) {
        headers.insert(COOKIE, field_value(&cookies.join("; "))?);
    }
    let origin = Origin { client: &http.source_ip, scheme: Scheme::Https, port: 443 };
    assemble(event, &http.method, target, headers, &origin)
}

/// The path without the stage, which is part of it but not of what was deployed behind it.
fn without_stage<'p>(path: &'p str, context: &Context<'_>) -> &'p str {
    let stage = context.stage.as_deref().filter(|stage| *stage != "$default");
    let after = |stage: &str| path.strip_prefix('/')?.strip_prefix(stage);
    match stage.and_then(after) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}
