use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_793_000_000);
const HOUR: Duration = Duration::from_secs(3600);

struct Scripted {
    calls: Arc<AtomicU32>,
    answers: AsyncMutex<mpsc::UnboundedReceiver<Result<&'static str, MissKind>>>,
}

#[async_trait]
impl Login for Scripted {
    async fn log_in(&self, _now: Timestamp) -> Result<Given, Miss> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().await.recv().await.unwrap();
        answer
            .map(|token| Given { token: token.into(), lasts: HOUR })
            .map_err(|kind| Miss::new(kind, "scripted"))
    }
}

struct World {
    tokens: Arc<Tokens>,
    calls: Arc<AtomicU32>,
    script: mpsc::UnboundedSender<Result<&'static str, MissKind>>,
}

fn world() -> World {
    let calls = Arc::new(AtomicU32::new(0));
    let (script, answers) = mpsc::unbounded_channel();
    let login = Scripted { calls: Arc::clone(&calls), answers: AsyncMutex::new(answers) };
    World { tokens: Tokens::new(Box::new(login)), calls, script }
}

impl World {
    fn says(&self, answer: Result<&'static str, MissKind>) {
        self.script.send(answer).unwrap();
    }

    async fn get(&self, after: Duration) -> Result<String, MissKind> {
        let token = self.tokens.get(START + after).await;
        token.map(|token| token.value.expose().to_owned()).map_err(|miss| miss.kind)
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn however_many_wait_one_login_serves_them_or_fails_them_all() {
    let world = &world();
    // The answer comes when all are waiting.
    let all_get = |after: Duration, answer: Result<&'static str, MissKind>| {
        let all = futures_util::future::join_all((0..64).map(|_| world.get(after)).collect::<Vec<_>>());
        let answering = async move { world.says(answer) };
        async move { tokio::join!(biased; all, answering).0 }
    };
    let all = all_get(Duration::ZERO, Err(MissKind::Unavailable)).await;
    assert!(all.iter().all(|one| *one == Err(MissKind::Unavailable)), "{all:?}");
    assert_eq!(world.calls(), 1);
    let again = Duration::from_secs(1);
    assert_eq!(world.get(again / 2).await, Err(MissKind::Unavailable), "it has just failed");
    let all = all_get(again, Ok("one")).await;
    assert!(all.iter().all(|one| one.as_deref() == Ok("one")), "{all:?}");
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_serves_until_then() {
    let world = world();
    world.says(Ok("one"));
    assert_eq!(world.get(Duration::ZERO).await.as_deref(), Ok("one"));
    assert_eq!(world.get(HOUR - Duration::from_secs(241)).await.as_deref(), Ok("one"));
    assert_eq!(world.calls(), 1);
    world.says(Err(MissKind::Unavailable));
    assert_eq!(world.get(HOUR - Duration::from_secs(240)).await.as_deref(), Ok("one"));
    assert_eq!(world.calls(), 2);
    world.says(Err(MissKind::Denied));
    assert_eq!(world.get(HOUR).await, Err(MissKind::Denied), "it has ended");
    world.says(Ok("two"));
    assert_eq!(world.get(HOUR + PAUSE).await.as_deref(), Ok("two"));
}

#[tokio::test]
async fn a_token_that_is_refused_is_given_up_unless_it_came_just_now() {
    let world = world();
    world.says(Ok("one"));
    let one = world.tokens.get(START).await.unwrap();
    assert!(!world.tokens.refused(&one, START + Duration::from_secs(59)));
    assert!(world.tokens.refused(&one, START + DOUBT_AFTER));
    world.says(Ok("two"));
    assert_eq!(world.get(DOUBT_AFTER).await.as_deref(), Ok("two"));
    assert!(world.tokens.refused(&one, START + DOUBT_AFTER), "another is there already");
    assert_eq!(world.get(DOUBT_AFTER).await.as_deref(), Ok("two"));
    assert_eq!(world.calls(), 2);
}
