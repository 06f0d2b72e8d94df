use std::thread;

use serde_json::json;

use super::*;
use crate::http;

const SOON: Duration = Duration::from_secs(10);

/// A function that takes one event and posts `body` to `path` of it.
fn function_that_posts(api: &RuntimeApi, path: &'static str, body: Value) -> thread::JoinHandle<Value> {
    let base = format!("http://{}/2018-06-01/runtime", api.address());
    thread::spawn(move || {
        let next = http::get(&format!("{base}/invocation/next"));
        let id = next.header("lambda-runtime-aws-request-id").unwrap();
        let deadline: u64 = next.header("lambda-runtime-deadline-ms").unwrap().parse().unwrap();
        assert!(deadline > epoch_millis_after(Duration::ZERO));
        assert!(next.header("lambda-runtime-invoked-function-arn").is_some());
        let posted = http::send_json("POST", &format!("{base}/invocation/{id}/{path}"), &[], &body);
        assert_eq!(posted.status, 202);
        next.json()
    })
}

#[test]
fn an_event_goes_to_the_function_and_its_response_comes_back() {
    let api = RuntimeApi::start();
    let function = function_that_posts(&api, "response", json!({"statusCode": 200}));
    api.wait_until_asked(SOON);
    assert_eq!(api.invoke(&json!({"version": "2.0"}), SOON), json!({"statusCode": 200}));
    assert_eq!(function.join().unwrap(), json!({"version": "2.0"}));
}

#[test]
fn an_error_of_the_function_is_told() {
    let api = RuntimeApi::start();
    let function = function_that_posts(&api, "error", json!({"errorType": "Bad"}));
    assert_eq!(api.try_invoke(&json!({}), SOON), Err(json!({"errorType": "Bad"})));
    assert_eq!(api.invocation_errors(), [json!({"errorType": "Bad"})]);
    function.join().unwrap();
}

#[test]
fn a_start_that_failed_and_an_extension_are_taken_note_of() {
    let api = RuntimeApi::start();
    let base = format!("http://{}", api.address());
    let error = json!({"errorType": "Start"});
    http::send_json("POST", &format!("{base}/2018-06-01/runtime/init/error"), &[], &error);
    assert_eq!(api.init_errors(), [error]);
    let registered =
        http::send_json("POST", &format!("{base}/2020-01-01/extension/register"), &[], &json!({}));
    assert!(registered.header("lambda-extension-identifier").is_some());
    assert_eq!(http::get(&format!("{base}/else")).status, 404);
}

#[test]
fn whoever_waits_is_let_go_at_the_end() {
    let api = RuntimeApi::start();
    let url = format!("http://{}/2018-06-01/runtime/invocation/next", api.address());
    let waiting = thread::spawn(move || http::try_request(SOON, "GET", &url, &[], b"").is_err());
    api.wait_until_asked(SOON);
    drop(api);
    assert!(waiting.join().unwrap());
}
