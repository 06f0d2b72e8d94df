//! Twelve thousand made-up requests, signed by us and by `aws-sigv4`: every signature is the same.
//!
//! But for queries that are not UTF-8 when decoded: `aws-sigv4` replaces what it cannot read, and we sign the bytes.
//! So the letters here are none that a stray `%` would make an escape of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_clock::Timestamp;
use http::Request;
use proptest::prelude::*;

/// A request, and what it is signed with.
#[derive(Clone, Debug)]
struct Made {
    method: String,
    authority: String,
    /// A path, perhaps none, and a query.
    target: String,
    content_type: Option<String>,
    /// One header with as many values.
    repeated: Vec<String>,
    body: Vec<u8>,
    token: Option<String>,
    service: &'static str,
    seconds: u64,
}

impl Made {
    fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.target)
    }

    /// The headers that a signature covers.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("x-amz-target", "a".to_owned()), ("host", self.authority.clone())];
        headers.extend(self.repeated.iter().map(|value| ("x-amz-meta-repeated", value.clone())));
        headers.extend(self.content_type.iter().map(|value| ("content-type", value.clone())));
        headers
    }
}

/// Paths with escapes, with what must be escaped once more, with dots, with slashes in a row, and none at all.
fn target() -> impl Strategy<Value = String> {
    let segment = "([a-zA-Z0-9_.~:@!$&'()*,;=-]|%2F|%2f|%3A|%25|%20|%C3%A9|%7E|\\.\\.|\\.){0,6}";
    let path = prop_oneof![
        8 => texts(&format!("(/{segment}){{1,5}}/?")),
        2 => texts(&format!("(/|//|/\\.|/\\.\\.|/{segment}){{1,6}}")),
        1 => Just(String::new()).boxed(),
    ];
    let name = "([g-jG-J_.~:/?@!$'()*,;+-]|%2B|%26|%3d|%3D|%C3%A9|%7E|%2F|%zz|%){0,4}";
    let value = "([g-j0-9+=/_.~-]|%2b|%20|%41|%C3%A9|%25){0,4}";
    let pairs = texts(&format!("({name}(={value})?&?){{0,6}}"));
    (path, proptest::option::of(pairs)).prop_map(|(path, query)| match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
}

/// Texts of a regular expression.
fn texts(expression: &str) -> BoxedStrategy<String> {
    proptest::string::string_regex(expression).unwrap().boxed()
}

/// Any time until 2096, and often the seconds around midnight in UTC.
fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..4_000_000_000,
        (0_u64..46_000, 0_u64..5).prop_map(|(day, offset)| (day * 86_400 + offset).saturating_sub(2)),
    ]
}

fn made() -> impl Strategy<Value = Made> {
    let authority = prop_oneof![
        Just("example.com".to_owned()),
        (1_u16..).prop_filter_map("the usual port is not sent", |port| {
            (port != 80).then(|| format!("example.com:{port}"))
        }),
        Just("127.0.0.1:9000".to_owned()),
        Just("[::1]:9000".to_owned()),
    ];
    let value = || "[ -~]{0,20}";
    (
        ("(GET|POST|PUT|DELETE|PATCH)", authority, target()),
        (proptest::option::of(value()), proptest::collection::vec(value(), 0..4)),
        proptest::collection::vec(any::<u8>(), 0..64),
        proptest::option::of("[A-Za-z0-9/+=]{1,400}"),
        prop_oneof![Just("lambda"), Just("execute-api"), Just("s3")],
        seconds(),
    )
        .prop_map(|(line, headers, body, token, service, seconds)| Made {
            method: line.0,
            authority: line.1,
            target: if service == "s3" { encoded_path(&line.2) } else { line.2 },
            content_type: headers.0,
            repeated: headers.1,
            body,
            token,
            service,
            seconds,
        })
}

/// `target` with a path in which all is escaped that must be. S3 escapes what it was sent once, and `aws-sigv4` leaves that to
/// those who make the request.
fn encoded_path(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    path.replace([':', '@', '!', '$', '&', '\'', '(', ')', '*', ',', ';', '='], "-") + query
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12_000))]

    #[test]
    fn a_signature_is_the_one_that_aws_sigv4_makes(made in made()) {
        let (theirs, sent_hash) = theirs(&made, &made.url());
        let mut builder = Request::builder().method(made.method.as_str()).uri(made.url());
        for (name, value) in made.headers() {
            builder = builder.header(name, value);
        }
        // What proxies add and change is not covered.
        let mut request = builder
            .header("user-agent", "any")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-amzn-trace-id", "Root=1")
            .body(()).unwrap();
        let credentials = Credentials {
            access_key: "AKID".to_owned(),
            secret_key: "secret".into(),
            session_token: made.token.as_deref().map(Into::into),
        };
        let signer = Signer::new("eu-central-1", made.service);
        let now = Timestamp::from_secs(made.seconds);
        signer.sign(&credentials, &mut request, PayloadHash::Bytes(&made.body), now).unwrap();
        let ours = request.headers()["authorization"].to_str().unwrap().to_owned();
        prop_assert!(ours.ends_with(&format!("Signature={theirs}")), "{ours} {theirs}");
        let our_hash = request.headers().get("x-amz-content-sha256").map(|hash| hash.to_str().unwrap().to_owned());
        prop_assert_eq!(our_hash, sent_hash);

        // And the request that leaves is one that everybody reads the same way.
        let sent = self::theirs(&made, &request.uri().to_string()).0;
        prop_assert_eq!(sent, theirs);
    }
}

/// The signature that `aws-sigv4` makes, and the hash that it sends along, if it does.
fn theirs(made: &Made, url: &str) -> (String, Option<String>) {
    let token = made.token.clone();
    let identity = aws_credential_types::Credentials::new("AKID", "secret", token, None, "test").into();
    let mut settings = SigningSettings::default();
    if made.service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name(made.service)
        .time(UNIX_EPOCH + Duration::from_secs(made.seconds))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let headers = made.headers();
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Bytes(&made.body);
    let request = SignableRequest::new(made.method.as_str(), url, headers, body).unwrap();
    let (instructions, signature) = sign(request, &params).unwrap().into_parts();
    let hash = instructions.headers().find(|(name, _)| *name == "x-amz-content-sha256");
    (signature, hash.map(|(_, value)| value.to_owned()))
}
