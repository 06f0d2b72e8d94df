//! Who calls: keys, tokens, strangers.

use serde_json::json;

use super::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_taken_from_the_field_or_from_the_query_and_names_its_consumer() {
    let place = Place::new().await;
    place.consumer("ann", json!({"labels": {"custom_id": "c-1"}})).await;
    place.route("/a", json!({"key-auth": {}})).await;
    place.route("/named", json!({"key-auth": {"header": "X-Key", "query": "k", "realm": "orders"}})).await;
    for (target, headers) in [("/a", &[("apikey", "ann-key")][..]), ("/a?apikey=ann-key", &[])] {
        let reply = place.get(target, headers).await;
        assert_eq!(reply.sent("x-consumer-username").as_deref(), Some("ann"), "{target}");
        assert_eq!(reply.sent("x-consumer-custom-id").as_deref(), Some("c-1"), "{target}");
    }
    let named = place.get("/named", &[("x-key", "ann-key")]).await;
    assert_eq!(named.sent("x-key").as_deref(), Some("ann-key"), "what is not to be hidden stays");
    for (target, headers, message) in [
        ("/a", &[][..], "Missing API key in request"),
        ("/a", &[("apikey", "bob-key")], "Invalid API key in request"),
        ("/a", &[("x-key", "ann-key")], "Missing API key in request"),
    ] {
        let refused = place.get(target, headers).await;
        assert_eq!((refused.status(), &refused.json()["message"]), (401, &json!(message)));
        assert_eq!(refused.header("www-authenticate"), Some("apikey realm=\"key\""));
    }
    let realm = place.get("/named", &[]).await;
    assert_eq!(realm.header("www-authenticate"), Some("apikey realm=\"orders\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_credentials_do_not_reach_the_upstream_wherever_they_stood() {
    let place = Place::new().await;
    place.consumer("ann", json!({})).await;
    place.route("/a", json!({"key-auth": {"hide_credentials": true}})).await;
    let reply = place.get("/a?x=1&apikey=other&y=2", &[("apikey", "ann-key")]).await;
    assert_eq!((reply.sent("apikey"), reply.target()), (None, "/a?x=1&y=2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_pass_in_the_name_of_the_anonymous_consumer_with_its_plugins() {
    let place = Place::new().await;
    let limited = json!({"limit-count": {"count": 1, "time_window": 60}});
    place.put("consumers", "anybody", json!({"username": "anybody", "plugins": limited})).await;
    place.consumer("ann", json!({})).await;
    place.route("/a", json!({"key-auth": {"anonymous_consumer": "anybody"}})).await;
    place.route("/b", json!({"key-auth": {"anonymous_consumer": "nobody"}})).await;
    let forged = ("x-consumer-username", "root");
    let stranger = place.get("/a", &[forged, ("x-consumer-custom-id", "root")]).await;
    assert_eq!(stranger.sent("x-consumer-username").as_deref(), Some("anybody"));
    assert_eq!(stranger.sent("x-consumer-custom-id"), None);
    assert_eq!(place.get("/a", &[]).await.status(), 503);
    let ann = place.get("/a", &[("apikey", "ann-key"), forged]).await;
    assert_eq!(ann.sent("x-consumer-username").as_deref(), Some("ann"));
    assert_eq!(place.get("/b", &[]).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_its_own_names_itself_and_its_consumer() {
    let place = Place::new().await;
    place.put("consumers", "ann", json!({"username": "ann"})).await;
    place.put("credentials", "ann/second", json!({"plugins": {"key-auth": {"key": "second-key"}}})).await;
    place.route("/a", json!({"key-auth": {}})).await;
    let reply = place.get("/a", &[("apikey", "second-key")]).await;
    assert_eq!(reply.sent("x-consumer-username").as_deref(), Some("ann"));
    assert_eq!(reply.sent("x-credential-identifier").as_deref(), Some("second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_if_it_is_signed_by_the_consumer_it_names_and_not_over() {
    let place = Place::new().await;
    let shown = json!({"jwt-auth": {"key": "ann-name", "secret": "canary-secret"}});
    place.put("consumers", "ann", json!({"username": "ann", "plugins": shown})).await;
    place.route("/a", json!({"jwt-auth": {}})).await;
    place.route("/hidden", json!({"jwt-auth": {"hide_credentials": true}})).await;
    let bearer = format!("Bearer {GOOD}");
    let by_query = format!("/a?jwt={GOOD}");
    let by_cookie = format!("a=b; jwt={GOOD}");
    for (target, headers) in [
        ("/a", vec![("authorization", bearer.as_str())]),
        ("/a", vec![("authorization", GOOD)]),
        (by_query.as_str(), vec![]),
        ("/a", vec![("cookie", by_cookie.as_str())]),
    ] {
        let reply = place.get(target, &headers).await;
        assert_eq!(reply.sent("x-consumer-username").as_deref(), Some("ann"), "{target} {headers:?}");
    }
    let hidden = place.get("/hidden?x=1", &[("authorization", &bearer), ("cookie", &by_cookie)]).await;
    assert_eq!((hidden.sent("authorization"), hidden.sent("cookie")), (None, Some("a=b".to_owned())));
    for wrong in [OVER, FOREIGN, "a.b.c", ""] {
        let refused = place.get("/a", &[("authorization", wrong)]).await;
        assert_eq!(refused.status(), 401, "{wrong}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"jwt\""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_consumer_shows_may_stand_in_a_vault_and_nobody_passes_without_it() {
    let place = Place::in_environment(&[("ANN_KEY", "from-the-vault")]).await;
    for (name, reference) in [("ann", "{vault://env/ann-key}"), ("bob", "{vault://env/bob-key}")] {
        let shown = json!({"key-auth": {"key": reference}});
        place.put("consumers", name, json!({"username": name, "plugins": shown})).await;
    }
    place.route("/a", json!({"key-auth": {}})).await;
    let reply = place.get("/a", &[("apikey", "from-the-vault")]).await;
    assert_eq!(reply.sent("x-consumer-username").as_deref(), Some("ann"));
    for text in ["{vault://env/ann-key}", "{vault://env/bob-key}", ""] {
        assert_eq!(place.get("/a", &[("apikey", text)]).await.status(), 401, "{text}");
    }
}

/// HS256 by `canary-secret`: the key `ann-name`, until 2100.
const GOOD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJhbm4tbmFtZSIsImV4cCI6NDEwMjQ0NDgwMH0.\
                    z0bRAhq4R_bjCOxNKF4VAnQgmKR0z0VZIua38pzgW-s";
/// The same, until 2001.
const OVER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJhbm4tbmFtZSIsImV4cCI6MTAwMDAwMDAwMH0.\
                    yQMn2A2b3ImK_2BPeTW1YRon44pzt0Z8QbT0UoiPQIY";
/// The same as the first, by `another-secret`.
const FOREIGN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJhbm4tbmFtZSIsImV4cCI6NDEwMjQ0NDgwMH0.\
                       U1lDmVvjv-zQF8lA7LZJOTtNlxmVntE1nHQjJvrKfbo";
