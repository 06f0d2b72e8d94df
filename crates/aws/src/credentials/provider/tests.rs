use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use gateward_clock::{ManualClock, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// A source that answers what a test sends it.
struct Scripted {
    calls: Arc<AtomicU32>,
    answers: AsyncMutex<mpsc::UnboundedReceiver<Result<Loaded, Missing>>>,
}

#[async_trait]
impl Source for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    async fn load(&self, _now: Timestamp) -> Result<Loaded, Missing> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().await.recv().await;
        answer.unwrap_or_else(|| panic!("the script is over"))
    }
}

struct World {
    clock: ManualClock,
    calls: Arc<AtomicU32>,
    script: mpsc::UnboundedSender<Result<Loaded, Missing>>,
    provider: Arc<Provider>,
}

fn world() -> World {
    let clock = ManualClock::at(START);
    let calls = Arc::new(AtomicU32::new(0));
    let (script, answers) = mpsc::unbounded_channel();
    let source = Scripted { calls: Arc::clone(&calls), answers: AsyncMutex::new(answers) };
    let provider = Provider::of(vec![Arc::new(source)], Arc::new(clock.clone()), Handle::current());
    World { clock, calls, script, provider }
}

fn set(name: &str, expires: Option<Timestamp>) -> Result<Loaded, Missing> {
    let credentials =
        Credentials { access_key: name.to_owned(), secret_key: "canary".into(), session_token: None };
    Ok(Loaded { credentials, expires, look_again: None })
}

impl World {
    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn current(&self) -> Option<String> {
        self.provider.current().map(|credentials| credentials.access_key.clone())
    }

    async fn get(&self) -> Result<String, CredentialsError> {
        self.provider.get().await.map(|credentials| credentials.access_key.clone())
    }

    /// Lets whatever can run, run.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn all_who_wait_get_the_answer_to_one_question() {
    let world = world();
    assert_eq!(world.current(), None);
    let waiting = futures_util::future::join_all((0..50).map(|_| world.get()));
    world.script.send(set("one", None)).unwrap();
    for got in waiting.await {
        assert_eq!(got.as_deref(), Ok("one"));
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_set_in_use_is_refreshed_before_it_ends_and_nobody_waits() {
    let world = world();
    world.script.send(set("one", Some(START + HOUR))).unwrap();
    assert_eq!(world.get().await.as_deref(), Ok("one"));
    assert_eq!(world.current().as_deref(), Some("one"));
    world.clock.advance(HOUR - Duration::from_secs(240));
    world.settle().await;
    assert_eq!(world.calls(), 2, "the alarm asks");
    assert_eq!(world.current().as_deref(), Some("one"), "the old one serves meanwhile");
    world.script.send(set("two", Some(START + 2 * HOUR))).unwrap();
    world.settle().await;
    assert_eq!(world.current().as_deref(), Some("two"));
}

#[tokio::test]
async fn a_set_that_nobody_uses_is_not_refreshed_until_somebody_does() {
    let world = world();
    world.script.send(set("one", Some(START + HOUR))).unwrap();
    assert_eq!(world.get().await.as_deref(), Ok("one"));
    // The one look before the alarm was for the first set; now nobody looks for two hours.
    world.script.send(set("two", Some(START + 2 * HOUR))).unwrap();
    world.current();
    world.clock.advance(HOUR - Duration::from_secs(240));
    world.settle().await;
    assert_eq!(world.calls(), 2);
    world.clock.advance(2 * HOUR);
    world.settle().await;
    assert_eq!(world.calls(), 2);
    world.script.send(set("three", Some(START + 4 * HOUR))).unwrap();
    assert_eq!(world.get().await.as_deref(), Ok("three"));
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn the_old_set_serves_through_an_outage_until_it_ends_and_then_the_error_does() {
    let world = world();
    world.script.send(set("one", Some(START + HOUR))).unwrap();
    world.get().await.unwrap();
    let mut asked = world.calls();
    for _ in 0..59 {
        world.clock.advance(Duration::from_secs(60));
        world.current();
        world.settle().await;
        while asked < world.calls() {
            world.script.send(Err(Missing::failed("status 500"))).unwrap();
            asked += 1;
            world.settle().await;
        }
        assert_eq!(world.current().as_deref(), Some("one"));
    }
    assert!(world.calls() > 4, "{}", world.calls());
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.current(), None, "it has ended");
    world.settle().await;
    world.script.send(Err(Missing::failed("status 500"))).unwrap();
    let error = world.get().await.unwrap_err();
    assert_eq!(error.to_string(), "no AWS credentials: scripted: status 500");
    let calls = world.calls();
    assert_eq!(world.get().await.unwrap_err(), error, "at once, and without another question");
    assert_eq!(world.calls(), calls);
    world.clock.advance(Duration::from_secs(60));
    world.script.send(set("two", None)).unwrap();
    assert_eq!(world.get().await.as_deref(), Ok("two"));
}

#[tokio::test]
async fn credentials_that_aws_refuses_are_asked_for_anew_by_whoever_hears_of_it_first() {
    let world = world();
    world.script.send(set("one", None)).unwrap();
    let refused = world.provider.get().await.unwrap();
    world.provider.refused(&refused);
    world.settle().await;
    assert_eq!(world.calls(), 1, "the source gave them just now");
    world.clock.advance(Duration::from_secs(60));
    for _ in 0..50 {
        world.provider.refused(&refused);
    }
    world.settle().await;
    assert_eq!((world.calls(), world.current().as_deref()), (2, Some("one")));
    world.script.send(set("two", None)).unwrap();
    world.settle().await;
    assert_eq!(world.current().as_deref(), Some("two"));
    world.clock.advance(Duration::from_secs(60));
    world.provider.refused(&refused);
    world.settle().await;
    assert_eq!(world.calls(), 2, "those are not in use any more");
}

#[tokio::test]
async fn who_was_refused_gets_other_credentials_where_there_are_some() {
    let world = world();
    world.script.send(set("one", None)).unwrap();
    let refused = world.provider.get().await.unwrap();
    assert_eq!(world.provider.in_place_of(&refused).await, None, "the source gave them just now");
    world.clock.advance(Duration::from_secs(60));
    let waiting = [(); 5].map(|()| {
        let (provider, refused) = (Arc::clone(&world.provider), Arc::clone(&refused));
        Handle::current().spawn(async move { provider.in_place_of(&refused).await })
    });
    world.settle().await;
    world.script.send(set("two", None)).unwrap();
    for other in waiting {
        assert_eq!(other.await.unwrap().unwrap().access_key, "two");
    }
    assert_eq!(world.provider.in_place_of(&refused).await.unwrap().access_key, "two", "at once");
    assert_eq!(world.calls(), 2);

    // A source that has nothing else gives the same again.
    world.clock.advance(Duration::from_secs(60));
    let refused = world.provider.get().await.unwrap();
    world.script.send(set("two", None)).unwrap();
    assert_eq!(world.provider.in_place_of(&refused).await, None);
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn what_has_ended_already_is_a_failure() {
    let world = world();
    world.script.send(set("old", Some(START))).unwrap();
    let error = world.get().await.unwrap_err().to_string();
    assert!(error.contains("scripted: the credentials that it gave have ended at 2023-11-14"), "{error}");
    assert_eq!(world.current(), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_five_seconds() {
    let world = world();
    let started = tokio::time::Instant::now();
    assert_eq!(world.get().await, Err(CredentialsError::Late));
    assert_eq!(started.elapsed(), PATIENCE);
    // The question is still open, and its answer is good for the next one.
    world.script.send(set("one", None)).unwrap();
    assert_eq!(world.get().await.as_deref(), Ok("one"));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_source_that_panics_is_a_failure_like_any_other() {
    let mut world = world();
    let (script, _) = mpsc::unbounded_channel();
    world.script = script;
    let error = world.get().await.unwrap_err().to_string();
    assert_eq!(error, "no AWS credentials: a source: it has a bug");
}

#[tokio::test]
async fn a_source_that_fails_is_the_last_one_asked() {
    struct Fails(Missing);
    #[async_trait]
    impl Source for Fails {
        fn name(&self) -> &str {
            "first"
        }
        async fn load(&self, _now: Timestamp) -> Result<Loaded, Missing> {
            Err(match &self.0 {
                Missing::NotSet(why) => Missing::NotSet(why.clone()),
                Missing::Failed(why) => Missing::Failed(why.clone()),
            })
        }
    }
    struct Has;
    #[async_trait]
    impl Source for Has {
        fn name(&self) -> &str {
            "second"
        }
        async fn load(&self, _now: Timestamp) -> Result<Loaded, Missing> {
            set("second", None)
        }
    }
    for (missing, expected) in [
        (Missing::not_set("absent"), Ok("second".to_owned())),
        (Missing::failed("broken"), Err("no AWS credentials: first: broken".to_owned())),
    ] {
        let clock = Arc::new(ManualClock::at(START));
        let provider = Provider::of(vec![Arc::new(Fails(missing)), Arc::new(Has)], clock, Handle::current());
        let got = provider.get().await.map(|credentials| credentials.access_key.clone());
        assert_eq!(got.map_err(|error| error.to_string()), expected);
    }
}

#[tokio::test]
async fn fixed_credentials_are_there_at_once_and_print_no_secret() {
    let Ok(Loaded { credentials, .. }) = set("AKID", None) else { unreachable!() };
    let provider = Provider::fixed(credentials);
    assert_eq!(provider.current().unwrap().access_key, "AKID");
    assert_eq!(provider.get().await.unwrap().access_key, "AKID");
    assert_eq!(format!("{provider:?}"), "Provider(AKID)");
}
