//! What `_meta` says of any plugin.

use serde_json::json;

use super::Place;

const ANN: (&str, &str) = ("apikey", "ann-key");

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_has_no_turn_and_hides_nothing() {
    let place = Place::new().await;
    place.put("services", "s", json!({"plugins": {"key-auth": {}}})).await;
    place.route("/off", json!({"key-auth": {"_meta": {"disable": true}}})).await;
    let fields = json!({"plugins": {"key-auth": {"_meta": {"disable": true}}}, "service_id": "s"});
    place.route_with("/over", fields).await;
    place.route_with("/on", json!({"service_id": "s", "plugins": {}})).await;
    for (path, status) in [("/off", 200), ("/over", 200), ("/on", 401)] {
        assert_eq!(place.get(path, &[]).await.status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_comes_in_the_words_that_were_chosen_and_keeps_its_status_and_fields() {
    let place = Place::new().await;
    let words = json!({"error_response": {"oops": ["a", 1]}});
    place.route("/json", json!({"key-auth": {"_meta": words}})).await;
    place.route("/text", json!({"key-auth": {"_meta": {"error_response": "no key, no bread"}}})).await;
    let limit = json!({"limit-count": {"count": 1, "time_window": 60, "_meta": words}});
    place.route("/limit", limit).await;
    place.route("/fine", json!({"cors": {"_meta": words}})).await;
    let fault = json!({"abort": {"http_status": 301, "headers": {"location": "/x"}}, "_meta": words});
    place.route("/moved", json!({"fault-injection": fault})).await;
    let reply = place.get("/json", &[]).await;
    assert_eq!((reply.status(), reply.json()), (401, json!({"oops": ["a", 1]})));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("www-authenticate"), Some("apikey realm=\"key\""));
    let reply = place.get("/text", &[]).await;
    assert_eq!((reply.status(), reply.json()), (401, json!("no key, no bread")));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(place.get("/limit", &[]).await.status(), 200);
    let reply = place.get("/limit", &[]).await;
    assert_eq!((reply.status(), reply.json()), (503, json!({"oops": ["a", 1]})));
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"));
    // What is no refusal is as the plugin says it.
    assert_eq!(place.ask("OPTIONS", "/fine", &[]).await.json(), json!(""));
    let moved = place.get("/moved", &[]).await;
    assert_eq!((moved.status(), moved.json()), (301, json!("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_turns_only_at_requests_that_its_filter_lets_pass() {
    let place = Place::new().await;
    let only_private = json!({"filter": [["arg_kind", "==", "private"]]});
    place.route("/a", json!({"key-auth": {"_meta": only_private}})).await;
    // In all phases, also when there is an answer.
    place.route("/b", json!({"request-id": {"header_name": "X-Trace", "_meta": only_private}, "cors": {"_meta": only_private}})).await;
    for (target, status) in [("/a", 200), ("/a?kind=public", 200), ("/a?kind=private", 401)] {
        assert_eq!(place.get(target, &[]).await.status(), status, "{target}");
    }
    for (target, has_turns) in [("/b", false), ("/b?kind=private", true)] {
        let reply = place.get(target, &[]).await;
        assert_eq!(reply.header("x-trace").is_some(), has_turns, "{target}");
        assert_eq!(reply.header("access-control-allow-origin").is_some(), has_turns, "{target}");
        // Not its own answer, but the upstream's.
        assert_eq!(place.ask("OPTIONS", target, &[]).await.json()["name"] == "told", !has_turns);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_knows_who_calls_when_its_plugins_turn_comes() {
    let place = Place::new().await;
    for name in ["ann", "bob"] {
        place.consumer(name, json!({})).await;
    }
    let only_ann = json!({"filter": [["consumer_name", "==", "ann"]]});
    let plugins = json!({
        "key-auth": {},
        "proxy-rewrite": {"headers": {"set": {"X-Ann": "1"}}, "_meta": only_ann},
        "limit-count": {"count": 1, "time_window": 60, "key_type": "constant", "_meta": only_ann},
    });
    place.route("/a", plugins).await;
    for (key, status) in [("bob-key", 200), ("bob-key", 200), ("ann-key", 200), ("ann-key", 503)] {
        let reply = place.get("/a", &[("apikey", key)]).await;
        assert_eq!(reply.status(), status, "{key}");
        assert_eq!(reply.header("x-ratelimit-limit").is_some(), key == "ann-key");
        if status == 200 {
            assert_eq!(reply.sent("x-ann").is_some(), key == "ann-key");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_whose_turn_never_came_says_nothing_to_the_answer() {
    let place = Place::new().await;
    place.route("/a", json!({"cors": {"allow_origins": "*"}})).await;
    assert!(place.get("/a", &[]).await.header("access-control-allow-origin").is_some());
    let fault = json!({"abort": {"http_status": 418}});
    place.put("global_rules", "1", json!({"plugins": {"fault-injection": fault}})).await;
    let reply = place.get("/a", &[]).await;
    assert_eq!((reply.status(), reply.header("access-control-allow-origin")), (418, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_secret_is_missing_lets_nobody_by_and_its_filter_still_counts() {
    let place = Place::in_environment(&[]).await;
    let restriction = json!({
        "whitelist": ["{vault://env/no-such-address}"], "_meta": {"filter": [["arg_kind", "==", "private"]]},
    });
    place.route("/a", json!({"ip-restriction": restriction})).await;
    let answer = place.get("/a", &[]).await;
    assert_eq!(answer.status(), 200, "{}", answer.json());
    let refused = place.get("/a?kind=private", &[ANN]).await;
    assert_eq!((refused.status(), &refused.json()["code"]), (503, &json!("secret_unresolved")));
}
