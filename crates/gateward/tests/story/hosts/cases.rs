//! What is the same whatever the host.

use std::collections::BTreeSet;

use gateward_testkit::http::Response;
use gateward_testkit::{Authority, Double, Identity, Reply, eventually};
use serde_json::{Value, json};

use super::entry::{Ask, Entry};
use crate::gateway::PATIENCE;

pub fn an_upstream_sees_what_the_client_sent_and_the_client_what_the_upstream_said(entry: &Entry) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let answered = every_byte.clone();
    let upstream = Double::start(move |asked| match asked.what.as_str() {
        "GET /a/teapot" => Reply::text(418, "short and stout"),
        _ => Reply::text(200, answered.clone())
            .with_header("Content-Type", "application/octet-stream")
            .with_header("Set-Cookie", "a=1; Path=/")
            .with_header("Set-Cookie", "b=2, really; HttpOnly")
            .with_header("X-Said", "once")
            .with_header("X-Said", "twice"),
    });
    entry.put("/routes/1", &json!({"uri": "/a/*", "methods": ["POST", "GET"], "upstream": to(&upstream)}));

    let sent = [
        ("Content-Type", "application/octet-stream"),
        ("Cookie", "session=1; theme=dark"),
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Asked", "plainly"),
    ];
    let target = "/a/b/c?name=Ada&name=Bob&sum=1%2B1&space=a%20b";
    let answer = entry.ask(Ask { method: "POST", target, headers: &sent, body: &every_byte });
    assert_eq!((answer.status, answer.body == every_byte), (200, true), "{}", answer.text());
    let all = |name: &str| -> BTreeSet<String> {
        let of_name = answer.headers.iter().filter(|(known, _)| known == name);
        of_name.flat_map(|(_, value)| [value.clone()]).collect()
    };
    assert_eq!(all("set-cookie"), ["a=1; Path=/", "b=2, really; HttpOnly"].map(str::to_owned).into());
    let said: Vec<String> =
        all("x-said").iter().flat_map(|value| value.split(", ").map(str::to_owned)).collect();
    assert_eq!(said, ["once", "twice"]);
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));

    let seen = upstream.asked().pop().expect("it was asked");
    let (path, query) = seen.what.split_once('?').expect("a query");
    assert_eq!(path, "POST /a/b/c");
    let pairs: BTreeSet<&str> = query.split('&').collect();
    assert_eq!(pairs, ["name=Ada", "name=Bob", "sum=1%2B1", "space=a%20b"].into());
    assert_eq!(seen.body, String::from_utf8_lossy(&every_byte));
    let (client, scheme) = entry.client();
    assert_eq!(seen.header("cookie"), Some("session=1; theme=dark"));
    assert_eq!(seen.header("x-asked"), Some("plainly"));
    let chain: Vec<&str> = seen
        .headers
        .iter()
        .filter(|(name, _)| name == "x-forwarded-for")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(chain.join(", "), format!("198.51.100.1, {client}"));
    assert_eq!(seen.header("x-forwarded-proto"), Some(scheme));
    assert_eq!(seen.header("x-forwarded-host"), Some(super::event::DOMAIN));

    let teapot = entry.ask(Ask::get("/a/teapot"));
    assert_eq!((teapot.status, teapot.text().as_str()), (418, "short and stout"));
    is(&entry.ask(Ask { method: "DELETE", ..Ask::get("/a/b") }), 404, "no_route");
    is(&entry.ask(Ask::get("/nowhere")), 404, "no_route");
    drop(upstream);
    let gone = entry.ask(Ask::get("/a/b"));
    assert_eq!(gone.status, 502, "{}", gone.text());
}

pub fn plugins_judge_rewrite_and_count(entry: &Entry) {
    let upstream = Double::start(|asked| Reply::text(200, asked.what.clone()));
    let key = entry.plot.plant("consumerkey");
    entry.put("/consumers", &json!({"username": "ann", "plugins": {"key-auth": {"key": key}}}));
    let plugins = json!({
        "key-auth": {},
        "limit-count": {"count": 2, "time_window": 600, "rejected_code": 429, "key_type": "var", "key": "consumer_name"},
        "proxy-rewrite": {"regex_uri": ["^/old/(.*)", "/new/$1"], "headers": {"set": {"X-Who": "$remote_addr"}}},
        "cors": {"allow_origins": "https://console.example"},
    });
    entry.put("/routes/1", &json!({"uri": "/old/*", "upstream": to(&upstream), "plugins": plugins}));
    entry.put(
        "/routes/2",
        &json!({"uri": "/near", "upstream": to(&upstream), "plugins": {"ip-restriction": {"whitelist": [entry.client().0]}}}),
    );
    entry.put(
        "/routes/3",
        &json!({"uri": "/far", "upstream": to(&upstream), "plugins": {"ip-restriction": {"whitelist": ["203.0.113.1"]}}}),
    );

    assert_eq!(entry.ask(Ask::get("/old/x")).status, 401);
    assert_eq!(entry.ask(Ask::get("/old/x").with(&[("apikey", "another")])).status, 401);
    let shown = [("apikey", key.as_str()), ("Origin", "https://console.example")];
    for left in ["1", "0"] {
        let answer = entry.ask(Ask::get("/old/x?y=1").with(&shown));
        assert_eq!((answer.status, answer.text().as_str()), (200, "GET /new/x?y=1"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left));
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://console.example"));
    }
    assert_eq!(entry.ask(Ask::get("/old/x").with(&shown)).status, 429);
    assert_eq!(upstream.asked()[0].header("x-who"), Some(entry.client().0));
    assert_eq!(entry.ask(Ask::get("/near")).status, 200);
    assert_eq!(entry.ask(Ask::get("/far")).status, 403);
    // What it counts outlives a change of the configuration, and a route that is gone serves nobody.
    assert_eq!(entry.apisix("DELETE", "/routes/2", &Value::Null).status, 200);
    assert_eq!(entry.ask(Ask::get("/near")).status, 404);
    assert_eq!(entry.ask(Ask::get("/old/x").with(&shown)).status, 429);
}

pub fn references_are_resolved_and_fail_closed(entry: &Entry) {
    let upstream =
        Double::start(|asked| Reply::text(200, asked.header("x-secret").unwrap_or("none").to_owned()));
    entry.moto.create_secret("eu-west-1", "db/shown", r#"{"user": "ada"}"#);
    let vault = json!({"name": "aws", "prefix": "ours", "config": {"region": "eu-west-1", "endpoint_url": entry.moto.url()}});
    let token = entry.token();
    let headers = [("Kong-Admin-Token", token.as_str()), ("Content-Type", "application/json")];
    let made = entry.control(Ask {
        method: "POST",
        target: "/vaults",
        headers: &headers,
        body: vault.to_string().as_bytes(),
    });
    assert_eq!(made.status, 201, "{}", made.text());
    let route = |reference: &str| {
        let plugins = json!({"proxy-rewrite": {"headers": {"set": {"X-Secret": reference}}}});
        json!({"uri": "/s", "upstream": to(&upstream), "plugins": plugins})
    };
    for (reference, value) in [
        ("{vault://env/shown-value}", "a value of the environment"),
        ("{vault://ours/db/shown/user}", "ada"),
        ("Bearer {vault://ours/db/shown/user}", "Bearer ada"),
    ] {
        entry.put("/routes/1", &route(reference));
        // A write waits five seconds for the vault, which a busy machine may let pass.
        let served = eventually(PATIENCE, || {
            let answer = entry.ask(Ask::get("/s"));
            assert!(matches!(answer.status, 200 | 503), "{reference}: {}", answer.text());
            (answer.text() == value).then_some(())
        });
        assert!(served.is_some(), "{reference}");
    }
    let asked = upstream.asked().len();
    entry.put("/routes/1", &route("{vault://ours/db/nowhere}"));
    is(&entry.ask(Ask::get("/s")), 503, "secret_unresolved");
    assert_eq!(upstream.asked().len(), asked, "it was sent on without its secret");
}

pub fn the_control_planes_answer_and_refuse_alike(entry: &Entry) {
    let healthy = |target: &str| assert_eq!(entry.control(Ask::get(target)).status, 200, "{target}");
    ["/health", "/ready", "/.well-known/jwks.json"].into_iter().for_each(healthy);
    assert_eq!(entry.control(Ask::get("/metrics")).status, 401);
    assert_eq!(entry.control(Ask::get("/vaults")).status, 401);
    assert_eq!(entry.control(Ask::get("/apisix/admin/routes")).status, 401);
    let wrong = entry.akeyless("auth", &entry.login("d3Jvbmc="));
    assert!(wrong.status == 401 && wrong.json()["error"].is_string(), "{}", wrong.text());
    let nameless = entry.akeyless("list-items", &json!({}));
    assert_eq!(nameless.status, 401, "{}", nameless.text());

    // What is wrong is named, and what stood there stands.
    entry.put("/upstreams/u", &json!({"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}));
    entry.put("/routes/1", &json!({"uri": "/a", "upstream_id": "u"}));
    let refused = entry.apisix("PUT", "/routes/1", &json!({"uri": "/a", "upstream_id": "nobody"}));
    assert!(refused.status == 400 && refused.text().contains("nobody"), "{}", refused.text());
    let standing = entry.apisix("GET", "/routes/1", &Value::Null);
    assert_eq!((standing.status, &standing.json()["value"]["upstream_id"]), (200, &json!("u")));
    assert_eq!(entry.apisix("DELETE", "/upstreams/u", &Value::Null).status, 400);
    assert_eq!(entry.apisix("GET", "/routes/nobody", &Value::Null).status, 404);

    // Secrets, under each of the prefixes that clients know.
    let secret = entry.plot.plant("static");
    entry.done("create-secret", json!({"name": "/team/db", "value": secret}));
    let listed = entry.done("v2/list-items", json!({}));
    assert_eq!(listed["items"][0]["item_name"], "/team/db", "{listed}");
    let again = entry
        .akeyless("api/v2/create-secret", &json!({"name": "/team/db", "value": "x", "token": entry.token()}));
    assert_eq!(again.status, 409, "{}", again.text());
    assert_eq!(
        entry.done("delete-item", json!({"name": "/team/db", "delete-immediately": true}))["item_name"],
        "/team/db"
    );
    // No route stands before what is the control plane's.
    entry.put("/routes/2", &json!({"uri": "/*", "upstream_id": "u"}));
    healthy("/health");
    assert_eq!(entry.control(Ask::get("/console")).status, 404);
    let not_json = entry.control(Ask { method: "POST", target: "/v2/auth", headers: &[], body: b"{" });
    assert_eq!(not_json.status, 400, "{}", not_json.text());
}

pub fn credentials_are_issued_and_revoked_on_time(entry: &Entry) {
    let producer = producer();
    let item = json!({
        "name": "/db/login", "create-sync-url": format!("{}/sync/create", producer.url()),
        "revoke-sync-url": format!("{}/sync/revoke", producer.url()), "user-ttl": "60m",
        "payload": entry.plot.plant("payload"),
    });
    entry.done("dynamic-secret-create-custom", item);
    let dry = producer.count("POST /sync/revoke");
    let wish = |more: Value| {
        let mut wish = json!({"name": "/db/login", "token": entry.token()});
        wish.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        entry.akeyless("get-dynamic-secret-value", &wish)
    };
    assert_eq!(wish(json!({"ttl": "canary"})).status, 400);
    let first = wish(json!({"idempotency-key": "k"}));
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(first.json()["user"].is_string() && first.header("x-gateward-lease-expires").is_some());
    assert_eq!(
        wish(json!({"idempotency-key": "k"})).header("x-gateward-lease-id"),
        first.header("x-gateward-lease-id")
    );
    let leases = || entry.done("dynamic-secret-tmp-creds-get", json!({"name": "/db/login"}));
    let is_gone =
        |lease: &Value| !leases().as_array().expect("a list").iter().any(|left| left["id"] == *lease);
    assert_eq!(leases().as_array().map(Vec::len), Some(1), "{}", leases());

    let second = wish(json!({"ttl": "2s"}));
    let short = json!(second.header("x-gateward-lease-id").expect("its name"));
    let gone = eventually(PATIENCE, || {
        entry.tick();
        is_gone(&short).then_some(())
    });
    assert!(gone.is_some(), "{}", leases());
    assert_eq!(producer.count("POST /sync/revoke"), dry + 1, "it was revoked more than once");

    // By hand, before its time.
    let id = first.header("x-gateward-lease-id").expect("its name");
    entry.done("dynamic-secret-tmp-creds-delete", json!({"name": "/db/login", "tmp-creds-id": id}));
    assert_eq!((producer.count("POST /sync/revoke"), leases()), (dry + 2, json!([])));
}

pub fn upstreams_and_producers_have_a_ca_of_their_own_and_are_shown_a_certificate(entry: &Entry) {
    let stranger = Authority::root("stranger");
    let upstream = Double::start(|_| Reply::text(200, "known"));
    let (ours, theirs) = (entry.peers.identity("127.0.0.1", &[]), stranger.identity("127.0.0.1", &[]));
    let at = upstream.over_tls_to(&ours, &entry.peers);
    let node = at.trim_start_matches("https://");
    let trusts = |ca: &Authority, shows: Option<&Identity>| match shows {
        Some(shown) => json!({"ca": ca.pem, "client_cert": shown.chain, "client_key": shown.key}),
        None => json!({"ca": ca.pem}),
    };
    for (tls, welcome) in [
        (json!({}), false),
        (trusts(&entry.peers, None), false),
        (trusts(&entry.peers, Some(&theirs)), false),
        (trusts(&stranger, Some(&entry.shown)), false),
        (trusts(&entry.peers, Some(&entry.shown)), true),
    ] {
        let upstream = json!({"type": "roundrobin", "scheme": "https", "nodes": {node: 1}, "tls": tls});
        entry.put("/routes/1", &json!({"uri": "/t", "upstream": upstream}));
        assert_eq!(entry.ask(Ask::get("/t")).status, if welcome { 200 } else { 502 });
    }
    assert_eq!(upstream.asked().len(), 1, "somebody was heard who was not to be");

    let (known, other_ca, of_others) = (producer(), producer(), producer());
    let secret = |at: String| {
        json!({
            "name": "/tls", "create-sync-url": format!("{at}/sync/create"), "revoke-sync-url": format!("{at}/sync/revoke"),
            "user-ttl": "60m", "token": entry.token(),
        })
    };
    for at in [other_ca.over_tls(&theirs), of_others.over_tls_to(&ours, &stranger)] {
        let refused = entry.akeyless("dynamic-secret-create-custom", &secret(at));
        assert_ne!(refused.status, 200, "{}", refused.text());
    }
    assert_eq!(other_ca.asked().len() + of_others.asked().len(), 0);
    entry.done("dynamic-secret-create-custom", secret(known.over_tls_to(&ours, &entry.peers)));
    assert!(entry.done("get-dynamic-secret-value", json!({"name": "/tls"}))["user"].is_string());
    entry.done("dynamic-secret-tmp-creds-delete", json!({"name": "/tls", "revoke-all": true}));
    assert!(known.asked().iter().all(|asked| asked.over_tls) && known.count("POST /sync/revoke") == 2);
}

/// Makes users, and says of each that it is gone that it is told to.
fn producer() -> Double {
    Double::start(|asked| match asked.what.as_str() {
        "POST /sync/create" => {
            let body: Value = serde_json::from_str(&asked.body).expect("JSON");
            let user = body["request_id"].clone();
            Reply::json(200, &json!({"id": user, "response": {"user": user}}))
        }
        _ => {
            let body: Value = serde_json::from_str(&asked.body).expect("JSON");
            Reply::json(200, &json!({"revoked": body["ids"]}))
        }
    })
}

/// An upstream that stands at `double`.
fn to(double: &Double) -> Value {
    json!({"type": "roundrobin", "nodes": {format!("127.0.0.1:{}", double.port()): 1}})
}

#[track_caller]
fn is(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text());
}
