//! Cloud ids: what is taken is a request to STS and to nobody else, and what is sent of it is what was signed.
//!
//! The input is lines: the method, the URL, the body, and then the headers as JSON; or it is taken for a cloud id as it is.
//! The text `NOW` in the headers stands for the time, and `SIGNATURE` for 64 digits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateward_access::{NONCE_HEADER, SERVER_ID_HEADER, SignedRequest, Verifier};
use gateward_clock::Timestamp;
use serde_json::json;

use crate::stage;

const NOW: Timestamp = Timestamp::from_secs(stage::NOW);
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(4, '\n');
    let (Some(method), Some(url), Some(body), Some(headers)) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        if let Ok(request) = read(text, None) {
            check(&request);
        }
        return;
    };
    let headers = headers.replace("NOW", &NOW.iso8601_basic()).replace("SIGNATURE", &"ab".repeat(32));
    let whole = json!({
        "sts_request_method": method,
        "sts_request_url": STANDARD.encode(url),
        "sts_request_body": STANDARD.encode(body),
        "sts_request_headers": STANDARD.encode(&headers),
    });
    let cloud_id = STANDARD.encode(whole.to_string());
    let Ok(request) = read(&cloud_id, None) else {
        assert!(read(&cloud_id, Some("ours")).is_err(), "a server's id makes nothing good");
        return;
    };
    assert_eq!((method, body), ("POST", BODY));
    assert_eq!(url.trim_end_matches('/'), format!("https://{}", request.host));
    check(&request);
    if let Ok(request) = read(&cloud_id, Some("ours")) {
        assert!(request.headers.iter().any(|(name, value)| name == SERVER_ID_HEADER && value == "ours"));
    }
}

fn read(text: &str, server_id: Option<&str>) -> Result<SignedRequest, gateward_access::NoCloudId> {
    SignedRequest::parse(text, Verifier { own_host: Some("sts.test:4566"), server_id }, NOW)
}

fn check(request: &SignedRequest) {
    let host = request.host.as_str();
    let is_aws = host.starts_with("sts.")
        && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        && !host.contains("s3");
    assert!(is_aws || host == "sts.test:4566", "{host}");
    let distance = NOW.saturating_since(request.signed).max(request.signed.saturating_since(NOW));
    assert!(distance.as_secs() <= 300);
    assert!(request.signature.len() == 64 && request.signature.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let authorization = request.headers.iter().find(|(name, _)| name == "authorization");
    let authorization = authorization.and_then(|(_, value)| value.to_str().ok()).expect("it is signed");
    let covered = authorization.split("SignedHeaders=").nth(1).and_then(|rest| rest.split(',').next());
    let covered: Vec<&str> = covered.expect("it says what it covers").trim().split(';').collect();
    assert!(covered.contains(&"host") && covered.contains(&"x-amz-date"), "{covered:?}");
    for (place, (name, value)) in request.headers.iter().enumerate() {
        assert!(value.is_sensitive());
        assert!(!request.headers[..place].iter().any(|(other, _)| other == name), "{name} twice");
        let is_signed = covered.contains(&name.as_str());
        assert!(is_signed || name == "authorization", "{name} was not signed");
        let is_known = name.as_str().starts_with("x-amz-")
            || [NONCE_HEADER, SERVER_ID_HEADER, "authorization", "content-type"].contains(&name.as_str());
        assert!(is_known, "{name} is sent on");
    }
}
