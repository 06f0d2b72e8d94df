//! Conjur, as a double that answers as CyberArk's documentation of its API says: a login by API key whose token is good
//! for eight minutes, variables with numbered values, 404 also for what the login may not see.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateward_testkit::{Asked, Canary, Double, Reply};
use gateward_vaults::MissKind;
use serde_json::{Value, json};

use crate::faults::{Fault, go_through};
use crate::world::{World, refused};

/// What the double has and does.
struct Conjur {
    key: Canary,
    /// What its tokens hold, before they are encoded.
    token: Canary,
    secret: Canary,
    state: Arc<Mutex<State>>,
    fault: Fault,
}

#[derive(Default)]
struct State {
    /// Names as they stand in a URL, and values from the first on.
    variables: Vec<(String, Vec<Vec<u8>>)>,
    logins: usize,
    /// Tokens up to this number are refused.
    revoked: usize,
}

impl Conjur {
    fn new() -> Self {
        let secret = Canary::new("secret");
        let variables = vec![
            (
                "db%2Fpassword".to_owned(),
                vec![b"zeroth".to_vec(), b"first".to_vec(), b"second".to_vec(), secret.text().into()],
            ),
            ("odd%20name%2B%40x".to_owned(), vec![b"odd".to_vec()]),
            ("json".to_owned(), vec![br#"{"user": "u", "port": 5432}"#.to_vec()]),
            ("binary".to_owned(), vec![vec![0xff, 0xfe, 1]]),
            ("empty".to_owned(), vec![]),
        ];
        let state = Arc::new(Mutex::new(State { variables, ..State::default() }));
        let (key, token) = (Canary::new("key"), Canary::new("token"));
        Self { key, token, secret, state, fault: Fault::default() }
    }

    fn start(&self) -> Double {
        let (key, token) = (self.key.text().to_owned(), self.token.text().to_owned());
        let (state, fault) = (Arc::clone(&self.state), self.fault.clone());
        Double::start(move |asked| {
            fault.now().unwrap_or_else(|| answer(&mut state.lock().unwrap(), asked, &key, &token))
        })
    }

    fn config(&self, url: &str) -> Value {
        json!({
            "endpoint_url": url, "account": "my org", "login": "host/edge gateway",
            "api_key": self.key.text(), "auth_method": "api_key",
        })
    }
}

fn answer(state: &mut State, asked: &Asked, key: &str, token: &str) -> Reply {
    if asked.what == "POST /authn/my%20org/host%2Fedge%20gateway/authenticate" {
        if asked.body != key {
            return Reply::text(401, "");
        }
        assert_eq!(asked.header("accept-encoding"), Some("base64"));
        state.logins += 1;
        return Reply::text(200, STANDARD.encode(format!("{{\"payload\":\"{token}-{}\"}}", state.logins)));
    }
    let shown = asked.header("authorization").and_then(|shown| shown.strip_prefix("Token token=\""));
    let shown = shown.and_then(|shown| STANDARD.decode(shown.trim_end_matches('"')).ok()).unwrap_or_default();
    let shown = String::from_utf8(shown).unwrap();
    let number = shown.trim_end_matches("\"}").rsplit('-').next().and_then(|number| number.parse().ok());
    if !shown.contains(token) || number.is_none_or(|number: usize| number <= state.revoked) {
        return Reply::text(401, "");
    }
    let (_, target) = asked.what.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (kind, name) = match path.strip_prefix("/secrets/my%20org/variable/") {
        Some(name) => ("secrets", name),
        None => ("resources", path.strip_prefix("/resources/my%20org/variable/").unwrap_or_default()),
    };
    if name == "forbidden" {
        return Reply::text(403, "");
    }
    let not_found = || {
        let message = format!("CONJ00076E Variable my org:variable:{name} is empty or not found.");
        Reply::json(404, &json!({"error": {"code": "not_found", "message": message}}))
    };
    let Some((_, values)) = state.variables.iter().find(|(known, _)| known == name) else {
        return not_found();
    };
    if kind == "resources" {
        let secrets: Vec<Value> =
            (1..=values.len()).map(|version| json!({"version": version, "expires_at": null})).collect();
        let variable = json!({
            "created_at": "2026-11-21T00:00:00.000+00:00", "id": format!("my org:variable:{name}"),
            "owner": "my org:user:admin", "permissions": [], "annotations": [], "secrets": secrets,
        });
        return Reply::json(200, &variable);
    }
    let value = match query.strip_prefix("version=") {
        Some(version) => version.parse().ok().and_then(|version: usize| values.get(version - 1)),
        None => values.last(),
    };
    value.map_or_else(not_found, |value| Reply::text(200, value.clone()))
}

#[tokio::test]
async fn variables_are_found_with_their_versions() {
    let conjur = Conjur::new();
    let double = conjur.start();
    let url = format!("{}/", double.url());
    let world = World::new(&[
        ("GATEWARD_VAULT_CONJUR_ENDPOINT_URL", &url),
        ("GATEWARD_VAULT_CONJUR_ACCOUNT", "my org"),
        ("GATEWARD_VAULT_CONJUR_LOGIN", "host/edge gateway"),
        ("KONG_VAULT_CONJUR_API_KEY", conjur.key.text()),
    ]);
    world.has(&[("cj", "conjur", conjur.config(&double.url()))]);
    for (text, value) in [
        ("cj/db/password", conjur.secret.text()),
        ("cj/db/password/", conjur.secret.text()),
        ("cj/db/password#2", "second"),
        ("conjur/db/password", conjur.secret.text()),
        ("cj/odd name+%40x", "odd"),
        ("cj/json/user", "u"),
        ("cj/json/port", "5432"),
        ("cj/binary", "//4B"),
    ] {
        assert_eq!(world.get(text).await.as_deref(), Ok(value), "{text}");
    }
    for (text, kind, words) in [
        ("cj/absent", MissKind::NotFound, "no such variable"),
        ("cj/empty", MissKind::NotFound, "no value"),
        ("cj/empty#2", MissKind::NotFound, "one value only"),
        ("cj/json/user#2", MissKind::NotFound, "one value only"),
        ("cj/forbidden", MissKind::Denied, "execute"),
    ] {
        let unresolved = world.get(text).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{text}: {unresolved}");
        assert!(unresolved.problem.contains(words), "{text}: {unresolved}");
    }
    assert_eq!(conjur.state.lock().unwrap().logins, 2, "one for each vault");
    world.kept_to_itself([&conjur.key, &conjur.token, &conjur.secret]);
}

#[tokio::test]
async fn a_token_is_kept_for_minutes_and_replaced_when_it_is_refused() {
    let conjur = Conjur::new();
    let double = conjur.start();
    let world = World::new(&[]);
    world.has(&[("cj", "conjur", conjur.config(&double.url()))]);
    assert!(world.get("cj/db/password").await.is_ok());
    world.clock.advance(Duration::from_secs(3 * 60));
    assert!(world.get("cj/json/user").await.is_ok());
    assert_eq!(conjur.state.lock().unwrap().logins, 1);
    conjur.state.lock().unwrap().revoked = 1;
    assert!(world.get("cj/binary").await.is_ok());
    assert_eq!(conjur.state.lock().unwrap().logins, 2);
    world.clock.advance(Duration::from_secs(5 * 60));
    assert!(world.get("cj/db/password#2").await.is_ok());
    assert_eq!(conjur.state.lock().unwrap().logins, 3);
    // Each token is refused: the login is asked once more, and that is all.
    world.clock.advance(Duration::from_secs(2 * 60));
    conjur.state.lock().unwrap().revoked = usize::MAX;
    assert_eq!(world.kind("cj/odd name+%40x").await, Err(MissKind::Denied));
    assert_eq!(conjur.state.lock().unwrap().logins, 4);
    world.kept_to_itself([&conjur.key, &conjur.token, &conjur.secret]);
}

#[tokio::test]
async fn a_wrong_key_is_denied_and_a_wrong_place_is_no_deletion() {
    let (conjur, wrong) = (Conjur::new(), Canary::new("wrong"));
    let double = conjur.start();
    let elsewhere = Double::start(|asked| match asked.what.starts_with("POST") {
        true => Reply::text(200, STANDARD.encode("{}")),
        false if asked.what.ends_with("page") => {
            Reply::text(200, "<html>log in</html>").with_header("Content-Type", "text/html; charset=utf-8")
        }
        false => Reply::text(404, "<html>not here</html>"),
    });
    let mut config = conjur.config(&double.url());
    config["api_key"] = wrong.text().into();
    let world = World::new(&[]);
    world.has(&[
        ("wrong", "conjur", config),
        ("elsewhere", "conjur", conjur.config(&elsewhere.url())),
        ("no-login", "conjur", conjur.config(&format!("{}/api", double.url()))),
        ("none", "conjur", json!({"endpoint_url": double.url()})),
    ]);
    for (text, kind, words) in [
        ("wrong/db/password", MissKind::Denied, "account, login and api_key"),
        ("elsewhere/db/password", MissKind::Garbage, "see that its address is right"),
        ("elsewhere/page", MissKind::Garbage, "see that its address is right"),
        ("no-login/db/password", MissKind::Denied, "account, login"),
        ("none/db/password", MissKind::Misconfigured, "account"),
    ] {
        let unresolved = world.get(text).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{text}: {unresolved}");
        assert!(unresolved.problem.contains(words), "{text}: {unresolved}");
    }
    world.kept_to_itself([&wrong, &conjur.key]);
}

#[tokio::test]
async fn each_fault_of_conjur_is_told_as_what_it_is() {
    let (conjur, told) = (Conjur::new(), Canary::new("told"));
    let double = conjur.start();
    let ask = |url: &str| {
        let world = World::new(&[]);
        world.has(&[("cj", "conjur", conjur.config(url))]);
        world
    };
    let canaries = [&conjur.key, &conjur.token, &conjur.secret];
    go_through(&double, &conjur.fault, &ask, "cj/json/user", &told, &canaries).await;
}

#[test]
fn wrong_settings_are_refused() {
    for (config, words) in [
        (json!({"auth_method": "jwt"}), "expected one of: api_key"),
        (json!({"endpoint_url": "http://conjur.example"}), "https is needed"),
        (json!({"endpoint_url": "https://u:canary@conjur.example"}), "endpoint_url"),
        (json!({"host": "x"}), "unknown field"),
    ] {
        let problem = refused("conjur", &config);
        assert!(problem.contains(words) && !problem.contains("canary"), "{problem}");
    }
}
