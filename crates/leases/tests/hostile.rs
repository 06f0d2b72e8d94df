//! A producer that answers over HTTP with whatever it likes. Only a 200 that names an id revokes it, and nothing that it
//! does takes longer than it may.

#![expect(clippy::unwrap_used, reason = "what a test needs is there, or the test fails")]

use std::sync::Arc;
use std::time::Duration;

use gateward_clock::{Clock, SystemClock};
use gateward_leases::Catalog;
use gateward_leases::lease::{Holder, LeaseId};
use gateward_leases::producer::allowed::AllowedProducers;
use gateward_leases::producer::custom::CustomProducers;
use gateward_leases::producer::token::ProducerTokens;
use gateward_leases::producer::{
    Capabilities, CreateError, Order, Producer, RevokeAnswer, RevokeCallError, RevokeFailure,
};
use gateward_model::{CustomSettings, DynamicSecret, GoDuration, ItemName, ProducerSettings, ProducerUrl};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{MemoryStore, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What it does with a request.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers this status and body.
    Says(u16, &'static str),
    /// Sends its answer a byte at a time, without end.
    Drips,
    /// Takes the request and is silent.
    IsSilent,
    /// Hangs up.
    HangsUp,
    /// Answers with ten megabytes.
    Floods,
    /// Sends the gateway to the machine's credentials.
    Redirects,
}

/// How long a call may take that is answered, and one that is not.
const TIMEOUT: Duration = Duration::from_secs(60);
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);
/// What a busy machine may need besides: a call that were not ended would take for ever.
const PATIENCE: Duration = Duration::from_secs(60);

async fn producer(manner: Manner) -> Box<dyn Producer> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(answer(stream, manner));
        }
    });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sealer = Arc::new(Sealer::new(RootKey::generate()));
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    let access_id = "p-gateway".parse().unwrap();
    let tokens = ProducerTokens::open(&*store, &sealer, access_id, Arc::clone(&clock)).await.unwrap();
    let catalog = Arc::new(Catalog::new(store, sealer, clock));
    let producers =
        CustomProducers::new(Client::new(connector), Arc::new(tokens), catalog, AllowedProducers::default());
    let url = |last| ProducerUrl::parse(&format!("http://127.0.0.1:{port}/sync/{last}")).unwrap();
    let urls = CustomSettings {
        create_sync_url: url("create"),
        revoke_sync_url: url("revoke"),
        rotate_sync_url: None,
    };
    let secret = DynamicSecret {
        id: 7,
        name: ItemName::parse("/db").unwrap(),
        producer: ProducerSettings::Custom(urls.clone()),
        timeout_sec: match manner {
            Manner::Drips | Manner::IsSilent => SHORT_TIMEOUT.as_secs(),
            _ => TIMEOUT.as_secs(),
        },
        user_ttl: GoDuration::minutes(1),
        max_leases: None,
        capabilities: Capabilities::default(),
    };
    producers.of(&urls, &secret, SecretValue::from("canary-payload"))
}

async fn answer(mut stream: TcpStream, manner: Manner) {
    read_whole(&mut stream).await;
    let head = |status: u16, length: usize, more: &str| {
        format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {length}\r\n{more}\r\n")
    };
    let written = match manner {
        Manner::Says(status, body) => {
            stream.write_all(format!("{}{body}", head(status, body.len(), "")).as_bytes()).await
        }
        Manner::Drips => {
            let mut written = stream.write_all(head(200, 1_000_000, "").as_bytes()).await;
            while written.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                written = stream.write_all(b" ").await;
            }
            written
        }
        Manner::IsSilent => std::future::pending().await,
        Manner::HangsUp => Ok(()),
        Manner::Floods => {
            let _ = stream.write_all(head(200, 10_000_000, "").as_bytes()).await;
            stream.write_all(&vec![b' '; 10_000_000]).await
        }
        Manner::Redirects => {
            let more = "location: http://169.254.169.254/latest/meta-data/iam\r\n";
            stream.write_all(head(307, 0, more).as_bytes()).await
        }
    };
    // It hangs up on us, too.
    drop(written);
}

/// Reads a request to its end: who hangs up on what was not read yet takes the answer back.
async fn read_whole(stream: &mut TcpStream) {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if body.len() >= length {
                return;
            }
        }
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// What a revocation of `a` and `b` comes to.
async fn revoked(manner: Manner) -> Result<RevokeAnswer, RevokeCallError> {
    let producer = producer(manner).await;
    let ids = ["a".to_owned(), "b".to_owned()];
    tokio::time::timeout(TIMEOUT + PATIENCE, producer.revoke(&ids)).await.expect("an answer in time")
}

async fn created(manner: Manner) -> CreateError {
    let producer = producer(manner).await;
    let order = Order {
        lease_id: LeaseId::random(),
        holder: Holder { access_id: "p-caller".to_owned(), sub_claims: std::collections::BTreeMap::new() },
        input: serde_json::Map::new(),
        ttl: Duration::from_secs(60),
        expires_at: SystemClock.now(),
    };
    let created = tokio::time::timeout(TIMEOUT + PATIENCE, producer.create(&order)).await;
    created.expect("an answer in time").expect_err("nothing that could be handed out")
}

fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn only_an_id_that_a_200_names_is_gone() {
    local(async {
        for (body, gone) in [
            (r#"{"revoked": ["a"]}"#, vec!["a"]),
            (r#"{"revoked": ["a", "a", "a"]}"#, vec!["a", "a", "a"]),
            (r#"{"revoked": ["c", "A", "a "]}"#, vec!["c", "A", "a "]),
            (r#"{"revoked": [1, 2], "not_found": ["b"]}"#, vec!["1", "2", "b"]),
            (r#"{"revoked": "a", "message": "a and b are gone"}"#, vec![]),
            (r#"{"revoked": [["a"], {"id": "b"}, null]}"#, vec![]),
            (r#"{"deleted": ["a", "b"]}"#, vec![]),
        ] {
            let answer = revoked(Manner::Says(200, body)).await.unwrap();
            assert_eq!(answer.gone, gone, "{body}");
        }
    });
}

#[test]
fn every_other_answer_says_nothing_of_any_credential() {
    use RevokeFailure::{Misconfigured, Refused, Transient};
    const NAMES: &str = r#"{"revoked": ["a", "b"]}"#;
    local(async {
        for (status, failure) in [
            (201, Transient),
            (204, Transient),
            (500, Transient),
            (503, Transient),
            (429, Transient),
            (404, Misconfigured),
            (410, Misconfigured),
            (401, Misconfigured),
            (403, Misconfigured),
            (400, Refused),
            (422, Refused),
        ] {
            let body = if status == 204 { "" } else { NAMES };
            let error = revoked(Manner::Says(status, body)).await.unwrap_err();
            assert_eq!(error.failure, failure, "{status}");
        }
        for body in ["", "gone", "[[\"a\", \"b\"]]", "{\"revoked\": [\"a\""] {
            assert_eq!(revoked(Manner::Says(200, body)).await.unwrap_err().failure, Transient, "{body}");
        }
    });
}

#[test]
fn a_producer_that_drips_floods_or_is_silent_is_given_up_in_time() {
    local(async {
        for manner in [Manner::Drips, Manner::IsSilent, Manner::HangsUp, Manner::Floods] {
            assert_eq!(revoked(manner).await.unwrap_err().failure, RevokeFailure::Transient);
            assert!(matches!(created(manner).await, CreateError::Lost { .. }), "it may have made one");
        }
    });
}

#[test]
fn a_redirect_to_the_machines_credentials_is_not_followed() {
    local(async {
        assert_eq!(revoked(Manner::Redirects).await.unwrap_err().failure, RevokeFailure::Misconfigured);
        assert!(matches!(created(Manner::Redirects).await, CreateError::NotCreated(_)));
    });
}

#[test]
fn a_credential_that_cannot_be_handed_out_keeps_its_name() {
    local(async {
        for (status, body) in [
            (200, r#"{"id": 17, "response": {}}"#),
            (200, r#"{"id": "17", "response": "text"}"#),
            (200, r#"{"id": "17"}"#),
            (201, r#"{"id": "17", "response": {}}"#),
        ] {
            let error = created(Manner::Says(status, body)).await;
            assert!(matches!(error, CreateError::Unusable { id, .. } if id == "17"), "{status} {body}");
        }
    });
}
