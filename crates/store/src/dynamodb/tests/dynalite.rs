//! A second opinion on plain conditional writes: dynalite, which shares no code with moto and is stricter about what a
//! request may look like. It has no transactions, so this is about commits of one write in quiet partitions.
//!
//! `make peers` fetches it, and says so where it cannot.

use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use gateward_testkit::{Process, free_port, http, workspace};
use serde_json::Value;

use super::*;
use crate::dynamodb::{Failure, Refusal};

/// A running dynalite, with one table.
struct Dynalite {
    url: String,
    _process: Process,
}

impl Dynalite {
    /// One, if this machine has it.
    fn start() -> Option<Arc<Self>> {
        let port = free_port().to_string();
        let mut command = Command::new(workspace::node_program("dynalite")?);
        command.args(["--port", &port, "--host", "127.0.0.1", "--createTableMs", "0"]);
        let process = Process::start("dynalite", command);
        process.wait_for_line(Duration::from_secs(60), |line| line.contains("istening"));
        let dynalite = Self { url: format!("http://127.0.0.1:{port}/"), _process: process };
        let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
        let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
        let table = json!({
            "TableName": TABLE, "KeySchema": [key("p", "HASH"), key("s", "RANGE")],
            "AttributeDefinitions": [attribute("p"), attribute("s")], "BillingMode": "PAY_PER_REQUEST",
        });
        let made = dynalite.post("CreateTable", table.to_string().as_bytes());
        assert_eq!(made.status, 200, "{}", made.text());
        let ready = gateward_testkit::eventually(Duration::from_secs(60), || {
            let told = dynalite.post("DescribeTable", json!({ "TableName": TABLE }).to_string().as_bytes());
            (told.json()["Table"]["TableStatus"] == "ACTIVE").then_some(())
        });
        assert!(ready.is_some(), "the table does not become active");
        Some(Arc::new(dynalite))
    }

    fn post(&self, action: &str, request: &[u8]) -> http::Response {
        let target = format!("DynamoDB_20120810.{action}");
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/us-east-1/dynamodb/aws4_request, \
                             SignedHeaders=host, Signature=0";
        let headers = [
            ("Content-Type", "application/x-amz-json-1.0"),
            ("X-Amz-Target", target.as_str()),
            ("X-Amz-Date", "20260101T000000Z"),
            ("Authorization", authorization),
        ];
        http::request("POST", &self.url, &headers, request)
    }
}

#[async_trait]
impl Api for Arc<Dynalite> {
    async fn call(&self, action: &'static str, request: Bytes) -> Result<Bytes, Failure> {
        let dynalite = Arc::clone(self);
        let calling = tokio::task::spawn_blocking(move || dynalite.post(action, &request));
        let response = calling.await.map_err(|failure| Failure::Unanswered(failure.into()))?;
        let answer = Bytes::from(response.body);
        if response.status == 200 {
            return Ok(answer);
        }
        let kind: Value = serde_json::from_slice(&answer).expect("an error in JSON");
        let error = kind["__type"].as_str().and_then(|kind| kind.rsplit('#').next()).unwrap_or_default();
        Err(Failure::Refused(Refusal { status: response.status, error: error.to_owned(), answer }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_implementation_judges_conditional_writes_as_the_model_does() {
    // Without it nothing is judged, as `make peers` has said.
    let Some(dynalite) = Dynalite::start() else { return };
    let store = open(Arc::new(Arc::clone(&dynalite)), TABLE).await;
    let model = MemoryStore::new();
    let mut random = Rng::with_seed(1);
    for step in 0..200 {
        let key = Key { partition: "~r".to_owned(), sort: random.u8(0..3).to_string() };
        let standing = model.get(&key).await.expect("a read").map_or(1, |entry| entry.version);
        let precondition = match random.u8(0..4) {
            0 => Precondition::Absent,
            1 => Precondition::Version(standing + 1),
            _ => Precondition::Version(standing),
        };
        let change = Change::Put(Bytes::from(random.u64(..).to_string()));
        let write = Write { key, precondition, change };
        let (expected, done) =
            (model.commit(vec![write.clone()]).await, store.commit(vec![write.clone()]).await);
        assert_eq!(done.is_ok(), expected.is_ok(), "step {step}: {write:?}: {done:?} and not {expected:?}");
        assert_eq!(everything(&*store, "~r").await, everything(&model, "~r").await, "step {step}");
    }

    let mut racing = JoinSet::new();
    for process in 0..2 {
        let store = open(Arc::new(Arc::clone(&dynalite)), TABLE).await;
        for task in 0..2 {
            let (store, id) = (Arc::clone(&store), format!("{process}{task}"));
            racing.spawn(async move { append(&*store, "~p", &id).await });
        }
    }
    let mut appended = Vec::new();
    while let Some(task) = racing.join_next().await {
        appended.extend(task.expect("a task that appended"));
    }
    let mut stands = read(&*store, "~p").await.0;
    stands.sort_unstable();
    appended.sort_unstable();
    assert_eq!(stands, appended);
}

const TABLE: &str = "gateward";
