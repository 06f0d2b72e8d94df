//! Google's Secret Manager, token service and metadata server, as a double whose answers are those of Google's documentation.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateward_testkit::{Asked, Canary, Double, Reply};
use gateward_vaults::MissKind;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::faults::{Fault, go_through};
use crate::world::{World, refused};

/// Made for these tests; it opens nothing.
const PEM: &str = include_str!("service_account.pem");

/// The double, and what it knows.
struct Google {
    double: Double,
    state: Arc<Mutex<State>>,
    fault: Fault,
    token_fault: Fault,
}

#[derive(Default)]
struct State {
    /// By name: the versions, the oldest first, each with its state and its payload.
    secrets: BTreeMap<String, Vec<(&'static str, Vec<u8>)>>,
    /// Those that have been given, and are still good.
    tokens: Vec<String>,
    given: usize,
    damages: bool,
    no_service_account: bool,
}

impl Google {
    fn start() -> Self {
        let (state, fault, token_fault) =
            (Arc::<Mutex<State>>::default(), Fault::default(), Fault::default());
        let (shared, now, token_now) = (Arc::clone(&state), fault.clone(), token_fault.clone());
        let double = Double::start(move |asked| {
            let fault = if asked.what.contains("/token") { token_now.now() } else { now.now() };
            fault.unwrap_or_else(|| answer(&mut shared.lock().unwrap(), asked))
        });
        Self { double, state, fault, token_fault }
    }

    fn has(&self, name: &str, versions: &[(&'static str, &[u8])]) {
        let versions = versions.iter().map(|(state, payload)| (*state, payload.to_vec())).collect();
        self.state.lock().unwrap().secrets.insert(name.to_owned(), versions);
    }

    fn key(&self) -> String {
        json!({
            "type": "service_account", "project_id": "p1", "private_key_id": "k1", "private_key": PEM,
            "client_email": "gateway@p1.iam.gserviceaccount.com", "client_id": "1",
            "token_uri": format!("{}/token", self.double.url()),
        })
        .to_string()
    }

    /// A process that was given a service account's key.
    fn world(&self, endpoint: &str) -> World {
        let world = World::new(&[
            ("GCP_SERVICE_ACCOUNT", &self.key()),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", endpoint),
        ]);
        world.has(&[("my-gcp", "gcp", json!({"project_id": "p1"}))]);
        world
    }
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    let (method, target) = asked.what.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (method, path) {
        ("POST", "/token") => exchange(state, &asked.body),
        ("GET", "/computeMetadata/v1/instance/service-accounts/default/token") => {
            if asked.header("metadata-flavor") != Some("Google") {
                return Reply::text(403, "Missing Metadata-Flavor:Google header.");
            }
            if state.no_service_account {
                return Reply::text(404, "not found").with_header("Metadata-Flavor", "Google");
            }
            give_token(state).with_header("Metadata-Flavor", "Google")
        }
        ("GET", _) => {
            let shown = asked.header("authorization").and_then(|shown| shown.strip_prefix("Bearer "));
            if !shown.is_some_and(|token| state.tokens.iter().any(|good| good == token)) {
                let message = "Request had invalid authentication credentials.";
                return refusal(401, "UNAUTHENTICATED", message);
            }
            secret(state, path, query)
        }
        _ => Reply::text(404, ""),
    }
}

/// Judges an assertion as Google would, with the public half of the key.
fn exchange(state: &mut State, body: &str) -> Reply {
    let form: BTreeMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let invalid =
        |what: &str| Reply::json(400, &json!({"error": "invalid_grant", "error_description": what}));
    if form.get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return Reply::json(400, &json!({"error": "unsupported_grant_type"}));
    }
    let (signed, signature) = form["assertion"].rsplit_once('.').unwrap();
    let key = PrivatePkcs8KeyDer::from_pem_slice(PEM.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    if public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_err() {
        return invalid("Invalid JWT Signature.");
    }
    let (header, claims) = signed.split_once('.').unwrap();
    let part =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(part(header), json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    let claims = part(claims);
    let (issued, expires) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(expires > issued && expires - issued <= 3600, "{claims}");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert!(claims["aud"].as_str().unwrap().ends_with("/token"), "{claims}");
    if claims["iss"] != "gateway@p1.iam.gserviceaccount.com" {
        return invalid("Invalid grant: account not found");
    }
    give_token(state)
}

fn give_token(state: &mut State) -> Reply {
    state.given += 1;
    let token = format!("ya29.canarytoken{}", state.given);
    state.tokens.push(token.clone());
    Reply::json(200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}))
}

fn secret(state: &State, path: &str, query: &str) -> Reply {
    let rest = path.strip_prefix("/v1/projects/p1/secrets/");
    let Some((name, rest)) = rest.and_then(|rest| rest.split_once('/')) else {
        let message = "Permission denied on resource project other (or it may not exist).";
        return refusal(403, "PERMISSION_DENIED", message);
    };
    let Some(versions) = state.secrets.get(name) else {
        return refusal(404, "NOT_FOUND", "Secret [projects/1/secrets/x] not found or has no versions.");
    };
    if rest == "versions" {
        return list(name, versions, query);
    }
    let number = rest.strip_prefix("versions/").and_then(|rest| rest.strip_suffix(":access")).unwrap();
    let number = if number == "latest" { versions.len() } else { number.parse().unwrap() };
    let (version_state, payload) = &versions[number - 1];
    if *version_state != "ENABLED" {
        let message = format!(
            "Secret Version [projects/1/secrets/{name}/versions/{number}] is in {version_state} state."
        );
        return refusal(400, "FAILED_PRECONDITION", &message);
    }
    let checksum = crc32c(payload) ^ u32::from(state.damages);
    Reply::json(
        200,
        &json!({
            "name": format!("projects/1/secrets/{name}/versions/{number}"),
            "payload": {"data": STANDARD.encode(payload), "dataCrc32c": checksum.to_string()},
        }),
    )
}

/// The enabled ones, the newest first; two pages where there are more than one.
fn list(name: &str, versions: &[(&'static str, Vec<u8>)], query: &str) -> Reply {
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(query["filter"], "state:ENABLED");
    let numbered = versions.iter().enumerate().rev().map(|(index, version)| (index + 1, version));
    let enabled = numbered.filter(|(_, (state, _))| *state == "ENABLED");
    let mut listed: Vec<Value> = enabled
        .map(|(number, _)| json!({"name": format!("projects/1/secrets/{name}/versions/{number}"), "state": "ENABLED"}))
        .collect();
    match query.get("pageToken").map(String::as_str) {
        Some("a+b/c=") => Reply::json(200, &json!({"versions": listed.split_off(1)})),
        Some(other) => panic!("{other}"),
        None if listed.is_empty() => Reply::json(200, &json!({})),
        None => {
            Reply::json(200, &json!({"versions": [listed[0]], "nextPageToken": "a+b/c=", "totalSize": 3}))
        }
    }
}

fn refusal(status: u16, word: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": status, "message": message, "status": word}}))
}

/// Not the code that is tested: byte by byte, with a table.
fn crc32c(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|byte| (0..8).fold(byte, |crc, _| if crc % 2 == 1 { (crc / 2) ^ 0x82f6_3b78 } else { crc / 2 }))
        .collect();
    let crc =
        bytes.iter().fold(u32::MAX, |crc, byte| table[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8));
    crc ^ u32::MAX
}

#[tokio::test]
async fn secrets_are_read_by_a_service_accounts_key_and_one_token_serves_all() {
    let google = Google::start();
    google.has("plain", &[("ENABLED", b"plain value")]);
    google.has("json", &[("ENABLED", br#"{"user": "old"}"#), ("ENABLED", br#"{"user": "new", "port": 1}"#)]);
    google.has("key", &[("ENABLED", &[0, 1, 2, 255])]);
    let world = google.world(&google.double.url());
    for (text, value) in [
        ("my-gcp/plain", "plain value"),
        ("my-gcp/json/user", "new"),
        ("my-gcp/json/port", "1"),
        ("my-gcp/json/user#1", "new"),
        ("my-gcp/json/user#2", "old"),
        ("my-gcp/key", "AAEC/w=="),
    ] {
        assert_eq!(world.get(text).await.as_deref(), Ok(value), "{text}");
    }
    assert_eq!(google.double.count("POST /token"), 1);
    world.did_not_say("canarytoken");
    world.did_not_say("plain value");
    world.did_not_say(&PEM[60..90]);

    // Before its end the token is renewed; whoever takes it away before has it replaced.
    world.clock.advance(Duration::from_secs(3599 - 240));
    google.has("second", &[("ENABLED", b"x")]);
    assert_eq!(world.get("my-gcp/second").await.as_deref(), Ok("x"));
    assert_eq!(google.double.count("POST /token"), 2);
    google.state.lock().unwrap().tokens.clear();
    google.has("third", &[("ENABLED", b"y")]);
    assert_eq!(world.kind("my-gcp/third").await, Err(MissKind::Denied), "the token came just now");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.get("my-gcp/third").await.as_deref(), Ok("y"));
    assert_eq!(google.double.count("POST /token"), 3);
}

#[tokio::test]
async fn what_is_not_there_or_disabled_or_not_ours_is_told_apart() {
    let google = Google::start();
    google.has("one", &[("ENABLED", b"x")]);
    google.has("disabled", &[("ENABLED", b"old"), ("ENABLED", b"older than that"), ("DISABLED", b"new")]);
    google.has("destroyed", &[("DESTROYED", b"")]);
    google.has("empty", &[("ENABLED", b"")]);
    let world = google.world(&google.double.url());
    world.has(&[
        ("my-gcp", "gcp", json!({"project_id": "p1"})),
        ("other", "gcp", json!({"project_id": "p2"})),
        ("nameless", "gcp", json!({})),
    ]);
    for (text, kind, words) in [
        ("my-gcp/absent", MissKind::NotFound, "no such secret"),
        ("my-gcp/disabled", MissKind::NotFound, "disabled or destroyed"),
        ("my-gcp/destroyed", MissKind::NotFound, "disabled or destroyed"),
        ("my-gcp/empty", MissKind::NotFound, "empty"),
        ("my-gcp/one#2", MissKind::NotFound, "no enabled version before"),
        ("my-gcp/destroyed#2", MissKind::NotFound, "no enabled version before"),
        ("other/one", MissKind::Denied, "secretmanager.secretAccessor"),
        ("nameless/one", MissKind::Misconfigured, "project_id"),
    ] {
        let unresolved = world.get(text).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved}");
        assert!(unresolved.problem.contains(words), "{unresolved}");
    }
    assert_eq!(world.get("my-gcp/disabled#2").await.as_deref(), Ok("old"), "before the newest enabled one");
    // With a field that is not there, the whole path is tried as a name, which no secret of Google's can have.
    let asked = google.double.asked().len();
    let unresolved = world.get("my-gcp/one/field").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::NotFound);
    assert!(unresolved.problem.contains("no field"), "{unresolved}");
    assert!(unresolved.problem.contains("can be called so"), "{unresolved}");
    assert_eq!(google.double.asked().len(), asked + 1, "and it is not asked for");
    google.state.lock().unwrap().damages = true;
    google.has("damaged", &[("ENABLED", b"canary")]);
    let unresolved = world.get("my-gcp/damaged").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Garbage);
    assert!(unresolved.problem.contains("checksum"), "{unresolved}");
    world.did_not_say("canary");
}

#[tokio::test]
async fn the_machines_own_service_account_is_asked_of_the_metadata_server() {
    let google = Google::start();
    google.has("db", &[("ENABLED", b"value")]);
    let url = google.double.url();
    let host = url.trim_start_matches("http://");
    let variables =
        [("GCE_METADATA_HOST", host), ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", url.as_str())];
    let world = World::new(&variables);
    let entity = [("my-gcp", "gcp", json!({"project_id": "p1"}))];
    world.has(&entity);
    assert_eq!(world.get("my-gcp/db").await.as_deref(), Ok("value"));
    assert_eq!(google.double.count("POST /token"), 0);
    world.did_not_say("canarytoken");

    google.state.lock().unwrap().no_service_account = true;
    let world = World::new(&variables);
    world.has(&entity);
    let unresolved = world.get("my-gcp/db").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured);
    assert!(unresolved.problem.contains("no service account"), "{unresolved}");

    // Somebody else under that name, who does not say that he is Google.
    google.token_fault.set(Some(Reply::json(200, &json!({"access_token": "canary", "expires_in": 3599}))));
    let world = World::new(&variables);
    world.has(&entity);
    assert_eq!(world.kind("my-gcp/db").await, Err(MissKind::Garbage));
    world.did_not_say("canary");
}

#[tokio::test]
async fn a_key_may_stand_in_a_file_and_a_wrong_one_is_described_without_repeating_it() {
    let google = Google::start();
    google.has("db", &[("ENABLED", b"value")]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(google.key().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let url = google.double.url();
    let endpoint = ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", url.as_str());
    let entity = [("my-gcp", "gcp", json!({"project_id": "p1"}))];
    let world = World::new(&[("GOOGLE_APPLICATION_CREDENTIALS", &path), endpoint]);
    world.has(&entity);
    assert_eq!(world.get("my-gcp/db").await.as_deref(), Ok("value"));

    let key = |change: &dyn Fn(&mut Value)| {
        let mut key: Value = serde_json::from_str(&google.key()).unwrap();
        change(&mut key);
        key.to_string()
    };
    for (variable, value, words) in [
        ("GCP_SERVICE_ACCOUNT", "canary".to_owned(), "not the JSON"),
        ("GCP_SERVICE_ACCOUNT", key(&|key| key["type"] = "external_account".into()), "external_account"),
        ("GCP_SERVICE_ACCOUNT", key(&|key| key["private_key"] = "canary".into()), "no RSA key"),
        ("GCP_SERVICE_ACCOUNT", key(&|key| key["client_email"] = "".into()), "client_email"),
        (
            "GCP_SERVICE_ACCOUNT",
            key(&|key| key["token_uri"] = "http://canary.example".into()),
            "https is needed",
        ),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/absent/canary".to_owned(), "GOOGLE_APPLICATION_CREDENTIALS"),
    ] {
        let world = World::new(&[(variable, &value), endpoint]);
        world.has(&entity);
        let unresolved = world.get("my-gcp/db").await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::Misconfigured, "{unresolved}");
        assert!(unresolved.problem.contains(words), "{unresolved}");
        world.did_not_say("canary");
        world.did_not_say(&PEM[60..90]);
    }
    let stranger = key(&|key| key["client_email"] = "stranger@p1.iam.gserviceaccount.com".into());
    let world = World::new(&[("GCP_SERVICE_ACCOUNT", &stranger), endpoint]);
    world.has(&entity);
    let unresolved = world.get("my-gcp/db").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Denied);
    assert!(unresolved.problem.contains("invalid_grant"), "{unresolved}");
}

#[tokio::test]
async fn whatever_goes_wrong_has_its_kind_and_its_sentence() {
    let (value, answer) = (Canary::new("value"), Canary::new("answer"));
    let google = Google::start();
    google.has("db", &[("ENABLED", value.text().as_bytes())]);
    let ask = |url: &str| google.world(url);
    go_through(&google.double, &google.fault, &ask, "my-gcp/db", &answer, &[&value]).await;
    // The same of the token service, wherever the secrets are.
    let ask = |url: &str| {
        let key = google.key().replace(&google.double.url(), url);
        let endpoint = google.double.url();
        let world = World::new(&[
            ("GCP_SERVICE_ACCOUNT", &key),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", &endpoint),
        ]);
        world.has(&[("my-gcp", "gcp", json!({"project_id": "p1"}))]);
        world
    };
    go_through(&google.double, &google.token_fault, &ask, "my-gcp/db", &answer, &[&value]).await;

    let details =
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]);
    let error =
        json!({"code": 403, "message": answer.text(), "status": "PERMISSION_DENIED", "details": details});
    google.fault.set(Some(Reply::json(403, &json!({ "error": error }))));
    let world = google.world(&google.double.url());
    let unresolved = world.get("my-gcp/db").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured);
    assert!(unresolved.problem.contains("not enabled"), "{unresolved}");
    world.kept_to_itself([&value, &answer]);
}

#[test]
fn what_is_wrong_with_an_entity_is_said_of_its_field() {
    for (config, field) in [
        (json!({"project_id": "p/../q"}), "config.project_id"),
        (json!({"project_id": 1}), "config.project_id"),
        // Whoever writes an entity must not choose where the process's tokens go.
        (json!({"endpoint_url": "https://evil.example"}), "config.endpoint_url"),
    ] {
        let problem = refused("gcp", &config);
        assert!(problem.contains(field), "{problem}");
    }
}
