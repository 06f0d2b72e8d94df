//! Who may come, and how often; and who that is behind a proxy.

use serde_json::{Value, json};

use super::Place;

fn limit(fields: &Value) -> Value {
    let mut settings = json!({"count": 2, "time_window": 60});
    for (name, field) in fields.as_object().unwrap() {
        settings[name] = field.clone();
    }
    json!({"limit-count": settings})
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_over_the_limit_hears_so_as_configured_and_everybody_hears_what_is_left() {
    let place = Place::new().await;
    place.route("/plain", limit(&json!({}))).await;
    place.route("/told", limit(&json!({"rejected_code": 429, "rejected_msg": "slow down"}))).await;
    place.route("/silent", limit(&json!({"show_limit_quota_header": false, "rejected_code": 429}))).await;
    for (path, code) in [("/plain", 503), ("/told", 429)] {
        for (remaining, status) in [("1", 200), ("0", 200), ("0", code)] {
            let reply = place.get(path, &[]).await;
            assert_eq!(reply.status(), status, "{path}");
            assert_eq!(reply.header("x-ratelimit-limit"), Some("2"), "{path}");
            assert_eq!(reply.header("x-ratelimit-remaining"), Some(remaining), "{path}");
            let reset: u32 = reply.header("x-ratelimit-reset").unwrap().parse().unwrap();
            assert!((1..=60).contains(&reset), "{path}: {reset}");
        }
    }
    assert_eq!(place.get("/told", &[]).await.json(), json!({"error_msg": "slow down"}));
    assert_eq!(place.get("/plain", &[]).await.json()["code"], "limit_exceeded");
    for status in [200, 200, 429] {
        let reply = place.get("/silent", &[]).await;
        assert_eq!((reply.status(), reply.header("x-ratelimit-limit")), (status, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_of_one_group_count_together_and_others_for_themselves() {
    let place = Place::new().await;
    for path in ["/a", "/b"] {
        place.route(path, limit(&json!({"group": "g"}))).await;
    }
    for path in ["/c", "/d"] {
        place.route(path, limit(&json!({}))).await;
    }
    for (path, status) in [("/a", 200), ("/b", 200), ("/a", 503), ("/b", 503)] {
        assert_eq!(place.get(path, &[]).await.status(), status, "{path}");
    }
    for (path, status) in [("/c", 200), ("/c", 200), ("/d", 200), ("/c", 503), ("/d", 200)] {
        assert_eq!(place.get(path, &[]).await.status(), status, "{path}");
    }
    // A change that does not touch what is counted begins no new window.
    place.route("/c", limit(&json!({"rejected_code": 429}))).await;
    assert_eq!(place.get("/c", &[]).await.status(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_told_apart_by_what_the_key_says() {
    let place = Place::new().await;
    for name in ["ann", "bob"] {
        place.consumer(name, json!({})).await;
    }
    place.route("/variable", limit(&json!({"count": 1, "key": "http_x_user"}))).await;
    let both = json!({"count": 1, "key_type": "var_combination", "key": "$http_x_user $http_x_team"});
    place.route("/both", limit(&both)).await;
    place.route("/all", limit(&json!({"count": 1, "key_type": "constant", "key": "one"}))).await;
    let mut by_caller = limit(&json!({"count": 1, "key": "consumer_name"}));
    by_caller["key-auth"] = json!({});
    place.route("/caller", by_caller).await;
    let (u1, u2, t1) = (("x-user", "1"), ("x-user", "2"), ("x-team", "1"));
    let (ann, bob) = (("apikey", "ann-key"), ("apikey", "bob-key"));
    for (path, headers, status) in [
        ("/variable", vec![u1], 200),
        ("/variable", vec![u1], 503),
        ("/variable", vec![u2], 200),
        ("/variable", vec![], 200),
        ("/variable", vec![], 503),
        ("/both", vec![u1], 200),
        ("/both", vec![u1, t1], 200),
        ("/both", vec![u1, t1], 503),
        ("/all", vec![u1], 200),
        ("/all", vec![u2], 503),
        ("/caller", vec![ann], 200),
        ("/caller", vec![bob], 200),
        ("/caller", vec![ann], 503),
        // Who is not let in is not counted.
        ("/caller", vec![], 401),
    ] {
        assert_eq!(place.get(path, &headers).await.status(), status, "{path} {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_let_in_or_kept_out_as_a_trusted_proxy_tells_them() {
    let place = Place::new().await;
    let behind = |list: &str, restriction: Value| {
        json!({
            "real-ip": {"source": "http_x_forwarded_for", "trusted_addresses": [list], "recursive": true},
            "ip-restriction": restriction,
        })
    };
    let only = json!({"whitelist": ["198.51.100.0/24"], "message": "not you", "response_code": 404});
    place.route("/in", behind("127.0.0.1", only.clone())).await;
    place.route("/out", behind("127.0.0.1", json!({"blacklist": ["198.51.100.7"]}))).await;
    place.route("/distrusted", behind("192.0.2.1", only)).await;
    for (path, list, status) in [
        ("/in", "198.51.100.7", 200),
        ("/in", "203.0.113.1, 198.51.100.7, 127.0.0.1", 200),
        ("/in", "198.51.100.7, 203.0.113.1", 404),
        ("/in", "nonsense", 404),
        ("/out", "198.51.100.7", 403),
        ("/out", "198.51.100.8", 200),
        ("/distrusted", "198.51.100.7", 404),
    ] {
        assert_eq!(place.get(path, &[("x-forwarded-for", list)]).await.status(), status, "{path} {list}");
    }
    let refused = place.get("/in", &[]).await;
    assert_eq!(refused.json(), json!({"message": "not you"}));
    let out = place.get("/out", &[("x-forwarded-for", "198.51.100.7")]).await;
    assert_eq!(out.json(), json!({"message": "Your IP address is not allowed"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_hears_of_the_client_that_was_found_and_of_its_port() {
    let place = Place::new().await;
    let tell = json!({"headers": {"set": {"X-End": "[$remote_addr]:$remote_port"}}});
    place.route("/a", json!({"real-ip": {"source": "arg_ip"}, "proxy-rewrite": tell.clone()})).await;
    place.route("/b", json!({"proxy-rewrite": tell})).await;
    for (written, end) in [
        ("198.51.100.7:4711", "[198.51.100.7]:4711"),
        ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
        // The port of the proxy is not the client's.
        ("198.51.100.7", "[198.51.100.7]:"),
    ] {
        let reply = place.get(&format!("/a?ip={written}"), &[]).await;
        assert_eq!(reply.sent("x-end").as_deref(), Some(end));
        let address = end.trim_start_matches('[').split(']').next();
        assert_eq!(reply.sent("x-real-ip").as_deref(), address);
        assert_eq!(reply.sent("x-forwarded-for").as_deref(), address);
    }
    let reply = place.get("/b", &[]).await;
    let port = reply.sent("x-end").unwrap().strip_prefix("[127.0.0.1]:").unwrap().to_owned();
    assert!(port.parse::<u16>().is_ok(), "{port}");
}

#[tokio::test(flavor = "multi_thread")]
async fn references_in_metadata_are_resolved_and_without_them_the_plugin_serves_nobody() {
    let place = Place::in_environment(&[("QUOTA_HEADER", "X-Quota")]).await;
    let metadata = |reference: &str| json!({"limit_header": reference});
    place.put("plugin_metadata", "limit-count", metadata("{vault://env/quota-header}")).await;
    place.route("/a", limit(&json!({}))).await;
    place.route("/b", json!({})).await;
    let reply = place.get("/a", &[]).await;
    assert_eq!((reply.header("x-quota"), reply.header("x-ratelimit-limit")), (Some("2"), None));
    // What the metadata say of themselves is no concern of the plugin.
    let named = json!({"id": "limit-count", "limit_header": "X-Other"});
    place.put("plugin_metadata", "limit-count", named).await;
    assert_eq!(place.get("/a", &[]).await.header("x-other"), Some("2"));
    place.put("plugin_metadata", "limit-count", metadata("{vault://env/no-such-header}")).await;
    let refused = place.get("/a", &[]).await;
    assert_eq!((refused.status(), &refused.json()["code"]), (503, &json!("secret_unresolved")));
    assert_eq!(place.get("/b", &[]).await.status(), 200);
}
