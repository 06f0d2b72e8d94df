//! Credentials that a Lambda function issues, and revokes though nothing runs in it between two events.

use std::time::Duration;

use gateward_testkit::{Double as Peer, Moto, Process, Reply, RuntimeApi, eventually};
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::PATIENCE;
use crate::lambda;
use crate::plot::{ACCESS_ID, Plot};
use crate::users_file::UsersFile;

const REGION: &str = "eu-west-1";

#[test]
fn a_function_revokes_what_it_issued_at_a_message_of_its_queue_and_at_a_tick() {
    let plot = Plot::new();
    let moto = Moto::start();
    let queue = moto.create_queue(REGION, "revocations");
    let events = moto.create_event_bus(REGION, "changes");
    let lambda_api = RuntimeApi::start();
    let more = [("GATEWARD_REVOCATION_QUEUE", queue.as_str()), ("GATEWARD_EVENTS_BUS", "changes")];
    let mut process = start(&plot, &moto, &lambda_api, &more);
    let function = Function { lambda: &lambda_api, plot: &plot };

    // Whoever verifies tokens finds the keys at an address, which a function has only behind API Gateway.
    let keys = function.get("/.well-known/jwks.json").to_string();
    let door = Double::start(move |_, _| keys.clone());
    let address = door.address();
    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    let producer = UsersFile::start(&plot, "users", "--jwks", port);
    let token = function.token();
    let secret = json!({
        "token": token, "name": "/demo/login", "user-ttl": "60m", "payload": plot.plant("payload"),
        "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke"),
    });
    function.post("/dynamic-secret-create-custom", &secret);

    let wanted = json!({"token": token, "name": "/demo/login", "ttl": "2s"});
    let announced = function.post("/get-dynamic-secret-value", &wanted);
    assert!(producer.has(&announced["user"]), "{announced}");
    // It was told before the answer: nothing runs afterwards.
    assert_eq!(told(&moto, &events), ["issued"]);
    // It comes when the lease has ended.
    let message = eventually(PATIENCE, || moto.messages(REGION, &queue).pop()).expect("a message");
    let record = json!({"messageId": "m1", "eventSource": "aws:sqs", "body": message});
    let answer = function.answer(&json!({"Records": [record.clone(), record]}));
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert!(!producer.has(&announced["user"]), "{announced}");
    assert_eq!(told(&moto, &events), ["revoked"]);

    let (lasting, forgotten) = (
        function.post("/get-dynamic-secret-value", &json!({"token": token, "name": "/demo/login"})),
        function.post("/get-dynamic-secret-value", &wanted),
    );
    let tick =
        json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}});
    // This message is lost; the ticks go on.
    let gone = eventually(PATIENCE, || {
        function.answer(&tick);
        (!producer.has(&forgotten["user"])).then_some(())
    });
    assert!(gone.is_some(), "{forgotten} is still there");
    assert!(producer.has(&lasting["user"]), "it was revoked before its time");

    // A producer that says nothing: nobody knows whether it made something.
    let silent = Peer::start(|_| Reply::Silence);
    let secret = json!({
        "token": token, "name": "/demo/silent", "user-ttl": "1m", "timeout-sec": 1, "payload": plot.plant("payload"),
        "create-sync-url": silent.url(), "revoke-sync-url": silent.url(), "skip-dry-run": true,
    });
    function.post("/dynamic-secret-create-custom", &secret);
    let wanted = json!({"token": token, "name": "/demo/silent"});
    let answer =
        function.answer(&lambda::event("POST", "/get-dynamic-secret-value", "$default", &wanted.to_string()));
    assert_eq!(answer["statusCode"], 504, "{answer}");
    assert_eq!(function.post("/dynamic-secret-tmp-creds-get", &wanted)[0]["state"], "UNKNOWN");

    let bad = json!({"messageId": "m2", "eventSource": "aws:sqs", "body": "not ours"});
    let answer = function.answer(&json!({"Records": [bad]}));
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m2"}]}));

    process.terminate();
    assert!(process.wait(PATIENCE).success());
    plot.hear("what the function printed", process.text());
    plot.end();
}

#[test]
fn an_event_whose_time_is_over_before_the_producer_answers_leaves_an_unknown_lease_and_is_a_504() {
    let plot = Plot::new();
    let moto = Moto::start();
    let lambda_api = RuntimeApi::start();
    let mut process = start(&plot, &moto, &lambda_api, &[]);
    let function = Function { lambda: &lambda_api, plot: &plot };
    let token = function.token();
    let silent = Peer::start(|_| Reply::Silence);
    // It may take longer than any event has.
    let secret = json!({
        "token": token, "name": "/silent", "user-ttl": "1m", "timeout-sec": 900, "payload": plot.plant("payload"),
        "create-sync-url": silent.url(), "revoke-sync-url": silent.url(), "skip-dry-run": true,
    });
    function.post("/dynamic-secret-create-custom", &secret);
    let wanted = json!({"token": token, "name": "/silent"});
    let event = lambda::event("POST", "/get-dynamic-secret-value", "$default", &wanted.to_string());
    // A busy machine may need some seconds to come to the producer at all.
    let left = [4, 8, 16, 24].into_iter().find_map(|seconds| {
        let answer = lambda_api.invoke_within(&event, Duration::from_secs(seconds), PATIENCE);
        plot.hear("an answer to an event", answer.to_string());
        assert_eq!(answer["statusCode"], 504, "{answer}");
        let leases = function.post("/dynamic-secret-tmp-creds-get", &wanted);
        let is_told = answer["body"].as_str().is_some_and(|told| told.contains("did not answer in time"));
        (is_told && leases[0]["state"] == "UNKNOWN").then_some(leases)
    });
    assert!(left.is_some_and(|leases| leases[0]["id"].is_string()), "no lease is UNKNOWN");
    process.terminate();
    assert!(process.wait(PATIENCE).success());
    plot.hear("what the function printed", process.text());
    plot.end();
}

/// Starts a function on a table of `moto`'s, with these variables besides.
fn start(plot: &Plot, moto: &Moto, lambda_api: &RuntimeApi, more: &[(&str, &str)]) -> Process {
    moto.create_table(REGION, "gateward");
    let (kms_key, secret) = (moto.create_kms_key(REGION), plot.plant("awssecret"));
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDQUEUE"),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ("AWS_REGION", REGION),
        ("GATEWARD_AWS_ENDPOINT_URL", moto.url()),
        ("GATEWARD_STORE", "dynamodb"),
        ("GATEWARD_ROOT_KEY", ""),
        ("GATEWARD_ROOT_KEY_KMS", &kms_key),
    ];
    let process = lambda::start_with(plot, lambda_api, &[&variables, more].concat());
    lambda_api.wait_until_asked(PATIENCE);
    process
}

/// What the events on the bus say since the last time.
fn told(moto: &Moto, events: &str) -> Vec<String> {
    let status = |text: String| {
        let event: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&event["source"], &event["detail"]["item_name"]),
            (&json!("gateward"), &json!("/demo/login"))
        );
        event["detail"]["status"].as_str().expect("a status").to_owned()
    };
    moto.messages(REGION, events).into_iter().map(status).collect()
}

/// The function, as API Gateway and others call it.
struct Function<'f> {
    lambda: &'f RuntimeApi,
    plot: &'f Plot,
}

impl Function<'_> {
    #[track_caller]
    fn answer(&self, event: &Value) -> Value {
        self.lambda.invoke(event, PATIENCE)
    }

    #[track_caller]
    fn token(&self) -> Value {
        let key = self.plot.access_key();
        let login = json!({"access-id": ACCESS_ID, "access-key": key, "access-type": "access_key"});
        self.post("/auth", &login)["token"].clone()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        self.body(&lambda::event("GET", path, "$default", ""))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.body(&lambda::event("POST", path, "$default", &body.to_string()))
    }

    #[track_caller]
    fn body(&self, event: &Value) -> Value {
        let answer = self.answer(event);
        self.plot.hear("an answer to an event", answer.to_string());
        assert_eq!(answer["statusCode"], 200, "{answer}");
        serde_json::from_str(answer["body"].as_str().expect("text")).expect("JSON")
    }
}
