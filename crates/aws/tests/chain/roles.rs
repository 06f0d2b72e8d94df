//! Roles that are assumed, with moto as STS, which checks signatures.

use std::sync::Arc;

use gateward_aws::sts::{Sts, StsError, StsPlace};
use gateward_aws::{Credentials, Provider, Role};
use gateward_clock::{Clock, SystemClock};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_testkit::Moto;

use crate::world::World;

/// Where nobody is asked.
const NOWHERE: &str = "http://127.0.0.1:1";

fn role(arn: &str, sts: &str) -> Role {
    Role {
        arn: arn.to_owned(),
        session_name: "orders".to_owned(),
        external_id: Some("partner-1".into()),
        sts_endpoint: Some(sts.to_owned()),
        region: Some("eu-west-1".to_owned()),
    }
}

fn fixed(key: &str, secret: &str) -> Arc<Provider> {
    let credentials =
        Credentials { access_key: key.to_owned(), secret_key: secret.into(), session_token: None };
    Provider::fixed(credentials)
}

fn sts(moto: &Moto) -> Sts {
    let client = Client::new(Arc::new(Connector::new(ConnectorSettings::default()).unwrap()));
    let place = StsPlace { endpoint_url: Some(moto.url().to_owned()), ..StsPlace::default() };
    Sts::new(client, &place).unwrap()
}

#[tokio::test]
async fn a_role_is_assumed_and_the_session_is_the_roles() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["sts:AssumeRole", "sts:GetCallerIdentity"]);
    let arn = moto.create_role("worker", &["sts:GetCallerIdentity"]);
    moto.check_signatures();
    let sts = sts(&moto);
    let now = SystemClock.now();
    let base = fixed(&key, &secret);
    let me = sts.get_caller_identity(&base.get().await.unwrap(), now).await.unwrap();
    assert!(me.arn.ends_with(":user/gateway"), "{me:?}");

    let world = World::new(&[]);
    let provider = world.chain.assuming(&base, role(&arn, moto.url()));
    let session = provider.get().await.unwrap();
    assert!(session.access_key.starts_with("ASIA") && session.session_token.is_some(), "{session:?}");
    let it = sts.get_caller_identity(&session, now).await.unwrap();
    assert!(it.arn.ends_with(":assumed-role/worker/orders"), "{it:?}");
    assert_eq!(it.account, me.account);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_not_said() {
    let moto = Moto::start();
    let (key, _) = moto.create_access_key("gateway", &["sts:AssumeRole"]);
    let arn = moto.create_role("worker", &["s3:*"]);
    moto.check_signatures();
    let world = World::new(&[]);
    let provider = world.chain.assuming(&fixed(&key, "canary"), role(&arn, moto.url()));
    let error = provider.get().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no AWS credentials: the role {arn}: STS refuses it (SignatureDoesNotMatch, status 403)")
    );
    assert!(!format!("{error:?} {provider:?} {:?}", world.chain).contains("canary"));
    let nobody = fixed("AKIANOBODY", "canary").get().await.unwrap();
    let refused = sts(&moto).get_caller_identity(&nobody, SystemClock.now()).await;
    assert!(matches!(refused, Err(StsError::Refused { status: 403, .. })));
}

#[tokio::test]
async fn without_what_assumes_it_a_role_says_what_is_missing() {
    let world = World::new(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    let provider = world.chain.assuming(&world.provider, role("arn:aws:iam::1:role/r", NOWHERE));
    let error = provider.get().await.unwrap_err().to_string();
    let expected = "no AWS credentials: the role arn:aws:iam::1:role/r: what assumes it is missing: no AWS credentials: \
                    environment: AWS_ACCESS_KEY_ID is not set;";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn the_same_role_over_the_same_credentials_is_assumed_once() {
    let (world, arn) = (World::new(&[]), "arn:aws:iam::123456789012:role/r");
    let one = world.chain.assuming(&fixed("AKIA", "s"), role(arn, NOWHERE));
    let same = world.chain.assuming(&fixed("AKIA", "s"), role(arn, NOWHERE));
    assert!(Arc::ptr_eq(&one, &same));
    let other_base = world.chain.assuming(&world.provider, role(arn, NOWHERE));
    let other_secret = world.chain.assuming(&fixed("AKIA", "t"), role(arn, NOWHERE));
    let other_session = world
        .chain
        .assuming(&fixed("AKIA", "s"), Role { session_name: "x1".to_owned(), ..role(arn, NOWHERE) });
    for other in [&other_base, &other_secret, &other_session] {
        assert!(!Arc::ptr_eq(&one, other));
    }
    let again = Arc::downgrade(&one);
    drop((one, same));
    assert!(again.upgrade().is_none(), "a role that nobody holds is given up");
}
