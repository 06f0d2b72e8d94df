//! Checks in a time that goes on only when nothing else does.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use gateward_model::apisix::Upstream;
use serde_json::{Value, json};

use super::*;
use crate::registry::locked;
use crate::testing::states;

/// Nodes that answer what they are told to, and the moments at which they were asked.
struct Scene {
    plan: Arc<Plan>,
    changed: Arc<Notify>,
    answers: Arc<Mutex<VecDeque<Outcome>>>,
    asked: Arc<Mutex<Vec<(usize, Instant)>>>,
}

type Asking = Pin<Box<dyn Future<Output = ()>>>;

impl Scene {
    fn new(count: usize, active: &Value) -> Self {
        let nodes: Vec<Value> =
            (0..count).map(|at| json!({"host": format!("node-{at}"), "port": 80, "weight": 1})).collect();
        let upstream = Upstream::parse(&json!({"nodes": nodes, "checks": {"active": active}})).unwrap();
        let changed = Arc::new(Notify::new());
        let states = states(count, &changed);
        let check = &upstream.checks.as_ref().unwrap().active;
        let plan = Arc::new(Plan::new("upstreams/1", check, &upstream, None, &states).unwrap());
        Self { plan, changed, answers: Arc::default(), asked: Arc::default() }
    }

    /// Asks for `span`.
    async fn run(&self, span: Duration, rhythm: &mut Asking) {
        let end = tokio::time::sleep(span);
        tokio::select! { () = rhythm => {}, () = end => {} }
    }

    fn rhythm(&self, seed: u64) -> Asking {
        let rhythm = Rhythm::new(Arc::clone(&self.plan), Rng::with_seed(seed));
        let (answers, asked) = (Arc::clone(&self.answers), Arc::clone(&self.asked));
        Box::pin(rhythm.keep(Arc::clone(&self.changed), move |node| {
            locked(&asked).push((node, Instant::now()));
            let outcome = locked(&answers).pop_front().unwrap_or(Outcome::Answered(200));
            async move { outcome }
        }))
    }

    fn asked(&self) -> Vec<(usize, Instant)> {
        std::mem::take(&mut locked(&self.asked))
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_are_asked_once_an_interval_and_not_in_step() {
    let scene = Scene::new(20, &json!({"healthy": {"interval": 10}}));
    let (start, mut rhythm) = (Instant::now(), scene.rhythm(1));
    scene.run(Duration::from_secs(10), &mut rhythm).await;
    let first = scene.asked();
    let mut nodes: Vec<usize> = first.iter().map(|(node, _)| *node).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, (0..20).collect::<Vec<_>>());
    let early = first.iter().filter(|(_, at)| *at < start + Duration::from_secs(5)).count();
    assert!((4..=16).contains(&early), "{early} of 20 in the first half");
    scene.run(Duration::from_secs(1_000), &mut rhythm).await;
    let asked = scene.asked();
    for node in 0..20 {
        let times: Vec<Instant> =
            asked.iter().filter(|(asked, _)| *asked == node).map(|(_, at)| *at).collect();
        assert!((90..=112).contains(&times.len()), "{} times", times.len());
        for pair in times.windows(2) {
            let span = pair[1].duration_since(pair[0]).as_millis();
            assert!((9_000..=11_001).contains(&span), "{span} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_is_asked_in_the_rhythm_for_such() {
    let scene =
        Scene::new(1, &json!({"healthy": {"interval": 100, "successes": 1}, "unhealthy": {"interval": 1}}));
    let mut rhythm = scene.rhythm(2);
    scene.run(Duration::from_secs(100), &mut rhythm).await;
    assert_eq!(scene.asked().len(), 1);
    // Requests find out that it is down, and the checks need not wait for their turn to look.
    let state = Arc::clone(scene.plan.state(0));
    for _ in 0..2 {
        state.report(Outcome::Broken, scene.plan.rules());
    }
    assert!(!state.health.is_up());
    locked(&scene.answers).extend([Outcome::Broken; 3]);
    scene.run(Duration::from_secs(4), &mut rhythm).await;
    let asked = scene.asked();
    assert!((3..=5).contains(&asked.len()), "{asked:?}");
    scene.run(Duration::from_secs(2), &mut rhythm).await;
    assert!(state.health.is_up(), "{:?}", state.health.record());
    scene.asked();
    scene.run(Duration::from_secs(50), &mut rhythm).await;
    assert!(scene.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_more_are_asked_at_once_than_may_be_and_the_others_follow() {
    let scene = Scene::new(7, &json!({"concurrency": 3, "healthy": {"interval": 1}}));
    let rhythm = Rhythm::new(Arc::clone(&scene.plan), Rng::with_seed(3));
    let (asked, released) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tokio::sync::Semaphore::new(0)));
    let (seen, release) = (Arc::clone(&asked), Arc::clone(&released));
    let mut rhythm: Asking = Box::pin(rhythm.keep(Arc::clone(&scene.changed), move |node| {
        locked(&seen).push(node);
        let release = Arc::clone(&release);
        async move {
            release.acquire().await.unwrap().forget();
            Outcome::Connected
        }
    }));
    scene.run(Duration::from_secs(5), &mut rhythm).await;
    assert_eq!(locked(&asked).len(), 3);
    released.add_permits(4);
    scene.run(Duration::from_secs(1), &mut rhythm).await;
    let mut all = locked(&asked).clone();
    assert_eq!(all.len(), 7, "{all:?}");
    all.sort_unstable();
    assert_eq!(all, (0..7).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_outages_end_as_the_nodes_do() {
    for seed in 0..500 {
        let scene = Scene::new(1, &json!({}));
        let mut rng = Rng::with_seed(seed);
        let mut rhythm = scene.rhythm(seed);
        for _ in 0..4 {
            let outcome =
                [Outcome::Broken, Outcome::TimedOut, Outcome::Answered(503), Outcome::Answered(200)]
                    [rng.usize(0..4)];
            locked(&scene.answers).clear();
            locked(&scene.answers).extend([outcome; 64]);
            scene.run(Duration::from_secs(rng.u64(8..20)), &mut rhythm).await;
            let up = scene.plan.state(0).health.is_up();
            assert_eq!(up, outcome == Outcome::Answered(200), "seed {seed}");
        }
    }
}
