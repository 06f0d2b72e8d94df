//! Whose plugins have turns at a request, and in which order.

use serde_json::{Value, json};

use super::Place;

const ANN: (&str, &str) = ("apikey", "ann-key");

/// Plugins that tell whose they are: one that rewrites, and one that has its turn later.
fn telling(layer: &str, limit: u32) -> Value {
    json!({
        "proxy-rewrite": {"headers": {"set": {"X-Layer": layer, format!("X-{layer}"): "1"}}},
        "limit-count": {"count": limit, "time_window": 60},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consumers_plugin_wins_then_its_groups_the_routes_the_shared_ones_and_the_services() {
    let place = Place::new().await;
    let layers = ["service", "shared", "route", "group", "consumer"];
    let mut told = Vec::new();
    // From the weakest to the strongest: each that joins wins over all before.
    for strongest in 0..layers.len() {
        let plugins = |layer: usize| match layer <= strongest {
            true => telling(layers[layer], 100 + u32::try_from(layer).unwrap()),
            false => json!({}),
        };
        place.put("services", "s", json!({"plugins": plugins(0)})).await;
        place.put("plugin_configs", "p", json!({"plugins": plugins(1)})).await;
        place.put("consumer_groups", "g", json!({"plugins": plugins(3)})).await;
        place.consumer("ann", json!({"group_id": "g", "plugins": plugins(4)})).await;
        let mut own = plugins(2);
        own["key-auth"] = json!({});
        let fields = json!({"plugins": own, "service_id": "s", "plugin_config_id": "p"});
        place.route_with("/a", fields).await;
        let reply = place.get("/a", &[ANN]).await;
        let limit = reply.header("x-ratelimit-limit").map(str::to_owned);
        told.push((reply.sent("x-layer").unwrap(), limit.unwrap()));
        for layer in layers {
            let is_strongest = layer == layers[strongest];
            let sent = reply.sent(&format!("x-{layer}")).is_some();
            assert_eq!(sent, is_strongest, "a plugin wins whole: {layer}, with {}", layers[strongest]);
        }
    }
    let expected: Vec<_> =
        layers.iter().zip(100..).map(|(layer, limit)| ((*layer).to_owned(), limit.to_string())).collect();
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumers_plugins_have_turns_only_at_its_own_requests() {
    let place = Place::new().await;
    let refusing = json!({"ip-restriction": {"blacklist": ["127.0.0.1"]}});
    place.consumer("ann", json!({"plugins": refusing})).await;
    place.consumer("bob", json!({})).await;
    place.route("/a", json!({"key-auth": {}})).await;
    place.route("/open", json!({"cors": {}})).await;
    for (path, key, status) in
        [("/a", "ann-key", 403), ("/a", "bob-key", 200), ("/a", "none", 401), ("/open", "ann-key", 200)]
    {
        assert_eq!(place.get(path, &[("apikey", key)]).await.status(), status, "{path} {key}");
    }
    // What a consumer has switched off is off for it, whatever the route says.
    let limited =
        json!({"key-auth": {}, "limit-count": {"count": 1, "time_window": 60, "key_type": "constant"}});
    place.route("/limited", limited).await;
    place
        .consumer(
            "cid",
            json!({"plugins": {"limit-count": {"count": 9, "time_window": 9, "_meta": {"disable": true}}}}),
        )
        .await;
    for (key, status) in [("bob-key", 200), ("bob-key", 503), ("cid-key", 200), ("cid-key", 200)] {
        assert_eq!(place.get("/limited", &[("apikey", key)]).await.status(), status, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_group_is_missing_is_not_served() {
    let place = Place::new().await;
    place.consumer("ann", json!({"group_id": "gone"})).await;
    place.route("/a", json!({"key-auth": {}})).await;
    let refused = place.get("/a", &[ANN]).await;
    assert_eq!((refused.status(), &refused.json()["code"]), (503, &json!("consumer_group_missing")));
    place.put("consumer_groups", "gone", json!({"plugins": {}})).await;
    assert_eq!(place.get("/a", &[ANN]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn global_rules_see_every_request_also_those_that_no_route_takes() {
    let place = Place::new().await;
    place.route("/a", json!({"request-id": {"header_name": "X-Own"}})).await;
    let named = |name: &str| json!({"plugins": {"request-id": {"header_name": name}}});
    place.put("global_rules", "1", named("X-Global")).await;
    for (path, status, own) in [("/a", 200, true), ("/nowhere", 404, false)] {
        let reply = place.get(path, &[]).await;
        assert_eq!(reply.status(), status);
        assert!(reply.header("x-request-id").is_some());
        assert_eq!(reply.header("x-own").is_some(), own, "{path}");
    }
    let reply = place.get("/a", &[]).await;
    assert!(reply.sent("x-global").is_some() && reply.sent("x-own").is_some(), "both have turns");
    let blocking = json!({"plugins": {"ip-restriction": {"blacklist": ["127.0.0.1"]}}});
    place.put("global_rules", "2", blocking).await;
    for path in ["/a", "/nowhere"] {
        assert_eq!(place.get(path, &[]).await.status(), 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_have_turns_by_priority_which_can_be_said_anew() {
    let place = Place::new().await;
    let plugins = |meta: Value| json!({"fault-injection": {"abort": {"http_status": 418}, "_meta": meta}, "key-auth": {}});
    place.consumer("ann", json!({})).await;
    place.route("/first", plugins(json!({}))).await;
    place.route("/last", plugins(json!({"priority": 2499}))).await;
    assert_eq!(place.get("/first", &[]).await.status(), 418);
    assert_eq!(place.get("/last", &[]).await.status(), 401);
    assert_eq!(place.get("/last", &[ANN]).await.status(), 418);
}
