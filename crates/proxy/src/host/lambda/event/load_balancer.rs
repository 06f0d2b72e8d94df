//! Events of Application Load Balancers.
//!
//! The client's address is the last in `X-Forwarded-For`, where the load balancer has put it; port and scheme are its
//! own listener's. Names and values of the query are as the client has written them.
//!
//! A load balancer gives every request of a client's a Host. Its own health checks have none, and hardly another header.

use gateward_net::Scheme;
use http::header::HOST;
use http::{HeaderMap, HeaderValue};

use super::envelope::Envelope;
use super::request::{Origin, Parsed, assemble, headers, parameters};
use super::target::{append_encoded, path};

/// The request of `event`.
pub(super) fn request(event: &Envelope<'_>) -> Parsed {
    let Some((method, raw_path)) = event.http_method.as_deref().zip(event.path.as_deref()) else {
        return Ok(None);
    };
    let mut target = path(raw_path);
    append_encoded(&mut target, &parameters(event));
    let mut headers = headers(event)?;
    headers.entry(HOST).or_insert(HeaderValue::from_static(NO_CLIENTS_HOST));
    join_forwarded_for(&mut headers);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let client = text(FORWARDED_FOR).rsplit(',').next().unwrap_or_default().trim().to_owned();
    let scheme = if text("x-forwarded-proto") == "http" { Scheme::Http } else { Scheme::Https };
    let usual = if scheme == Scheme::Http { 80 } else { 443 };
    let port = text("x-forwarded-port").parse().unwrap_or(usual);
    let origin = Origin { client: &client, scheme, port };
    assemble(event, method, target, headers, &origin)
}

/// However many lines there are, they are one list, and its last entry is the load balancer's: whatever a client has sent
/// stands before.
fn join_forwarded_for(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b", "[..]))
    {
        headers.insert(FORWARDED_FOR, joined);
    }
}

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The host of a request that no client has sent. No name that somebody has ends so (RFC 6761), so that a route takes it
/// only if it names it, or takes every host.
const NO_CLIENTS_HOST: &str = "load-balancer.invalid";
