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
    flying: AtomicU32,
    /// The most calls that were under way at once.
    most: AtomicU32,
    gate: Semaphore,
}

#[async_trait]
impl Backend for Double {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(self.flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        self.gate.acquire().await.expect("the gate is never closed").forget();
        self.gate.add_permits(1);
        self.flying.fetch_sub(1, Ordering::SeqCst);
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

pub(super) struct World {
    pub(super) clock: ManualClock,
    double: Arc<Double>,
    pub(super) resolver: Arc<Resolver>,
}

pub(super) fn world(environment: &[(&str, &str)]) -> World {
    let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
    let connector = Connector::new(ConnectorSettings::default()).unwrap();
    let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let resolver = Resolver::new(ResolverParts {
        clock: Arc::new(clock.clone()),
        client: Client::new(Arc::new(connector)),
        environment: variables.collect(),
        runtime: Handle::current(),
    });
    let double = Arc::new(Double {
        secrets: Mutex::default(),
        calls: AtomicU32::new(0),
        flying: AtomicU32::new(0),
        most: AtomicU32::new(0),
        gate: Semaphore::new(1),
    });
    let world = World { clock, double, resolver };
    world.set("double", Rules::default());
    world
}

pub(super) fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap().unwrap()
}

impl World {
    /// Puts the double behind the vault `double`, as if an entity called it `kind`.
    fn set(&self, kind: &str, rules: Rules) {
        self.set_backend(kind, Arc::clone(&self.double) as Arc<dyn Backend>, rules);
    }

    /// Puts `backend` behind the vault `double`, as if an entity called it `kind`.
    pub(super) fn set_backend(&self, kind: &str, backend: Arc<dyn Backend>, rules: Rules) {
        let vault = OpenVault::of(kind, backend, rules);
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
async fn who_was_frozen_catches_up_with_what_fell_due_and_waits_until_everybody_has_heard() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let (_binding, mut told) = world.bind(&["{vault://double/db?ttl=60}"]);
    assert_eq!(told.next().await, Some(vec!["one".to_owned()]));
    world.double.put("db", Ok("two"));
    world.clock.advance(Duration::from_secs(3_600));
    // The vault takes its time: until it has answered there is something under way.
    world.double.gate.acquire().await.unwrap().forget();
    let caught_up = world.resolver.catch_up();
    tokio::pin!(caught_up);
    for _ in 0..50 {
        assert!(futures_util::poll!(&mut caught_up).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(told.nothing());
    world.double.gate.add_permits(1);
    caught_up.await;
    assert_eq!(told.0.try_recv(), Ok(Some(vec!["two".to_owned()])));
    assert_eq!(world.double.calls(), 2);
    // Nothing is due, and nobody is asked.
    world.resolver.catch_up().await;
    assert_eq!(world.double.calls(), 2);
    // What an upstream refused is asked for again, and that is waited for as well.
    world.double.put("db", Ok("three"));
    world.clock.advance(Duration::from_secs(30));
    world.resolver.refused(&[reference("{vault://double/db?ttl=60}")]);
    world.resolver.catch_up().await;
    assert_eq!(told.0.try_recv(), Ok(Some(vec!["three".to_owned()])));
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
async fn ten_thousand_references_to_five_hundred_secrets_cost_a_call_a_secret_and_no_more_than_64_at_once() {
    let world = world(&[]);
    let names: Vec<&'static str> = (0..500).map(|number| &*format!("secret-{number}").leak()).collect();
    for name in &names {
        world.double.put(name, Ok(r#"{"user": "u", "password": "p"}"#));
    }
    let permit = world.double.gate.acquire().await.unwrap();
    let mut bound = Vec::new();
    for number in 0..10_000 {
        let field = ["user", "password"][number % 2];
        bound.push(world.bind(&[&format!("{{vault://double/{}/{field}?ttl=60}}", names[number % 500])]));
    }
    for _ in 0..40 {
        world.quiet().await;
    }
    assert_eq!(world.double.calls(), 64, "more than may wait for the vault at once");
    drop(permit);
    for (binding, told) in &mut bound {
        binding.asked().done().await;
        assert!(told.next().await.is_some());
    }
    assert_eq!((world.double.calls(), world.double.most.load(Ordering::SeqCst)), (500, 64));
}

#[tokio::test]
async fn a_vault_that_is_out_of_order_is_asked_by_few_calls_however_many_secrets_are_wanted() {
    let world = world(&[]);
    let names: Vec<&'static str> = (0..1_000).map(|number| &*format!("secret-{number}").leak()).collect();
    let answer = |answer| names.iter().for_each(|name| world.double.put(name, answer));
    let counts = || world.resolver.counts().into_iter().find(|counts| counts.vault == "double").unwrap();
    answer(Ok("one"));
    let mut bound: Vec<_> =
        names.iter().map(|name| world.bind(&[&format!("{{vault://double/{name}?ttl=60}}")])).collect();
    for (_, told) in &mut bound {
        assert_eq!(told.next().await, Some(vec!["one".to_owned()]));
    }
    answer(Err(MissKind::Throttled));
    let before = world.double.calls();
    for _ in 0..3_600 {
        world.clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    let calls = world.double.calls() - before;
    assert!((60..=140).contains(&calls), "{calls} calls in an hour");
    assert!(counts().problem.is_some_and(|problem| problem.contains("out of order")));
    assert_eq!((counts().values, counts().stale), (1_000, 1_000));
    answer(Ok("two"));
    for _ in 0..61 {
        world.advance(1).await;
    }
    for (_, told) in &mut bound {
        assert_eq!(told.next().await, Some(vec!["two".to_owned()]));
    }
    assert_eq!((counts().problem, counts().stale), (None, 0));
}

#[tokio::test]
async fn what_is_tried_out_is_what_the_vault_says_now() {
    let world = world(&[]);
    world.double.put("db", Ok("one"));
    let tried = reference("{vault://double/db}");
    assert_eq!(world.resolver.ask(&tried).await.unwrap().expose(), "one");
    world.double.put("db", Ok("two"));
    assert_eq!(world.resolver.ask(&tried).await.unwrap().expose(), "two");
    world.double.put("db", Err(MissKind::Unavailable));
    assert_eq!(world.resolver.ask(&tried).await.unwrap_err().kind, MissKind::Unavailable);
    assert_eq!(world.resolve("{vault://double/db}").await.as_deref(), Ok("two"));
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
    let counted = world.resolver.counts();
    let vaults: Vec<_> = counted.iter().map(|counts| counts.vault.as_str()).collect();
    assert_eq!(vaults, ["double"], "a backend that nobody uses is none that could be out of order");
    let counts = &counted[0];
    assert_eq!((counts.hits, counts.refreshes, counts.values, counts.stale), (1, 1, 1, 1));
    let errors: HashMap<_, _> = counts.errors.iter().copied().collect();
    assert_eq!(errors[&MissKind::Throttled], 1);
    assert!(errors[&MissKind::NotFound] >= 1);
    let states = world.resolver.references();
    let shown: Vec<_> = states.iter().map(|state| (state.reference.as_str(), state.state.word())).collect();
    assert_eq!(shown, [("{vault://double/absent}", "missing"), ("{vault://double/db?ttl=60}", "stale")]);
    assert!(!format!("{counts:?}{states:?}").contains("canary"));
}

mod outages;
mod vaults;
