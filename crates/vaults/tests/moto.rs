//! References into a real Secrets Manager double: moto, over HTTP, with signatures checked.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateward_aws::{Chain, ChainParts};
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::Vault;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_seal::SecretValue;
use gateward_testkit::Moto;
use gateward_vaults::{Clouds, MissKind, Reference, Resolver, ResolverParts};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

const REGION: &str = "eu-west-1";

struct World {
    clock: ManualClock,
    resolver: Arc<Resolver>,
}

fn world(moto: &Moto) -> World {
    let (access_key, secret_key) = moto.create_access_key("gateway", &["secretsmanager:GetSecretValue"]);
    let clock = ManualClock::at(Timestamp::from_secs(1_793_000_000));
    let environment: BTreeMap<String, String> = [
        ("AWS_ACCESS_KEY_ID", access_key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret_key.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("GATEWARD_VAULT_AWS_ENDPOINT_URL", moto.url()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let resolver = resolver(&clock, environment);
    resolver.set_vaults(vec![entity(REGION, moto.url())]);
    World { clock, resolver }
}

fn resolver(clock: &ManualClock, environment: BTreeMap<String, String>) -> Arc<Resolver> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let client = Client::new(Arc::new(Connector::new(ConnectorSettings::default()).unwrap()));
    let aws = Chain::new(ChainParts {
        environment: environment.clone(),
        client: client.clone(),
        metadata_client: client.clone(),
        clock: Arc::clone(&clock),
        runtime: Handle::current(),
    });
    let clouds = Clouds { aws, metadata_client: client.clone() };
    Resolver::with_clouds(ResolverParts { clock, client, environment, runtime: Handle::current() }, clouds)
}

fn entity(region: &str, endpoint: &str) -> Vault {
    serde_json::from_value(json!({
        "id": "1", "prefix": "aws-sm-vault", "name": "aws", "created_at": 1, "updated_at": 1,
        "config": {"region": region, "endpoint_url": endpoint, "ttl": 60},
    }))
    .unwrap()
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap().unwrap()
}

impl World {
    async fn resolve(&self, text: &str) -> Result<String, MissKind> {
        let resolved = self.resolver.resolve(&reference(text)).await;
        resolved.map(|value| value.expose().to_owned()).map_err(|unresolved| unresolved.kind)
    }
}

#[tokio::test]
async fn secrets_are_found_as_the_documents_name_them() {
    let moto = Moto::start();
    for (name, value) in [
        ("plain", "plain value"),
        ("secret-name", r#"{"foo": "bar", "snip": "snap", "port": 5432, "on": true}"#),
        ("/secret/key", "leading slash"),
        ("secret/path//aaa/key", "double slash"),
        ("a/b/c+d@e", "odd name"),
    ] {
        moto.create_secret(REGION, name, value);
    }
    moto.create_secret("us-east-1", "elsewhere", "by AWS_REGION");
    let world = world(&moto);
    moto.check_signatures();
    for (text, value) in [
        ("{vault://aws-sm-vault/plain}", "plain value"),
        ("{vault://aws-sm-vault/secret-name/foo}", "bar"),
        ("{vault://aws-sm-vault/secret-name/snip}", "snap"),
        ("{vault://aws-sm-vault/secret-name/port}", "5432"),
        ("{vault://aws-sm-vault/secret-name/on}", "true"),
        ("{vault://aws-sm-vault/%2Fsecret/key}", "leading slash"),
        ("{vault://aws-sm-vault/%2Fsecret/key/}", "leading slash"),
        ("{vault://aws-sm-vault/secret/path/%2Faaa/key}", "double slash"),
        ("{vault://aws-sm-vault/a/b/c+d@e}", "odd name"),
        ("{vault://aws/elsewhere}", "by AWS_REGION"),
    ] {
        assert_eq!(world.resolve(text).await.as_deref(), Ok(value), "{text}");
    }
    for missing in ["absent", "secret-name/absent", "elsewhere", "plain/field", "no/such/secret"] {
        let text = format!("{{vault://aws-sm-vault/{missing}}}");
        let unresolved = world.resolver.resolve(&reference(&text)).await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::NotFound, "{unresolved}");
        assert!(!unresolved.to_string().contains("bar") && !unresolved.to_string().contains("plain value"));
    }
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_nobody_there_is_unavailable() {
    let moto = Moto::start();
    moto.create_secret(REGION, "plain", "value");
    let world = world(&moto);
    moto.create_access_key("nobody", &["s3:*"]);
    moto.check_signatures();
    assert_eq!(world.resolve("{vault://aws-sm-vault/plain}").await.as_deref(), Ok("value"));
    let nobody = format!("http://{}", gateward_testkit::nobody());
    world.resolver.set_vaults(vec![entity(REGION, &nobody)]);
    assert_eq!(world.resolve("{vault://aws-sm-vault/other}").await, Err(MissKind::Unavailable));

    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIAWRONG"),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_REGION", REGION),
        ("GATEWARD_VAULT_AWS_ENDPOINT_URL", moto.url()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let stranger = resolver(&world.clock, environment);
    let unresolved = stranger.resolve(&reference("{vault://aws/plain}")).await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Denied, "{unresolved}");
}

#[tokio::test]
async fn a_ttl_brings_a_changed_value_and_an_outage_keeps_the_last_one() {
    let mut moto = Moto::start();
    moto.create_secret(REGION, "db", r#"{"user": "u1", "pass": "p1"}"#);
    let world = world(&moto);
    let (send, mut told) = mpsc::unbounded_channel();
    let references =
        vec![reference("{vault://aws-sm-vault/db/user}"), reference("{vault://aws-sm-vault/db/pass}")];
    let changed = move |values: Option<&[SecretValue]>| {
        let _ =
            send.send(values.map(|values| values.iter().map(|value| value.expose().to_owned()).collect()));
    };
    let binding = world.resolver.bind(references, Box::new(changed));
    binding.asked().done().await;
    let pair = |user: &str, pass: &str| Some(vec![user.to_owned(), pass.to_owned()]);
    assert_eq!(told.recv().await.unwrap(), pair("u1", "p1"));

    moto.put_secret_value(REGION, "db", r#"{"user": "u2", "pass": "p2"}"#);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(told.recv().await.unwrap(), pair("u2", "p2"));

    // Nobody is there any more; a day of failed refreshes later, the value still is.
    moto.process().kill9();
    for _ in 0..24 {
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(world.resolve("{vault://aws-sm-vault/db/user}").await.as_deref(), Ok("u2"));
    }
    assert_eq!(told.try_recv(), Err(mpsc::error::TryRecvError::Empty));
}
