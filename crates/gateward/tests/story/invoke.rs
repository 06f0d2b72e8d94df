//! Traffic: functions are called by their names, through Lambda's Invoke API.

use gateward_testkit::http::Response;
use gateward_testkit::{FunctionEndpoint, Moto};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::plot::Plot;

const REGION: &str = "eu-west-1";
const ACCESS_KEY: &str = "AKIDINVOKE";

#[test]
fn functions_are_called_by_name_with_the_credentials_of_the_process() {
    let plot = Plot::new();
    let secret = plot.plant("secret");
    let lambda = FunctionEndpoint::start(ACCESS_KEY, &secret, REGION, "lambda");
    let aws = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ("AWS_REGION", REGION),
    ];
    let gateway = Gateway::start(&plot, &aws);
    let serve = |function: &str, more: Value| serve(&gateway, lambda.url(), function, more);

    serve("echo", json!({"payload_version": "2.0", "qualifier": "live"}));
    let answer = gateway.get("/functions/a%2Fb?name=Ada&name=Bob");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let event = answer.json();
    assert_eq!(event["routeKey"], "GET /functions/{proxy+}");
    assert_eq!(event["rawPath"], "/functions/a%2Fb");
    assert_eq!(event["pathParameters"], json!({"proxy": "a/b"}));
    assert_eq!(event["queryStringParameters"], json!({"name": "Ada,Bob"}));
    assert_eq!(event["requestContext"]["requestId"].as_str(), answer.header("x-request-id"));
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");

    // What is JSON stays as it is written, there and back.
    serve("arn:aws:lambda:eu-west-1:123456789012:function:echo", json!({}));
    let body = r#"{"n": 12345678901234567890.10, "none": []}"#;
    let url = format!("{}/functions/x", gateway.traffic);
    let answer = gateway.ask("POST", &url, &[("Content-Type", "application/json")], body);
    assert_eq!((answer.status, answer.text().as_str()), (200, body));

    serve("integration", json!({"payload_version": "1.0", "is_proxy_integration": true}));
    let answer = gateway.get("/functions/x?name=Ada");
    assert_eq!((answer.status, answer.text().as_str()), (201, "Hello, Ada!"));
    let all = |name: &str| answer.headers.iter().filter(|(known, _)| known == name).count();
    assert_eq!((all("x-twice"), all("set-cookie"), all("content-length")), (2, 2, 1));

    serve("echo", json!({"log_type": "Tail"}));
    assert_eq!(gateway.get("/functions/x").header("x-amz-log-result"), None);
    serve("echo", json!({"log_type": "Tail", "forward_log_result": true}));
    assert!(gateway.get("/functions/x").header("x-amz-log-result").is_some());
    for (kind, status) in [("Event", 202), ("DryRun", 204)] {
        serve("echo", json!({"invocation_type": kind}));
        assert_eq!(gateway.get("/functions/x").status, status);
    }

    streams(&gateway, serve);
    failures(&gateway, serve);

    // An empty `iam` signs calls by URL with the same credentials.
    let function = json!({"function_uri": lambda.url(), "authorization": {"iam": {"service": "lambda"}}});
    put(&gateway, &function);
    assert_eq!(gateway.get("/functions/hello?name=Ada").json()["message"], "Hello, Ada!");

    gateway.show_everything();
    drop(gateway);
    plot.end();
}

fn streams(gateway: &Gateway<'_>, serve: impl Fn(&str, Value)) {
    let streamed = json!({"invoke_mode": "RESPONSE_STREAM", "is_proxy_integration": true});
    serve("stream", streamed.clone());
    let answer = gateway.get("/functions/x");
    assert_eq!((answer.status, answer.header("content-type")), (202, Some("text/event-stream")));
    assert_eq!(answer.header("set-cookie"), Some("a=1"));
    assert_eq!(answer.text(), (0..100).map(|number| format!("data: {number}\n\n")).collect::<String>());
    serve("stream-crash", streamed);
    let url = format!("{}/functions/x", gateway.traffic);
    let broken = gateward_testkit::http::try_request(crate::gateway::PATIENCE, "GET", &url, &[], b"");
    assert!(broken.is_err(), "a part was taken for the whole");
}

fn failures(gateway: &Gateway<'_>, serve: impl Fn(&str, Value)) {
    let is = |answer: &Response, status: u16, code: &str, error: &str| {
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (status, Some(code)),
            "{}",
            answer.text()
        );
        assert_eq!(answer.json()["aws_error"], error);
        assert!(answer.json()["aws_request_id"].is_string() && answer.json()["request_id"].is_string());
        assert!(!answer.text().contains("123456789012"), "{}", answer.text());
    };
    serve("crash", json!({}));
    is(&gateway.get("/functions/x"), 502, "function_unhandled_error", "ZeroDivisionError");
    serve("crash", json!({"unhandled_status": 500}));
    let answer = gateway.get("/functions/x");
    assert_eq!((answer.status, &answer.json()["errorType"]), (500, &json!("ZeroDivisionError")));
    serve("nobody", json!({}));
    is(&gateway.get("/functions/x"), 502, "function_not_found", "ResourceNotFoundException");
    serve("busy-2", json!({}));
    assert_eq!(gateway.get("/functions/x").status, 200);
    serve("busy-1000", json!({"timeout": 1500}));
    let answer = gateway.get("/functions/x");
    is(&answer, 429, "function_throttled", "TooManyRequestsException");
    assert_eq!(answer.header("retry-after"), Some("1"));
    serve("slow", json!({"timeout": 200}));
    let answer = gateway.get("/functions/x");
    assert_eq!((answer.status, &answer.json()["code"]), (504, &json!("function_timeout")));
}

#[test]
fn a_judge_of_signatures_and_permissions_takes_the_calls_that_it_should() {
    let plot = Plot::new();
    let moto = Moto::start();
    moto.answer_functions_with_their_events();
    // AWS calls the permission `lambda:InvokeFunction`, and moto by the name of the call.
    let (access_key, secret_key) = moto.create_access_key("caller", &["lambda:Invoke"]);
    let (others_access_key, others_secret_key) = moto.create_access_key("reader", &["s3:GetObject"]);
    moto.check_signatures();
    let gateway = Gateway::start(&plot, &[]);
    for (key, secret, status) in [
        (&access_key, secret_key.as_str(), 200),
        (&access_key, "another", 502),
        (&others_access_key, &others_secret_key, 502),
    ] {
        for name in ["orders", "arn:aws:lambda:eu-west-1:123456789012:function:orders"] {
            let keys =
                json!({"aws_key": key, "aws_secret": secret, "aws_region": REGION, "qualifier": "$LATEST"});
            serve(&gateway, moto.url(), name, keys);
            let answer = gateway.get("/functions/x?name=Ada");
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            match status {
                200 => assert_eq!(answer.text(), r#"{"name":"Ada"}"#),
                _ => assert_eq!(answer.json()["code"], "function_access_denied"),
            }
        }
    }
    drop(gateway);
    plot.end();
}

/// Has the gateway answer under `/functions/` with the function `name` of the Lambda at `url`.
#[track_caller]
fn serve(gateway: &Gateway<'_>, url: &str, name: &str, mut settings: Value) {
    let (host, port) = url.trim_start_matches("http://").split_once(':').expect("a port");
    let port: u16 = port.parse().expect("a port");
    settings["function_name"] = json!(name);
    settings["host"] = json!(host);
    settings["port"] = json!(port);
    settings["disable_https"] = json!(true);
    put(gateway, &settings);
}

#[track_caller]
fn put(gateway: &Gateway<'_>, settings: &Value) {
    let route = json!({"uri": "/functions/*", "plugins": {"aws-lambda": settings}});
    let answer = gateway.apisix("PUT", "/routes/functions", &route.to_string());
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
}
