//! What the requests in all kinds of events have in common.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gateward_net::{Body, Conn, Scheme};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::envelope::Envelope;

/// A request and its connection; `None` if the event is no request at all; or what in it cannot stand in one.
pub(super) type Parsed = Result<Option<(Request<Body>, Conn)>, &'static str>;

/// Where a request came from.
pub(super) struct Origin<'o> {
    pub(super) client: &'o str,
    pub(super) scheme: Scheme,
    pub(super) port: u16,
}

/// The request of `event`, with what its form says in its own way.
pub(super) fn assemble(
    event: &Envelope<'_>,
    method: &str,
    target: String,
    mut headers: HeaderMap,
    origin: &Origin<'_>,
) -> Parsed {
    // The body is whole, and may have been decoded: these say nothing true about it any more.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let domain = event.context().and_then(|context| context.domain_name.as_deref());
    if let Some(domain) = domain.filter(|_| !headers.contains_key(HOST)) {
        headers.insert(HOST, field_value(domain)?);
    }
    drop_own_hop(&mut headers, origin.client);
    let mut request = Request::new(body(event)?);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| "a method")?;
    *request.uri_mut() = target.try_into().map_err(|_| "a path or query")?;
    *request.headers_mut() = headers;
    let client = address(origin.client).unwrap_or(NOWHERE);
    let conn = Conn {
        client: SocketAddr::new(client, 0),
        local: SocketAddr::new(NOWHERE, origin.port),
        scheme: origin.scheme,
        tls: None,
    };
    Ok(Some((request, conn)))
}

/// The headers of events that say each name's values in a list of its own, or else one value a name.
pub(super) fn headers(event: &Envelope<'_>) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    if let Some(fields) = &event.multi_value_headers {
        for (name, values) in fields {
            for value in values {
                headers.append(field_name(name)?, field_value(value)?);
            }
        }
    } else if let Some(fields) = &event.headers {
        for (name, value) in fields {
            headers.append(field_name(name)?, field_value(value)?);
        }
    }
    Ok(headers)
}

/// The query of events that say each name's values in a list of its own, or else one value a name.
pub(super) fn parameters<'e>(event: &'e Envelope<'_>) -> Vec<(&'e str, &'e str)> {
    if let Some(parameters) = &event.multi_value_query_string_parameters {
        let pairs =
            parameters.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        return pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    }
    let parameters = event.query_string_parameters.iter().flatten();
    parameters.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

pub(super) fn field_value(value: &str) -> Result<HeaderValue, &'static str> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| "a header value")
}

fn field_name(name: &str) -> Result<HeaderName, &'static str> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header name")
}

fn body(event: &Envelope<'_>) -> Result<Body, &'static str> {
    match event.body.as_ref().map(Cow::as_ref) {
        None => Ok(Body::empty()),
        Some(text) if event.is_base64_encoded => {
            BASE64_STANDARD.decode(text).map(Body::full).map_err(|_| "a body that is not base64")
        }
        Some(text) => Ok(Body::full(text.as_bytes().to_vec())),
    }
}

/// Whoever made the event has appended the client's address already, and the gateway is going to do it again.
/// A load balancer may be told to add the client's port.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

fn drop_own_hop(headers: &mut HeaderMap, client: &str) {
    let name = HeaderName::from_static("x-forwarded-for");
    let Some(chain) = headers.get(&name).and_then(|chain| chain.to_str().ok()) else { return };
    let (before, last) = chain.rsplit_once(',').unwrap_or(("", chain));
    if last.trim() != client {
        return;
    }
    match HeaderValue::from_str(before.trim_end()) {
        Ok(before) if !before.is_empty() => headers.insert(name, before),
        _ => headers.remove(name),
    };
}

const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
