use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn given(set: u32, expires: Option<Timestamp>) -> Option<Given<u32>> {
    Some(Given { set, expires, look_again: None })
}

/// A keeper that has just got a set that ends at `expires`.
fn keeping(expires: Option<Timestamp>, jitter: f64) -> Keeper<u32> {
    let mut keeper = Keeper::new();
    assert!(keeper.asks(START));
    keeper.answered(given(1, expires), jitter, START);
    keeper
}

#[test]
fn one_question_at_a_time() {
    let mut keeper = Keeper::<u32>::new();
    assert!(keeper.asks(START));
    assert!(!keeper.asks(START + HOUR), "the first question still waits for its answer");
    keeper.answered(None, 0.0, START + HOUR);
    assert!(keeper.asks(START + HOUR + LONGEST_PAUSE));
}

#[test]
fn a_set_that_never_ends_is_asked_for_once() {
    let mut keeper = keeping(None, 0.5);
    assert!(!keeper.asks(START + 1_000_000 * HOUR));
    assert_eq!(keeper.view().usable(START + 1_000_000 * HOUR), Some(&1));
}

#[test]
fn a_set_is_asked_for_anew_within_the_minute_that_begins_five_before_its_end() {
    for (jitter, secs) in [(0.0, 3300), (0.5, 3330), (1.0, 3360)] {
        let mut keeper = keeping(Some(START + HOUR), jitter);
        assert_eq!(keeper.view().wake_at, START + Duration::from_secs(secs));
        assert!(!keeper.asks(START + Duration::from_secs(secs - 1)));
        assert!(keeper.asks(START + Duration::from_secs(secs)));
    }
}

#[test]
fn a_short_set_is_left_alone_for_half_its_time() {
    let keeper = keeping(Some(START + Duration::from_secs(60)), 0.0);
    assert_eq!(keeper.view().wake_at, START + Duration::from_secs(30));
    let ended = keeping(Some(START), 0.0);
    assert_eq!(ended.view().wake_at, START + SHORTEST_PAUSE, "nobody asks without a pause");
}

#[test]
fn the_old_set_serves_until_it_has_really_ended() {
    let mut keeper = keeping(Some(START + HOUR), 0.0);
    let mut now = START;
    while now < START + HOUR {
        if keeper.asks(now) {
            assert_eq!(keeper.view().usable(now), Some(&1), "while it is asked");
            keeper.answered(None, 1.0, now);
        }
        assert_eq!(keeper.view().usable(now), Some(&1));
        now = now + Duration::from_secs(1);
    }
    assert_eq!(keeper.view().usable(now), None);
    keeper.answered(given(2, Some(now + HOUR)), 0.0, now);
    assert_eq!(keeper.view().usable(now), Some(&2));
}

#[test]
fn failures_are_asked_about_ever_later_up_to_a_minute() {
    let mut keeper = Keeper::<u32>::new();
    let mut now = START;
    let mut pauses = Vec::new();
    for _ in 0..40 {
        assert!(keeper.asks(now));
        keeper.answered(None, 1.0, now);
        let wake_at = keeper.view().wake_at;
        pauses.push(wake_at.saturating_since(now).as_secs());
        now = wake_at;
    }
    assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(pauses[39], 60);
    keeper.answered(given(1, Some(now + HOUR)), 0.0, now);
    keeper.answered(None, 0.0, now + HOUR);
    assert_eq!(keeper.view().wake_at, now + HOUR + SHORTEST_PAUSE / 2, "success begins anew");
}

#[test]
fn a_source_that_may_change_is_looked_at_again() {
    let mut keeper = Keeper::new();
    let span = Duration::from_secs(5);
    keeper.answered(Some(Given { set: 1, expires: None, look_again: Some(span) }), 0.9, START);
    assert_eq!(keeper.view().wake_at, START + span);
    assert_eq!(keeper.view().usable(START + HOUR), Some(&1));
}

#[test]
fn a_set_that_aws_refuses_is_asked_for_anew_once_a_minute_at_most() {
    let mut keeper = keeping(Some(START + HOUR), 0.0);
    keeper.doubt(START + Duration::from_secs(59));
    assert!(!keeper.asks(START + Duration::from_secs(59)), "it came a moment ago");
    let now = START + DOUBT_AFTER;
    keeper.doubt(now);
    assert_eq!(keeper.view().usable(now), Some(&1), "who knows what the refusal was about");
    assert!(keeper.asks(now));
    keeper.doubt(now + HOUR);
    assert!(!keeper.asks(now + HOUR), "the question is on its way");
    keeper.answered(given(2, Some(now + HOUR)), 0.0, now);
    keeper.doubt(now);
    assert!(!keeper.asks(now));
}

/// Thousands of histories: a source that gives sets of random length, fails in random outages, and answers late; looked
/// at every few seconds for days. Whatever happens, what is promised holds.
#[test]
fn in_every_history_the_set_is_never_an_ended_one_and_never_lacks_without_need() {
    for seed in 0..2_000 {
        history(seed);
    }
}

fn history(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut keeper = Keeper::<Timestamp>::new();
    let mut now = START;
    // When the answer that is on its way comes.
    let mut answer_at: Option<Timestamp> = None;
    let mut failing_until = START;
    let mut asked: Vec<Timestamp> = Vec::new();
    // Since when the source has been well, and asked whenever the keeper wanted.
    for _ in 0..400 {
        now = now + Duration::from_secs(random.u64(0..120));
        if random.u32(0..100) == 0 {
            failing_until = now + Duration::from_secs(random.u64(0..7200));
        }
        if let Some(at) = answer_at
            && at <= now
        {
            let life = Duration::from_secs(random.u64(600..7200));
            let set = (now >= failing_until).then(|| now + life);
            let answer = set.map(|expires| Given { set: expires, expires: Some(expires), look_again: None });
            keeper.answered(answer, random.f64(), now);
            answer_at = None;
        }
        let view = keeper.view();
        if let Some(expires) = view.usable(now) {
            assert!(now < *expires, "seed {seed}: an ended set serves");
        }
        if now >= view.wake_at {
            assert!(keeper.asks(now), "seed {seed}: due, and not asked");
            assert!(answer_at.is_none(), "seed {seed}: two questions at once");
            answer_at = Some(now + Duration::from_secs(random.u64(0..5)));
            if let Some(last) = asked.last() {
                let pause = now.saturating_since(*last);
                assert!(pause >= SHORTEST_PAUSE / 2, "seed {seed}: asked again after {pause:?}");
            }
            asked.push(now);
        }
        assert!(!keeper.asks(now), "seed {seed}: asks twice for one due moment");
        // Sets live ten minutes at least and are refreshed at half time or five minutes before their end; whoever looks
        // every two minutes and waits five seconds lacks nothing while the source is well.
        let well_for = now.saturating_since(failing_until);
        if well_for > Duration::from_secs(60 + 120 + 120 + 10) {
            assert!(keeper.view().usable(now).is_some(), "seed {seed}: nothing serves at {now}");
        }
    }
    // In the length of the whole history there is no storm: one question a minute of failure, a few an hour else.
    let span = now.saturating_since(START).as_secs();
    assert!(asked.len() as u64 <= span / 45 + 12, "seed {seed}: {} questions in {span} s", asked.len());
}
