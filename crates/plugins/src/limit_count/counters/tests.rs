use std::collections::HashMap;
use std::sync::atomic::AtomicU64 as Counted;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn admitted(count: Count) -> bool {
    count.admitted
}

#[test]
fn a_window_begins_with_its_first_request_and_admits_as_many_as_the_limit() {
    let counters = Counters::new();
    let key = counters.key("a");
    let at = |later: u64| counters.fixed(key, 2, 1000, NOW + later);
    assert_eq!(at(0), Count { admitted: true, remaining: 1, reset: 1000 });
    assert_eq!(at(400), Count { admitted: true, remaining: 0, reset: 600 });
    assert_eq!(at(999), Count { admitted: false, remaining: 0, reset: 1 });
    assert_eq!(at(1000), Count { admitted: true, remaining: 1, reset: 1000 });
}

#[test]
fn keys_are_counted_apart() {
    let counters = Counters::new();
    for name in ["a", "b", "c"] {
        assert!(admitted(counters.fixed(counters.key(name), 1, 1000, NOW)));
        assert!(!admitted(counters.fixed(counters.key(name), 1, 1000, NOW)));
    }
}

#[test]
fn a_window_does_not_outlast_a_clock_that_is_set_back() {
    let counters = Counters::new();
    let key = counters.key("a");
    assert!(admitted(counters.fixed(key, 1, 1000, NOW)));
    let count = counters.fixed(key, 1, 1000, NOW - 86_400_000);
    assert_eq!((count.admitted, count.reset), (true, 1000));
}

#[test]
fn a_sliding_window_weighs_what_came_before() {
    let counters = Counters::new();
    let key = counters.key("a");
    let begin = NOW / 1000 * 1000;
    for _ in 0..4 {
        assert!(admitted(counters.sliding(key, 4, 1000, begin + 900)));
    }
    assert_eq!(
        counters.sliding(key, 4, 1000, begin + 950),
        Count { admitted: false, remaining: 0, reset: 50 }
    );
    // Half of the window before still counts: two of the four.
    let count = counters.sliding(key, 4, 1000, begin + 1500);
    assert_eq!(count, Count { admitted: true, remaining: 1, reset: 500 });
    assert!(admitted(counters.sliding(key, 4, 1000, begin + 1500)));
    let count = counters.sliding(key, 4, 1000, begin + 1500);
    assert_eq!(count, Count { admitted: false, remaining: 0, reset: 0 });
    assert!(admitted(counters.sliding(key, 4, 1000, begin + 3500)));
}

#[test]
fn threads_together_are_admitted_exactly_as_often_as_the_limit() {
    let counters = Counters::new();
    let key = counters.key("shared");
    for window in 0..20 {
        let now = NOW + window * 1000;
        let (admitted, barrier) = (Counted::new(0), std::sync::Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..1000 {
                        if counters.fixed(key, 1500, 1000, now).admitted {
                            admitted.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.load(Relaxed), 1500);
    }
}

#[test]
fn however_many_keys_there_are_memory_is_bounded_and_newcomers_are_admitted() {
    let counters = Counters::new();
    for number in 0..400_000_u64 {
        let key = counters.key(number);
        let count = counters.fixed(key, 1, 60_000, NOW + number % 7);
        assert!(count.admitted, "{number}");
    }
    let slots: usize =
        counters.segments.iter().filter_map(|segment| segment.get()).map(|slots| slots.len()).sum();
    assert_eq!(slots, SEGMENTS * SLOTS);
}

#[test]
fn up_to_a_hundred_thousand_keys_none_loses_its_count() {
    let counters = Counters::new();
    let keys: Vec<u64> = (0..100_000_u64).map(|number| counters.key(number)).collect();
    assert!(keys.iter().all(|key| counters.fixed(*key, 1, 60_000, NOW).admitted));
    assert!(keys.iter().all(|key| !counters.fixed(*key, 1, 60_000, NOW + 1).admitted));
    // Their windows over, the slots are free for others.
    let others: Vec<u64> = (200_000..300_000_u64).map(|number| counters.key(number)).collect();
    assert!(others.iter().all(|key| counters.fixed(*key, 1, 60_000, NOW + 70_000).admitted));
    assert!(others.iter().all(|key| !counters.fixed(*key, 1, 60_000, NOW + 70_001).admitted));
}

proptest! {
    /// Whatever the requests, the table says what a map of windows says.
    #[test]
    fn the_table_counts_as_a_map_would(requests in prop::collection::vec((0_u8..5, 0_u64..3000), 1..200)) {
        let counters = Counters::new();
        let mut model = HashMap::<u8, (u64, u64)>::new();
        let mut now = NOW;
        for (name, pause) in requests {
            now += pause;
            let window = model.entry(name).or_insert((0, 0));
            if window.0 <= now {
                *window = (now + 2000, 0);
            }
            let admitted = window.1 < 3;
            window.1 += u64::from(admitted);
            let count = counters.fixed(counters.key(name), 3, 2000, now);
            prop_assert_eq!((count.admitted, count.remaining), (admitted, 3 - window.1));
            // A window may be a little longer, so that its tag is another one.
            prop_assert!(count.reset.abs_diff(window.0 - now) <= 2);
        }
    }
}
