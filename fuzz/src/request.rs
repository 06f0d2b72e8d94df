//! A request for what asks about requests, or works on one.

use gateward_net::Conn;
use gateward_vars::{Facts, RequestBody};
use http::header::{CONTENT_TYPE, COOKIE, HeaderValue};
use http::{Request, Uri};

/// The connection that it came by.
pub(crate) fn conn() -> Conn {
    let end = ([127, 0, 0, 1], 9080).into();
    Conn::plain(end, end)
}

/// Calls `with` with the facts of a request for `target` at `host`.
pub(crate) fn facts<R>(target: &Uri, host: &str, with: impl FnOnce(&Facts<'_>) -> R) -> R {
    let mut request = Request::new(());
    *request.uri_mut() = target.clone();
    request.headers_mut().extend([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (COOKIE, HeaderValue::from_static("a=1; b=2")),
    ]);
    let body = RequestBody::new(br#"{"a": [{"b": 1}, "x"], "c": {"d": true}}"#);
    with(&Facts { body: Some(&body), ..Facts::of(&request, host, &conn()) })
}
