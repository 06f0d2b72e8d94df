use std::collections::HashMap;
use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Bench, text};
use crate::{Flow, Site};

/// Routes with limits, in one process.
struct Gate {
    bench: Bench,
    metadata: Option<Value>,
}

/// What a client gets: the status (0 for what the upstream says), and the headers that tell of limits.
#[derive(Debug, PartialEq)]
struct Got {
    status: u16,
    headers: HashMap<String, String>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl Gate {
    fn new() -> Self {
        Self { bench: Bench::new(), metadata: None }
    }

    fn plugin(&self, owner: &str, settings: &Value) -> Arc<dyn Plugin> {
        (KIND.check)(settings).unwrap();
        let site = Site { owner, metadata: self.metadata.as_ref(), shared: &self.bench.shared };
        (KIND.build)(settings, &site).unwrap()
    }

    async fn get(&self, plugin: &dyn Plugin, request: Request<Body>) -> Got {
        self.bench
            .try_request(plugin, request, |exchange, flow| {
                let mut response = match flow {
                    Flow::Continue => Response::builder().status(299).body(Body::empty()).unwrap(),
                    Flow::Answer(response) | Flow::Function(response) => *response,
                    Flow::Fail(failure) => {
                        Response::builder().status(failure.status.status()).body(Body::empty()).unwrap()
                    }
                };
                plugin.respond(exchange, &mut response);
                let headers = response.headers().iter().filter(|(name, _)| name.as_str().contains("limit"));
                Got {
                    status: response.status().as_u16(),
                    headers: headers
                        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                        .collect(),
                }
            })
            .await
    }

    /// The statuses of requests that differ in the header `user`.
    async fn statuses(&self, plugin: &dyn Plugin, users: &[&str]) -> Vec<u16> {
        let mut statuses = Vec::new();
        for user in users {
            let mut request = Request::get("/");
            if !user.is_empty() {
                request = request.header("user", *user);
            }
            statuses.push(self.get(plugin, request.body(Body::empty()).unwrap()).await.status);
        }
        statuses
    }

    async fn plain(&self, plugin: &dyn Plugin) -> Got {
        self.get(plugin, Request::new(Body::empty())).await
    }
}

const PASSED: u16 = 299;

#[tokio::test]
async fn requests_above_the_limit_are_rejected_until_the_window_ends() {
    let gate = Gate::new();
    let plugin = gate.plugin("route/1", &json!({"count": 2, "time_window": 60}));
    for (status, remaining) in [(PASSED, "1"), (PASSED, "0"), (503, "0"), (503, "0")] {
        let got = gate.plain(&*plugin).await;
        assert_eq!((got.status, got.header("x-ratelimit-remaining")), (status, Some(remaining)));
        assert_eq!(
            (got.header("x-ratelimit-limit"), got.header("x-ratelimit-reset")),
            (Some("2"), Some("60"))
        );
    }
    gate.bench.clock.advance(Duration::from_millis(59_500));
    assert_eq!(gate.plain(&*plugin).await.header("x-ratelimit-reset"), Some("1"));
    gate.bench.clock.advance(Duration::from_millis(501));
    assert_eq!(gate.plain(&*plugin).await.status, PASSED);
}

#[tokio::test]
async fn a_sliding_window_remembers_the_one_before() {
    let gate = Gate::new();
    let settings =
        json!({"count": 2, "time_window": 10, "window_type": "sliding", "key_type": "constant", "key": "k"});
    let plugin = gate.plugin("route/1", &settings);
    for status in [PASSED, PASSED, 503] {
        assert_eq!(gate.plain(&*plugin).await.status, status);
    }
    gate.bench.clock.advance(Duration::from_secs(10));
    assert_eq!(gate.plain(&*plugin).await.status, 503);
    gate.bench.clock.advance(Duration::from_secs(5));
    assert_eq!(gate.plain(&*plugin).await.status, PASSED);
}

#[tokio::test]
async fn the_key_says_who_is_counted_together() {
    let gate = Gate::new();
    let limit = |key: &str, kind: &str| json!({"count": 1, "time_window": 60, "key": key, "key_type": kind});
    let users = ["a", "a", "b", "", ""];
    for (key, kind, expected) in [
        // Without a value the client's address is the key.
        ("http_user", "var", [PASSED, 503, PASSED, PASSED, 503]),
        ("$http_user $remote_addr", "var_combination", [PASSED, 503, PASSED, PASSED, 503]),
        ("$http_user", "var_combination", [PASSED, 503, PASSED, PASSED, 503]),
        ("all", "constant", [PASSED, 503, 503, 503, 503]),
        ("remote_addr", "var", [PASSED, 503, 503, 503, 503]),
    ] {
        let plugin = gate.plugin("route/1", &limit(key, kind));
        assert_eq!(gate.statuses(&*plugin, &users).await, expected, "{kind} {key}");
    }
}

#[tokio::test]
async fn nobody_uses_up_the_limit_of_an_address_by_naming_it() {
    let mut gate = Gate::new();
    let plugin = gate.plugin("route/1", &json!({"count": 1, "time_window": 60, "key": "http_user"}));
    // The bytes of the second text are the address.
    gate.bench.conn.client = ([65, 65, 65, 65], 1).into();
    assert_eq!(gate.statuses(&*plugin, &["65.65.65.65", "AAAA", ""]).await, [PASSED, PASSED, PASSED]);
}

#[tokio::test]
async fn counters_outlive_a_change_of_the_configuration() {
    let gate = Gate::new();
    let before = gate.plugin("route/1", &json!({"count": 2, "time_window": 60}));
    assert_eq!(gate.plain(&*before).await.status, PASSED);
    drop(before);
    let after = gate.plugin("route/1", &json!({"count": 1, "time_window": 60}));
    assert_eq!(gate.plain(&*after).await.status, 503);
    let elsewhere = gate.plugin("route/2", &json!({"count": 1, "time_window": 60}));
    assert_eq!(gate.plain(&*elsewhere).await.status, PASSED);
    let another_window = gate.plugin("route/1", &json!({"count": 1, "time_window": 30}));
    assert_eq!(gate.plain(&*another_window).await.status, PASSED);
}

#[tokio::test]
async fn a_group_is_counted_together() {
    let gate = Gate::new();
    let settings = json!({"count": 1, "time_window": 60, "group": "g"});
    let (one, other) = (gate.plugin("route/1", &settings), gate.plugin("route/2", &settings));
    assert_eq!(gate.plain(&*one).await.status, PASSED);
    assert_eq!(gate.plain(&*other).await.status, 503);
}

#[tokio::test]
async fn limits_can_come_with_the_request() {
    let gate = Gate::new();
    let settings =
        json!({"count": "${http_count ?? 1}", "time_window": "$http_window", "rejected_code": 429});
    let plugin = gate.plugin("route/1", &settings);
    let with = |count: &str, window: &str| {
        let request = Request::get("/").header("count", count).header("window", window);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(gate.get(&*plugin, with("2", "60")).await.header("x-ratelimit-limit"), Some("2"));
    assert_eq!(gate.get(&*plugin, with("2", "60")).await.status, PASSED);
    assert_eq!(gate.get(&*plugin, with("2", "60")).await.status, 429);
    assert_eq!(gate.get(&*plugin, with("2", "61")).await.status, PASSED);
    for nonsense in ["0", "-1", "a", "1.5", ""] {
        assert_eq!(gate.get(&*plugin, with("2", nonsense)).await.status, 500, "{nonsense}");
    }
    let lenient = json!({"count": 1, "time_window": "$http_window", "allow_degradation": true});
    let lenient = gate.plugin("route/2", &lenient);
    assert_eq!(gate.get(&*lenient, with("2", "a")).await.status, PASSED);
}

#[tokio::test]
async fn every_rule_that_applies_must_admit_the_request() {
    let gate = Gate::new();
    let settings = json!({"rules": [
        {"count": 2, "time_window": 60, "key": "${remote_addr}"},
        {"count": 1, "time_window": 60, "key": "${http_user}", "header_prefix": "User"},
    ]});
    let plugin = gate.plugin("route/1", &settings);
    let with_user = Request::get("/").header("user", "a").body(Body::empty()).unwrap();
    let got = gate.get(&*plugin, with_user).await;
    assert_eq!(got.header("x-1-ratelimit-remaining"), Some("1"));
    assert_eq!(got.header("x-user-ratelimit-limit"), Some("1"));
    let got = gate.plain(&*plugin).await;
    assert_eq!((got.status, got.header("x-user-ratelimit-limit")), (PASSED, None));
    let got = gate.plain(&*plugin).await;
    assert_eq!((got.status, got.header("x-1-ratelimit-remaining")), (503, Some("0")));
    let none =
        gate.plugin("route/2", &json!({"rules": [{"count": 1, "time_window": 1, "key": "$http_none"}]}));
    assert_eq!(gate.plain(&*none).await.status, 500);
    let constant = gate.plugin("route/3", &json!({"rules": [{"count": 1, "time_window": 9, "key": "all"}]}));
    assert_eq!((gate.plain(&*constant).await.status, gate.plain(&*constant).await.status), (PASSED, 503));
}

#[tokio::test]
async fn the_rejection_can_be_worded() {
    let gate = Gate::new();
    let settings =
        json!({"count": 1, "time_window": 60, "rejected_code": 429, "rejected_msg": "slow \"down\""});
    let plugin = gate.plugin("route/1", &settings);
    let request = || Request::new(Body::empty());
    assert!(matches!(gate.bench.flow(&*plugin, request()).await, Flow::Continue));
    match gate.bench.flow(&*plugin, request()).await {
        Flow::Answer(response) | Flow::Function(response) => {
            assert_eq!(response.status(), 429);
            assert_eq!(text(*response).await, "{\"error_msg\":\"slow \\\"down\\\"\"}\n");
        }
        other => panic!("{other:?}"),
    }
    let odd = gate.plugin("route/2", &json!({"count": 1, "time_window": 60, "rejected_code": 200}));
    assert_eq!((gate.plain(&*odd).await.status, gate.plain(&*odd).await.status), (PASSED, 200));
}

#[tokio::test]
async fn headers_can_be_left_out_or_named_otherwise() {
    let mut gate = Gate::new();
    let quiet =
        gate.plugin("route/1", &json!({"count": 1, "time_window": 60, "show_limit_quota_header": false}));
    for status in [PASSED, 503] {
        assert_eq!(gate.plain(&*quiet).await, Got { status, headers: HashMap::new() });
    }
    gate.metadata = Some(json!({"limit_header": "My-Limit", "remaining_header": "My-Limit-Left"}));
    let named = gate.plugin("route/2", &json!({"count": 3, "time_window": 60}));
    let got = gate.plain(&*named).await;
    assert_eq!((got.header("my-limit"), got.header("my-limit-left")), (Some("3"), Some("2")));
    assert_eq!(got.header("x-ratelimit-reset"), Some("60"));
}

#[test]
fn wrong_settings_are_refused() {
    let with = |field: &str, value: Value| {
        let mut settings = json!({"count": 1, "time_window": 60});
        settings[field] = value;
        settings
    };
    let rule = |key: &str| json!({"count": 1, "time_window": 60, "key": key});
    for (settings, field) in [
        (json!({}), ""),
        (json!({"count": 1}), "time_window"),
        (json!({"time_window": 1}), "count"),
        (with("count", json!(0)), "count"),
        (with("count", json!(1.5)), "count"),
        (with("count", json!("ten")), "count"),
        (with("time_window", json!(-1)), "time_window"),
        (with("window_type", json!("rolling")), "window_type"),
        (with("key", json!(1)), "key"),
        (with("key_type", json!("vars")), "key_type"),
        (with("rejected_code", json!(199)), "rejected_code"),
        (with("rejected_msg", json!("")), "rejected_msg"),
        (with("policy", json!("redis")), "policy"),
        (with("policy", json!("redis-cluster")), "policy"),
        (with("policy", json!("redis-sentinel")), "policy"),
        (with("policy", json!("global")), "policy"),
        (with("allow_degradation", json!(1)), "allow_degradation"),
        (with("show_limit_quota_header", json!("no")), "show_limit_quota_header"),
        (with("sync_interval", json!(1)), "sync_interval"),
        (with("group", json!(1)), "group"),
        (with("rules", json!([rule("a")])), "rules"),
        (json!({"rules": []}), "rules"),
        (json!({"rules": [rule("a")], "group": "g"}), "group"),
        (json!({"rules": [rule("a"), rule("a")]}), "rules[1].key"),
        (json!({"rules": [{"count": 0, "time_window": 1, "key": "a"}]}), "rules[0].count"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
    (KIND.check)(&with("sync_interval", json!(-1))).unwrap();
    (KIND.check)(&with("count", json!("{vault://env/limit}"))).unwrap();
    let metadata = KIND.metadata.as_ref().unwrap();
    assert_eq!((metadata.check)(&json!({"reset_header": "a b"})).unwrap_err().field, "reset_header");
}
