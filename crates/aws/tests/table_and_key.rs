//! DynamoDB, KMS, SQS and EventBridge, with signatures that moto judges.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_aws::dynamodb::DynamoDb;
use gateward_aws::events::{Event, EventBus};
use gateward_aws::kms::{Kms, KmsError};
use gateward_aws::sqs::Queue;
use gateward_aws::{Access, Credentials, Provider, ServiceError};
use gateward_clock::SystemClock;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_store::{Change, CommitError, DynamoStore, Key, Looks, Precondition, Store, StoreError, Write};
use gateward_testkit::Moto;
use serde_json::json;
use tokio::runtime::Handle;

const REGION: &str = "eu-west-1";

/// Whoever has this key, at `moto`.
fn access(moto: &Moto, key: &str, secret: &str) -> Access {
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    let credentials =
        Credentials { access_key: key.to_owned(), secret_key: secret.into(), session_token: None };
    Access {
        client: Client::new(connector),
        region: REGION.to_owned(),
        endpoint_url: Some(moto.url().to_owned()),
        provider: Provider::fixed(credentials),
        clock: Arc::new(SystemClock),
    }
}

async fn open(moto: &Moto, key: &str, secret: &str, table: &str) -> Result<Arc<DynamoStore>, StoreError> {
    let api = DynamoDb::new(&access(moto, key, secret)).unwrap();
    DynamoStore::open(Arc::new(api), table, Handle::current(), Looks::Often).await
}

/// Everything that somebody could be shown of an error.
fn shown(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_kept_in_a_table_by_whoever_may_use_it() {
    let moto = Moto::start();
    moto.create_table(REGION, "gateward");
    let (key, secret) = moto.create_access_key("gateway", &["dynamodb:*"]);
    let (powerless, their_secret) = moto.create_access_key("nobody", &["sqs:*"]);
    moto.check_signatures();

    let store = open(&moto, &key, &secret, "gateward").await.unwrap();
    let at = Key { partition: "routes".to_owned(), sort: "é/🔒".to_owned() };
    let write = |precondition| Write {
        key: at.clone(),
        precondition,
        change: Change::Put(Bytes::from_static(b"\0\xff")),
    };
    let revision = store.commit(vec![write(Precondition::Absent)]).await.unwrap();
    let conflict = store.commit(vec![write(Precondition::Absent)]).await.unwrap_err();
    assert!(matches!(conflict, CommitError::Conflict { key } if key == at));
    let elsewhere = open(&moto, &key, &secret, "gateward").await.unwrap();
    assert_eq!(elsewhere.revision().await.unwrap(), revision);
    assert_eq!(elsewhere.get(&at).await.unwrap().unwrap().value, Bytes::from_static(b"\0\xff"));

    for (key, secret, table, says) in [
        (key.as_str(), "canary", "gateward", "AWS refuses the use of the table \"gateward\""),
        ("AKIACANARY", "canary", "gateward", "AWS refuses the use of the table \"gateward\""),
        (&powerless, &their_secret, "gateward", "AWS refuses the use of the table \"gateward\""),
        (&key, &secret, "missing", "DynamoDB has no table \"missing\""),
    ] {
        let error = open(&moto, key, secret, table).await.err().unwrap();
        assert!(error.to_string().contains(says), "{error}");
        assert!(!shown(&error).contains(secret), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_key_opens_with_the_key_and_for_the_purpose_that_it_was_sealed_for() {
    let moto = Moto::start();
    let [one, another] = [moto.create_kms_key(REGION), moto.create_kms_key(REGION)];
    let (key, secret) = moto.create_access_key("gateway", &["kms:*"]);
    let (powerless, their_secret) = moto.create_access_key("nobody", &["sqs:*"]);
    moto.check_signatures();
    let kms = Kms::new(&access(&moto, &key, &secret)).unwrap();

    let made = kms.generate_data_key(&one, "root key").await.unwrap();
    assert_eq!((made.plaintext.len(), made.kms_key.as_str()), (32, one.as_str()));
    let opened = kms.decrypt(&one, "root key", &made.sealed).await.unwrap();
    assert_eq!(opened, made.plaintext);
    let again = kms.generate_data_key(&one, "root key").await.unwrap();
    assert_ne!(again.plaintext, made.plaintext);

    let other_purpose = kms.decrypt(&one, "another", &made.sealed).await.unwrap_err();
    assert!(matches!(other_purpose, KmsError::WrongKey(_)), "{other_purpose:?}");
    let other_key = kms.decrypt(&another, "root key", &made.sealed).await.unwrap_err();
    // AWS calls it an incorrect key, and moto a denial.
    assert!(matches!(other_key, KmsError::WrongKey(_) | KmsError::Denied(_)), "{other_key:?}");
    let no_key = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000";
    let absent = kms.generate_data_key(no_key, "root key").await.err().unwrap();
    assert!(matches!(absent, KmsError::NotFound(_)), "{absent:?}");
    for (key, secret) in
        [(powerless.as_str(), their_secret.as_str()), (&key, "canary"), ("AKIACANARY", "canary")]
    {
        let kms = Kms::new(&access(&moto, key, secret)).unwrap();
        let denied = kms.decrypt(&one, "root key", &made.sealed).await;
        let denied = denied.unwrap_err();
        assert!(matches!(denied, KmsError::Denied(_)), "{denied:?}");
        assert!(!shown(&denied).contains(secret), "{denied:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_in_a_queue_and_events_go_to_a_bus() {
    let moto = Moto::start();
    let url = moto.create_queue(REGION, "due");
    let (key, secret) = moto.create_access_key("gateway", &["sqs:*", "events:*"]);
    let access = access(&moto, &key, &secret);
    let queue = Queue::new(&access, &url).unwrap();
    queue.send("now", Duration::ZERO).await.unwrap();
    queue.send("later", Duration::from_secs(3600)).await.unwrap();
    assert_eq!(moto.messages(REGION, &url), ["now"]);
    let bus = EventBus::new(&access, "default").unwrap();
    let event = Event { source: "gateward", kind: "Lease revoked", detail: json!({ "lease": "l-1" }) };
    assert_eq!(bus.put(&[event]).await.unwrap(), [0; 0]);
    let absent = Queue::new(&access, &format!("{url}-absent")).unwrap();
    let error = absent.send("canary", Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, ServiceError::Refused { .. }), "{error:?}");
    assert!(!shown(&error).contains("canary"), "{error:?}");
}
