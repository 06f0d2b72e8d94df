//! The function as Lambda sees it: over a double of the Runtime API.

use std::time::Duration;

use gateward_testkit::RuntimeApi as Lambda;
use serde_json::json;

use super::*;
use crate::protocol::Operation;
use crate::testing::{Gateway, Producers};

const SPAN: Duration = Duration::from_secs(60);
const DOMAIN: &str = "abc123.lambda-url.eu-west-1.on.aws";

fn token(gateway: &Gateway, body: &str) -> String {
    gateway.token(&format!("https://{DOMAIN}"), Operation::Create, body.as_bytes())
}

/// What a function URL and an HTTP API send.
fn version_2(token: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": "/sync/create", "rawQueryString": "",
        "headers": {"akeylesscreds": token, "content-type": "application/json"},
        "requestContext": {"domainName": DOMAIN, "http": {"method": "POST", "path": "/sync/create"}},
        "body": STANDARD.encode(body), "isBase64Encoded": true,
    })
}

/// What a REST API sends.
fn version_1(token: &str, body: &str) -> Value {
    json!({
        "resource": "/{proxy+}", "path": "/sync/create", "httpMethod": "POST",
        "headers": {"AkeylessCreds": token}, "multiValueHeaders": {"AkeylessCreds": [token]},
        "requestContext": {"domainName": DOMAIN, "stage": "default", "httpMethod": "POST"},
        "body": body, "isBase64Encoded": false,
    })
}

/// Runs the function against the double, on a thread of its own, until the double is dropped.
fn started(gateway: &Gateway, prepare: impl FnOnce(Function) -> Function) -> Lambda {
    let lambda = Lambda::start();
    let function = prepare(Function::new(lambda.address()));
    let verifier = gateway.verifier();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(function.serve(Producers::echo(), verifier))
    });
    lambda
}

#[test]
fn both_kinds_of_http_events_reach_the_producer() {
    let gateway = Gateway::new();
    let lambda = started(&gateway, |function| function);
    let body = r#"{"input": {"user": "input"}}"#;
    for event in [version_2(&token(&gateway, body), body), version_1(&token(&gateway, body), body)] {
        let answer = lambda.invoke(&event, SPAN);
        assert_eq!(
            (&answer["statusCode"], &answer["isBase64Encoded"]),
            (&json!(200), &json!(false)),
            "{answer}"
        );
        let told: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert_eq!(told["response"], json!({"user": "input"}));
    }
}

#[test]
fn a_token_for_another_domain_is_refused_whatever_the_host_header_says() {
    let gateway = Gateway::new();
    let lambda = started(&gateway, |function| function);
    let elsewhere = gateway.token("https://elsewhere.example", Operation::Create, b"{}");
    let mut event = version_2(&elsewhere, "{}");
    event["headers"]["host"] = json!("elsewhere.example");
    assert_eq!(lambda.invoke(&event, SPAN)["statusCode"], 401);
    let mut twice = version_1(&token(&gateway, "{}"), "{}");
    let token = twice["headers"]["AkeylessCreds"].clone();
    twice["multiValueHeaders"]["AkeylessCreds"] = json!([token, token]);
    assert_eq!(lambda.invoke(&twice, SPAN)["statusCode"], 401);
}

#[test]
fn a_domain_of_ones_own_stands_for_that_of_aws() {
    let gateway = Gateway::new();
    let lambda = started(&gateway, |function| function.origin("https://Producers.example/"));
    let own = gateway.token("https://producers.example", Operation::Create, b"{}");
    assert_eq!(lambda.invoke(&version_2(&own, "{}"), SPAN)["statusCode"], 200);
    assert_eq!(lambda.invoke(&version_2(&token(&gateway, "{}"), "{}"), SPAN)["statusCode"], 401);
}

#[test]
fn an_event_that_is_no_request_fails_and_the_next_one_is_served() {
    let gateway = Gateway::new();
    let lambda = started(&gateway, |function| function);
    let error = lambda.try_invoke(&json!({"source": "aws.events"}), SPAN).unwrap_err();
    assert!(error.to_string().contains("is no HTTP request"), "{error}");
    let mut not_found = version_2("x", "{}");
    not_found["rawPath"] = json!("/sync/destroy");
    assert_eq!(lambda.invoke(&not_found, SPAN)["statusCode"], 404);
}
