//! Keeps other people's web pages away from a gateway that listens on loopback for its user alone.
//!
//! A page that the user happens to look at can make the browser call 127.0.0.1, by name or after its own name was
//! made to point there (DNS rebinding). So what comes under a name that is not loopback, or from a page of another
//! place, is refused.

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode, Uri, header};
use serde_json::json;

use crate::request::json_answer;

/// The refusal, if `request` is refused.
pub(crate) fn refusal(request: &Request<Body>) -> Option<Response> {
    let text =
        |name| request.headers().get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or("?"));
    let host = request.uri().authority().map(http::uri::Authority::as_str).or_else(|| text(header::HOST));
    let what = if !host.is_some_and(is_loopback) {
        "the Host header names another machine; call it as 127.0.0.1 or localhost"
    } else if text(header::ORIGIN).is_some_and(|origin| !is_loopback_origin(origin)) {
        "requests from pages of another place are refused"
    } else if text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site == "cross-site")
    {
        "requests across sites are refused"
    } else {
        return None;
    };
    Some(json_answer(StatusCode::FORBIDDEN, &json!({"error": what, "error_msg": what, "message": what})))
}

fn is_loopback(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_loopback_origin(origin: &str) -> bool {
    origin
        .parse::<Uri>()
        .ok()
        .and_then(|origin| origin.authority().map(|authority| is_loopback(authority.as_str())))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(&str, &str)]) -> bool {
        let mut request = Request::get("/health");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        refusal(&request.body(Body::empty()).unwrap()).is_some()
    }

    #[test]
    fn only_loopback_names_are_let_in() {
        for host in ["localhost:8000", "127.0.0.1", "127.8.8.8:1", "[::1]:8000", "LOCALHOST"] {
            assert!(!refused(&[("host", host)]), "{host}");
        }
        for host in ["evil.example:8000", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example"]
        {
            assert!(refused(&[("host", host)]), "{host}");
        }
        assert!(refused(&[]));
    }

    #[test]
    fn pages_of_another_place_are_kept_out() {
        let host = ("host", "localhost:8000");
        assert!(!refused(&[host, ("origin", "http://localhost:8000")]));
        assert!(refused(&[host, ("origin", "https://evil.example")]));
        assert!(refused(&[host, ("origin", "null")]));
        assert!(refused(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(!refused(&[host, ("sec-fetch-site", "same-origin")]));
    }
}
