//! Rotations with a producer that does what each test wants, on a clock that the test turns.

mod turns;

use std::collections::VecDeque;

use async_trait::async_trait;
use gateward_clock::ManualClock;
use gateward_items::{ItemState, Tree, Which};
use gateward_model::{CustomSettings, DynamicSecret, GoDuration, ProducerSettings};
use gateward_seal::{RootKey, Sealer};
use gateward_store::{Call, MemoryStore, Watched};

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::schedule::REFILL;
use super::*;
use crate::items::{DynamicSecretChange, NewDynamicSecret};
use crate::producer::Producer as CredentialProducer;

/// Answers rotations with what it was told to, in order, and remembers what it was called with.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<&'static str, RotateError>>>,
    /// The payload and the name of each call.
    calls: Mutex<Vec<(String, String)>>,
    hangs: Mutex<bool>,
}

#[async_trait]
impl Producers for Scripted {
    fn of(&self, _: &DynamicSecret, _: SecretValue) -> Box<dyn CredentialProducer> {
        unreachable!("no credential is made here")
    }

    async fn rotate(&self, call: &RotateCall) -> Result<SecretValue, RotateError> {
        lock(&self.calls).push((call.payload.expose().to_owned(), call.rotation_id.clone()));
        if *lock(&self.hangs) {
            std::future::pending::<()>().await;
        }
        let answer = lock(&self.answers).pop_front().expect("a rotation that the test expects");
        answer.map(SecretValue::from)
    }
}

/// What came of rotations, in words, as others hear of it.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl StatusListener for Heard {
    fn hear(&self, change: StatusChange) {
        let StatusChange::Rotation { item, status } = change else {
            unreachable!("nothing else happens here")
        };
        lock(&self.0).push(format!("{} {status:?}", item.name.unwrap()));
    }
}

struct World {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    catalog: Arc<Catalog>,
    secrets: Arc<RotatedSecrets>,
    producers: Arc<Scripted>,
    clock: ManualClock,
    call_end: Arc<CallEnd>,
    heard: Arc<Heard>,
}

fn name(text: &str) -> ItemName {
    ItemName::parse(text).unwrap()
}

fn url(text: &str) -> ProducerUrl {
    ProducerUrl::parse(text).unwrap()
}

fn dynamic(rotate: Option<&str>) -> DynamicSecret {
    DynamicSecret {
        id: 7,
        name: name("/d"),
        producer: ProducerSettings::Custom(CustomSettings {
            create_sync_url: url("http://h/create"),
            revoke_sync_url: url("http://h/revoke"),
            rotate_sync_url: rotate.map(url),
        }),
        timeout_sec: 10,
        user_ttl: GoDuration::minutes(1),
        max_leases: None,
        capabilities: crate::producer::Capabilities::default(),
    }
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()))
    }

    fn on(store: Arc<dyn Store>) -> Self {
        let sealer = Arc::new(Sealer::new(RootKey::generate()));
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let tree = Tree::new(Arc::clone(&store));
        Self {
            catalog: Arc::new(Catalog::new(Arc::clone(&store), Arc::clone(&sealer), Arc::clone(&shared))),
            secrets: Arc::new(RotatedSecrets::new(tree, Arc::clone(&sealer), shared)),
            store,
            sealer,
            producers: Arc::default(),
            clock,
            call_end: Arc::default(),
            heard: Arc::default(),
        }
    }

    fn rotator(&self, runtime: Handle) -> Arc<Rotator> {
        self.rotator_of(self.producers.clone(), runtime)
    }

    fn rotator_of(&self, producers: Arc<dyn Producers>, runtime: Handle) -> Arc<Rotator> {
        Rotator::new(RotatorParts {
            store: Arc::clone(&self.store),
            catalog: Arc::clone(&self.catalog),
            secrets: Arc::clone(&self.secrets),
            producers,
            clock: Arc::new(self.clock.clone()),
            runtime,
            listener: Some(self.heard.clone()),
            call_end: Arc::clone(&self.call_end),
        })
    }

    /// What others have heard.
    fn told(&self) -> Vec<String> {
        lock(&self.heard.0).clone()
    }

    async fn with_dynamic(every: Option<Every>) -> Self {
        let world = Self::new();
        world.create(every).await;
        world
    }

    async fn create(&self, every: Option<Every>) {
        let new = NewDynamicSecret::new(dynamic(Some("http://h/rotate")), SecretValue::from("canary-one"));
        self.catalog.create(&NewDynamicSecret { every, ..new }).await.unwrap();
    }

    async fn with_rotated(every: Option<Every>) -> Self {
        let world = Self::new();
        world.secrets.targets().create(name("/t"), &url("http://h/rotate"), None).await.unwrap();
        let new = NewRotatedSecret {
            name: name("/r"),
            target: name("/t"),
            payload: SecretValue::from("canary-one"),
            timeout_sec: 40,
            every,
            description: None,
            tags: Vec::new(),
            delete_protection: false,
            max_versions: Some(2),
            protection: None,
        };
        world.secrets.create(new).await.unwrap();
        world
    }

    async fn switch(&self, item: &ItemName, state: ItemState) {
        self.catalog.tree().update(item, |record| record.state = state).await.unwrap();
    }

    async fn rotation(&self, item: &ItemName) -> Rotation {
        match self.secrets.known(item).await {
            Ok(known) => known.rotation,
            Err(_) => self.catalog.known(item).await.unwrap().rotation,
        }
    }

    fn answer(&self, answer: Result<&'static str, RotateError>) {
        lock(&self.producers.answers).push_back(answer);
    }

    /// The payloads that the producer was called with.
    fn called_with(&self) -> Vec<String> {
        lock(&self.producers.calls).iter().map(|(payload, _)| payload.clone()).collect()
    }

    async fn payload(&self) -> String {
        self.catalog.producer(7).await.unwrap().unwrap().1.expose().to_owned()
    }
}

async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn both_payloads_are_kept_until_the_new_one_has_worked() {
    let world = World::with_dynamic(None).await;
    world.answer(Ok("canary-two"));
    world.rotator(Handle::current()).rotate(&name("/d")).await.unwrap();
    assert_eq!(
        (world.payload().await.as_str(), world.called_with()),
        ("canary-two", vec!["canary-one".into()])
    );
    assert!(world.catalog.known(&name("/d")).await.unwrap().is_on_trial);
    // Another process knows it too.
    let other =
        Catalog::new(Arc::clone(&world.store), Arc::clone(&world.sealer), Arc::new(world.clock.clone()));
    assert!(other.trial(7).is_none());
    other.open(&name("/d")).await.unwrap();
    let trial = other.trial(7).unwrap();
    assert_eq!((trial.new.expose(), trial.old.expose()), ("canary-two", "canary-one"));
    // That the old one still works says nothing of the new one.
    other.payload_worked(7, &SecretValue::from("canary-one")).await.unwrap();
    assert!(other.known(&name("/d")).await.unwrap().is_on_trial);
    other.payload_worked(7, &SecretValue::from("canary-two")).await.unwrap();
    assert!(!world.catalog.known(&name("/d")).await.unwrap().is_on_trial);
    assert!(world.catalog.trial(7).is_none() && other.trial(7).is_none());
}

#[tokio::test]
async fn a_schedule_rotates_by_itself_again_and_again_and_retries_what_fails() {
    let world = World::with_dynamic(Some(Every::days(1))).await;
    let rotator = world.rotator(Handle::current());
    rotator.start();
    settle().await;
    world.clock.advance(Duration::from_secs(23 * 3600));
    settle().await;
    assert!(world.called_with().is_empty(), "it is not time yet");
    world.answer(Err(RotateError::Refused("the producer answered 503".to_owned())));
    world.answer(Ok("canary-two"));
    world.clock.advance(Duration::from_secs(3600));
    settle().await;
    let known = world.catalog.known(&name("/d")).await.unwrap();
    assert_eq!(known.rotation.failure.as_deref(), Some("the producer answered 503"));
    assert_eq!(world.payload().await, "canary-one");
    world.clock.advance(Duration::from_secs(600));
    settle().await;
    let known = world.catalog.known(&name("/d")).await.unwrap();
    assert_eq!((known.rotation.failure, world.payload().await.as_str()), (None, "canary-two"));
    world.answer(Ok("canary-three"));
    world.clock.advance(Duration::from_secs(24 * 3600));
    settle().await;
    assert_eq!(world.payload().await, "canary-three");
    assert_eq!(world.called_with(), ["canary-one", "canary-one", "canary-two"]);
    assert_eq!(world.told(), ["/d NotRotated", "/d Rotated", "/d Rotated"]);
}

#[tokio::test]
async fn a_rotation_whose_answer_a_crash_has_lost_is_told_and_left_to_people() {
    let world = World::with_dynamic(Some(Every::days(1))).await;
    *lock(&world.producers.hangs) = true;
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let crashing = world.rotator(first.handle().clone());
    crashing.start();
    world.clock.advance(Duration::from_secs(24 * 3600));
    let called = || (!world.called_with().is_empty()).then_some(());
    gateward_testkit::eventually(Duration::from_secs(60), called).expect("it is called");
    // The process ends in the middle of the call.
    first.shutdown_background();
    drop(crashing);
    *lock(&world.producers.hangs) = false;
    let rotator = world.rotator(Handle::current());
    rotator.start();
    settle().await;
    assert!(
        matches!(rotator.rotate(&name("/d")).await, Err(RotateFailure::Busy(_))),
        "it may still be at it"
    );
    world.clock.advance(Duration::from_secs(60));
    settle().await;
    let known = world.catalog.known(&name("/d")).await.unwrap();
    let failure = known.rotation.failure.unwrap();
    assert!(failure.contains("stopped") && failure.contains("nothing is rotated by itself"), "{failure}");
    world.clock.advance(Duration::from_secs(10 * 24 * 3600));
    settle().await;
    assert_eq!((world.called_with().len(), world.payload().await.as_str()), (1, "canary-one"));
    world.answer(Ok("canary-two"));
    rotator.rotate(&name("/d")).await.unwrap();
    let known = world.catalog.known(&name("/d")).await.unwrap();
    assert!(known.rotation.failure.is_none() && known.rotation.next_at.is_some());
    assert_eq!(world.told(), ["/d Unknown", "/d Rotated"]);
}

#[tokio::test]
async fn a_rotation_that_was_kept_though_the_store_did_not_say_so_is_done() {
    let commits_left = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&commits_left);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        let takes = |left: usize| left.checked_sub(1);
        let is_lost = call == Call::Committed && left.fetch_update(Relaxed, Relaxed, takes) == Ok(1);
        if is_lost { Err("the answer is lost".to_owned()) } else { Ok(()) }
    });
    let world = World::on(store);
    world.create(None).await;
    world.answer(Ok("canary-two"));
    // That the call begins, and what it brought.
    commits_left.store(2, Relaxed);
    let rotating = world.rotator(Handle::current());
    let named = name("/d");
    let done = async {
        let rotated = rotating.rotate(&named);
        let time = async {
            loop {
                settle().await;
                world.clock.advance(Duration::from_millis(100));
            }
        };
        tokio::select! { done = rotated => done, () = time => unreachable!("it goes on for ever") }
    };
    done.await.unwrap();
    assert_eq!(world.payload().await, "canary-two");
    assert_eq!(world.called_with(), ["canary-one"], "the producer was called once");
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_is_told_of_as_unknown() {
    let world = World::with_rotated(None).await;
    let reason = "the producer did not answer".to_owned();
    world.answer(Err(RotateError::Lost { reason, timeout: false }));
    let rotated = world.rotator(Handle::current()).rotate(&name("/r")).await;
    assert!(matches!(rotated, Err(RotateFailure::Lost(_))), "{rotated:?}");
    assert_eq!(world.told(), ["/r Unknown"]);
}

#[tokio::test]
async fn a_payload_that_somebody_sets_ends_what_was_known_of_the_one_before() {
    let world = World::with_dynamic(None).await;
    world.answer(Ok("canary-two"));
    let rotator = world.rotator(Handle::current());
    rotator.rotate(&name("/d")).await.unwrap();
    let change = DynamicSecretChange {
        secret: DynamicSecret { name: name("/moved"), ..dynamic(None) },
        found: world.catalog.get(&name("/d")).await.unwrap().producer,
        payload: Some(SecretValue::from("canary-three")),
        description: Some("text".to_owned()),
        tags: None,
        delete_protection: Some(true),
        every: None,
        protection: None,
    };
    world.catalog.update(&name("/d"), &change).await.unwrap();
    let known = world.catalog.known(&name("/moved")).await.unwrap();
    assert!(!known.is_on_trial && known.item.record.delete_protection);
    assert_eq!(world.payload().await, "canary-three");
    assert!(matches!(rotator.rotate(&name("/moved")).await, Err(RotateFailure::NoUrl(_))));
    assert!(matches!(rotator.rotate(&name("/d")).await, Err(RotateFailure::Item(ItemError::Missing(_)))));
}

#[tokio::test]
async fn each_rotation_of_a_rotated_secret_is_a_version() {
    let world = World::with_rotated(Some(Every { minutes: 30, hour: None })).await;
    let rotator = world.rotator(Handle::current());
    rotator.start();
    for (answer, calls) in [("canary-two", 1), ("canary-three", 2)] {
        world.answer(Ok(answer));
        world.clock.advance(Duration::from_secs(1800));
        settle().await;
        assert_eq!(world.called_with().len(), calls);
    }
    let value = |which| {
        let secrets = Arc::clone(&world.secrets);
        async move { secrets.value(&name("/r"), which).await.map(|value| value.expose().to_owned()) }
    };
    assert_eq!(value(Which::Current).await.unwrap(), "canary-three");
    assert_eq!(value(Which::Number(2)).await.unwrap(), "canary-two");
    assert!(matches!(value(Which::Number(1)).await, Err(ItemError::NoVersion { .. })));

    // The target may move and be renamed; a deleted secret is rotated no more.
    let change = gateward_items::TargetChange {
        new_name: Some(name("/elsewhere")),
        ..gateward_items::TargetChange::default()
    };
    world.secrets.targets().update(&name("/t"), &change).await.unwrap();
    world.answer(Ok("canary-four"));
    rotator.rotate(&name("/r")).await.unwrap();
    assert_eq!(world.secrets.known(&name("/r")).await.unwrap().target, Some(name("/elsewhere")));
    world.secrets.delete(&name("/r"), None).await.unwrap();
    world.clock.advance(Duration::from_secs(7200));
    settle().await;
    assert_eq!(world.called_with().len(), 3);
    let left = due::first(&*world.store, 10).await.unwrap();
    assert_eq!(left, [], "the index still has what is deleted");
}

#[tokio::test]
async fn what_came_for_a_secret_that_has_changed_meanwhile_is_not_kept() {
    let world = World::with_rotated(None).await;
    *lock(&world.producers.hangs) = true;
    let rotator = world.rotator(Handle::current());
    let begun = {
        let rotator = Arc::clone(&rotator);
        Handle::current().spawn(async move { rotator.rotate(&name("/r")).await })
    };
    settle().await;
    assert_eq!(world.called_with().len(), 1);
    let renamed = RotatedSecretChange { new_name: Some(name("/renamed")), ..RotatedSecretChange::default() };
    world.secrets.update(&name("/r"), &renamed).await.unwrap();
    assert!(matches!(rotator.rotate(&name("/renamed")).await, Err(RotateFailure::Busy(_))));
    let set = RotatedSecretChange {
        payload: Some(SecretValue::from("canary-mine")),
        ..RotatedSecretChange::default()
    };
    world.secrets.update(&name("/renamed"), &set).await.unwrap();
    begun.abort();
    assert_eq!(world.secrets.value(&name("/renamed"), Which::Current).await.unwrap().expose(), "canary-mine");
}

#[tokio::test]
async fn what_is_disabled_is_not_rotated_by_itself_nor_told_of_until_it_is_enabled_again() {
    let daily = Some(Every::days(1));
    for (world, item) in
        [(World::with_dynamic(daily).await, name("/d")), (World::with_rotated(daily).await, name("/r"))]
    {
        world.switch(&item, ItemState::Disabled).await;
        let rotator = world.rotator(Handle::current());
        let timer = rotator.start();
        for _ in 0..30 {
            world.clock.advance(Duration::from_secs(24 * 3600));
            settle().await;
        }
        assert!(world.called_with().is_empty(), "{item}");
        assert_eq!(world.told(), Vec::<String>::new(), "{item}");
        let rotation = world.rotation(&item).await;
        assert_eq!((rotation.attempts, rotation.failure, rotation.under_way), (0, None, None), "{item}");
        assert!(matches!(rotator.rotate(&item).await, Err(RotateFailure::Item(ItemError::Disabled(_)))));

        world.switch(&item, ItemState::Enabled).await;
        world.answer(Ok("canary-two"));
        world.clock.advance(REFILL);
        settle().await;
        assert_eq!((world.called_with().len(), world.told()), (1, vec![format!("{item} Rotated")]));
        world.answer(Ok("canary-three"));
        world.clock.advance(Duration::from_secs(24 * 3600));
        settle().await;
        assert_eq!(world.called_with().len(), 2, "{item} goes on as before");
        timer.abort();
    }
}

#[tokio::test]
async fn no_payload_stands_unsealed_in_the_store() {
    let world = World::with_dynamic(None).await;
    world.answer(Ok("canary-two"));
    world.rotator(Handle::current()).rotate(&name("/d")).await.unwrap();
    for partition in ["producers", "items", "standing", "rotations"] {
        let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        for entry in world.store.list(partition, everything, 100).await.unwrap() {
            assert!(!String::from_utf8_lossy(&entry.value).contains("canary"), "{partition}");
        }
    }
}
