//! What a request and its answer lose and gain on their way through.
//!
//! Both lose what concerned only the connection that they came by. A request gains the headers that tell the upstream
//! who asked, and how; whatever a client wrote into these is replaced, but for `X-Forwarded-For`, which grows by one.

use std::net::IpAddr;

use gateward_net::{Body, Conn, Scheme, remove_hop_by_hop};
use http::header::{COOKIE, HOST, HeaderMap};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri, Version};

use super::ink::Ink;
use super::request_id::X_REQUEST_ID;

/// Takes from a request what concerned only the connection that it came by, and gives it the form that requests go
/// out in. Returns its Host.
pub(super) fn strip(request: &mut Request<Body>) -> Option<HeaderValue> {
    let host = match request.headers().get(HOST) {
        Some(host) => Some(host.clone()),
        None => host_from_authority(request),
    };
    to_origin_form(request);
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    remove_ambiguous(headers);
    // HTTP/2 may send each cookie in a field of its own, which HTTP/1.1 does not know.
    // Where no name repeats, these do not either; that is much cheaper to see.
    if headers.len() != headers.keys_len() {
        make_one(headers, &COOKIE, b"; ");
    }
    host
}

/// Tells the upstream how the request came: for `host`, and by `conn`. A plugin may say otherwise afterwards.
pub(super) fn announce_way(headers: &mut HeaderMap, host: Option<HeaderValue>, conn: &Conn, ink: &Ink) {
    if let Some(host) = host {
        headers.insert(&X_FORWARDED_HOST, host);
    }
    let scheme = match conn.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(&X_FORWARDED_PORT, ink.number(conn.local.port()));
}

/// Tells the upstream who asked, once the plugins had their say in that, and by which id.
pub(super) fn announce_client(headers: &mut HeaderMap, client: IpAddr, id: HeaderValue, ink: &Ink) {
    let client = ink.address(client);
    if headers.append(&X_FORWARDED_FOR, client.clone()) {
        make_one(headers, &X_FORWARDED_FOR, b", ");
    }
    headers.insert(&X_REAL_IP, client);
    headers.insert(&X_REQUEST_ID, id);
}

/// Makes of an answer that came in one that can go out.
pub(super) fn returned(mut response: Response<Body>) -> Response<Body> {
    // It is the client's version that counts from here on, and its host knows it.
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
    response
}

/// Removes fields with `_` in their names, as nginx does: CGI and its kin take `X_Real_IP` and `X-Real-IP` for one, and so a
/// client could write what only we may say.
fn remove_ambiguous(headers: &mut HeaderMap) {
    let is_ambiguous = |name: &&HeaderName| name.as_str().contains('_');
    if headers.keys().any(|name| is_ambiguous(&name)) {
        let names: Vec<_> = headers.keys().filter(is_ambiguous).cloned().collect();
        names.iter().for_each(|name| drop(headers.remove(name)));
    }
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

/// Makes one field of all that are called `name`, their values in order with `separator` between them.
fn make_one(headers: &mut HeaderMap, name: &HeaderName, separator: &[u8]) {
    let mut values = headers.get_all(name).iter();
    let (Some(first), Some(second)) = (values.next(), values.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value.as_bytes());
    }
    // Header values with visible characters between them are a header value.
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(name, joined);
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests;
