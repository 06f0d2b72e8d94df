//! What pages of other origins hear.

use gateward_testkit::nobody;
use serde_json::json;

use super::super::support::nodes;
use super::Place;

const PAGE: (&str, &str) = ("origin", "https://page.example");

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_before_anybody_asks_who_calls() {
    let place = Place::new().await;
    let settings = json!({
        "allow_origins": "https://page.example,https://other.example", "allow_methods": "GET,PUT", "allow_headers": "X-A",
        "expose_headers": "X-B", "max_age": 60, "allow_credential": true,
    });
    place.route("/a", json!({"cors": settings, "key-auth": {}})).await;
    let asked = [PAGE, ("access-control-request-method", "PUT")];
    let preflight = place.ask("OPTIONS", "/a", &asked).await;
    assert_eq!(preflight.status(), 200);
    let refused = place.get("/a", &[PAGE]).await;
    assert_eq!(refused.status(), 401);
    for reply in [&preflight, &refused] {
        for (name, value) in [
            ("access-control-allow-origin", "https://page.example"),
            ("access-control-allow-methods", "GET,PUT"),
            ("access-control-allow-headers", "X-A"),
            ("access-control-expose-headers", "X-B"),
            ("access-control-max-age", "60"),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{name}");
        }
    }
    let stranger = place.ask("OPTIONS", "/a", &[("origin", "https://evil.example")]).await;
    assert_eq!(stranger.header("access-control-allow-origin"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_read_what_went_wrong_whoever_says_it() {
    let place = Place::new().await;
    let cors = json!({"allow_origins": "https://page.example"});
    // The upstream is the gateway itself, which has nothing there.
    let missing = json!({"plugins": {"cors": cors, "proxy-rewrite": {"uri": "/nowhere"}},
        "upstream": nodes(&[place.gate.address])});
    place.route_with("/missing", missing).await;
    let down = json!({"plugins": {"cors": cors}, "upstream": nodes(&[nobody()])});
    place.route_with("/down", down).await;
    let fault = json!({"cors": cors, "fault-injection": {"abort": {"http_status": 418}}});
    place.route("/fault", fault).await;
    let over = json!({"cors": cors, "limit-count": {"count": 1, "time_window": 60, "key_type": "constant"}});
    place.route("/over", over).await;
    assert_eq!(place.get("/over", &[PAGE]).await.status(), 200);
    for (path, status) in [("/missing", 404), ("/down", 502), ("/fault", 418), ("/over", 503)] {
        let reply = place.get(path, &[PAGE]).await;
        assert_eq!(reply.status(), status, "{path}");
        let allowed = reply.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://page.example"), "{path}");
    }
    place.put("global_rules", "1", json!({"plugins": {"cors": cors}})).await;
    let nowhere = place.get("/nowhere", &[PAGE]).await;
    let allowed = nowhere.header("access-control-allow-origin");
    assert_eq!((nowhere.status(), allowed), (404, Some("https://page.example")));
}
