//! Signatures, judged by those who share no code with us: botocore, which computes them again over what came in, and moto
//! with its authentication switched on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_clock::{Clock, SystemClock};
use gateward_testkit::http::{Response, request};
use gateward_testkit::{FunctionEndpoint, Moto};
use http::Request;

/// A request to be signed: method, target, headers, body.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

const REQUESTS: &[Asked<'static>] = &[
    ("GET", "/", &[], b""),
    ("GET", "", &[], b""),
    ("GET", "/prod/fn/", &[], b""),
    ("GET", "//prod//fn", &[], b""),
    ("GET", "/a/./b/../c/", &[], b""),
    ("GET", "/a%2Fb/c%20d/e%25f", &[], b""),
    ("GET", "/arn:aws:lambda:eu-west-1:1:function:f", &[], b""),
    ("GET", "/p?b=2&a=1&a=0&flag&=x&c=%2B%20%26", &[], b""),
    ("POST", "/p?name=A+B", &[("content-type", "application/json")], b"{\"a\": 1}"),
    ("PUT", "/p", &[("content-type", "text/plain;  charset=utf-8"), ("x-amz-meta-a", "  x   y  ")], b"text"),
    ("POST", "/p", &[("x-amz-meta-a", "1"), ("x-amz-meta-a", "2"), ("user-agent", "any")], b""),
    ("DELETE", "/p", &[("x-amz-date", "19990101T000000Z"), ("x-amz-security-token", "forged")], b""),
];

/// Signs a request and sends it to `url`.
fn send(
    url: &str,
    service: &str,
    credentials: &Credentials,
    (method, target, headers, body): Asked<'_>,
) -> Response {
    let mut builder = Request::builder().method(method).uri(format!("{url}{target}"));
    builder = builder.header("host", url.trim_start_matches("http://"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut head = builder.body(()).unwrap();
    let signer = Signer::new("eu-west-1", service);
    signer.sign(credentials, &mut head, PayloadHash::Bytes(body), SystemClock.now()).unwrap();
    let path_and_query = head.uri().path_and_query().unwrap().as_str();
    let headers: Vec<(&str, &str)> =
        head.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    request(method, &format!("{url}{path_and_query}"), &headers, body)
}

fn credentials(key: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials {
        access_key: key.to_owned(),
        secret_key: secret.into(),
        session_token: token.map(Into::into),
    }
}

#[test]
fn botocore_comes_to_the_same_signature_over_what_arrives() {
    let endpoint = FunctionEndpoint::start("AKIA", "secret", "eu-west-1", "execute-api");
    for token in [None, Some("a+token/with=all")] {
        for asked in REQUESTS {
            let right = send(endpoint.url(), "execute-api", &credentials("AKIA", "secret", token), *asked);
            assert_eq!(right.status, 200, "{asked:?}: {}", right.text());
            assert_eq!(right.json()["headers"].get("x-amz-security-token").is_some(), token.is_some());
        }
    }
    for wrong in [credentials("AKIA", "wrong", None), credentials("AKIB", "secret", None)] {
        assert_eq!(send(endpoint.url(), "execute-api", &wrong, REQUESTS[0]).status, 403);
    }
    let other_service = send(endpoint.url(), "lambda", &credentials("AKIA", "secret", None), REQUESTS[0]);
    assert_eq!(other_service.status, 403);
}

#[test]
fn moto_lets_in_who_signs_with_the_right_secret_and_nobody_else() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["lambda:*"]);
    moto.check_signatures();
    // With bodies: over a request without one, moto hashes its parsed query in the body's place.
    let calls: [Asked<'_>; 3] = [
        ("POST", "/2015-03-31/functions/absent/invocations", &[], b"{}"),
        ("POST", "/2015-03-31/functions/absent/invocations?Qualifier=a%2Fb+c&x", &[], b"{}"),
        ("POST", "/2015-03-31/functions/absent/invocations", &[("x-amz-log-type", " a   b ")], b"{\"a\": 1}"),
    ];
    for asked in calls {
        let right = send(moto.url(), "lambda", &credentials(&key, &secret, None), asked);
        assert_eq!(right.status, 404, "{asked:?}: {}", right.text());
        let wrong = send(moto.url(), "lambda", &credentials(&key, "wrong", None), asked);
        assert_eq!(wrong.status, 403, "{asked:?}: {}", wrong.text());
        assert!(
            wrong.text().contains("SignatureDoesNotMatch") || wrong.text().contains("InvalidSignature"),
            "{}",
            wrong.text()
        );
        let unknown = send(moto.url(), "lambda", &credentials("AKIAUNKNOWN", &secret, None), asked);
        assert_eq!(unknown.status, 403, "{asked:?}: {}", unknown.text());
    }
}
