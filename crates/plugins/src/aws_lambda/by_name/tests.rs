mod config;
mod tunnel;

use std::sync::Arc;

use gateward_aws::Credentials;
use gateward_aws::sigv4::PayloadHash;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use super::super::KIND;
use super::super::double::{Double, Received, on_a_data_thread};
use super::super::event_stream::tests::{chunk, complete};
use super::*;
use crate::testing::{Bench, NOW, text};

const SECRET_KEY: &str = "canary-secret-key";

/// Calls a function at a double of the Invoke API.
struct Call {
    plugin: Arc<dyn Plugin>,
    bench: Bench,
    double: Double,
}

impl Call {
    async fn answered(answer: impl Into<Vec<u8>>, more: Value) -> Self {
        Self::to(Double::answering(answer).await, &more)
    }

    fn to(double: Double, more: &Value) -> Self {
        let bench = Bench::new();
        let plugin = bench.build(&KIND, &settings(&double, more));
        Self { plugin, bench, double }
    }

    async fn response(&self, request: Request<Body>) -> Response<Body> {
        match self.bench.flow(&*self.plugin, request).await {
            Flow::Function(response) => *response,
            other => panic!("{other:?}"),
        }
    }

    async fn failure(&self, request: Request<Body>) -> Failure {
        self.bench.failure(&*self.plugin, request).await
    }

    /// What arrives when `request` is sent.
    async fn send(&self, request: Request<Body>) -> Received {
        self.response(request).await;
        self.double.last()
    }
}

fn settings(double: &Double, more: &Value) -> Value {
    let mut settings = json!({
        "function_name": "orders",
        "aws_key": "AKIDEXAMPLE",
        "aws_secret": SECRET_KEY,
        "aws_region": "us-east-1",
        "host": "127.0.0.1",
        "port": double.port(),
        "disable_https": true,
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

/// An answer of the Invoke API: its status and headers, and what the function returned.
fn lambda(status: u16, headers: &str, returned: impl AsRef<[u8]>) -> Vec<u8> {
    let returned = returned.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nx-amzn-requestid: id-1\r\nconnection: keep-alive\r\n{headers}content-length: {}\r\n\r\n",
        returned.len()
    );
    [head.as_bytes(), returned].concat()
}

fn get(target: &str) -> Request<Body> {
    Request::get(target).header("host", "gateway.example").body(Body::empty()).unwrap()
}

fn post(content_type: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::post("/aws").header("content-type", content_type).body(Body::full(body)).unwrap()
}

fn told<'f>(failure: &'f Failure, name: &str) -> Option<&'f str> {
    failure.told.iter().find(|(known, _)| *known == name).map(|(_, what)| what.as_str())
}

#[tokio::test(flavor = "current_thread")]
async fn the_call_is_signed_and_the_event_is_its_body() {
    on_a_data_thread(async {
        let call = Call::answered(lambda(200, "", "\"hi\""), json!({"qualifier": "live"})).await;
        let received = call.send(get("/aws?name=Ada")).await;
        assert_eq!(received.method, "POST");
        assert_eq!(received.target, "/2015-03-31/functions/orders/invocations?Qualifier=live");
        assert_eq!(received.header("host"), Some(call.double.authority.as_str()));
        assert_eq!(received.header("content-type"), Some("application/json"));
        assert_eq!(received.header("x-amz-invocation-type"), Some("RequestResponse"));
        assert_eq!(received.header("x-amz-log-type"), None);
        assert_eq!(received.body, r#"{"name":"Ada"}"#);

        let mut head = received.head().body(()).unwrap();
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: SECRET_KEY.into(),
            session_token: None,
        };
        let body = PayloadHash::Bytes(received.body.as_bytes());
        Signer::new("us-east-1", "lambda").sign(&credentials, &mut head, body, NOW).unwrap();
        assert_eq!(received.header("authorization"), head.headers()["authorization"].to_str().ok());
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn temporary_credentials_bring_their_token() {
    on_a_data_thread(async {
        let call = Call::answered(lambda(200, "", "1"), json!({"aws_session_token": "token"})).await;
        assert_eq!(call.send(get("/")).await.header("x-amz-security-token"), Some("token"));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn nothing_of_the_clients_headers_reaches_the_call_itself() {
    on_a_data_thread(async {
        let call = Call::answered(lambda(200, "", "1"), json!({"payload_version": "2.0"})).await;
        let request = Request::get("/")
            .header("authorization", "Bearer theirs")
            .header("x-amz-invocation-type", "Event")
            .body(Body::empty())
            .unwrap();
        let received = call.send(request).await;
        assert_eq!(received.all("x-amz-invocation-type"), ["RequestResponse"]);
        assert!(!received.header("authorization").unwrap().contains("theirs"));
        let event: Value = serde_json::from_str(&received.body).unwrap();
        assert_eq!(event["headers"]["authorization"], "Bearer theirs");
        assert_eq!(event["requestContext"]["apiId"], "1");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_function_returns_passes_untouched() {
    on_a_data_thread(async {
        let returned = r#"{"n": 12345678901234567890.10, "empty": [], "null": null}"#;
        let call = Call::answered(lambda(200, "x-amz-log-result: bG9n\r\n", returned), json!({})).await;
        let response = call.response(get("/")).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-amzn-requestid"], "id-1");
        for gone in ["x-amz-log-result", "connection"] {
            assert_eq!(response.headers().get(gone), None, "{gone}");
        }
        assert_eq!(text(response).await, returned);
        let call = Call::answered(
            lambda(200, "x-amz-log-result: bG9n\r\n", "1"),
            json!({"log_type": "Tail", "forward_log_result": true}),
        )
        .await;
        let response = call.response(get("/")).await;
        assert_eq!(response.headers()["x-amz-log-result"], "bG9n");
        assert_eq!(call.double.last().header("x-amz-log-type"), Some("Tail"));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_that_the_function_has_put_together_is_taken_apart() {
    on_a_data_thread(async {
        let returned = r#"{"statusCode": 201, "headers": {"Content-Type": "text/plain"}, "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]}, "body": "hi"}"#;
        let call = Call::answered(lambda(200, "", returned), json!({"is_proxy_integration": true})).await;
        let response = call.response(get("/")).await;
        assert_eq!(response.status().as_u16(), 201);
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.headers().get("content-length"), None);
        assert_eq!(text(response).await, "hi");

        let head = Request::head("/").body(Body::empty()).unwrap();
        assert_eq!(text(call.response(head).await).await, "");

        let call = Call::answered(lambda(200, "", "{}"), json!({"is_proxy_integration": true})).await;
        let failure = call.failure(get("/")).await;
        assert_eq!((failure.status, failure.code), (gateward_model::ErrorStatus::BAD_GATEWAY, "function_bad_answer"));
        assert_eq!(told(&failure, "message"), Some("Bad Gateway"));
        let error = "could not JSON decode Lambda function response: statusCode validation failed";
        assert_eq!(told(&failure, "error"), Some(error));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn calls_that_do_not_wait_answer_what_lambda_answers() {
    on_a_data_thread(async {
        for (kind, status) in [("Event", 202), ("DryRun", 204)] {
            let more = json!({"invocation_type": kind, "is_proxy_integration": true});
            let call = Call::answered(lambda(status, "", ""), more).await;
            let response = call.response(get("/")).await;
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(call.double.last().header("x-amz-invocation-type"), Some(kind));
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_function_that_fails_is_told_apart_and_its_trace_stays_here() {
    on_a_data_thread(async {
        let trace = r#"{"errorType": "TypeError", "errorMessage": "canary", "trace": ["canary"]}"#;
        for (how, code) in [("Unhandled", "function_unhandled_error"), ("Handled", "function_handled_error")]
        {
            let answer = lambda(200, &format!("X-Amz-Function-Error: {how}\r\n"), trace);
            for more in [json!({}), json!({"is_proxy_integration": true, "unhandled_status": 500})] {
                let failure = Call::answered(answer.clone(), more).await.failure(get("/")).await;
                assert_eq!((failure.status.status().as_u16(), failure.code), (502, code));
                assert_eq!(failure.origin, Origin::Function);
                assert_eq!(told(&failure, "aws_error"), Some("TypeError"));
                assert_eq!(told(&failure, "aws_request_id"), Some("id-1"));
                assert!(!format!("{failure:?}").contains("canary"));
            }
        }
        let answer = lambda(200, "X-Amz-Function-Error: Unhandled\r\n", trace);
        let call = Call::answered(answer, json!({"unhandled_status": 412})).await;
        let response = call.response(get("/")).await;
        assert_eq!((response.status().as_u16(), text(response).await.as_str()), (412, trace));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn each_refusal_of_lambdas_has_its_own_code_and_its_sentence_stays_here() {
    on_a_data_thread(async {
        for (status, error, ours, code) in [
            (400, "InvalidRequestContentException", 502, "function_call_refused"),
            (403, "AccessDeniedException", 502, "function_access_denied"),
            (404, "ResourceNotFoundException", 502, "function_not_found"),
            (409, "ResourceConflictException", 502, "function_call_refused"),
            (413, "RequestTooLargeException", 413, "body_too_large"),
            (429, "TooManyRequestsException", 429, "function_throttled"),
            (500, "ServiceException", 502, "function_unavailable"),
            (502, "EC2ThrottledException", 502, "function_unavailable"),
            (503, "ServiceUnavailableException", 503, "function_unavailable"),
            (504, "GatewayTimeout", 504, "function_timeout"),
            (302, "Found", 502, "function_bad_answer"),
        ] {
            let header = format!("x-amzn-ErrorType: {error}:http://x/\r\n");
            let answer = lambda(status, &header, r#"{"Message": "canary arn:aws:lambda:x"}"#);
            let failure =
                Call::answered(answer.clone(), json!({"timeout": 400})).await.failure(get("/")).await;
            assert_eq!((failure.status.status().as_u16(), failure.code), (ours, code), "{error}");
            assert_eq!(failure.origin, Origin::Function);
            assert_eq!(told(&failure, "aws_error"), Some(error));
            assert!(!failure.message.contains("canary") && !format!("{:?}", failure.told).contains("canary"));
            assert!(failure.detail.unwrap().contains("canary"));
            assert_eq!(
                failure.retry_after.is_some(),
                matches!(code, "function_throttled" | "function_unavailable")
            );

            let kept = json!({"timeout": 400, "preserve_lambda_api_error_code": true});
            let failure = Call::answered(answer, kept).await.failure(get("/")).await;
            let expected = if status >= 400 { status } else { 502 };
            assert_eq!(failure.status.status().as_u16(), expected);
        }
        let answer =
            lambda(403, "", r#"{"__type": "com.amazonaws#UnrecognizedClientException", "message": "x"}"#);
        let failure = Call::answered(answer, json!({})).await.failure(get("/")).await;
        assert_eq!(told(&failure, "aws_error"), Some("UnrecognizedClientException"));
        // Where a signature is wrong, AWS repeats what should have been signed.
        let repeated =
            r#"{"message": "does not match.\n\nThe Canonical String is\nx-amz-security-token:canary"}"#;
        let failure = Call::answered(lambda(403, "", repeated), json!({})).await.failure(get("/")).await;
        assert!(!failure.detail.unwrap().contains("canary"));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_throttled_call_is_made_again_as_long_as_there_is_time() {
    on_a_data_thread(async {
        let throttled = || lambda(429, "x-amzn-ErrorType: TooManyRequestsException\r\n", "{}");
        let answers = vec![throttled(), throttled(), lambda(200, "", "\"at last\"")];
        let call = Call::to(Double::following(answers).await, &json!({"timeout": 30_000}));
        assert_eq!(text(call.response(get("/")).await).await, "\"at last\"");
        assert_eq!(call.double.count(), 3);

        let call = Call::answered(throttled(), json!({"timeout": 400})).await;
        let begun = Instant::now();
        assert_eq!(call.failure(get("/")).await.code, "function_throttled");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(call.double.count() > 1);

        // What Lambda said once is what is told when there is no time for the next answer.
        let answers = vec![throttled(), Vec::new()];
        let call = Call::to(Double::following(answers).await, &json!({"timeout": 400}));
        assert_eq!(call.failure(get("/")).await.code, "function_throttled");

        // Nothing else is sent twice: the function may have begun to work.
        for status in [500, 502, 503] {
            let call = Call::answered(lambda(status, "", "{}"), json!({})).await;
            call.failure(get("/")).await;
            assert_eq!(call.double.count(), 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_too_large_is_refused_before_the_call() {
    on_a_data_thread(async {
        let mib = 1024 * 1024;
        let text = |size: usize| post("text/plain", vec![b'x'; size]);
        let bytes = |size: usize| post("image/png", vec![b'x'; size]);
        let form = json!({"payload_version": "1.0"});
        let asynchronous = json!({"payload_version": "1.0", "invocation_type": "Event"});
        let small = json!({"payload_version": "1.0", "max_req_body_size": 10});
        for (more, request, fits) in [
            (&form, text(6 * mib - 4096), true),
            (&form, text(6 * mib), false),
            (&form, text(7 * mib), false),
            // In base64 it grows by a third.
            (&form, bytes(4 * mib), true),
            (&form, bytes(5 * mib), false),
            (&asynchronous, text(mib - 4096), true),
            (&asynchronous, text(mib), false),
            (&small, text(10), true),
            (&small, text(11), false),
        ] {
            let call = Call::answered(lambda(200, "", "1"), more.clone()).await;
            match call.bench.flow(&*call.plugin, request).await {
                Flow::Function(_) => assert!(fits),
                Flow::Fail(failure) => {
                    assert_eq!((failure.status.status().as_u16(), failure.code), (413, "body_too_large"));
                    assert!(!fits);
                    assert_eq!(call.double.count(), 0);
                }
                other => panic!("{other:?}"),
            }
        }
        let call = Call::answered(lambda(200, "", "1"), form.clone()).await;
        let failure = call.failure(bytes(5 * mib)).await;
        assert!(failure.message.contains("longer by a third"), "{}", failure.message);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn each_way_to_get_no_answer_has_its_own_code() {
    on_a_data_thread(async {
        let call = Call::answered("", json!({"timeout": 400})).await;
        let failure = call.failure(get("/")).await;
        assert_eq!((failure.status.status().as_u16(), failure.code), (504, "function_timeout"));
        for (more, code) in [
            (json!({"port": 1}), "function_connect_failed"),
            (json!({"host": "does-not-exist.invalid"}), "function_dns_failed"),
            (json!({"host": "169.254.169.254"}), "function_forbidden"),
            (json!({"disable_https": false}), "function_tls_failed"),
        ] {
            let call = Call::answered(lambda(200, "", "1"), more).await;
            let failure = call.failure(get("/")).await;
            assert_eq!(
                (failure.status.status().as_u16(), failure.code, failure.origin),
                (502, code, Origin::Function)
            );
        }
        let large = lambda(200, "", vec![b'1'; 7 * 1024 * 1024]);
        let call = Call::answered(large, json!({"is_proxy_integration": true})).await;
        assert_eq!(call.failure(get("/")).await.code, "function_answer_too_large");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn no_more_calls_are_under_way_than_there_may_be_until_an_answer_has_ended() {
    on_a_data_thread(async {
        let call = Call::answered(lambda(200, "", "\"hi\""), json!({"concurrency": 1})).await;
        let first = call.response(get("/")).await;
        let failure = call.failure(get("/")).await;
        assert_eq!((failure.status.status().as_u16(), failure.retry_after), (503, Some(1)));
        assert_eq!(failure.code, "function_concurrency_exceeded");
        // Another route that calls the same function has the same limit; one that calls another has its own.
        let same =
            call.bench.build(&KIND, &settings(&call.double, &json!({"concurrency": 1, "timeout": 1000})));
        assert_eq!(call.bench.failure(&*same, get("/")).await.code, "function_concurrency_exceeded");
        let other = json!({"concurrency": 1, "function_name": "other"});
        let other = call.bench.build(&KIND, &settings(&call.double, &other));
        assert!(matches!(call.bench.flow(&*other, get("/")).await, Flow::Function(_)));
        text(first).await;
        text(call.response(get("/")).await).await;
        // A call that fails leaves its place, too.
        assert!(matches!(call.bench.flow(&*same, get("/")).await, Flow::Function(_)));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn whose_body_is_slow_to_come_keeps_no_place_from_others() {
    on_a_data_thread(async {
        let call = Call::answered(lambda(200, "", "\"hi\""), json!({"concurrency": 1})).await;
        let never = StreamBody::new(futures_util::stream::pending::<std::io::Result<Frame<Bytes>>>());
        let slow = Request::post("/").body(Body::boxed(never)).unwrap();
        let slow = call.bench.flow(&*call.plugin, slow);
        tokio::pin!(slow);
        assert!(futures_util::poll!(slow.as_mut()).is_pending());
        assert_eq!(text(call.response(get("/")).await).await, "\"hi\"");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn who_hangs_up_leaves_its_place() {
    on_a_data_thread(async {
        let call = Call::answered("", json!({"concurrency": 1})).await;
        {
            let hung_up = call.bench.flow(&*call.plugin, get("/"));
            tokio::pin!(hung_up);
            while call.double.count() == 0 {
                assert!(futures_util::poll!(hung_up.as_mut()).is_pending());
                tokio::task::yield_now().await;
            }
            assert_eq!(call.failure(get("/")).await.code, "function_concurrency_exceeded");
        }
        let next = call.bench.flow(&*call.plugin, get("/"));
        tokio::pin!(next);
        while call.double.count() == 1 {
            assert!(futures_util::poll!(next.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_streaming_function_is_called_another_way_and_its_answer_goes_on_as_it_comes() {
    on_a_data_thread(async {
        let head =
            b"{\"statusCode\": 202, \"headers\": {\"content-type\": \"text/plain\"}}\0\0\0\0\0\0\0\0one ";
        let streamed = [chunk(head), chunk(b"two"), complete("{}")].concat();
        let more = json!({"invoke_mode": "RESPONSE_STREAM", "is_proxy_integration": true, "qualifier": "7"});
        let call = Call::answered(lambda(200, "", &streamed), more).await;
        let response = call.response(get("/")).await;
        let target = "/2021-11-15/functions/orders/response-streaming-invocations?Qualifier=7";
        assert_eq!(call.double.last().target, target);
        assert_eq!(response.status().as_u16(), 202);
        assert_eq!(text(response).await, "one two");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn without_credentials_anywhere_the_answer_says_so() {
    on_a_data_thread(async {
        let double = Double::answering(lambda(200, "", "1")).await;
        let mut settings = settings(&double, &json!({}));
        for field in ["aws_key", "aws_secret"] {
            settings.as_object_mut().unwrap().shift_remove(field);
        }
        let bench = Bench::new();
        let plugin = bench.build(&KIND, &settings);
        let failure = bench.failure(&*plugin, get("/")).await;
        assert_eq!((failure.status.status().as_u16(), failure.code), (503, "credentials_unavailable"));
        assert_eq!((failure.origin, double.count()), (Origin::Gateway, 0));
    })
    .await;
}
