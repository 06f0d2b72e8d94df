//! References in resources: inside longer texts, where numbers are wanted, and what becomes of those without a value.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::support::LONG;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_changed_under_load_never_leaves_a_route_without_its_value() {
    let place = Place::in_environment(&[("A_TOKEN", "canary-a"), ("B_TOKEN", "canary-b")]).await;
    let vault = |prefix: &str| -> Value {
        json!({"id": "1", "prefix": "team", "name": "env", "config": {"prefix": prefix}, "created_at": 1, "updated_at": 1})
    };
    place.put("vaults", "team", vault("A_")).await;
    let headers = json!({"proxy-rewrite": {"headers": {"set": {"X-Token": "Bearer {vault://team/token}"}}}});
    place.route("/a", headers).await;
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let changes = async {
        // As long as there was little load beside them, they go on.
        for turn in 0.. {
            if turn >= 40 && answered.load(Ordering::Relaxed) > 10 {
                break;
            }
            place.put("vaults", "team", vault(if turn % 2 == 0 { "B_" } else { "A_" })).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let load = async {
        while !done.load(Ordering::Relaxed) {
            let reply = place.get("/a", &[]).await;
            assert_eq!(reply.status(), 200, "after {answered:?} answers");
            let token = reply.sent("x-token").unwrap();
            assert!(["Bearer canary-a", "Bearer canary-b"].contains(&token.as_str()), "{token}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    tokio::join!(changes, load);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_refusal_has_the_values_of_its_request_asked_for_again_and_no_others() {
    let place =
        Place::in_environment(&[("TOKEN", "canary-token"), ("HOST", "inner.example"), ("FREE", "x")]).await;
    let refusing = refusing().await.to_string();
    let header = |name: &str| json!({"proxy-rewrite": {"headers": {"set": {"X-T": format!("{{vault://env/{name}}}")}}}});
    let upstream =
        json!({"nodes": {refusing: 1}, "pass_host": "rewrite", "upstream_host": "{vault://env/host}"});
    place.put("routes", "r", json!({"uri": "/r", "upstream": upstream, "plugins": header("token")})).await;
    place.put("routes", "p", json!({"uri": "/p", "upstream": upstream})).await;
    place.route("/free", header("free")).await;
    let refreshes =
        || place.gate.plane.resolver.counts().iter().find(|counts| counts.vault == "env").unwrap().refreshes;
    assert_eq!(refreshes(), 3);
    let reach = async |count: u64| {
        let reached = async {
            while refreshes() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, reached).await.unwrap();
    };
    assert_eq!(place.get("/p", &[]).await.status(), 401);
    reach(4).await;
    assert_eq!(place.get("/r", &[]).await.status(), 401);
    assert_eq!(place.get("/free", &[]).await.status(), 200);
    assert_eq!(place.get("/r", &[]).await.status(), 401);
    reach(5).await;
    // Each value at most once in 30 s, and a value whose request was not refused never.
    assert_eq!(refreshes(), 5);
}

/// Answers every request with 401.
async fn refusing() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::runtime::Handle::current().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap_or_default());
                assert!(head.len() < 10_000);
            }
            let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(answer).await;
        }
    });
    address
}
