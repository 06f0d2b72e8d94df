//! Headers that concern one connection only, and so end where that connection ends.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Removes what concerns only the connection that a message came by, and what its `Connection` header says does.
///
/// That whoever asks can take trailers stays (`te: trailers`, which HTTP/2 allows and gRPC demands): the gateway passes
/// them on. It goes where a request leaves by HTTP/1.1. `Trailer`, which says what they will be, is not about a connection.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none of it, and one look at each name is cheaper than ten searches.
    if !headers.keys().any(|name| is_hop_by_hop(name.as_str())) {
        return;
    }
    // A length beside a transfer coding means nothing, and the next server may think it does.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let takes_trailers = headers.get_all(TE).iter().any(lists_trailers);
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
    // Means something beside `Upgrade` only, and is not looked for elsewhere.
    headers.remove("http2-settings");
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether `name` is one of [`HOP_BY_HOP`]; its length rules out all but one or two.
fn is_hop_by_hop(name: &str) -> bool {
    match name.len() {
        2 => name == "te",
        6 => name == "expect",
        7 => name == "upgrade",
        10 => name == "connection" || name == "keep-alive",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        18 => name == "proxy-authenticate",
        19 => name == "proxy-authorization",
        _ => false,
    }
}

fn lists_trailers(te: &HeaderValue) -> bool {
    te.as_bytes()
        .split(|byte| *byte == b',')
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// `Expect` is among them because it is answered by whoever reads the body, which the gateway does.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(headers: &[(&str, &str)]) -> Vec<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        remove_hop_by_hop(&mut map);
        let mut left: Vec<String> = map.keys().map(ToString::to_string).collect();
        left.sort();
        left
    }

    #[test]
    fn what_concerns_one_connection_goes_and_the_rest_stays() {
        let headers = HOP_BY_HOP.map(|name| (name, "x"));
        assert!(left_of(&headers).is_empty());
        for header in headers {
            assert!(left_of(&[header]).is_empty(), "{header:?}");
        }
        assert_eq!(left_of(&[("accept", "x"), ("te", "gzip"), ("cookie", "a")]), ["accept", "cookie"]);
        assert_eq!(
            left_of(&[("trailer", "x"), ("connection", "TE"), ("te", "gzip, Trailers")]),
            ["te", "trailer"]
        );
        assert_eq!(left_of(&[("upgrade", "h2c"), ("http2-settings", "x"), ("cookie", "a")]), ["cookie"]);
    }

    #[test]
    fn what_the_connection_header_lists_goes_but_never_host_or_length() {
        let headers = [
            ("connection", "close, X-One ,, host"),
            ("connection", "x-two, content-length"),
            ("host", "h"),
            ("content-length", "1"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ];
        assert_eq!(left_of(&headers), ["content-length", "host", "x-three"]);
    }

    #[test]
    fn a_length_beside_a_transfer_coding_goes_with_it() {
        assert!(left_of(&[("transfer-encoding", "chunked"), ("content-length", "3")]).is_empty());
    }
}
