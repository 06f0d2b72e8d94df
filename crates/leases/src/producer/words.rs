//! What people are told of a call that a producer did not do: which producer, which call, what came of it, and what to do.
//!
//! Nothing of an answer's body stands in it: that is a stranger's text, which is neither advice nor fit to be kept.

use gateward_model::ProducerUrl;
use http::StatusCode;

/// The producer at `url` has answered its `operation` call with `status`.
pub(super) fn answered(url: &ProducerUrl, operation: &str, status: StatusCode) -> String {
    let (origin, code) = (url.origin(), status.as_u16());
    format!("the producer at {origin} answered the {operation} call with {code}: {}", advice(operation, code))
}

/// It has answered with 200, and with something else than `wanted`.
pub(super) fn not_understood(url: &ProducerUrl, operation: &str, wanted: &str) -> String {
    let origin = url.origin();
    format!("the producer at {origin} answered the {operation} call with something that is not {wanted}")
}

fn advice(operation: &str, status: u16) -> &'static str {
    match status {
        200..=299 => "only 200 is an answer",
        300..=399 => "redirects are not followed; give the URL that it leads to",
        401 | 403 => {
            "it does not take the gateway's token, or the payload; see which access id and gateway it expects, and \
             whether the payload is the right one"
        }
        404 | 405 | 410 => "there is no such call; see whether the URL is the right one",
        408 => "it did not get the whole call in time, and may have begun; its log tells",
        429 => "it has too much to do; try again later",
        400..=499 => "it refuses what it was sent; its log tells why",
        501 if operation == "rotate" => {
            "it cannot rotate; teach it to, or do without rotation (no rotate-sync-url, no auto-rotate)"
        }
        501 => "it does not know this call; teach it to",
        503 => "it cannot do anything at the moment; try again later",
        _ => "it has failed, and may have done a part; its log tells",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_refused_what_and_what_to_do() {
        let url = ProducerUrl::parse("http://127.0.0.1:9/sync/rotate?key=canary").unwrap();
        for (status, what_to_do) in [
            (302, "give the URL"),
            (401, "which access id"),
            (404, "whether the URL"),
            (422, "its log tells why"),
            (501, "no rotate-sync-url"),
            (503, "try again"),
            (500, "may have done a part"),
            (204, "only 200"),
        ] {
            let words = answered(&url, "rotate", StatusCode::from_u16(status).unwrap());
            let begin =
                format!("the producer at http://127.0.0.1:9 answered the rotate call with {status}: ");
            assert!(words.starts_with(&begin) && words.contains(what_to_do), "{words}");
        }
        assert!(!answered(&url, "create", StatusCode::NOT_IMPLEMENTED).contains("rotate"));
    }
}
