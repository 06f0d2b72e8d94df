//! The example of the quick start, as a program that a gateway of the test kit calls.
#![expect(clippy::unwrap_used, reason = "in a test, an unwrap that fails is the finding")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use gateward_producer_sdk::testing::{Answered, Caller, Conformance, Gateway, Outcome, Published};
use gateward_testkit::{Process, workspace};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

struct Scene {
    caller: Caller,
    folder: tempfile::TempDir,
    _published: Published,
    _producer: Process,
}

impl Scene {
    /// The example, which fetches the keys, or asks about each token, and is told more besides.
    async fn start(how: &str, path: &str, more: &[&str]) -> Self {
        let (folder, gateway) = (tempfile::tempdir().unwrap(), Gateway::new());
        let published = Published::start(&gateway, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut command = Command::new(workspace::example("users_file"));
        command
            .arg(folder.path().join("users.json"))
            .args(["--listen", "127.0.0.1:0", "--access-id", Gateway::ACCESS_ID])
            .args([how, &format!("{}{path}", published.url())])
            .args(more)
            .arg("--fail-file")
            .arg(folder.path().join("outage"));
        let producer = Process::start("users_file", command);
        let url = producer.wait_for_prefix(SOON, "listening on ");
        let caller = Caller::to(&format!("{url}/sync"), gateway);
        Self { caller, folder, _published: published, _producer: producer }
    }

    async fn with_keys(more: &[&str]) -> Self {
        Self::start("--jwks", "/.well-known/jwks.json", more).await
    }

    async fn create(&self, request_id: &str) -> Answered {
        self.caller.create("x", &json!({}), request_id).await.unwrap()
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

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_protocol_and_all_that_it_promises() {
    let scene = Scene::with_keys(&[]).await;
    let report = Conformance::default().payload("its payload").check(&scene.caller).await;
    assert!(report.holds(), "{report}");
    let untried = report.findings.iter().filter(|finding| finding.outcome != Outcome::Holds).count();
    assert_eq!(untried, 1, "only a rotation is not tried:\n{report}");
    assert!(scene.users().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_protocol_when_it_asks_about_each_token_and_promises_nothing() {
    let scene = Scene::start("--validate", "/validate-producer-credentials", &["--plain"]).await;
    let report = Conformance::default().check(&scene.caller).await;
    assert!(report.holds(), "{report}");
    assert_ne!(scene.create("r1").await.body["id"], scene.create("r1").await.body["id"]);
    assert_eq!(scene.users().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_appears_and_goes() {
    let scene = Scene::with_keys(&[]).await;
    let created = scene.create("r1").await;
    assert_eq!(created.status, 200);
    let name = created.body["response"]["user"].as_str().unwrap();
    assert_eq!((name, created.body["id"].as_str()), ("user-r1", Some(name)));
    assert_eq!(created.body["response"]["password"].as_str().unwrap().len(), 32);
    assert_eq!(scene.users(), [name]);
    let kept = std::fs::read_to_string(scene.file("users.json")).unwrap();
    assert!(!kept.contains(created.body["response"]["password"].as_str().unwrap()));

    let revoked = scene.caller.revoke("x", &[name, "nobody"]).await.unwrap();
    assert_eq!((revoked.status, revoked.body), (200, json!({"revoked": [name], "not_found": ["nobody"]})));
    assert!(scene.users().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_fail_file_is_there_every_call_is_answered_with_503() {
    let scene = Scene::with_keys(&[]).await;
    std::fs::write(scene.file("outage"), "").unwrap();
    assert_eq!(scene.create("r1").await.status, 503);
    assert_eq!(scene.caller.revoke("x", &["a"]).await.unwrap().status, 503);
    assert_eq!(scene.caller.dry_run("x").await.unwrap().status, 503);
    std::fs::remove_file(scene.file("outage")).unwrap();
    assert_eq!(scene.create("r1").await.status, 200);
}
