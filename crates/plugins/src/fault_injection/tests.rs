use http::Request;

use super::*;
use crate::testing::{Bench, text};

fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

async fn flow(settings: &Value, target: &str) -> Flow {
    let bench = Bench::new();
    let plugin = bench.build(&KIND, settings);
    bench.flow(&*plugin, get(target)).await
}

async fn aborts(settings: &Value, target: &str) -> bool {
    matches!(flow(settings, target).await, Flow::Answer(_))
}

#[tokio::test]
async fn a_request_is_answered_as_if_something_were_wrong() {
    let settings = json!({"abort": {
        "http_status": 418, "body": "no tea for $arg_name", "headers": {"X-Who": "$arg_name", "X-Count": 7},
    }});
    match flow(&settings, "/?name=ann").await {
        Flow::Answer(response) => {
            assert_eq!(response.status(), 418);
            assert_eq!(
                (&response.headers()["x-who"], &response.headers()["x-count"]),
                (&HeaderValue::from_static("ann"), &HeaderValue::from_static("7"))
            );
            assert_eq!(text(*response).await, "no tea for ann");
        }
        other => panic!("{other:?}"),
    }
    match flow(&settings, "/?name=a%0d%0aSet-Cookie:x").await {
        Flow::Answer(response) => assert!(!response.headers().contains_key("x-who")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_stands_for_itself_is_read_for_no_variable() {
    let secret = gateward_vars::literal("$arg_name");
    let abort =
        json!({"http_status": 418, "body": format!("{secret}=$arg_name"), "headers": {"x-a": secret}});
    match flow(&json!({ "abort": abort }), "/?name=ann").await {
        Flow::Answer(response) => {
            assert_eq!(response.headers()["x-a"], "$arg_name");
            assert_eq!(text(*response).await, "$arg_name=ann");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_happens_on_occasion() {
    let abort = |percentage: u8| json!({"abort": {"http_status": 500, "percentage": percentage}});
    let mut hits = [0; 3];
    for (place, percentage) in [0, 50, 100].into_iter().enumerate() {
        for _ in 0..200 {
            hits[place] += u32::from(aborts(&abort(percentage), "/").await);
        }
    }
    assert!(hits[0] == 0 && (40..160).contains(&hits[1]) && hits[2] == 200, "{hits:?}");
}

#[tokio::test]
async fn one_of_the_conditions_must_hold() {
    let settings = json!({"abort": {"http_status": 500, "vars": [
        [["arg_name", "==", "ann"], ["arg_age", ">", 17]],
        [["arg_name", "==", "bob"]],
    ]}});
    for (target, expected) in
        [("/?name=ann&age=18", true), ("/?name=bob", true), ("/?name=ann&age=17", false), ("/", false)]
    {
        assert_eq!(aborts(&settings, target).await, expected, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_and_then_goes_on_or_is_answered() {
    let bench = Bench::new();
    for (settings, waits, answered) in [
        (json!({"delay": {"duration": 1.5}}), 1500, false),
        (json!({"delay": {"duration": 2}, "abort": {"http_status": 503}}), 2000, true),
        (json!({"delay": {"duration": 2, "percentage": 0}}), 0, false),
        (json!({"delay": {"duration": 2, "vars": [[["arg_x", "==", "1"]]]}}), 0, false),
    ] {
        let plugin = bench.build(&KIND, &settings);
        let begun = tokio::time::Instant::now();
        let flow = bench.flow(&*plugin, get("/")).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(waits), "{settings}");
        assert_eq!(matches!(flow, Flow::Answer(_)), answered, "{settings}");
    }
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({}), ""),
        (json!({"abort": {}}), "abort"),
        (json!({"abort": {"http_status": 199}}), "abort.http_status"),
        (json!({"abort": {"http_status": 500, "body": 1}}), "abort.body"),
        (json!({"abort": {"http_status": 500, "headers": {}}}), "abort.headers"),
        (json!({"abort": {"http_status": 500, "headers": {"a b": "c"}}}), "abort.headers.a b"),
        (json!({"abort": {"http_status": 500, "headers": {"a": true}}}), "abort.headers.a"),
        (json!({"abort": {"http_status": 500, "percentage": 101}}), "abort.percentage"),
        (json!({"abort": {"http_status": 500, "vars": [[["a", "=", "b"]]]}}), "abort.vars[0]"),
        (json!({"delay": {}}), "delay"),
        (json!({"delay": {"duration": -1}}), "delay.duration"),
        (json!({"delay": {"duration": 1, "percentage": -1}}), "delay.percentage"),
    ] {
        let found = (KIND.check)(&settings).unwrap_err().field;
        assert!(found.starts_with(field) && (found == field || field.ends_with(']')), "{settings}: {found}");
    }
}
