//! Against moto, which plays STS.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateward_aws::Chain;
use gateward_clock::{Clock as _, SystemClock};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_testkit::Moto;
use serde_json::json;
use tokio::runtime::Handle;

use super::*;
use crate::lease::{Holder, LeaseId};

fn producer(moto: &Moto, roles: &[String], payload: &Value) -> AssumeRole {
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    let clock = Arc::new(SystemClock);
    let parts = NativeParts {
        client: Client::new(Arc::clone(&connector)),
        connector,
        aws: Chain::without_sources(clock.clone(), Handle::current()),
        sts_endpoint: Some(moto.url().to_owned()),
        clock,
    };
    let settings = AwsSettings {
        access_key_id: Some("AKIDEXAMPLE".to_owned()),
        role_arns: roles.to_vec(),
        region: "us-east-2".to_owned(),
        session_tags: vec![("team".to_owned(), "blue".to_owned())],
        transitive_tag_keys: vec!["team".to_owned()],
    };
    let (timeout, ttl) = (Duration::from_secs(20), Duration::from_secs(3600));
    let work = Work { item_id: 7, timeout, ttl };
    AssumeRole::new(settings, SecretValue::new(payload.to_string()), work, parts)
}

fn order(ttl: Duration, input: &Value) -> Order {
    Order {
        lease_id: LeaseId::random(),
        holder: Holder { access_id: "p-1".to_owned(), sub_claims: BTreeMap::new() },
        input: input.as_object().cloned().unwrap_or_default(),
        ttl,
        expires_at: SystemClock.now() + ttl,
    }
}

#[tokio::test]
async fn a_session_of_the_role_that_was_asked_for_is_handed_out() {
    let moto = Moto::start();
    let roles = [moto.create_role("reader", &["s3:*"]), moto.create_role("writer", &["s3:*"])];
    let producer = producer(&moto, &roles, &json!({"secret_access_key": "canary", "external_id": "partner"}));
    assert!(producer.dry_run().await.unwrap().request_id);
    let hour = Duration::from_secs(3600);
    let first = producer.create(&order(hour, &json!({}))).await.unwrap();
    assert_eq!(
        (first.response["role_arn"].as_str(), first.response["ttl_in_minutes"].as_str()),
        (Some(&*roles[0]), Some("60"))
    );
    for field in ["access_key_id", "secret_access_key", "security_token", "expiration"] {
        assert!(first.response[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
    let second = producer.create(&order(hour, &json!({"role_arn": roles[1]}))).await.unwrap();
    assert_eq!(second.response["role_arn"], roles[1].as_str());
    for (ttl, input) in [
        (hour, json!({"role_arn": "arn:aws:iam::1:role/admin"})),
        (hour / 60, json!({})),
        (hour * 13, json!({})),
    ] {
        assert!(
            matches!(producer.create(&order(ttl, &input)).await, Err(CreateError::NotCreated(_))),
            "{input}"
        );
    }
}

#[tokio::test]
async fn a_session_is_gone_when_its_time_is_over_and_not_before() {
    let moto = Moto::start();
    let role = moto.create_role("reader", &["s3:*"]);
    let producer = producer(&moto, &[role], &json!({"secret_access_key": "canary"}));
    let live = producer.create(&order(Duration::from_secs(900), &json!({}))).await.unwrap();
    let over = format!("sts.{}.ASIAOVER", SystemClock.now().secs() - 1);
    let answer = producer.revoke(&[live.id.clone(), over.clone(), "nonsense".to_owned()]).await.unwrap();
    assert_eq!(answer.gone, [over]);
    assert!(answer.message.unwrap().contains("cannot be ended early"));
    let later = SystemClock.now() + Duration::from_secs(3600);
    assert!(producer.extend(&live.id, later).await.is_err());
    let sooner = producer.extend(&live.id, SystemClock.now()).await.unwrap_err();
    assert!(sooner.to_string().contains("has no other end"), "{sooner}");
}
