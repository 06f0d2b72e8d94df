use http::Request;

use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_440_938_160_999);

fn credentials() -> Credentials {
    Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
    }
}

fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::get(target).header("host", "example.amazonaws.com");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

fn parts(request: &Request<()>) -> (&http::Method, &http::Uri, &http::HeaderMap) {
    (request.method(), request.uri(), request.headers())
}

fn signed(
    signer: &Signer,
    mut request: Request<()>,
    credentials: &Credentials,
    now: Timestamp,
) -> Request<()> {
    signer.sign(credentials, &mut request, PayloadHash::Bytes(b""), now).unwrap();
    request
}

fn only<'a>(request: &'a Request<()>, name: &str) -> &'a str {
    let values: Vec<_> = request.headers().get_all(name).iter().collect();
    assert_eq!(values.len(), 1, "{name}");
    values[0].to_str().unwrap()
}

#[test]
fn what_a_client_sent_of_the_signers_headers_is_replaced() {
    let forged = [
        ("authorization", "Bearer x"),
        ("x-amz-date", "19990101T000000Z"),
        ("x-amz-date", "20000101T000000Z"),
        ("x-amz-security-token", "forged"),
        ("x-amz-content-sha256", "forged"),
    ];
    let signer = Signer::new("us-east-1", "lambda");
    let request = signed(&signer, request("/", &forged), &credentials(), NOON);
    assert_eq!(only(&request, "x-amz-date"), "20150830T123600Z");
    assert!(only(&request, "x-amz-content-sha256").starts_with("e3b0c442"));
    assert!(only(&request, "authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/"));
    assert!(!request.headers().contains_key("x-amz-security-token"));
}

#[test]
fn only_what_aws_needs_is_covered() {
    let sent = [
        ("user-agent", "curl"),
        ("content-type", "text/plain"),
        ("x-amzn-trace-id", "1"),
        ("x-amz-meta", "m"),
    ];
    let signer = Signer::new("us-east-1", "lambda");
    let request = signed(&signer, request("/", &sent), &credentials(), NOON);
    let authorization = only(&request, "authorization");
    assert!(
        authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-meta, "),
        "{authorization}"
    );
}

#[test]
fn repeated_headers_keep_their_order_however_many_there_are() {
    let canonical = |count: usize| {
        let mut sent = vec![("x-amz-z", "2"), ("x-amz-a", "  1   1 ")];
        sent.extend(std::iter::repeat_n(("accept", "x"), count));
        sent.extend([("x-amz-z", "1"), ("x-amz-a", "0"), ("x-amz-z", "3")]);
        let mut buffer = Vec::new();
        let names = canonical::write(&mut buffer, parts(&request("/", &sent)), Rules::of("lambda"), "hash")
            .signed_headers;
        assert_eq!(&buffer[names], b"host;x-amz-a;x-amz-z");
        String::from_utf8(buffer).unwrap()
    };
    for count in [0, 1, 200] {
        let expected = "GET\n/\n\nhost:example.amazonaws.com\nx-amz-a:1 1,0\nx-amz-z:2,1,3\n\n\
                        host;x-amz-a;x-amz-z\nhash";
        assert_eq!(canonical(count), expected);
    }
}

#[test]
fn a_path_is_signed_as_aws_reads_it() {
    let canonical = |target: &str, service: &str| {
        let mut buffer = Vec::new();
        canonical::write(&mut buffer, parts(&request(target, &[])), Rules::of(service), "hash");
        String::from_utf8(buffer).unwrap().split('\n').nth(1).unwrap().to_owned()
    };
    for (target, lambda, s3) in [
        ("http://h", "/", "/"),
        ("http://h/prod/fn/", "/prod/fn/", "/prod/fn/"),
        ("http://h//prod//fn", "/prod/fn", "//prod//fn"),
        ("http://h/a/./b/../c/", "/a/c/", "/a/./b/../c/"),
        ("http://h/../..", "/", "/../.."),
        ("http://h/a%2Fb%20c", "/a%252Fb%2520c", "/a%2Fb%20c"),
        ("http://h/arn:aws:x", "/arn%3Aaws%3Ax", "/arn%3Aaws%3Ax"),
    ] {
        assert_eq!(canonical(target, "lambda"), lambda, "{target}");
        assert_eq!(canonical(target, "s3"), s3, "{target}");
    }
}

#[test]
fn a_request_without_a_host_is_refused() {
    let mut request = request("/", &[]);
    request.headers_mut().remove("host");
    let result =
        Signer::new("us-east-1", "lambda").sign(&credentials(), &mut request, PayloadHash::Bytes(b""), NOON);
    assert_eq!(result, Err(SignError::NoHost));
}

#[test]
fn a_query_is_sent_in_the_spelling_that_is_signed() {
    let signer = Signer::new("us-east-1", "lambda");
    for (came, sent) in [
        ("/p?b=x+y&a=%2b", "/p?b=x%20y&a=%2B"),
        ("/p?a=/,&&b", "/p?a=%2F%2C&b="),
        ("/p?a=%zz%4", "/p?a=%25zz%254"),
        ("/p?a=%41%7e", "/p?a=A~"),
        ("/p?b=1&a=2&a=1", "/p?b=1&a=2&a=1"),
        ("/p?flag", "/p?flag"),
        ("/p?&", "/p"),
    ] {
        let once = signed(&signer, request(came, &[]), &credentials(), NOON);
        assert_eq!(*once.uri(), sent, "{came}");
        let twice = signed(&signer, request(sent, &[]), &credentials(), NOON);
        assert_eq!(only(&once, "authorization"), only(&twice, "authorization"), "{came}");
    }
}

#[test]
fn a_kept_key_signs_as_a_new_one_does() {
    let kept = Signer::new("us-east-1", "lambda");
    let mut other = credentials();
    other.secret_key = "another".into();
    let next_day = NOON + std::time::Duration::from_secs(24 * 60 * 60);
    for (credentials, now) in [
        (credentials(), NOON),
        (credentials(), NOON),
        (credentials(), next_day),
        (other, next_day),
        (credentials(), NOON),
    ] {
        let fresh = Signer::new("us-east-1", "lambda");
        let expected = signed(&fresh, request("/a", &[]), &credentials, now);
        let actual = signed(&kept, request("/a", &[]), &credentials, now);
        assert_eq!(only(&actual, "authorization"), only(&expected, "authorization"));
        assert_eq!(only(&actual, "x-amz-date"), now.iso8601_basic());
    }
}

#[test]
fn temporary_credentials_send_their_token_and_hide_it() {
    let mut temporary = credentials();
    temporary.session_token = Some("canary".into());
    let request = signed(&Signer::new("us-east-1", "lambda"), request("/", &[]), &temporary, NOON);
    assert_eq!(only(&request, "x-amz-security-token"), "canary");
    assert!(only(&request, "authorization").contains("host;x-amz-date;x-amz-security-token"));
    assert!(!format!("{:?}", request.headers()).contains("canary"), "{:?}", request.headers());
}

#[test]
fn what_no_header_can_hold_is_an_error_without_the_secret() {
    let mut broken = credentials();
    broken.session_token = Some("canary\n".into());
    let result =
        Signer::new("us-east-1", "s3").sign(&broken, &mut request("/", &[]), PayloadHash::Bytes(b""), NOON);
    assert_eq!(result, Err(SignError::SessionToken));
    let mut broken = credentials();
    broken.access_key = "a\nb".to_owned();
    let result =
        Signer::new("us-east-1", "s3").sign(&broken, &mut request("/", &[]), PayloadHash::Bytes(b""), NOON);
    assert_eq!(result, Err(SignError::AccessKey));
}
