//! Azure Key Vault, Microsoft Entra and the managed identity services, as a double whose answers are those of Microsoft's
//! documentation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateward_testkit::{Asked, Canary, Double, Reply};
use gateward_vaults::MissKind;
use serde_json::{Value, json};

use crate::faults::{Fault, go_through};
use crate::world::{START, World, refused};

/// The double, and what it knows.
struct Microsoft {
    double: Double,
    state: Arc<Mutex<State>>,
    fault: Fault,
    token_fault: Fault,
    client_secret: Canary,
    assertion: Canary,
}

struct State {
    url: String,
    secrets: BTreeMap<String, Vec<Version>>,
    tokens: Vec<String>,
    given: usize,
    client_secret: String,
    assertion: String,
    foreign_next_link: Option<String>,
}

struct Version {
    id: &'static str,
    created: u64,
    enabled: bool,
    value: String,
}

fn version(id: &'static str, created: u64, enabled: bool, value: &str) -> Version {
    Version { id, created, enabled, value: value.to_owned() }
}

impl Microsoft {
    fn start() -> Self {
        let (client_secret, assertion) = (Canary::new("clientsecret"), Canary::new("assertion"));
        let state = State {
            url: String::new(),
            secrets: BTreeMap::new(),
            tokens: Vec::new(),
            given: 0,
            client_secret: client_secret.text().to_owned(),
            assertion: assertion.text().to_owned(),
            foreign_next_link: None,
        };
        let (state, fault, token_fault) = (Arc::new(Mutex::new(state)), Fault::default(), Fault::default());
        let (shared, now, token_now) = (Arc::clone(&state), fault.clone(), token_fault.clone());
        let double = Double::start(move |asked| {
            let fault = if asked.what.contains("/secrets/") { now.now() } else { token_now.now() };
            fault.unwrap_or_else(|| answer(&mut shared.lock().unwrap(), asked))
        });
        state.lock().unwrap().url = double.url();
        Self { double, state, fault, token_fault, client_secret, assertion }
    }

    fn has(&self, name: &str, versions: Vec<Version>) {
        self.state.lock().unwrap().secrets.insert(name.to_owned(), versions);
    }

    /// A process with `variables`, whose vault is this one.
    fn world(&self, vault: &str, variables: &[(&str, &str)]) -> World {
        let variables = [&[("GATEWARD_VAULT_AZURE_VAULT_URI", vault)], variables].concat();
        let world = World::new(&variables);
        world.has(&[("my-azure", "azure", json!({}))]);
        world
    }

    /// Variables for a client with a secret.
    fn client<'a>(&'a self, authority: &'a str) -> [(&'a str, &'a str); 4] {
        [
            ("KONG_VAULT_AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_CLIENT_SECRET", self.client_secret.text()),
            ("AZURE_AUTHORITY_HOST", authority),
        ]
    }
}

fn answer(state: &mut State, asked: &Asked) -> Reply {
    let (method, target) = asked.what.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match (method, path) {
        ("POST", "/tenant-1/oauth2/v2.0/token") => entra(state, &asked.body),
        ("POST", _) => entra_refusal("invalid_request", 90002),
        ("GET", "/metadata/identity/oauth2/token") => {
            assert_eq!(query["api-version"], "2018-02-01");
            match (
                asked.header("metadata"),
                query["resource"].as_str(),
                query.get("client_id").map(String::as_str),
            ) {
                (Some("true"), "https://vault.azure.net", None | Some("identity-1")) => {
                    let token = token(state);
                    Reply::json(
                        200,
                        &json!({
                            "access_token": token, "client_id": "identity-1", "expires_in": "86399",
                            "expires_on": "1793086399", "ext_expires_in": "86399", "not_before": "1793000000",
                            "resource": "https://vault.azure.net", "token_type": "Bearer",
                        }),
                    )
                }
                _ => Reply::json(
                    400,
                    &json!({"error": "invalid_request", "error_description": "Identity not found"}),
                ),
            }
        }
        ("GET", "/msi/token") => {
            assert_eq!(
                (query["api-version"].as_str(), query["resource"].as_str()),
                ("2019-08-01", "https://vault.azure.net")
            );
            if asked.header("x-identity-header") != Some("canaryheader") {
                return Reply::json(401, &json!({"statusCode": 401, "message": "no"}));
            }
            let (token, ends) = (token(state), START.secs() + 3600);
            Reply::json(
                200,
                &json!({"access_token": token, "expires_on": ends.to_string(), "token_type": "Bearer"}),
            )
        }
        ("GET", _) => {
            assert_eq!(query["api-version"], "7.4");
            let shown = asked.header("authorization").and_then(|shown| shown.strip_prefix("Bearer "));
            if !shown.is_some_and(|token| state.tokens.iter().any(|good| good == token)) {
                let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
                let message = "AKV10032: Invalid issuer.";
                return refusal(401, "Unauthorized", message, None)
                    .with_header("WWW-Authenticate", challenge);
            }
            secret(state, path, &query)
        }
        _ => Reply::text(404, ""),
    }
}

fn entra(state: &mut State, body: &str) -> Reply {
    let form: BTreeMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["scope"], "https://vault.azure.net/.default");
    if form["client_id"] != "client-1" {
        return entra_refusal("unauthorized_client", 700_016);
    }
    let is_client = match form.get("client_secret") {
        Some(secret) => *secret == state.client_secret,
        None => {
            assert_eq!(
                form["client_assertion_type"],
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            form["client_assertion"] == state.assertion
        }
    };
    if !is_client {
        return entra_refusal("invalid_client", 7_000_215);
    }
    let token = token(state);
    Reply::json(
        200,
        &json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}),
    )
}

fn entra_refusal(error: &str, code: u64) -> Reply {
    let description = format!("AADSTS{code}: canarydescription");
    Reply::json(401, &json!({"error": error, "error_description": description, "error_codes": [code]}))
}

fn token(state: &mut State) -> String {
    state.given += 1;
    let token = format!("eyJ.canarytoken{}", state.given);
    state.tokens.push(token.clone());
    token
}

fn secret(state: &State, path: &str, query: &BTreeMap<String, String>) -> Reply {
    let mut parts = path.trim_start_matches("/secrets/").split('/');
    let (name, id) = (parts.next().unwrap(), parts.next());
    let not_found =
        || refusal(404, "SecretNotFound", "A secret with (name/id) x was not found in this key vault.", None);
    if name == "denied" {
        let message = "Caller is not authorized to perform action on resource.";
        return refusal(403, "Forbidden", message, Some("ForbiddenByRbac"));
    }
    if name == "behind-a-firewall" {
        return refusal(403, "Forbidden", "Client address is not authorized", Some("ForbiddenByFirewall"));
    }
    let Some(versions) = state.secrets.get(name) else { return not_found() };
    let place = |version: &Version| format!("{}/secrets/{name}/{}", state.url, version.id);
    let attributes = |version: &Version| json!({"enabled": version.enabled, "created": version.created, "updated": version.created, "recoveryLevel": "Recoverable+Purgeable"});
    let found = match id {
        Some("versions") => {
            // In no order, a page of one and then the rest.
            let listed = |versions: &[Version]| -> Vec<Value> {
                versions
                    .iter()
                    .map(|version| json!({"id": place(version), "attributes": attributes(version)}))
                    .collect()
            };
            if query.contains_key("$skiptoken") {
                return Reply::json(200, &json!({"value": listed(&versions[1..]), "nextLink": null}));
            }
            assert_eq!(query["maxresults"], "25");
            let here =
                format!("{}/secrets/{name}/versions?api-version=7.4&$skiptoken=eyJ&maxresults=25", state.url);
            let next = state.foreign_next_link.clone().unwrap_or(here);
            return Reply::json(200, &json!({"value": listed(&versions[..1]), "nextLink": next}));
        }
        Some(id) => versions.iter().find(|version| version.id == id),
        None => versions.iter().max_by_key(|version| version.created),
    };
    let Some(found) = found else { return not_found() };
    if !found.enabled {
        return refusal(
            403,
            "Forbidden",
            "Operation get is not allowed on a disabled secret.",
            Some("SecretDisabled"),
        );
    }
    Reply::json(200, &json!({"value": found.value, "id": place(found), "attributes": attributes(found)}))
}

fn refusal(status: u16, code: &str, message: &str, inner: Option<&str>) -> Reply {
    let mut error = json!({"code": code, "message": message});
    if let Some(inner) = inner {
        error["innererror"] = json!({ "code": inner });
    }
    Reply::json(status, &json!({ "error": error }))
}

#[tokio::test]
async fn secrets_are_read_with_a_clients_secret_and_one_token_serves_all() {
    let microsoft = Microsoft::start();
    microsoft.has("plain", vec![version("a1", 10, true, "plain value")]);
    // The oldest in the middle, and the newest first.
    microsoft.has(
        "json",
        vec![
            version("c3", 30, true, r#"{"user": "new"}"#),
            version("a1", 10, true, r#"{"user": "oldest"}"#),
            version("b2", 20, true, r#"{"user": "old"}"#),
        ],
    );
    let url = microsoft.double.url();
    let world = microsoft.world(&url, &microsoft.client(&url));
    for (text, value) in [
        ("my-azure/plain", "plain value"),
        ("my-azure/json/user", "new"),
        ("my-azure/json/user#1", "new"),
        ("my-azure/json/user#2", "old"),
        ("azure/plain", "plain value"),
    ] {
        assert_eq!(world.get(text).await.as_deref(), Ok(value), "{text}");
    }
    assert_eq!(microsoft.double.count("POST /"), 2, "one for each vault");
    microsoft.state.lock().unwrap().tokens.clear();
    world.clock.advance(Duration::from_secs(60));
    microsoft.has("second", vec![version("a1", 10, true, "x")]);
    assert_eq!(world.get("my-azure/second").await.as_deref(), Ok("x"));
    assert_eq!(microsoft.double.count("POST /"), 3);
    world.kept_to_itself([&microsoft.client_secret]);
    world.did_not_say("canarytoken");
    world.did_not_say("plain value");
}

#[tokio::test]
async fn what_is_not_there_or_disabled_or_not_ours_is_told_apart() {
    let microsoft = Microsoft::start();
    microsoft.has("one", vec![version("a1", 10, true, "x")]);
    microsoft.has("empty", vec![version("a1", 10, true, "")]);
    microsoft.has(
        "disabled",
        vec![
            version("c3", 30, false, "new"),
            version("a1", 10, true, "oldest"),
            version("b2", 20, true, "old"),
        ],
    );
    let url = microsoft.double.url();
    let world = microsoft.world(&url, &microsoft.client(&url));
    for (text, kind, words) in [
        ("my-azure/absent", MissKind::NotFound, "no such secret"),
        ("my-azure/disabled", MissKind::NotFound, "disabled"),
        ("my-azure/empty", MissKind::NotFound, "empty"),
        ("my-azure/one#2", MissKind::NotFound, "no enabled version before"),
        ("my-azure/denied", MissKind::Denied, "Key Vault Secrets User"),
        ("my-azure/behind-a-firewall", MissKind::Denied, "firewall"),
    ] {
        let unresolved = world.get(text).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved}");
        assert!(unresolved.problem.contains(words), "{unresolved}");
    }
    assert_eq!(
        world.get("my-azure/disabled#2").await.as_deref(),
        Ok("oldest"),
        "before the newest enabled one"
    );
    let asked = microsoft.double.asked().len();
    let unresolved = world.get("my-azure/one/field").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::NotFound);
    assert!(unresolved.problem.contains("no field"), "{unresolved}");
    assert!(unresolved.problem.contains("can be called so"), "{unresolved}");
    assert_eq!(microsoft.double.asked().len(), asked + 1, "the whole path is no name, and is not asked for");

    // A list of versions may not lead elsewhere with the token.
    let thief = Double::start(|_| Reply::text(200, "{}"));
    microsoft.state.lock().unwrap().foreign_next_link =
        Some(format!("{}/secrets/two/versions?x", thief.url()));
    microsoft.has("two", vec![version("a1", 10, true, "x"), version("b2", 20, true, "y")]);
    assert_eq!(world.kind("my-azure/two#2").await, Err(MissKind::Garbage));
    assert_eq!(thief.asked().len(), 0);
}

#[tokio::test]
async fn workload_and_managed_identities_need_no_secret() {
    let microsoft = Microsoft::start();
    microsoft.has("db", vec![version("a1", 10, true, "value")]);
    let url = microsoft.double.url();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", microsoft.assertion.text())).unwrap();
    let app = format!("{url}/msi/token");
    let machine = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url.as_str());
    let cases: &[(&str, &[(&str, &str)])] = &[
        (
            "POST /tenant-1/",
            &[
                ("AZURE_FEDERATED_TOKEN_FILE", file.path().to_str().unwrap()),
                ("AZURE_TENANT_ID", "tenant-1"),
                ("AZURE_CLIENT_ID", "client-1"),
                ("AZURE_AUTHORITY_HOST", &url),
            ],
        ),
        ("GET /msi/token", &[("IDENTITY_ENDPOINT", &app), ("IDENTITY_HEADER", "canaryheader")]),
        ("GET /metadata/", &[machine]),
        ("GET /metadata/", &[machine, ("AZURE_CLIENT_ID", "identity-1")]),
    ];
    for (what, variables) in cases {
        let before = microsoft.double.count(what);
        let world = microsoft.world(&url, variables);
        assert_eq!(world.get("my-azure/db").await.as_deref(), Ok("value"), "{what}");
        assert_eq!(microsoft.double.count(what), before + 1);
        world.kept_to_itself([&microsoft.assertion]);
        world.did_not_say("canary");
    }
    let world = microsoft.world(&url, &[machine, ("AZURE_CLIENT_ID", "identity-2")]);
    let unresolved = world.get("my-azure/db").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured);
    assert!(unresolved.problem.contains("managed identity (invalid_request)"), "{unresolved}");
}

#[tokio::test]
async fn the_prefix_of_an_entity_chooses_its_credentials() {
    let microsoft = Microsoft::start();
    microsoft.has("db", vec![version("a1", 10, true, "value")]);
    let url = microsoft.double.url();
    let world = World::new(&[
        ("GATEWARD_VAULT_AZURE_VAULT_URI", &url),
        ("AZURE_AUTHORITY_HOST", &url),
        ("TEAM_CLIENT_SECRET", microsoft.client_secret.text()),
        ("AZURE_CLIENT_SECRET", "canarywrong"),
        ("OTHER_CLIENT_SECRET", "canaryincomplete"),
    ]);
    let ids = |prefix: &str| {
        let ids = json!({"client_id": "client-1", "tenant_id": "tenant-1", "location": "us-east", "type": "secrets"});
        let mut ids = ids;
        ids["credentials_prefix"] = prefix.into();
        ids
    };
    world.has(&[
        ("team", "azure", ids("TEAM")),
        ("wrong", "azure", ids("AZURE")),
        ("incomplete", "azure", json!({"credentials_prefix": "OTHER", "client_id": "client-1"})),
    ]);
    assert_eq!(world.get("team/db").await.as_deref(), Ok("value"));
    let unresolved = world.get("wrong/db").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Denied);
    assert!(unresolved.problem.contains("invalid_client, AADSTS7000215"), "{unresolved}");
    let unresolved = world.get("incomplete/db").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured);
    assert!(unresolved.problem.contains("OTHER_CLIENT_SECRET needs tenant_id"), "{unresolved}");
    world.kept_to_itself([&microsoft.client_secret]);
    world.did_not_say("canary");
}

#[tokio::test]
async fn whatever_goes_wrong_has_its_kind_and_its_sentence() {
    let (value, answer) = (Canary::new("value"), Canary::new("answer"));
    let microsoft = Microsoft::start();
    microsoft.has("db", vec![version("a1", 10, true, value.text())]);
    let url = microsoft.double.url();
    let canaries = [&value, &microsoft.client_secret];
    let ask = |vault: &str| microsoft.world(vault, &microsoft.client(&url));
    go_through(&microsoft.double, &microsoft.fault, &ask, "my-azure/db", &answer, &canaries).await;
    // The same of whoever gives the token.
    let ask = |authority: &str| microsoft.world(&url, &microsoft.client(authority));
    go_through(&microsoft.double, &microsoft.token_fault, &ask, "my-azure/db", &answer, &canaries).await;
}

#[test]
fn what_is_wrong_with_an_entity_is_said_of_its_field() {
    for (config, field) in [
        (json!({"vault_uri": "https://evil.example"}), "config.vault_uri"),
        (json!({"vault_uri": "my-vault"}), "config.vault_uri"),
        (json!({"tenant_id": "../x"}), "config.tenant_id"),
        (json!({"client_id": "a b"}), "config.client_id"),
        (json!({"type": "keys"}), "config.type"),
        (json!({"credentials_prefix": "GATEWARD_X"}), "config.credentials_prefix"),
        (json!({"credentials_prefix": "A-B"}), "config.credentials_prefix"),
    ] {
        let problem = refused("azure", &config);
        assert!(problem.contains(field), "{problem}");
    }
}
