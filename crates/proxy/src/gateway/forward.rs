//! What a request and its answer lose and gain on their way through.
//!
//! Both lose what concerned only the connection that they came by. A request gains the headers that tell the upstream
//! who asked, and how; whatever a client wrote into these is replaced, but for `X-Forwarded-For`, which grows by one.

use gateward_net::{Body, Conn, Scheme};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri, Version};

use super::ink::Ink;
use super::request_id::{RequestId, X_REQUEST_ID};

/// Makes of a request that came in one that can go out.
pub(super) fn prepare(request: &mut Request<Body>, conn: &Conn, id: &RequestId, ink: &Ink) {
    let host = match request.headers().get(HOST) {
        Some(host) => Some(host.clone()),
        None => host_from_authority(request),
    };
    to_origin_form(request);
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    if let Some(host) = host {
        headers.insert(&X_FORWARDED_HOST, host);
    }
    let client = ink.address(conn.client.ip());
    append_forwarded_for(headers, &client);
    headers.insert(&X_REAL_IP, client);
    let scheme = match conn.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(&X_FORWARDED_PORT, ink.number(conn.local.port()));
    headers.insert(&X_REQUEST_ID, id.clone().into());
}

/// Makes of an answer that came in one that can go out.
pub(super) fn returned(mut response: Response<Body>) -> Response<Body> {
    // It is the client's version that counts from here on, and its host knows it.
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
    response
}

/// HTTP/2 has the host in `:authority`; it is put where HTTP/1.1 has it.
fn host_from_authority(request: &mut Request<Body>) -> Option<HeaderValue> {
    let host = HeaderValue::from_str(request.uri().authority()?.as_str()).ok()?;
    request.headers_mut().insert(HOST, host.clone());
    Some(host)
}

/// `/path?query`, whatever form the target had.
fn to_origin_form(request: &mut Request<Body>) {
    let uri = request.uri();
    if uri.scheme().is_none() && uri.authority().is_none() {
        return;
    }
    let target = match uri.path_and_query() {
        Some(target) if target.as_str().starts_with('/') => Ok(target.clone()),
        // `http://host?query` has no path, and means the root.
        Some(target) => PathAndQuery::try_from(format!("/{}", target.as_str())),
        None => Ok(PathAndQuery::from_static("/")),
    };
    *request.uri_mut() = Uri::from(target.unwrap_or(PathAndQuery::from_static("/")));
}

/// Removes what concerns one connection only, and what its `Connection` field says does.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of it, and one look at each name is cheaper than ten searches.
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    // A length beside a transfer coding means nothing, and the next server may think it does.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // What the message itself cannot do without is not the connection's, whoever says so.
        .filter(|name| name != HOST && name != CONTENT_LENGTH)
        .collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    // The shortest has 2 characters, the longest 19; what is left is compared.
    match name.len() {
        2 | 6 | 7 | 10 | 16..=19 => HOP_BY_HOP.contains(&name),
        _ => false,
    }
}

/// `Expect` is among them because we have answered it: the body is read when it is sent on.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn append_forwarded_for(headers: &mut HeaderMap, client: &HeaderValue) {
    if !headers.contains_key(&X_FORWARDED_FOR) {
        headers.insert(&X_FORWARDED_FOR, client.clone());
        return;
    }
    let mut chain = Vec::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(client.as_bytes());
    // Header values with a comma between them are a header value.
    if let Ok(chain) = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)) {
        headers.insert(&X_FORWARDED_FOR, chain);
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests;
