//! Rotations turn by turn: none is under way when a turn is over, and none of an earlier turn begins in a later one.

use gateward_store::Call;

use super::*;

/// A producer that takes its time, and counts those that did not wait for its answer.
struct Slow {
    clock: ManualClock,
    takes: Duration,
    calls: AtomicUsize,
    answered: AtomicUsize,
}

#[async_trait]
impl Producers for Slow {
    fn of(&self, _: &DynamicSecret, _: SecretValue) -> Box<dyn CredentialProducer> {
        unreachable!("no credential is made here")
    }

    async fn rotate(&self, _: &RotateCall) -> Result<SecretValue, RotateError> {
        self.calls.fetch_add(1, Relaxed);
        self.clock.sleep(self.takes).await;
        self.answered.fetch_add(1, Relaxed);
        Ok(SecretValue::from("canary-two"))
    }
}

impl Slow {
    /// How often it was called, and how often its answer was waited for.
    fn calls(&self) -> (usize, usize) {
        (self.calls.load(Relaxed), self.answered.load(Relaxed))
    }
}

/// A world in which so many payloads are to be rotated, all of them now, by a producer that takes five seconds.
async fn due(store: Arc<dyn Store>, count: u64) -> (World, Arc<Slow>) {
    let world = World::on(store);
    for id in 0..count {
        let secret = DynamicSecret { id, name: name(&format!("/d{id}")), ..dynamic(Some("http://h/rotate")) };
        let new = NewDynamicSecret::new(secret, SecretValue::from("canary-one"));
        world.catalog.create(&NewDynamicSecret { every: Some(Every::days(1)), ..new }).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(24 * 3600));
    let clock = world.clock.clone();
    let (calls, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    (world, Arc::new(Slow { clock, takes: 5 * SECOND, calls, answered }))
}

/// Lets time pass until `done`.
async fn passing(clock: &ManualClock, done: impl Future<Output = ()>) {
    let time = async {
        loop {
            settle().await;
            clock.advance(Duration::from_millis(500));
        }
    };
    tokio::select! { biased; () = done => {}, () = time => unreachable!("it goes on for ever") }
}

#[tokio::test]
async fn what_finds_no_seat_in_its_turn_waits_for_the_next_one_and_no_answer_is_lost() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        counted.fetch_add(usize::from(call == Call::Get || call == Call::List), Relaxed);
        Ok(())
    });
    let (world, producer) = due(store, 150).await;
    let rotator = world.rotator_of(producer.clone(), Handle::current());
    for turns in 1.. {
        let start = world.clock.now();
        world.call_end.set(start + 58 * SECOND);
        let before = Arc::new(AtomicUsize::new(0));
        let late = async {
            world.clock.sleep_until(start + 49 * SECOND).await;
            before.store(looks.load(Relaxed), Relaxed);
            std::future::pending::<()>().await;
        };
        let turn = async {
            tokio::select! { biased; () = late => {}, () = rotator.turn(start + 59 * SECOND) => {} }
        };
        passing(&world.clock, turn).await;
        let (calls, answered) = producer.calls();
        assert_eq!((calls, lock(&rotator.at_work).len()), (answered, 0), "turn {turns} is over");
        assert_eq!(world.told().len(), calls);
        if calls == 150 {
            assert_eq!(turns, 2);
            break;
        }
        // Eight at a time, in the forty-eight seconds in which one may begin.
        assert_eq!(calls, 80, "turn {turns}");
        let read = looks.load(Relaxed) - before.load(Relaxed);
        assert!(read < 70, "{read} looks into the store for what did not begin");
    }
    assert!(world.told().iter().all(|told| told.ends_with(" Rotated")), "{:?}", world.told());
}

#[tokio::test]
async fn a_turn_waits_for_what_it_has_not_begun() {
    let (world, producer) = due(Arc::new(MemoryStore::new()), 1).await;
    let rotator = world.rotator_of(producer.clone(), Handle::current());
    world.call_end.set(world.clock.now() + 58 * SECOND);
    rotator.attend().await;
    settle().await;
    assert_eq!(producer.calls(), (1, 0));
    passing(&world.clock, rotator.turn(world.clock.now() + 59 * SECOND)).await;
    assert_eq!(producer.calls(), (1, 1), "the schedule's");
    let asked = async {
        settle().await;
        assert_eq!(producer.calls(), (2, 1));
        rotator.turn(world.clock.now() + 59 * SECOND).await;
        assert_eq!(producer.calls(), (2, 2), "somebody's");
    };
    let asked = async { drop(futures_util::future::join(rotator.rotate(&name("/d0")), asked).await) };
    passing(&world.clock, asked).await;
}

#[tokio::test]
async fn what_waits_for_a_seat_when_its_event_is_cut_begins_in_no_other() {
    let (world, producer) = due(Arc::new(MemoryStore::new()), 12).await;
    let rotator = world.rotator_of(producer.clone(), Handle::current());
    world.call_end.set(world.clock.now() + 6 * SECOND);
    rotator.attend().await;
    settle().await;
    assert_eq!(producer.calls(), (8, 0));
    // The next event has time, and a request does not begin what the schedule has.
    world.call_end.set(world.clock.now() + 58 * SECOND);
    passing(&world.clock, rotator.idle()).await;
    assert_eq!(producer.calls(), (8, 8));
    passing(&world.clock, rotator.turn(world.clock.now() + 59 * SECOND)).await;
    assert_eq!(producer.calls(), (12, 12), "the next turn begins them");
}

#[tokio::test]
async fn a_turn_begins_what_waited_for_a_seat_since_an_event_that_was_cut() {
    let (world, producer) = due(Arc::new(MemoryStore::new()), 12).await;
    let rotator = world.rotator_of(producer.clone(), Handle::current());
    world.call_end.set(world.clock.now() + 6 * SECOND);
    rotator.attend().await;
    settle().await;
    world.call_end.set(world.clock.now() + 58 * SECOND);
    passing(&world.clock, rotator.turn(world.clock.now() + 59 * SECOND)).await;
    assert_eq!(producer.calls(), (12, 12));
}

#[tokio::test]
async fn a_producer_is_not_called_when_writing_down_that_it_will_be_has_taken_all_the_time() {
    let clock = Arc::new(Mutex::new(None::<ManualClock>));
    let of_store = Arc::clone(&clock);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        if call == Call::Committed
            && let Some(clock) = lock(&of_store).take()
        {
            clock.advance(58 * SECOND);
        }
        Ok(())
    });
    let (world, producer) = due(store, 1).await;
    let rotator = world.rotator_of(producer.clone(), Handle::current());
    world.call_end.set(world.clock.now() + 58 * SECOND);
    *lock(&clock) = Some(world.clock.clone());
    rotator.turn(world.clock.now() + 70 * SECOND).await;
    assert_eq!((producer.calls(), world.told()), ((0, 0), vec!["/d0 NotRotated".to_owned()]));
}

const SECOND: Duration = Duration::from_secs(1);
