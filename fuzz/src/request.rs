//! A request for what asks about requests, or works on one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use gateward_net::{Conn, Scheme};
use gateward_vars::{Facts, RequestBody};
use http::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue};
use http::{Method, Uri, Version};

/// The connection that it came by.
pub(crate) fn conn() -> Conn {
    let end = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);
    Conn { client: end, local: end, scheme: Scheme::Http, tls: None }
}

/// Calls `with` with the facts of a request for `target` at `host`.
pub(crate) fn facts<R>(target: &Uri, host: &str, with: impl FnOnce(&Facts<'_>) -> R) -> R {
    let conn = conn();
    let headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (COOKIE, HeaderValue::from_static("a=1; b=2")),
    ]);
    with(&Facts {
        method: &Method::GET,
        target,
        version: Version::HTTP_11,
        host,
        headers: &headers,
        body: Some(&RequestBody::new(br#"{"a": [{"b": 1}, "x"], "c": {"d": true}}"#)),
        conn: &conn,
        client: conn.client.ip(),
        client_port: None,
        request_id: "",
        params: None,
        route: None,
        consumer: None,
        consumer_group: None,
        upstream: None,
    })
}
