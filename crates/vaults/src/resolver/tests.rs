use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{ManualClock, Timestamp};
use gateward_net::{Connector, ConnectorSettings};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::backend::Backend;
use crate::reference::Overrides;
use crate::rules::Rules;
use crate::vault::OpenVault;

/// A vault in memory, which counts its calls and can be made to fail or to wait.
struct Double {
    secrets: Mutex<HashMap<&'static str, Result<&'static str, MissKind>>>,
    calls: AtomicU32,
    gate: Semaphore,
}

#[async_trait]
impl Backend for Double {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("the gate is never closed").forget();
        self.gate.add_permits(1);
        let answer =
            self.secrets.lock().unwrap().get(wanted.name).copied().unwrap_or(Err(MissKind::NotFound));
        answer.map(SecretValue::from).map_err(|kind| Miss::new(kind, "no"))
    }
}

impl Double {
    fn put(&self, name: &'static str, answer: Result<&'static str, MissKind>) {
        self.secrets.lock().unwrap().insert(name, answer);
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

struct World {
    clock: ManualClock,
    double: Arc<Double>,
    resolver: Arc<Resolver>,
}

fn world(environment: &[(&str, &str)]) -> World {
    let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
    let connector = Connector::new(ConnectorSettings::default()).unwrap();
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let resolver = Resolver::new(ResolverParts {
        clock: Arc::new(clock.clone()),
        client: Client::new(Arc::new(connector)),
        environment: variables.collect(),
        runtime: Handle::current(),
    });
    let double =
        Arc::new(Double { secrets: Mutex::default(), calls: AtomicU32::new(0), gate: Semaphore::new(1) });
    let world = World { clock, double, resolver };
    world.set("double", Rules::default());
    world
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap().unwrap()
}

impl World {
    /// Puts the double behind the vault `double`, as if an entity called it `kind`.
    fn set(&self, kind: &str, rules: Rules) {
        let vault = OpenVault::of(kind, Arc::clone(&self.double) as Arc<dyn Backend>, rules);
        let mut vaults = vault::open_all(Vec::new(), &self.resolver.surroundings);
        vaults.insert(Arc::from("double"), vault);
        let mut state = self.resolver.lock();
        state.replace_vaults(vaults, self.clock.now());
        self.resolver.finish(state);
    }

    async fn resolve(&self, text: &str) -> Result<String, MissKind> {
        let resolved = self.resolver.resolve(&reference(text)).await;
        resolved.map(|value| value.expose().to_owned()).map_err(|unresolved| unresolved.kind)
    }

    fn bind(&self, texts: &[&str]) -> (Binding, Told) {
        let (send, told) = mpsc::unbounded_channel();
        let changed = move |values: Option<&[SecretValue]>| {
            let texts = values.map(|values| values.iter().map(|value| value.expose().to_owned()).collect());
            let _ = send.send(texts);
        };
        let references = texts.iter().map(|text| reference(text)).collect();
        (self.resolver.bind(references, Box::new(changed)), Told(told))
    }

    /// Lets the runtime do all that it can do at this time.
    async fn quiet(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.quiet().await;
    }
}

struct Told(mpsc::UnboundedReceiver<Option<Vec<String>>>);

impl Told {
    async fn next(&mut self) -> Option<Vec<String>> {
        self.0.recv().await.expect("the binding is alive")
    }

    fn nothing(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

fn vault(prefix: &str, name: &str, config: &serde_json::Value) -> Vault {
    serde_json::from_value(json!({
        "id": "1", "prefix": prefix, "name": name, "config": config, "created_at": 1, "updated_at": 1,
    }))
    .unwrap()
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_call_for_all_fields_of_a_secret() {
    let world = world(&[]);
    world.double.put("db", Ok(r#"{"user": "u", "port": 5432}"#));
    let (_user, mut user) = world.bind(&["{vault://double/db/user}", "{vault://double/db/port}"]);
    let (_whole, mut whole) = world.bind(&["{vault://double/db/}"]);
    assert_eq!(world.resolve("{vault://double/db/port}").await.as_deref(), Ok("5432"));
    assert_eq!(user.next().await, Some(vec!["u".to_owned(), "5432".to_owned()]));
    assert!(whole.next().await.is_some());
    assert_eq!(world.double.calls(), 1);
}

#[tokio::test]
async fn where_there_is_no_such_field_the_longer_name_is_tried() {
    let world = world(&[]);
    world.double.put("a/b/c", Ok("long"));
    assert_eq!(world.resolve("{vault://double/a/b/c}").await.as_deref(), Ok("long"));
    world.double.put("x", Ok("not json"));
    world.double.put("x/y", Ok("beside"));
    assert_eq!(world.resolve("{vault://double/x/y}").await.as_deref(), Ok("beside"));
    world.double.put("p", Err(MissKind::Denied));
    world.double.put("p/q", Ok("allowed"));
    assert_eq!(world.resolve("{vault://double/p/q}").await.as_deref(), Ok("allowed"));
    world.double.put("t", Err(MissKind::Throttled));
    world.double.put("t/u", Ok("another"));
    assert_eq!(world.resolve("{vault://double/t/u}").await, Err(MissKind::Throttled));
    assert_eq!(world.resolve("{vault://double/a/b/c/}").await.as_deref(), Ok("long"));
    assert_eq!(world.resolve("{vault://double/no/such}").await, Err(MissKind::NotFound));
}

#[tokio::test]
async fn a_value_under_the_longer_name_outlives_an_outage_and_the_shorter_name_is_left_alone() {
    let world = world(&[]);
    world.double.put("a/b/c", Ok("long"));
    let (binding, mut told) = world.bind(&["{vault://double/a/b/c?ttl=60}"]);
    assert_eq!(told.next().await, Some(vec!["long".to_owned()]));
    assert_eq!(world.double.calls(), 2);
    world.advance(60).await;
    assert_eq!(world.double.calls(), 3);
    world.double.put("a/b", Err(MissKind::Unavailable));
    world.double.put("a/b/c", Err(MissKind::Unavailable));
    for _ in 0..100 {
        world.advance(60).await;
    }
    assert!(told.nothing());
    // Not even an edit of the vault takes it away before the vault has spoken.
    let times = Overrides { neg_ttl: Some(Duration::from_secs(1)), ..Overrides::default() };
    world.set("edited", Rules { times, ..Rules::default() });
    world.advance(60).await;
    assert!(told.nothing());
    // Gone for good: then the shorter name counts again.
    world.double.put("a/b/c", Err(MissKind::NotFound));
    world.clock.advance(Duration::from_secs(100_000_100));
    assert_eq!(told.next().await, None);
    world.double.put("a/b", Ok(r#"{"c": "short"}"#));
    world.advance(60).await;
    assert_eq!(told.next().await, Some(vec!["short".to_owned()]));
    drop(binding);
}

#[tokio::test]
async fn a_reason_names_what_was_tried_and_never_a_value() {
    let world = world(&[]);
    world.double.put("db", Ok(r#"{"user": "canary"}"#));
    let missing = world.resolver.resolve(&reference("{vault://double/db/pass}")).await.unwrap_err();
    let text = missing.to_string();
    for part in ["{vault://double/db/pass}", "\"db\"", "no field of that name", "\"db/pass\""] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!format!("{missing} {missing:?}").contains("canary"));
}

#[tokio::test]
async fn a_bound_value_is_refreshed_in_the_background_and_told_when_it_changed() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let (_binding, mut told) = world.bind(&["{vault://double/db?ttl=60}"]);
    assert_eq!(told.next().await, Some(vec!["one".to_owned()]));
    world.advance(60).await;
    assert!(told.nothing() && world.double.calls() == 2, "{}", world.double.calls());
    world.double.put("db", Ok("two"));
    world.advance(60).await;
    assert_eq!(told.next().await, Some(vec!["two".to_owned()]));
}

#[tokio::test]
async fn a_missing_secret_is_told_as_such_and_heals_by_itself() {
    let world = world(&[]);
    let (binding, mut told) = world.bind(&["{vault://double/db}"]);
    binding.asked().done().await;
    assert_eq!(told.next().await, None);
    world.double.put("db", Ok("late"));
    world.advance(1).await;
    assert_eq!(told.next().await, Some(vec!["late".to_owned()]));
}

#[tokio::test]
async fn an_outage_keeps_the_value_until_resurrect_ttl_ends() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let (_binding, mut told) = world.bind(&["{vault://double/db?ttl=60&resurrect_ttl=100}"]);
    assert!(told.next().await.is_some());
    world.double.put("db", Err(MissKind::Unavailable));
    for _ in 0..159 {
        world.advance(1).await;
    }
    assert!(told.nothing() && world.double.calls() > 3, "{}", world.double.calls());
    world.advance(1).await;
    assert_eq!(told.next().await, None);
    world.double.put("db", Ok("back"));
    world.advance(60).await;
    assert_eq!(told.next().await, Some(vec!["back".to_owned()]));
}

#[tokio::test]
async fn asked_waits_for_the_answer() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let permit = world.double.gate.acquire().await.unwrap();
    let (binding, mut told) = world.bind(&["{vault://double/db}"]);
    world.quiet().await;
    let asked = binding.asked().done();
    tokio::pin!(asked);
    let early = tokio::select! { biased; () = &mut asked => true, () = std::future::ready(()) => false };
    assert!(!early && told.nothing() && world.double.calls() == 1);
    drop(permit);
    asked.await;
    assert!(told.next().await.is_some());
}

#[tokio::test]
async fn a_dropped_binding_hears_nothing_and_nobody_asks_for_it() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let (binding, mut told) = world.bind(&["{vault://double/db?ttl=60}"]);
    assert!(told.next().await.is_some());
    drop(binding);
    world.double.put("db", Ok("two"));
    world.advance(1000).await;
    assert_eq!(world.double.calls(), 1);
    assert!(told.0.try_recv().is_err());
    // Who asks for it then gets what is true then.
    assert_eq!(world.resolve("{vault://double/db?ttl=60}").await.as_deref(), Ok("two"));
}

#[tokio::test]
async fn what_nobody_wants_is_forgotten_after_a_while_and_not_at_once() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    drop(world.bind(&["{vault://double/db}"]).0);
    world.resolve("{vault://double/db}").await.unwrap();
    world.double.put("db", Err(MissKind::Unavailable));
    world.advance(200).await;
    assert_eq!(world.resolve("{vault://double/db}").await.as_deref(), Ok("one"));
    world.advance(301).await;
    assert_eq!(world.resolve("{vault://double/other}").await, Err(MissKind::NotFound));
    assert_eq!(world.resolve("{vault://double/db}").await, Err(MissKind::Unavailable));
}

#[tokio::test]
async fn an_edited_vault_is_asked_again_and_a_removed_one_gives_nothing() {
    let world = world(&[("A_KEY", "first"), ("B_KEY", "second"), ("C_OTHER", "x")]);
    let entity = |prefix| vault("my-env", "env", &json!({ "prefix": prefix }));
    let (_binding, mut told) = world.bind(&["{vault://my-env/key}"]);
    assert_eq!(told.next().await, None);
    world.resolver.set_vaults(vec![entity("A_")]);
    assert_eq!(told.next().await, Some(vec!["first".to_owned()]));
    world.resolver.set_vaults(vec![entity("A_")]);
    world.resolver.set_vaults(vec![entity("B_")]);
    assert_eq!(told.next().await, Some(vec!["second".to_owned()]));
    world.resolver.set_vaults(vec![entity("C_")]);
    assert_eq!(told.next().await, None);
    world.resolver.set_vaults(vec![entity("B_")]);
    assert_eq!(told.next().await, Some(vec!["second".to_owned()]));
    world.resolver.set_vaults(Vec::new());
    assert_eq!(told.next().await, None);
    assert_eq!(world.resolve("{vault://my-env/key}").await, Err(MissKind::Misconfigured));
}

#[tokio::test]
async fn the_environment_gives_variables_but_never_the_gateways_own() {
    let world = world(&[
        ("DB_PASSWORD", "p"),
        ("JSON", r#"{"a": "b"}"#),
        ("EMPTY", ""),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("GATEWARD_ROOT_KEY", "canary"),
        ("CUSTOMER_FRAGMENTS", "canary"),
        ("KONG_VAULT_HCV_TOKEN", "canary"),
        ("GCP_SERVICE_ACCOUNT", "canary"),
        ("AZURE_CLIENT_SECRET", "canary"),
        ("IDENTITY_HEADER", "canary"),
    ]);
    assert_eq!(world.resolve("{vault://env/db-password}").await.as_deref(), Ok("p"));
    assert_eq!(world.resolve("{vault://env/json/a}").await.as_deref(), Ok("b"));
    assert_eq!(world.resolve("{vault://env/empty}").await, Err(MissKind::NotFound));
    for name in [
        "aws-secret-access-key",
        "gateward_root_key",
        "Gateward-Root-Key",
        "customer-fragments",
        "kong-vault-hcv-token",
        "gcp-service-account",
        "azure-client-secret",
        "identity-header",
    ] {
        assert_eq!(world.resolve(&format!("{{vault://env/{name}}}")).await, Err(MissKind::Denied), "{name}");
    }
    world.resolver.set_vaults(vec![
        vault("sly", "env", &json!({"prefix": "gateward"})),
        vault("slyer", "env", &json!({"prefix": "aws_secret"})),
    ]);
    assert_eq!(world.resolve("{vault://sly/-root-key}").await, Err(MissKind::Denied));
    assert_eq!(world.resolve("{vault://slyer/_access_key}").await, Err(MissKind::Denied));
    let missing = world.resolver.resolve(&reference("{vault://env/db-pasword}")).await.unwrap_err();
    assert!(missing.problem.contains("DB_PASWORD"), "{missing}");
}

#[tokio::test]
async fn an_aws_vault_without_region_or_credentials_says_so() {
    let world = world(&[("KONG_VAULT_AWS_REGION", "eu-west-1")]);
    let missing = world.resolver.resolve(&reference("{vault://aws/x}")).await.unwrap_err();
    assert!(missing.problem.contains("no AWS credentials"), "{missing}");
    let world = self::world(&[]);
    let missing = world.resolver.resolve(&reference("{vault://aws/x}")).await.unwrap_err();
    assert!(missing.problem.contains("region"), "{missing}");
    assert_eq!(missing.kind, MissKind::Misconfigured);
}

#[tokio::test]
async fn a_refused_value_is_asked_for_again_but_at_most_once_in_half_a_minute() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let (_binding, mut told) = world.bind(&["{vault://double/db}"]);
    assert_eq!(told.next().await, Some(vec!["one".to_owned()]));
    let used = [reference("{vault://double/db}"), reference("{vault://double/never-asked}")];
    world.double.put("db", Ok("two"));
    world.resolver.refused(&used);
    assert_eq!(told.next().await, Some(vec!["two".to_owned()]));
    for _ in 0..29 {
        world.advance(1).await;
        world.resolver.refused(&used);
    }
    world.quiet().await;
    assert_eq!(world.double.calls(), 2);
    world.advance(1).await;
    world.resolver.refused(&used);
    world.quiet().await;
    assert_eq!(world.double.calls(), 3);
}

#[tokio::test]
async fn counts_and_states_tell_how_it_stands_and_no_value() {
    let world = world(&[]);
    world.double.put("db", Ok("canary"));
    let (_binding, mut told) = world.bind(&["{vault://double/db?ttl=60}"]);
    let (_other, mut other) = world.bind(&["{vault://double/absent}"]);
    assert!(told.next().await.is_some() && other.next().await.is_none());
    world.resolve("{vault://double/db?ttl=60}").await.unwrap();
    world.double.put("db", Err(MissKind::Throttled));
    world.advance(60).await;
    let counts = world.resolver.counts().into_iter().find(|counts| counts.vault == "double").unwrap();
    assert_eq!((counts.hits, counts.refreshes, counts.values, counts.stale), (1, 1, 1, 1));
    let errors: HashMap<_, _> = counts.errors.iter().copied().collect();
    assert_eq!(errors[&MissKind::Throttled], 1);
    assert!(errors[&MissKind::NotFound] >= 1);
    let states = world.resolver.references();
    let shown: Vec<_> = states.iter().map(|state| (state.reference.as_str(), state.state.word())).collect();
    assert_eq!(shown, [("{vault://double/absent}", "missing"), ("{vault://double/db?ttl=60}", "stale")]);
    assert!(!format!("{counts:?}{states:?}").contains("canary"));
}

#[test]
fn a_kind_shows_its_settings_as_kong_does_and_which_are_secret() {
    assert!(Resolver::kinds().contains(&"aws") && Resolver::schema("nothing").is_none());
    let schema = Resolver::schema("aws").unwrap();
    let fields = schema["fields"][0]["config"]["fields"].as_array().unwrap();
    assert!(fields.contains(&json!({"region": {"type": "string", "referenceable": true}})));
    assert!(fields.contains(&json!({"on_deleted": {"type": "string", "one_of": ["keep", "fail"]}})));
    assert!(Resolver::secret_fields("env").is_empty());
}

#[test]
fn an_entity_is_checked_in_kongs_words() {
    let refused = |prefix, name, config: serde_json::Value| {
        Resolver::check_vault(&vault(prefix, name, &config)).unwrap_err().to_string()
    };
    let ok = |config: serde_json::Value| Resolver::check_vault(&vault("my-vault", "aws", &config)).unwrap();
    ok(json!({}));
    ok(json!({"region": "us-east-1", "endpoint_url": "http://127.0.0.1:5000", "ttl": 60, "neg_ttl": "0.5"}));
    ok(json!({"allow": ["team/*"], "base64_decode": true, "on_deleted": "fail"}));
    ok(json!({"region": null, "ttl": null, "resurrect_ttl": 1e8}));
    for (config, message) in [
        (json!({"assume_role": "arn"}), "property \"config.assume_role\": unknown field"),
        (json!({"region": 1}), "property \"config.region\": expected a string"),
        (json!({"ttl": "soon"}), "property \"config.ttl\": expected a number"),
        (json!({"ttl": -1}), "property \"config.ttl\": value should be between 0 and 100000000"),
        (json!({"ttl": [1]}), "property \"config.ttl\": expected a number"),
    ] {
        assert_eq!(refused("my-vault", "aws", config), message);
    }
    assert_eq!(refused("my-vault", "nil", json!({})), "property \"name\": vault 'nil' is not installed");
    let taken = format!("property \"prefix\": must not be one of: {}", Resolver::kinds().join(", "));
    assert_eq!(refused("env", "env", json!({})), taken);
    assert!(refused("a_b", "env", json!({})).contains("begins with a letter"));
    assert!(refused("my-env", "env", json!({"prefix": "1X"})).contains("config.prefix"));
    assert!(refused("my-env", "env", json!({"ttl": 1})).contains("config.ttl\": unknown field"));
}
