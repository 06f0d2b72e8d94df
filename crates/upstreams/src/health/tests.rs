use fastrand::Rng;

use super::*;
use gateward_model::apisix::Upstream;
use serde_json::json;

/// The rules that APISIX has where nothing is said: active, and passive.
fn usual_rules() -> (Rules, Rules) {
    let upstream = Upstream::parse(&json!({"nodes": [], "checks": {"active": {}, "passive": {}}})).unwrap();
    let checks = upstream.checks.unwrap();
    (Rules::active(&checks.active), Rules::passive(checks.passive.as_ref().unwrap()))
}

fn seen(health: &AtomicHealth, rules: &Rules, outcomes: &[Outcome]) -> Vec<Health> {
    let note = |outcome: &Outcome| {
        if let Some(verdict) = rules.judge(*outcome) {
            health.take(verdict);
        }
        health.record().health
    };
    outcomes.iter().map(note).collect()
}

use Health::{Healthy, MostlyHealthy, MostlyUnhealthy, Unhealthy};
use Outcome::{Answered, Broken, Connected, Garbled, TimedOut};

#[test]
fn each_kind_of_failure_has_its_own_limit() {
    let (active, _) = usual_rules();
    let take = |outcomes: &[Outcome]| seen(&AtomicHealth::default(), &active, outcomes);
    assert_eq!(take(&[Broken, Broken]), [MostlyHealthy, Unhealthy]);
    assert_eq!(take(&[TimedOut, TimedOut, TimedOut]), [MostlyHealthy, MostlyHealthy, Unhealthy]);
    assert_eq!(take(&[Answered(500); 5])[3..], [MostlyHealthy, Unhealthy]);
    assert_eq!(take(&[Garbled; 5])[3..], [MostlyHealthy, Unhealthy]);
    // Kinds do not add up.
    assert_eq!(take(&[Broken, TimedOut, Answered(404), TimedOut])[3], MostlyHealthy);
}

#[test]
fn a_success_clears_the_failures_and_a_failure_the_successes() {
    let (active, _) = usual_rules();
    let health = AtomicHealth::default();
    assert_eq!(
        seen(&health, &active, &[Broken, Answered(200), Broken, Answered(200), Answered(302)]),
        [MostlyHealthy, MostlyHealthy, MostlyHealthy, MostlyHealthy, Healthy]
    );
    assert_eq!(seen(&health, &active, &[Broken, Broken])[1], Unhealthy);
    assert_eq!(
        seen(&health, &active, &[Connected, Broken, Connected, Connected]),
        [MostlyUnhealthy, MostlyUnhealthy, MostlyUnhealthy, Healthy]
    );
}

#[test]
fn a_status_in_no_list_says_nothing() {
    let (active, passive) = usual_rules();
    let health = AtomicHealth::default();
    seen(&health, &active, &[Broken]);
    assert_eq!(seen(&health, &active, &[Answered(201), Answered(418), Answered(999)]), [MostlyHealthy; 3]);
    assert_eq!(seen(&health, &passive, &[Answered(404); 9]), [MostlyHealthy; 9]);
    assert_eq!(health.record().counters, Counters { tcp_failure: 1, ..Counters::default() });
}

#[test]
fn a_limit_of_zero_counts_nothing() {
    let json = json!({"nodes": [], "checks": {"active": {}, "passive": {
        "healthy": {"successes": 0},
        "unhealthy": {"http_failures": 0, "tcp_failures": 0, "timeouts": 0},
    }}});
    let rules = Rules::passive(Upstream::parse(&json).unwrap().checks.unwrap().passive.as_ref().unwrap());
    for outcome in [Broken, TimedOut, Answered(500), Answered(200)] {
        assert_eq!(rules.judge(outcome), None, "{outcome:?}");
    }
}

#[test]
fn active_and_passive_checks_feed_the_same_counters() {
    let (active, passive) = usual_rules();
    let health = AtomicHealth::default();
    seen(&health, &passive, &[TimedOut, TimedOut]);
    // Two from requests, and the third from a check: its limit is 3.
    assert_eq!(seen(&health, &active, &[TimedOut]), [Unhealthy]);
}

#[test]
fn a_success_at_a_healthy_node_writes_nothing() {
    let (active, _) = usual_rules();
    let health = AtomicHealth::default();
    assert_eq!(health.take(active.judge(Connected).unwrap()), None);
    assert_eq!(health.record(), Record::default());
}

/// The state machine as its documentation says it, kept as plain lists of what happened.
#[derive(Default)]
struct Model {
    up: bool,
    sure: bool,
    successes: u8,
    failures: [u8; 3],
}

impl Model {
    fn take(&mut self, outcome: Outcome, limits: [u8; 4]) {
        let kind = match outcome {
            Answered(200) | Connected => None,
            Answered(_) | Garbled => Some(0),
            Broken => Some(1),
            TimedOut => Some(2),
        };
        if self.sure && self.up == kind.is_none() {
            return;
        }
        let reached = match kind {
            None => {
                self.failures = [0; 3];
                self.successes += 1;
                self.successes >= limits[3]
            }
            Some(kind) => {
                self.successes = 0;
                self.failures[kind] += 1;
                self.failures[kind] >= limits[kind]
            }
        };
        if reached {
            (self.up, self.sure) = (kind.is_none(), true);
        } else {
            self.sure = false;
        }
    }

    fn health(&self) -> Health {
        match (self.up, self.sure) {
            (true, true) => Healthy,
            (true, false) => MostlyHealthy,
            (false, false) => MostlyUnhealthy,
            (false, true) => Unhealthy,
        }
    }
}

#[test]
fn thousands_of_histories_go_as_the_model_says() {
    for seed in 0..2_000 {
        let mut rng = Rng::with_seed(seed);
        let limits = [0; 4].map(|_: u8| rng.u8(1..5));
        let rules = Rules {
            good: Statuses::new(&[200]),
            bad: Statuses::new(&[500]),
            http_failures: limits[0],
            tcp_failures: limits[1],
            timeouts: limits[2],
            successes: limits[3],
        };
        let health = AtomicHealth::default();
        let mut model = Model { up: true, sure: true, ..Model::default() };
        let (calm, mut good) = (rng.u8(1..30), true);
        for step in 0..60 {
            if rng.u8(0..calm) == 0 {
                good = !good;
            }
            let outcome = match good {
                true => Answered(200),
                false => [Broken, TimedOut, Answered(500), Garbled][rng.usize(0..4)],
            };
            if let Some(verdict) = rules.judge(outcome) {
                health.take(verdict);
            }
            model.take(outcome, limits);
            assert_eq!(health.record().health, model.health(), "seed {seed}, step {step}");
        }
    }
}
