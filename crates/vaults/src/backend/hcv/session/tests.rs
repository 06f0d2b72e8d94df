use gateward_clock::ManualClock;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A login that does what a test says, one thing after the other, and tells when it is asked.
struct Scripted {
    answers: AsyncMutex<mpsc::UnboundedReceiver<Result<Grant, Miss>>>,
    asked: mpsc::UnboundedSender<String>,
}

impl Scripted {
    async fn next(&self, what: String) -> Result<Grant, Miss> {
        self.asked.send(what).unwrap();
        self.answers.lock().await.recv().await.unwrap()
    }
}

#[async_trait]
impl Logins for Scripted {
    async fn log_in(&self) -> Result<Grant, Miss> {
        self.next("log in".to_owned()).await
    }

    async fn renew(&self, token: &SecretValue) -> Result<Grant, Miss> {
        self.next(format!("renew {}", token.expose())).await
    }
}

struct World {
    clock: ManualClock,
    session: Arc<Session<Scripted>>,
    script: mpsc::UnboundedSender<Result<Grant, Miss>>,
    asked: mpsc::UnboundedReceiver<String>,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_793_000_000));
        let (script, answers) = mpsc::unbounded_channel();
        let (tell, asked) = mpsc::unbounded_channel();
        let login = Scripted { answers: AsyncMutex::new(answers), asked: tell };
        let session = Session::new(login, Arc::new(clock.clone()), Handle::current());
        Self { clock, session, script, asked }
    }

    fn gives(&self, token: &str, lease: Duration, is_renewable: bool) {
        let lease = (!lease.is_zero()).then_some(lease);
        self.script.send(Ok(Grant { token: token.into(), lease, is_renewable })).unwrap();
    }

    fn fails(&self, kind: MissKind) {
        self.script.send(Err(Miss::new(kind, "scripted"))).unwrap();
    }

    async fn token(&self) -> Result<String, MissKind> {
        let token = self.session.token().await;
        token.map(|token| token.value().expose().to_owned()).map_err(|miss| miss.kind)
    }

    /// What was asked since this was last called.
    fn asked(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }
}

#[tokio::test]
async fn however_many_wait_one_login_serves_them_or_fails_them_all() {
    let mut world = World::new();
    world.fails(MissKind::Denied);
    let all = futures_util::future::join_all((0..64).map(|_| world.token())).await;
    assert!(all.iter().all(|one| *one == Err(MissKind::Denied)), "{all:?}");
    assert_eq!(world.asked(), ["log in"]);
    world.clock.advance(MINUTE);
    world.gives("t1", MINUTE, false);
    let all = futures_util::future::join_all((0..64).map(|_| world.token())).await;
    assert!(all.iter().all(|one| one.as_deref() == Ok("t1")), "{all:?}");
    assert_eq!(world.asked(), ["log in"]);
}

#[tokio::test]
async fn a_login_that_failed_is_not_repeated_at_once_and_ever_later() {
    let mut world = World::new();
    world.fails(MissKind::Denied);
    assert_eq!(world.token().await, Err(MissKind::Denied));
    world.clock.advance(Duration::from_millis(400));
    assert_eq!(world.token().await, Err(MissKind::Denied));
    assert_eq!(world.asked().len(), 1);
    for _ in 0..10 {
        world.fails(MissKind::Denied);
        world.clock.advance(LONGEST_PAUSE);
        assert_eq!(world.token().await, Err(MissKind::Denied));
    }
    assert_eq!(world.asked().len(), 10);
    world.clock.advance(LONGEST_PAUSE.mul_f64(0.49));
    assert_eq!(world.token().await, Err(MissKind::Denied));
    assert_eq!(world.asked().len(), 0);
}

#[tokio::test]
async fn a_token_is_renewed_at_about_two_thirds_of_its_time_though_nobody_reads() {
    let mut world = World::new();
    world.gives("t1", 100 * MINUTE, true);
    assert_eq!(world.token().await.as_deref(), Ok("t1"));
    assert_eq!(world.asked(), ["log in"]);
    for _ in 0..3 {
        world.clock.advance(59 * MINUTE);
        tokio::task::yield_now().await;
        assert_eq!(world.asked().len(), 0);
        world.gives("t1", 100 * MINUTE, true);
        world.clock.advance(15 * MINUTE);
        assert_eq!(world.asked.recv().await.as_deref(), Some("renew t1"));
        // The renewal has ended when its answer was taken in, which the next reader waits for at most.
        tokio::task::yield_now().await;
        assert_eq!(world.token().await.as_deref(), Ok("t1"));
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_serves_on_and_then_another_is_had() {
    let mut world = World::new();
    world.gives("t1", 100 * MINUTE, false);
    assert_eq!(world.token().await.as_deref(), Ok("t1"));
    world.clock.advance(59 * MINUTE);
    assert_eq!(world.token().await.as_deref(), Ok("t1"));
    assert_eq!(world.asked(), ["log in"]);
    world.clock.advance(15 * MINUTE);
    world.fails(MissKind::Unavailable);
    assert_eq!(world.token().await.as_deref(), Ok("t1"), "it has not ended yet");
    assert_eq!(world.asked(), ["log in"]);
    world.clock.advance(MINUTE);
    world.gives("t2", 100 * MINUTE, false);
    assert_eq!(world.token().await.as_deref(), Ok("t2"));
    assert_eq!(world.asked(), ["log in"]);
}

#[tokio::test]
async fn a_token_that_has_ended_is_never_used() {
    let world = World::new();
    world.gives("t1", MINUTE, false);
    assert_eq!(world.token().await.as_deref(), Ok("t1"));
    world.clock.advance(MINUTE);
    world.fails(MissKind::Unavailable);
    assert_eq!(world.token().await, Err(MissKind::Unavailable));
}

#[tokio::test]
async fn a_renewal_that_is_refused_becomes_a_login_and_one_that_got_no_answer_is_repeated() {
    let mut world = World::new();
    world.gives("t1", 100 * MINUTE, true);
    world.token().await.unwrap();
    world.clock.advance(75 * MINUTE);
    assert_eq!(world.asked(), ["log in"]);
    assert_eq!(world.asked.recv().await.as_deref(), Some("renew t1"));
    world.fails(MissKind::Unavailable);
    assert_eq!(world.token().await.as_deref(), Ok("t1"), "it has not ended yet");
    tokio::task::yield_now().await;
    world.clock.advance(MINUTE);
    assert_eq!(world.asked.recv().await.as_deref(), Some("renew t1"));
    world.fails(MissKind::Denied);
    world.gives("t2", 100 * MINUTE, true);
    assert_eq!(world.asked.recv().await.as_deref(), Some("log in"));
    tokio::task::yield_now().await;
    assert_eq!(world.token().await.as_deref(), Ok("t2"));
}

#[tokio::test]
async fn near_the_longest_time_that_a_token_may_live_another_is_had() {
    let mut world = World::new();
    world.gives("t1", 100 * MINUTE, true);
    world.token().await.unwrap();
    world.gives("t1", 30 * MINUTE, true);
    world.clock.advance(75 * MINUTE);
    assert_eq!(world.asked(), ["log in"]);
    assert_eq!(world.asked.recv().await.as_deref(), Some("renew t1"));
    tokio::task::yield_now().await;
    world.clock.advance(25 * MINUTE);
    world.gives("t2", 100 * MINUTE, true);
    assert_eq!(world.token().await.as_deref(), Ok("t2"));
    assert_eq!(world.asked(), ["log in"]);
}

#[tokio::test]
async fn of_two_who_hold_the_same_dead_token_one_logs_in() {
    let mut world = World::new();
    world.gives("t1", Duration::ZERO, false);
    let dead = world.session.token().await.unwrap();
    world.clock.advance(100_000 * MINUTE);
    assert_eq!(world.token().await.as_deref(), Ok("t1"), "it never ends");
    world.gives("t2", Duration::ZERO, false);
    let (one, other) = tokio::join!(world.session.another(&dead), world.session.another(&dead));
    assert_eq!((one.unwrap().value().expose(), other.unwrap().value().expose()), ("t2", "t2"));
    assert_eq!(world.asked(), ["log in", "log in"]);
}

#[tokio::test]
async fn a_session_that_is_gone_renews_nothing() {
    let World { clock, session, script, mut asked } = World::new();
    script.send(Ok(Grant { token: "t1".into(), lease: Some(MINUTE), is_renewable: true })).unwrap();
    session.token().await.unwrap();
    assert_eq!(asked.recv().await.as_deref(), Some("log in"));
    drop(session);
    clock.advance(MINUTE);
    // The last that could ask is gone, so the channel is at its end.
    assert_eq!(asked.recv().await, None);
}

#[test]
fn renewals_are_spread_and_short_tokens_do_not_spin() {
    assert_eq!(until_due(100 * MINUTE, 0.0), 60 * MINUTE);
    assert_eq!(until_due(100 * MINUTE, 1.0), 73 * MINUTE);
    assert_eq!(until_due(Duration::from_secs(1), 0.0), Duration::from_secs(1));
    assert_eq!(pause(1, 1.0), SHORTEST);
    assert_eq!(pause(60, 0.0), LONGEST_PAUSE / 2);
}
