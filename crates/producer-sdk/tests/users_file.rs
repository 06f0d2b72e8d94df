//! The example, as a program: a stand-in for the gateway publishes keys, signs, and calls it.
#![expect(clippy::unwrap_used, reason = "in a test, an unwrap that fails is the finding")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_producer_sdk::{CREDENTIALS_HEADER, Jwk, Jwks, TOKEN_TYPE};
use gateward_testkit::{Process, http, workspace};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

struct Scene {
    key: Ed25519KeyPair,
    folder: tempfile::TempDir,
    url: String,
    _producer: Process,
}

impl Scene {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let keys = Jwks { keys: vec![Jwk::ed25519("k1", key.public_key().as_ref().try_into().unwrap())] };
        let jwks_url = serve_for_ever(serde_json::to_string(&keys).unwrap());
        let mut command = Command::new(workspace::example("users_file"));
        command
            .arg(folder.path().join("users.json"))
            .args(["--listen", "127.0.0.1:0", "--jwks", &jwks_url, "--access-id", "p-gateway"])
            .arg("--fail-file")
            .arg(folder.path().join("outage"));
        let producer = Process::start("users_file", command);
        let url = producer.wait_for_prefix(SOON, "listening on ");
        Self { key, folder, url, _producer: producer }
    }

    fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let token = self.token(operation, body.as_bytes());
        let url = format!("{}/sync/{operation}", self.url);
        let response = http::request("POST", &url, &[(CREDENTIALS_HEADER, &token)], body.as_bytes());
        (response.status, response.json())
    }

    fn token(&self, operation: &str, body: &[u8]) -> String {
        let now = now();
        let attaches = json!({"item_name": "/users", "account_id": "acc-1", "operation": operation});
        let digest = ring::digest::digest(&ring::digest::SHA256, body);
        let header = json!({"alg": "EdDSA", "typ": TOKEN_TYPE, "kid": "k1"});
        let claims = json!({
            "iss": "gateward", "aud": self.url, "iat": now, "exp": now + 60, "jti": "t1",
            "access_id": "p-gateway", "attaches": attaches.to_string(),
            "body_sha256": URL_SAFE_NO_PAD.encode(digest),
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn users(&self) -> Vec<String> {
        let Ok(json) = std::fs::read(self.file("users.json")) else {
            return Vec::new();
        };
        let users: Value = serde_json::from_slice(&json).unwrap();
        users.as_object().unwrap().keys().cloned().collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The URL of a small server that answers every request with `json`.
fn serve_for_ever(json: String) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", json.len());
            stream.write_all((head + &json).as_bytes()).unwrap();
        }
    });
    url
}

#[expect(clippy::disallowed_methods, reason = "the example is a program of its own, and checks real time")]
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn for_user() -> Value {
    json!({"payload": "x", "input": "", "client_info": {"access_id": "p-1", "sub_claims": {}}})
}

#[test]
fn a_user_appears_and_goes() {
    let scene = Scene::start();
    let (status, created) = scene.call("create", &for_user());
    assert_eq!(status, 200, "{created}");
    let name = created["response"]["user"].as_str().unwrap();
    assert_eq!(created["id"], name);
    assert!(created["response"]["password"].as_str().unwrap().len() >= 32);
    assert_eq!(scene.users(), [name]);

    let ids = json!({"payload": "x", "ids": [name, "nobody"]});
    assert_eq!(scene.call("revoke", &ids), (200, json!({"revoked": [name], "not_found": ["nobody"]})));
    assert!(scene.users().is_empty());
}

#[test]
fn the_same_request_again_makes_no_second_user() {
    let scene = Scene::start();
    let with_request = |id: &str| {
        let mut request = for_user();
        request["request_id"] = json!(id);
        scene.call("create", &request).1
    };
    let (first, again, another) = (with_request("r1"), with_request("r1"), with_request("r2"));
    assert_eq!(first["id"], again["id"]);
    assert_ne!(first["id"], another["id"]);
    // Requests without an id are each their own.
    assert_ne!(scene.call("create", &for_user()).1["id"], scene.call("create", &for_user()).1["id"]);
    assert_eq!(scene.users().len(), 4);
}

#[test]
fn a_dry_run_makes_no_user_and_its_id_can_be_revoked() {
    let scene = Scene::start();
    let dry_run = json!({"payload": "x", "input": {}, "client_info": {"access_id": "p-custom"}});
    assert_eq!(scene.call("create", &dry_run), (200, json!({"id": "dry-run", "response": {}})));
    assert!(scene.users().is_empty());
    let revoked = scene.call("revoke", &json!({"payload": "x", "ids": ["dry-run"]}));
    assert_eq!(revoked, (200, json!({"revoked": ["dry-run"]})));
}

#[test]
fn while_the_fail_file_is_there_every_call_is_answered_with_503() {
    let scene = Scene::start();
    std::fs::write(scene.file("outage"), "").unwrap();
    assert_eq!(scene.call("create", &for_user()).0, 503);
    assert_eq!(scene.call("revoke", &json!({"ids": ["a"]})).0, 503);
    std::fs::remove_file(scene.file("outage")).unwrap();
    assert_eq!(scene.call("create", &for_user()).0, 200);
}

#[test]
fn a_call_without_the_gateways_token_is_refused() {
    let scene = Scene::start();
    let url = format!("{}/sync/create", scene.url);
    assert_eq!(http::send_json("POST", &url, &[], &for_user()).status, 401);
    let for_another = scene.token("revoke", for_user().to_string().as_bytes());
    let refused = http::send_json("POST", &url, &[(CREDENTIALS_HEADER, &for_another)], &for_user());
    assert_eq!(refused.status, 401);
    assert!(scene.users().is_empty());
}
