//! What a producer gets to see, byte for byte: the body of each call, as published producers expect it, and a token that
//! is for this call and no other. It is judged by the crate that producers are written with.

#![expect(clippy::unwrap_used, reason = "what a test needs is there, or the test fails")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateward_aws::Chain;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_leases::Catalog;
use gateward_leases::lease::{Holder, LeaseId};
use gateward_leases::producer::allowed::AllowedProducers;
use gateward_leases::producer::custom::CustomProducers;
use gateward_leases::producer::native::{AllProducers, NativeParts};
use gateward_leases::producer::token::ProducerTokens;
use gateward_leases::producer::{Capabilities, Order, Producers, RotateCall};
use gateward_model::{CustomSettings, DynamicSecret, GoDuration, ItemName, ProducerSettings, ProducerUrl};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_producer_sdk::{Attaches, Call, Expected, Jwks, Operation, verify};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{MemoryStore, Store};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// A call as it came in.
#[derive(Clone, Debug)]
struct Seen {
    path: String,
    token: String,
    body: Vec<u8>,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A producer that answers as the protocol has it, and remembers each call.
struct Recorder {
    origin: String,
    calls: Rc<RefCell<Vec<Seen>>>,
}

impl Recorder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let calls: Rc<RefCell<Vec<Seen>>> = Rc::default();
        let recording = Rc::clone(&calls);
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = read(&mut stream).await;
                let body = match seen.path.as_str() {
                    "/sync/create" => json!({"id": "user-1", "response": {"user": "user-1"}}),
                    "/sync/revoke" => json!({"revoked": seen.json()["ids"]}),
                    "/sync/list" => json!({"ids": ["user-1"]}),
                    _ => json!({"payload": "canary-new"}),
                };
                recording.borrow_mut().push(seen);
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        Self { origin, calls }
    }

    fn url(&self, call: &str) -> ProducerUrl {
        ProducerUrl::parse(&format!("{}/sync/{call}", self.origin)).unwrap()
    }

    /// The one call that has come in since this was asked last.
    fn the_call(&self) -> Seen {
        let mut calls = self.calls.take();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }
}

async fn read(stream: &mut TcpStream) -> Seen {
    let mut request = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "half a request");
        let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(request[..end].to_vec()).unwrap();
        let header = |name: &str| {
            let found = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
            found.map(|line| line.split_once(':').unwrap().1.trim().to_owned())
        };
        let body = request[end + 4..].to_vec();
        if body.len() < header("content-length").unwrap().parse().unwrap() {
            continue;
        }
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        let line: Vec<&str> = head.lines().next().unwrap().split(' ').collect();
        assert_eq!(line[0], "POST");
        return Seen { path: line[1].to_owned(), token: header("akeylesscreds").unwrap(), body };
    }
}

/// A gateway that calls `recorder`.
struct Scene {
    recorder: Recorder,
    tokens: Arc<ProducerTokens>,
    producers: AllProducers,
}

impl Scene {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let sealer = Arc::new(Sealer::new(RootKey::generate()));
        let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
        let client = Client::new(Arc::clone(&connector));
        let access_id = "p-gateway".parse().unwrap();
        let tokens = ProducerTokens::open(&*store, &sealer, access_id, Arc::clone(&clock)).await.unwrap();
        let tokens = Arc::new(tokens);
        let catalog = Arc::new(Catalog::new(store, sealer, Arc::clone(&clock)));
        let allowed = AllowedProducers::default();
        let custom = CustomProducers::new(client.clone(), Arc::clone(&tokens), catalog, allowed);
        let aws = Chain::without_sources(Arc::clone(&clock), Handle::current());
        let native = NativeParts { connector, client, aws, sts_endpoint: None, clock };
        Self { recorder: Recorder::start().await, tokens, producers: AllProducers::new(custom, native) }
    }

    fn secret(&self) -> DynamicSecret {
        DynamicSecret {
            id: 7,
            name: ItemName::parse("/db/orders").unwrap(),
            producer: ProducerSettings::Custom(CustomSettings {
                create_sync_url: self.recorder.url("create"),
                revoke_sync_url: self.recorder.url("revoke"),
                rotate_sync_url: Some(self.recorder.url("rotate")),
            }),
            timeout_sec: 60,
            user_ttl: GoDuration::minutes(60),
            max_leases: None,
            capabilities: Capabilities { list: true, ..Capabilities::default() },
        }
    }

    fn keys(&self) -> Jwks {
        Jwks::parse(self.tokens.jwks().to_string().as_bytes()).unwrap()
    }

    /// The call that came in last, once its token was found to be for `operation` and for nothing else.
    fn verified(&self, operation: Operation) -> Seen {
        let seen = self.recorder.the_call();
        let origins = [self.recorder.origin.clone()];
        let expected = Expected { access_id: "p-gateway", item_name: Some("/db/orders") };
        let call = Call { origins: &origins, operation, body: &seen.body };
        let judged = |call: Call<'_>, now: u64| verify(&seen.token, &self.keys(), expected, call, now);
        let claims = judged(call, NOW).expect("it is for this call");
        assert_eq!(claims.exp - claims.iat, 60, "a minute");
        let attaches: Attaches = serde_json::from_str(&claims.attaches).unwrap();
        assert!(!attaches.account_id.is_empty(), "{attaches:?}");
        // Anything else that it could be shown for.
        let elsewhere = ["http://127.0.0.1:1".to_owned()];
        let other = if operation == Operation::Revoke { Operation::Create } else { Operation::Revoke };
        let mut body = seen.body.clone();
        body.push(b' ');
        for (call, now) in [
            (Call { origins: &elsewhere, ..call }, NOW),
            (Call { operation: other, ..call }, NOW),
            (Call { body: &body, ..call }, NOW),
            (call, NOW + 120),
        ] {
            assert!(judged(call, now).is_err());
        }
        seen
    }
}

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn a_create_call_says_who_asks_and_what_is_new_stands_beside_it() {
    local(async {
        let scene = Scene::new().await;
        let producer = scene.producers.of(&scene.secret(), SecretValue::from("canary-payload"));
        let claims = BTreeMap::from([("group".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        for (sub_claims, told) in [(BTreeMap::new(), json!({})), (claims, json!({"group": ["a", "b"]}))] {
            let order = Order {
                lease_id: LeaseId::random(),
                holder: Holder { access_id: "p-caller".to_owned(), sub_claims },
                input: Map::from_iter([("role".to_owned(), json!("reader"))]),
                ttl: Duration::from_secs(90),
                expires_at: Timestamp::from_secs(NOW + 150),
            };
            let created = producer.create(&order).await.unwrap();
            assert_eq!((created.id.as_str(), &created.response["user"]), ("user-1", &json!("user-1")));
            let expected = json!({
                "payload": "canary-payload", "input": {"role": "reader"},
                "client_info": {"access_id": "p-caller", "sub_claims": told},
                "request_id": order.lease_id.to_string(), "lease_id": order.lease_id.to_string(),
                "ttl": 90, "expires_at": order.expires_at.rfc3339(),
            });
            assert_eq!(scene.verified(Operation::Create).json(), expected);
        }
    });
}

#[test]
fn revoke_rotate_and_list_calls_say_no_more_than_they_must() {
    local(async {
        let scene = Scene::new().await;
        let secret = scene.secret();
        let producer = scene.producers.of(&secret, SecretValue::from("canary-payload"));
        let answer = producer.revoke(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(answer.gone, ["a", "b"]);
        let body = scene.verified(Operation::Revoke).json();
        assert_eq!(body, json!({"payload": "canary-payload", "ids": ["a", "b"]}));

        assert_eq!(producer.list(None).await.unwrap().unwrap().ids, ["user-1"]);
        let seen = scene.verified(Operation::List);
        assert_eq!(
            (seen.path.as_str(), seen.json()["payload"].as_str()),
            ("/sync/list", Some("canary-payload"))
        );

        let call = RotateCall {
            item_name: secret.name.clone(),
            url: scene.recorder.url("rotate"),
            timeout: Duration::from_secs(60),
            payload: SecretValue::from("canary-payload"),
            previous: None,
            rotation_id: "r-1".to_owned(),
        };
        assert_eq!(scene.producers.rotate(&call).await.unwrap().expose(), "canary-new");
        let body = scene.verified(Operation::Rotate).json();
        assert_eq!(body, json!({"payload": "canary-payload", "request_id": "r-1"}));
    });
}

#[test]
fn a_dry_run_asks_in_nobodys_name_revokes_what_it_made_and_rotates_nothing() {
    local(async {
        let scene = Scene::new().await;
        let producer = scene.producers.of(&scene.secret(), SecretValue::from("canary-payload"));
        producer.dry_run().await.unwrap();
        let calls = scene.recorder.calls.take();
        let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
        assert_eq!(paths, ["/sync/create", "/sync/revoke"]);
        let created = calls[0].json();
        assert_eq!(created["input"], json!({}));
        assert_eq!(created["client_info"], json!({"access_id": "p-custom", "sub_claims": {}}));
        assert_eq!(calls[1].json()["ids"], json!(["user-1"]));
    });
}

const NOW: u64 = 1_700_000_000;
