//! Signatures: they are those that AWS's own code makes, and a request that was signed once is signed the same way when
//! it is signed again.
//!
//! The input is lines: the target, then a header's value.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_clock::Timestamp;
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use percent_encoding::percent_decode_str;

use crate::stage::NOW;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (target, value) = text.split_once('\n').unwrap_or((text, ""));
    let url = format!("http://example.com{target}");
    let request = Request::post(&url).header(HOST, "example.com").header("x-amz-target", value);
    let Ok(request) = request.body(()) else { return };
    // What the URI is parsed into may be less than what was written.
    if request.uri().to_string() != url {
        return;
    }
    let mut once = request;
    let authorization = ours(&mut once);
    let mut twice = once.clone();
    assert_eq!(ours(&mut twice), authorization);
    assert_eq!(twice.uri(), once.uri(), "what was rewritten is as it is to be");
    if let Some(theirs) = theirs(&url, value) {
        assert!(authorization.ends_with(&format!("Signature={theirs}")), "{url}");
        assert_eq!(self::theirs(&once.uri().to_string(), value).as_ref(), Some(&theirs), "{}", once.uri());
    }
}

fn ours(request: &mut Request<()>) -> String {
    let credentials =
        Credentials { access_key: "AKID".to_owned(), secret_key: "secret".into(), session_token: None };
    let signer = Signer::new("eu-central-1", "lambda");
    let now = Timestamp::from_secs(NOW);
    signer.sign(&credentials, request, PayloadHash::Bytes(b""), now).expect("the request is complete");
    request.headers()[AUTHORIZATION].to_str().expect("it is ASCII").to_owned()
}

/// The signature that AWS's own code makes; none where it gives up, or signs another query than it was given.
fn theirs(url: &str, value: &str) -> Option<String> {
    let (_, query) = url.split_once('?').unwrap_or((url, ""));
    percent_decode_str(query).decode_utf8().ok()?;
    let identity = aws_credential_types::Credentials::new("AKID", "secret", None, None, "fuzz").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("lambda")
        .time(UNIX_EPOCH + Duration::from_secs(NOW))
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    let headers = [("host", "example.com"), ("x-amz-target", value)];
    let request = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(b"")).ok()?;
    Some(sign(request, &params).ok()?.into_parts().1)
}
