//! References in resources: inside longer texts, where numbers are wanted, and what becomes of those without a value.

use serde_json::json;

use super::Place;

#[tokio::test(flavor = "multi_thread")]
async fn references_stand_inside_texts_several_in_one_and_where_numbers_are_wanted() {
    let environment = [
        ("TOKEN", "canary-token"),
        ("USER", "ann"),
        ("LIMIT", "2"),
        ("SHOWN", "true"),
        ("WORD", "canary-word"),
        ("LOOKS", "{vault://env/token}"),
    ];
    let place = Place::in_environment(&environment).await;
    let headers = json!({"proxy-rewrite": {"headers": {"set": {
        "X-Token": "Bearer {vault://env/token}",
        "X-Two": "{vault://env/user}:{vault://env/token}",
        "X-Looks": "<{vault://env/looks}>",
    }}}});
    place.route("/a", headers).await;
    let reply = place.get("/a", &[]).await;
    assert_eq!(reply.sent("x-token").as_deref(), Some("Bearer canary-token"));
    assert_eq!(reply.sent("x-two").as_deref(), Some("ann:canary-token"));
    assert_eq!(reply.sent("x-looks").as_deref(), Some("<{vault://env/token}>"), "a value is a value");

    let limit = |code: &str, shown: &str| {
        json!({"limit-count": {
            "count": 1, "time_window": 60, "key_type": "constant", "key": "{vault://env/user}-{vault://env/user}",
            "rejected_code": code, "show_limit_quota_header": shown,
        }})
    };
    place.route("/n", limit("{vault://env/code}", "{vault://env/shown}")).await;
    assert_eq!(place.get("/n", &[]).await.status(), 503, "one of its references has no value");
    place.route("/n", limit("{vault://env/word}", "{vault://env/shown}")).await;
    let refused = place.get("/n", &[]).await;
    assert_eq!((refused.status(), &refused.json()["code"]), (503, &json!("secret_unresolved")));
    assert!(!refused.0.contains("canary"), "{}", refused.0);
    place
        .route(
            "/s",
            json!({"limit-count": {
                "count": 5, "time_window": "{vault://env/limit}", "key_type": "constant", "key": "x",
                "show_limit_quota_header": "{vault://env/shown}",
            }}),
        )
        .await;
    assert_eq!(place.get("/s", &[]).await.header("x-ratelimit-limit"), Some("5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_whose_reference_has_no_value_is_not_called_by_the_references_text() {
    let place = Place::in_environment(&[("HOST", "inner.example")]).await;
    let upstream = |host: &str| {
        let address = place.upstream.to_string();
        json!({"nodes": {address: 1}, "pass_host": "rewrite", "upstream_host": host, "desc": "{vault://"})
    };
    for (host, status) in
        [("api-{vault://env/host}", 200), ("api-{vault://env/absent}", 503), ("{vault://", 503)]
    {
        place.put("routes", "u", json!({"uri": "/u", "upstream": upstream(host)})).await;
        let reply = place.get("/u", &[]).await;
        assert_eq!(reply.status(), status, "{host}");
        if status == 200 {
            assert_eq!(reply.sent("host").as_deref(), Some("api-inner.example"));
        }
    }
}
