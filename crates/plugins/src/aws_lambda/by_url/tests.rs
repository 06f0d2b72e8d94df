mod config;

use std::sync::Arc;

use bytes::Bytes;
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use super::super::KIND;
use super::super::double::{Double, Received, on_a_data_thread};
use super::*;
use crate::testing::{Bench, NOW, text};

const SECRET_KEY: &str = "canary-secret-key";

fn iam() -> Value {
    json!({"accesskey": "AKIDEXAMPLE", "secretkey": SECRET_KEY})
}

/// Calls a function whose URL ends in `tail` and whose configuration has `more`.
struct Call {
    plugin: Arc<dyn Plugin>,
    double: Double,
}

impl Call {
    async fn to(tail: &str, more: Value) -> Self {
        Self::to_double(Double::answering(OK).await, tail, more)
    }

    fn to_double(double: Double, tail: &str, mut config: Value) -> Self {
        config["function_uri"] = json!(format!("http://{}{tail}", double.authority));
        Self { plugin: Bench::new().build(&KIND, &config), double }
    }

    async fn flow(&self, request: Request<Body>, rest: Option<&'static str>) -> Flow {
        let bench = Bench { rest, ..Bench::new() };
        bench.flow(&*self.plugin, request).await
    }

    /// What arrives when `request` is sent.
    async fn send(&self, request: Request<Body>, rest: Option<&'static str>) -> Received {
        match self.flow(request, rest).await {
            Flow::Function(response) => assert_eq!(response.status(), 200),
            other => panic!("{other:?}"),
        }
        self.double.last()
    }

    async fn failure(&self, request: Request<Body>) -> Failure {
        Bench::new().failure(&*self.plugin, request).await
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn get(target: &str) -> Request<Body> {
    with_headers(target, &[])
}

fn with_headers(target: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(target).header("host", "gateway.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn post(body: Body) -> Request<Body> {
    Request::post("/aws").header("host", "gateway.example").body(body).unwrap()
}

/// A body that comes in pieces of unknown length.
fn streamed(pieces: &'static [&'static str]) -> Body {
    let frames = pieces.iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(*piece))));
    Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

/// Fails unless what arrived is what was signed.
fn assert_signed(received: &Received) {
    let mut head = received.head().body(()).unwrap();
    let ours = received.header("authorization").expect("a signature");
    let credentials =
        Credentials { access_key: "AKIDEXAMPLE".into(), secret_key: SECRET_KEY.into(), session_token: None };
    let signer = Signer::new("us-east-1", "execute-api");
    signer.sign(&credentials, &mut head, PayloadHash::Bytes(received.body.as_bytes()), NOW).unwrap();
    assert_eq!(ours, head.headers()["authorization"].to_str().unwrap());
    assert_eq!(received.target, head.uri().to_string());
}

#[tokio::test(flavor = "current_thread")]
async fn the_rest_of_the_path_is_joined_with_exactly_one_slash() {
    on_a_data_thread(async {
        for (tail, rest, arrives) in [
            ("", None, "/"),
            ("/", None, "/"),
            ("/prod/fn", None, "/prod/fn"),
            ("/prod/fn/", None, "/prod/fn/"),
            ("", Some("x"), "/x"),
            ("/prod/fn", Some("x/y"), "/prod/fn/x/y"),
            ("/prod/fn/", Some("x/y"), "/prod/fn/x/y"),
            ("/prod/fn", Some(""), "/prod/fn/"),
            ("/prod/fn/", Some("x/"), "/prod/fn/x/"),
        ] {
            for more in [json!({}), json!({"authorization": {"iam": iam()}})] {
                let received = Call::to(tail, more).await.send(get("/aws/whatever"), rest).await;
                assert_eq!(received.target, arrives, "{tail} {rest:?}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_client_encoded_stays_encoded_and_is_signed_as_it_is_sent() {
    on_a_data_thread(async {
        let encoded = "a%2Fb/c%20d/%E4%BD%A0/e:f%25";
        let call = Call::to("/prod", json!({"authorization": {"iam": iam()}})).await;
        let received = call.send(get("/aws/whatever"), Some(encoded)).await;
        assert_eq!(received.target, format!("/prod/{encoded}"));
        assert_signed(&received);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_functions_own_query_comes_before_the_clients_and_order_is_kept() {
    on_a_data_thread(async {
        for (tail, target, arrives) in [
            ("/fn?b=2&a=1", "/aws?z=1&y=%20&z=0", "/fn?b=2&a=1&z=1&y=%20&z=0"),
            ("/fn?b=2", "/aws", "/fn?b=2"),
            ("/fn", "/aws?flag", "/fn?flag"),
            ("/fn", "/aws?", "/fn"),
            ("?code=1", "/aws?x=y", "/?code=1&x=y"),
        ] {
            let received = Call::to(tail, json!({})).await.send(get(target), None).await;
            assert_eq!(received.target, arrives);
        }
        let call = Call::to("/fn?b=2", json!({"authorization": {"iam": iam()}})).await;
        let received = call.send(get("/aws?z=1&y=%20&z=0"), None).await;
        assert_eq!(received.target, "/fn?b=2&z=1&y=%20&z=0");
        assert_signed(&received);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn without_authorization_the_clients_own_is_passed_on() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({"authorization": {}})).await;
        let received = call
            .send(with_headers("/aws", &[("authorization", "Bearer x"), ("x-api-key", "theirs")]), None)
            .await;
        assert_eq!(received.header("authorization"), Some("Bearer x"));
        assert_eq!(received.header("x-api-key"), Some("theirs"));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_configured_api_key_is_sent_whatever_the_client_says() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({"authorization": {"apikey": "ours"}})).await;
        for headers in [&[][..], &[("x-api-key", "theirs"), ("x-api-key", "theirs too")]] {
            let received = call.send(with_headers("/aws", headers), None).await;
            assert_eq!(received.all("x-api-key"), ["ours"]);
            assert_eq!(received.header("authorization"), None);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn configured_credentials_sign_whatever_the_client_says() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({"authorization": {"iam": iam()}})).await;
        let theirs = [
            ("authorization", "Bearer theirs"),
            ("x-amz-date", "20000101T000000Z"),
            ("x-amz-security-token", "theirs"),
            ("x-amz-content-sha256", "theirs"),
        ];
        for headers in [&[][..], &theirs] {
            let received = call.send(with_headers("/aws", headers), None).await;
            assert_eq!(received.all("x-amz-date"), ["20150830T123600Z"]);
            assert_eq!(received.all("authorization").len(), 1);
            assert_eq!(received.header("x-amz-security-token"), None);
            assert!(!received.text().contains("theirs"), "{}", received.text());
            assert_signed(&received);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_key_and_credentials_are_both_used() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({"authorization": {"apikey": "ours", "iam": iam()}})).await;
        for headers in [&[][..], &[("x-api-key", "theirs")]] {
            let received = call.send(with_headers("/aws", headers), None).await;
            assert_eq!(received.all("x-api-key"), ["ours"]);
            assert_signed(&received);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn region_and_service_are_those_configured() {
    on_a_data_thread(async {
        let mut iam = iam();
        iam["aws_region"] = json!("eu-west-1");
        iam["service"] = json!("lambda");
        let received =
            Call::to("/", json!({"authorization": {"iam": iam}})).await.send(get("/aws"), None).await;
        let scope = "Credential=AKIDEXAMPLE/20150830/eu-west-1/lambda/aws4_request";
        assert!(received.header("authorization").unwrap().contains(scope));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_host_is_the_functions_with_its_port_and_connection_headers_stay_behind() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({})).await;
        let headers = [
            ("connection", "keep-alive, x-listed"),
            ("x-listed", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "gateway.example"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        let received = call.send(with_headers("/aws", &headers), None).await;
        assert_eq!(received.all("host"), [call.double.authority.as_str()]);
        assert_eq!(received.names(), ["host", "x-forwarded-for", "x-forwarded-host", "accept", "accept"]);
        assert_eq!(received.all("accept"), ["a", "b"]);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_arrives_whole_with_a_signature_and_without() {
    on_a_data_thread(async {
        let signed = Call::to("/fn", json!({"authorization": {"iam": iam()}})).await;
        let received = signed.send(post(streamed(&["hel", "lo"])), None).await;
        assert_eq!((received.body.as_str(), received.header("content-length")), ("hello", Some("5")));
        assert_signed(&received);
        let received = signed.send(post(Body::empty()), None).await;
        assert_eq!(received.header("content-length"), Some("0"));
        let received = signed.send(get("/aws"), None).await;
        assert_eq!(received.header("content-length"), None);

        let plain = Call::to("/fn", json!({})).await;
        let received = plain.send(post(streamed(&["hel", "lo"])), None).await;
        assert_eq!(received.header("transfer-encoding"), Some("chunked"));
        assert_eq!(received.body, "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_is_too_large_is_refused_and_never_arrives() {
    on_a_data_thread(async {
        let small = |more: Value| {
            let mut config = more;
            config["max_req_body_size"] = json!(5);
            config
        };
        for config in [small(json!({})), small(json!({"authorization": {"iam": iam()}}))] {
            let call = Call::to("/fn", config).await;
            for body in [Body::full("6 byte"), streamed(&["3 b", "3 b"])] {
                let failure = call.failure(post(body)).await;
                assert_eq!((failure.status, failure.code), (ErrorStatus::TOO_LARGE, "body_too_large"));
                assert_eq!(failure.origin, Origin::Client);
            }
            assert_eq!(call.double.count(), 0);
            call.send(post(Body::full("5 byt")), None).await;
        }
        let call = Call::to("/fn", json!({"authorization": {"iam": iam()}})).await;
        let failure = call.failure(post(Body::full(vec![b'x'; LARGEST_CALL + 1]))).await;
        assert_eq!(failure.code, "body_too_large");
        let received = call.send(post(Body::full(vec![b'x'; LARGEST_CALL])), None).await;
        assert_eq!(received.body.len(), LARGEST_CALL);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_breaks_off_calls_no_function() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({"authorization": {"iam": iam()}})).await;
        let frames = [Ok(Frame::data(Bytes::from("half"))), Err(std::io::Error::other("gone"))];
        let failure =
            call.failure(post(Body::boxed(StreamBody::new(futures_util::stream::iter(frames))))).await;
        assert_eq!((failure.status, failure.code), (ErrorStatus::BAD_REQUEST, "request_body_broken"));
        assert_eq!(call.double.count(), 0);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_answer_passes_through_without_what_concerned_its_connection() {
    on_a_data_thread(async {
        let answer = "HTTP/1.1 418 I'm a teapot\r\nconnection: x-listed\r\nx-listed: 1\r\nkeep-alive: timeout=5\r\n\
                      transfer-encoding: chunked\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-amzn-requestid: r\r\n\r\n\
                      3\r\ntea\r\n0\r\n\r\n";
        let call = Call::to_double(Double::answering(answer).await, "/fn", json!({}));
        let Flow::Function(response) = call.flow(get("/aws"), None).await else { panic!("no answer") };
        assert_eq!(response.status(), 418);
        let names: Vec<_> = response.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["set-cookie", "set-cookie", "x-amzn-requestid"]);
        assert_eq!(response.into_body().collect(10).await.unwrap(), "tea");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_client_says_to_lambda_is_not_said_in_the_gateways_name() {
    on_a_data_thread(async {
        let said = [
            ("x-amz-invocation-type", "Event"),
            ("x-amz-log-type", "Tail"),
            ("x-amz-client-context", "e30="),
            ("x-amz-meta-a", "1"),
        ];
        for (service, arrives) in [("lambda", 1), ("execute-api", 4)] {
            let mut iam = iam();
            iam["service"] = json!(service);
            let call =
                Call::to("/2015-03-31/functions/f/invocations", json!({"authorization": {"iam": iam}}));
            let received = call.await.send(with_headers("/", &said), None).await;
            let arrived = said.iter().filter(|(name, _)| received.header(name).is_some());
            assert_eq!(arrived.count(), arrives, "{service}");
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_aws_has_against_the_gateways_signature_stays_here() {
    on_a_data_thread(async {
        let told = r#"{"message": "the role canary does not match.\nx-amz-security-token:canary-token"}"#;
        let refusal = |error: &str| {
            let length = told.len();
            let head =
                format!("HTTP/1.1 403 Forbidden\r\nx-amzn-errortype: {error}\r\nx-amzn-requestid: id-1");
            format!("{head}\r\ncontent-length: {length}\r\n\r\n{told}")
        };
        for error in ["InvalidSignatureException", "ExpiredTokenException", "AccessDeniedException"] {
            let double = Double::answering(refusal(error)).await;
            let call = Call::to_double(double, "/", json!({"authorization": {"iam": iam()}}));
            let failure = call.failure(get("/")).await;
            assert_eq!((failure.status.status().as_u16(), failure.code), (502, "function_access_denied"));
            assert_eq!(failure.origin, Origin::Function);
            assert_eq!(
                failure.told,
                [("aws_error", error.to_owned()), ("aws_request_id", "id-1".to_owned())]
            );
            let detail = failure.detail.unwrap();
            assert!(detail.contains("canary") && !detail.contains("canary-token"), "{detail}");
            // Who signs for himself hears what is said to him.
            let call = Call::to_double(Double::answering(refusal(error)).await, "/", json!({}));
            let Flow::Function(response) = call.flow(get("/"), None).await else { panic!("no answer") };
            assert_eq!(text(*response).await, told);
        }
        let own = "HTTP/1.1 403 X\r\ncontent-length: 2\r\n\r\nno";
        let call =
            Call::to_double(Double::answering(own).await, "/", json!({"authorization": {"iam": iam()}}));
        let Flow::Function(response) = call.flow(get("/"), None).await else { panic!("no answer") };
        assert_eq!((response.status().as_u16(), text(*response).await.as_str()), (403, "no"));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn each_way_to_get_no_answer_has_its_own_code() {
    on_a_data_thread(async {
        for (answer, status, code) in [
            ("", ErrorStatus::GATEWAY_TIMEOUT, "function_timeout"),
            ("nonsense\r\n\r\n", ErrorStatus::BAD_GATEWAY, "function_bad_answer"),
        ] {
            let call = Call::to_double(Double::answering(answer).await, "/fn", json!({"timeout": 100}));
            let failure = call.failure(get("/aws")).await;
            assert_eq!((failure.status, failure.code, failure.origin), (status, code, Origin::Function));
        }
        for (uri, code) in [
            ("http://127.0.0.1:1/", "function_connect_failed"),
            ("http://does-not-exist.invalid/", "function_dns_failed"),
            ("http://169.254.169.254/latest/meta-data", "function_forbidden"),
        ] {
            let mut call = Call::to("/", json!({})).await;
            call.plugin = Bench::new().build(&KIND, &json!({"function_uri": uri, "timeout": 5000}));
            let failure = call.failure(get("/aws")).await;
            assert_eq!((failure.status, failure.code), (ErrorStatus::BAD_GATEWAY, code));
        }
        let mut call = Call::to("/", json!({})).await;
        let uri = format!("https://{}/", call.double.authority);
        call.plugin = Bench::new().build(&KIND, &json!({"function_uri": uri}));
        assert_eq!(call.failure(get("/aws")).await.code, "function_tls_failed");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn connections_are_kept_unless_told_otherwise() {
    on_a_data_thread(async {
        let call = Call::to("/fn", json!({"keepalive": false})).await;
        assert_eq!(call.send(get("/aws"), None).await.header("connection"), Some("close"));
        let call = Call::to("/fn", json!({})).await;
        assert_eq!(call.send(get("/aws"), None).await.header("connection"), None);
    })
    .await;
}
