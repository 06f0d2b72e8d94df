//! Credentials: issued, revoked when their time is over and not before, and revoked late when the producer is down.
//!
//! How soon after its time a credential goes is judged where the clock can be held (`crates/leases/src/engine/tests`): here
//! processes share a machine with others.

use std::os::unix::fs::symlink;
use std::process::Output;
use std::time::Duration;

use gateward_clock::{Clock as _, SystemClock};
use gateward_testkit::eventually;
use serde_json::{Value, json};

use crate::gateway::{self, GATEWARD, Gateway, PATIENCE};
use crate::plot::{ACCESS_ID, Plot};
use crate::users_file::UsersFile;
use crate::vendor_client;

/// Long enough that a busy machine looks at what was issued before it ends.
const TTL: Duration = Duration::from_secs(5);

#[test]
fn a_credential_is_issued_and_revoked_when_its_time_is_over() {
    let plot = Plot::new();
    let mut gateway = Gateway::start(&plot, &[]);
    let producer = UsersFile::start(&plot, "users", "--jwks", gateway.control_port());

    the_documents_command_creates_it(&plot, &gateway, &producer);
    it_lives_as_long_as_it_should(&plot, &gateway, &producer);
    annex_a_bodies_do_the_same(&plot, &gateway, &producer);
    an_outage_delays_a_revocation_and_does_not_lose_it(&gateway, &producer);
    a_producer_may_ask_instead(&plot, &gateway);
    vendor_client::drives_it_all(&plot, &gateway, &producer);

    gateway.show_everything();
    assert!(gateway.terminate(PATIENCE).success());
    drop(gateway);
    plot.end();
}

/// The command of Akeyless's document, by Akeyless's name, with its second `--revoke-sync-url` and with the ports
/// where the document has them.
fn the_documents_command_creates_it(plot: &Plot, gateway: &Gateway<'_>, producer: &UsersFile) {
    symlink(GATEWARD, plot.folder().join("akeyless")).expect("a link");
    let (host, port) = producer.address.split_once(':').expect("an address has a port");
    let url = |call: &str| format!("http://{host}/sync/{call}:{port}");
    let (create, revoke, rotate) = (url("create"), url("revoke"), url("rotate"));
    let payload = plot.plant("payload");
    let said = ["dynamic-secret", "create", "--name", "/demo/login", "--gateway-url", &gateway.control];
    let urls = ["--create-sync-url", &create, "--revoke-sync-url", &revoke, "--revoke-sync-url", &rotate];
    let more = ["--user-ttl", "5s", "--payload", &payload];
    let created = akeyless(plot, gateway, &[&said[..], &urls, &more].concat());
    let warnings = String::from_utf8_lossy(&created.stderr).into_owned();
    assert!(created.status.success(), "{warnings}");
    assert!(warnings.contains("--rotate-sync-url"), "{warnings}");
    // Its dry run left nothing behind.
    assert_eq!((producer.users(), gateway.leases("/demo/login")), (vec![], vec![]));
}

fn it_lives_as_long_as_it_should(plot: &Plot, gateway: &Gateway<'_>, producer: &UsersFile) {
    let asked_at = SystemClock.now();
    let got = akeyless(plot, gateway, &["get-dynamic-secret-value", "-n", "/demo/login", "--json"]);
    let credential: Value = serde_json::from_slice(&got.stdout).expect("the producer's response");
    assert!(producer.has(&credential["user"]), "{credential}");
    let listed =
        akeyless(plot, gateway, &["dynamic-secret", "tmp-creds", "get", "-n", "/demo/login", "--json"]);
    let leases: Value = serde_json::from_slice(&listed.stdout).expect("the leases");
    assert_eq!((&leases[0]["state"], &leases[0]["producer_id"]), (&json!("ACTIVE"), &credential["user"]));
    let gone = eventually(PATIENCE, || (!producer.has(&credential["user"])).then(|| SystemClock.now()));
    // It counts from the answer of the producer, which came after this.
    let lived = gone.expect("it is revoked").saturating_since(asked_at);
    assert!(lived >= TTL, "it was revoked {:?} too early", TTL.saturating_sub(lived));
}

/// The bodies that the vendor's library sends, at each of the places where gateways have had them.
fn annex_a_bodies_do_the_same(plot: &Plot, gateway: &Gateway<'_>, producer: &UsersFile) {
    let login = json!({
        "access-id": ACCESS_ID, "access-key": plot.access_key(), "access-type": "access_key",
        "azure-cloud": "AzureCloud", "gcp-audience": "akeyless.io", "json": false, "oci-auth-type": "apikey",
    });
    for (path, name) in [("/", "/at/root"), ("/v2/", "/at/v2"), ("//", "/at/slashes")] {
        let post = |operation: &str, mut body: Value, token: &Value| {
            body["json"] = false.into();
            body["token"] = token.clone();
            let answer = gateway.akeyless(&format!("{path}{operation}"), &body);
            assert_eq!(answer.status, 200, "{path}{operation}: {}", answer.text());
            answer.json()
        };
        let token = post("auth", login.clone(), &Value::Null)["token"].clone();
        let item = json!({
            "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke"),
            "enable-admin-rotation": false, "name": name, "payload": plot.plant("annex"), "tags": ["a"],
            "timeout-sec": 60, "user-ttl": "60m",
        });
        let created = post("dynamic-secret-create-custom", item, &token);
        assert_eq!(created["dynamic_secret_details"]["dynamic_secret_name"], name);
        let value = || {
            let wanted = json!({"args": ["a=b", "{\"c\":1}"], "name": name, "timeout": 15});
            post("get-dynamic-secret-value", wanted, &token)["user"].clone()
        };
        let (first, second, third) = (value(), value(), value());
        let leases = post("dynamic-secret-tmp-creds-get", json!({"name": name}), &token);
        let leases = leases.as_array().expect("a list");
        assert_eq!(leases.len(), 3);
        let of_first = leases.iter().find(|lease| lease["producer_id"] == first).expect("its lease");
        let by_id = json!({"name": name, "tmp-creds-id": of_first["id"]});
        post("dynamic-secret-tmp-creds-delete", by_id, &token);
        assert!(!producer.has(&first) && producer.has(&second) && producer.has(&third));
        post("dynamic-secret-tmp-creds-delete", json!({"name": name, "revoke-all": true}), &token);
        assert!(!producer.has(&second) && !producer.has(&third));
        let fourth = value();
        assert!(producer.has(&fourth));
        assert_eq!(post("dynamic-secret-delete", json!({"name": name}), &token)["dynamic_secret_name"], name);
        assert!(!producer.has(&fourth), "what an item made goes with it");
    }
}

fn an_outage_delays_a_revocation_and_does_not_lose_it(gateway: &Gateway<'_>, producer: &UsersFile) {
    let user = gateway.done("get-dynamic-secret-value", json!({"name": "/demo/login"}))["user"].clone();
    producer.fail();
    let retried = eventually(PATIENCE, || {
        let leases = gateway.leases("/demo/login");
        let lease = leases.first()?;
        (lease["state"] == "REVOKING" && lease["attempts"].as_u64() >= Some(2)).then(|| lease.clone())
    });
    let lease = retried.expect("it is tried more than once");
    assert!(lease["last_error"].as_str().is_some_and(|why| why.contains("503")), "{lease}");
    assert!(producer.has(&user));
    producer.heal();
    let gone = eventually(PATIENCE, || gateway.leases("/demo/login").is_empty().then_some(()));
    assert!(gone.is_some() && !producer.has(&user), "it goes once the producer is back");
}

/// A producer that asks the gateway about each token, as those did that were written for Akeyless.
fn a_producer_may_ask_instead(plot: &Plot, gateway: &Gateway<'_>) {
    let producer = UsersFile::start(plot, "asking", "--validate", gateway.control_port());
    let item = json!({
        "name": "/demo/asking", "create-sync-url": producer.url("create"),
        "revoke-sync-url": producer.url("revoke"), "payload": plot.plant("asking"),
    });
    gateway.done("dynamic-secret-create-custom", item);
    let user = gateway.done("get-dynamic-secret-value", json!({"name": "/demo/asking"}))["user"].clone();
    assert!(producer.has(&user));
    gateway.done("dynamic-secret-delete", json!({"name": "/demo/asking"}));
    assert_eq!(producer.users(), Vec::<String>::new());
    // The token of a caller is not one of the gateway's own.
    let borrowed =
        json!({"creds": gateway.token(), "expected_access_id": ACCESS_ID, "expected_item_name": ""});
    let answer = gateway.akeyless("/validate-producer-credentials", &borrowed);
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("Unauthorized")), "{}", answer.text());
}

/// Runs Akeyless's command, which is ours by another name.
#[track_caller]
fn akeyless(plot: &Plot, gateway: &Gateway<'_>, words: &[&str]) -> Output {
    let program = plot.folder().join("akeyless");
    let mut command = gateway::command(plot, program);
    command.args(words).env("GATEWARD_GATEWAY_URL", &gateway.control);
    gateway::run(plot, &mut command)
}
