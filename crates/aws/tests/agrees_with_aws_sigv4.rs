//! Thousands of made-up requests, signed by us and by `aws-sigv4`: every signature is the same.
//!
//! But for queries that are not UTF-8 when decoded: `aws-sigv4` replaces what it cannot read, and we sign the bytes.
//! So the letters here are none that a stray `%` would make an escape of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Rules, SignedHeaders, Signer};
use gateward_clock::Timestamp;
use http::Request;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_signature_is_the_one_that_aws_sigv4_makes(
        path in "(/([a-zA-Z0-9_.~:@!$&'()*,;=-]|%2F|%2f|%3A|%25|%20|%C3%A9|\\.\\.|\\.){0,6}){1,5}/?",
        query in proptest::option::of("((([g-jG-J+.~:/?@!$'()*,;-]|%2B|%26|%3d|%C3%A9|%7E|%zz|%){0,4})(=([g-j+=/-]|%2b|%20|%41){0,4})?&?){0,6}"),
        value in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
        token in proptest::option::of("[A-Za-z0-9/+=]{1,40}"),
        seconds in 0_u64..4_000_000_000,
    ) {
        let target = match &query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        // A path that begins with two slashes would be read as a host.
        let url = format!("http://example.com{target}");
        let value = value.trim();
        let headers = [("host", "example.com"), ("content-type", value), ("x-amz-target", "a")];

        let theirs = theirs(&url, &headers, &body, token.as_deref(), seconds);
        let mut builder = Request::post(&url);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let mut request = builder.body(()).unwrap().into_parts().0;
        let rules = Rules { headers: SignedHeaders::Needed, ..Rules::of("lambda") };
        let credentials = Credentials {
            access_key: "AKID".to_owned(),
            secret_key: "secret".into(),
            session_token: token.as_deref().map(Into::into),
        };
        let signer = Signer::with_rules("eu-central-1", "lambda", rules);
        let now = Timestamp::from_secs(seconds);
        signer.sign(&credentials, &mut request, PayloadHash::Bytes(&body), now).unwrap();
        let ours = request.headers["authorization"].to_str().unwrap().to_owned();
        prop_assert!(ours.ends_with(&format!("Signature={theirs}")), "{url} {ours} {theirs}");

        // And the request that leaves is one that everybody reads the same way.
        let headers: Vec<(&str, &str)> = headers.to_vec();
        let sent = self::theirs(&request.uri.to_string(), &headers, &body, token.as_deref(), seconds);
        prop_assert_eq!(sent, theirs);
    }
}

fn theirs(url: &str, headers: &[(&str, &str)], body: &[u8], token: Option<&str>, seconds: u64) -> String {
    let identity =
        aws_credential_types::Credentials::new("AKID", "secret", token.map(str::to_owned), None, "test")
            .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("lambda")
        .time(UNIX_EPOCH + Duration::from_secs(seconds))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let request =
        SignableRequest::new("POST", url, headers.iter().copied(), SignableBody::Bytes(body)).unwrap();
    sign(request, &params).unwrap().into_parts().1
}
