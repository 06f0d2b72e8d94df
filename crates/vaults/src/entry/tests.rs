use super::*;

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn terms(ttl: u64, neg_ttl: u64, resurrect_ttl: u64) -> Terms {
    let [ttl, neg_ttl, resurrect_ttl] = [ttl, neg_ttl, resurrect_ttl].map(Duration::from_secs);
    Terms { ttl, neg_ttl, resurrect_ttl, ..Terms::default() }
}

/// An entry with its terms.
struct Case {
    entry: Entry<u32>,
    terms: Terms,
}

impl Case {
    fn new(terms: Terms) -> Self {
        Self { entry: Entry::new(), terms }
    }

    fn on(&mut self, event: Event<u32>, now: Timestamp) -> Option<Ticket> {
        self.entry.on(event, &self.terms, now)
    }

    fn read(&self, now: Timestamp) -> Reading<'_, u32> {
        self.entry.read(&self.terms, now)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.entry.wake_at(&self.terms)
    }
}

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn miss(kind: MissKind) -> Miss {
    Miss::new(kind, "no")
}

fn answered(entry: &mut Case, ticket: Ticket, answer: Result<u32, MissKind>, seconds: u64) {
    entry.on(Event::Answered { ticket, answer: answer.map_err(miss), jitter: 0.0 }, at(seconds));
}

/// An entry that was asked for at second 0, with this answer.
fn asked(terms: Terms, answer: Result<u32, MissKind>) -> Case {
    let mut entry = Case::new(terms);
    let ticket = entry.on(Event::Needed, START).unwrap();
    answered(&mut entry, ticket, answer, 0);
    entry
}

fn value(entry: &Case, seconds: u64) -> Option<u32> {
    match entry.read(at(seconds)) {
        Reading::Value(value) => Some(*value),
        Reading::Unknown | Reading::Missing(_) => None,
    }
}

#[test]
fn one_call_serves_all_who_need_the_value() {
    let mut entry = Case::new(terms(60, 0, 0));
    assert_eq!(entry.read(START), Reading::Unknown);
    let ticket = entry.on(Event::Needed, START).unwrap();
    assert_eq!(entry.on(Event::Needed, START), None);
    assert_eq!(entry.on(Event::Due, at(100)), None);
    answered(&mut entry, ticket, Ok(1), 1);
    assert_eq!(value(&entry, 1), Some(1));
    assert_eq!(entry.on(Event::Needed, at(2)), None);
}

#[test]
fn without_a_ttl_a_value_is_never_asked_for_again() {
    let mut entry = asked(terms(0, 0, 0), Ok(1));
    assert_eq!(entry.wake_at(), None);
    assert_eq!(entry.on(Event::Needed, at(1_000_000_000)), None);
    assert_eq!(value(&entry, 1_000_000_000), Some(1));
}

#[test]
fn a_value_is_refreshed_when_its_ttl_ends_and_serves_meanwhile() {
    let mut entry = asked(terms(60, 0, 300), Ok(1));
    assert_eq!(entry.wake_at(), Some(at(60)));
    assert_eq!(entry.on(Event::Due, at(59)), None);
    let ticket = entry.on(Event::Due, at(60)).unwrap();
    assert_eq!(value(&entry, 61), Some(1));
    answered(&mut entry, ticket, Ok(2), 62);
    assert_eq!((value(&entry, 62), entry.wake_at()), (Some(2), Some(at(122))));
}

#[test]
fn while_the_vault_fails_the_value_serves_until_resurrect_ttl_ends() {
    for kind in
        [MissKind::Throttled, MissKind::Unavailable, MissKind::Garbage, MissKind::Denied, MissKind::NotFound]
    {
        let mut entry = asked(terms(60, 600, 300), Ok(1));
        let mut now = 60;
        let mut waits = Vec::new();
        while let Some(ticket) = entry.on(Event::Due, at(now)).filter(|_| now < 360) {
            answered(&mut entry, ticket, Err(kind), now);
            assert_eq!(value(&entry, now), Some(1), "{kind:?} at {now}");
            assert!(entry.entry.is_stale());
            let next = entry.wake_at().unwrap().saturating_since(at(now)).as_secs();
            waits.push(next);
            now += next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 57], "{kind:?}");
        entry.on(Event::Due, at(360));
        assert_eq!(value(&entry, 360), None);
    }
}

#[test]
fn a_value_that_nobody_looked_after_is_not_served_too_old() {
    let entry = asked(terms(60, 0, 300), Ok(1));
    assert_eq!(value(&entry, 359), Some(1));
    assert_eq!(entry.read(at(360)), Reading::Unknown);
}

#[test]
fn a_miss_is_believed_for_neg_ttl_and_an_outage_never() {
    let mut entry = asked(terms(60, 10, 300), Err(MissKind::NotFound));
    assert_eq!(entry.on(Event::Needed, at(9)), None);
    assert_eq!(entry.wake_at(), Some(at(10)));
    assert!(entry.on(Event::Needed, at(10)).is_some());

    let mut entry = asked(terms(60, 0, 300), Err(MissKind::NotFound));
    assert!(entry.on(Event::Needed, START).is_some());

    for kind in [MissKind::Throttled, MissKind::Unavailable, MissKind::Garbage, MissKind::Denied] {
        let mut entry = asked(terms(60, 600, 300), Err(kind));
        assert_eq!(entry.wake_at(), Some(at(1)));
        assert!(entry.on(Event::Needed, START).is_some(), "{kind:?}");
    }
}

#[test]
fn a_missing_secret_heals_by_itself() {
    let mut entry = asked(terms(0, 0, 0), Err(MissKind::NotFound));
    let ticket = entry.on(Event::Due, at(1)).unwrap();
    answered(&mut entry, ticket, Err(MissKind::Unavailable), 1);
    assert_eq!(entry.wake_at(), Some(at(3)));
    let ticket = entry.on(Event::Due, at(3)).unwrap();
    answered(&mut entry, ticket, Ok(7), 3);
    assert_eq!(value(&entry, 3), Some(7));
}

#[test]
fn an_outage_takes_back_nothing_that_the_vault_said() {
    let mut entry = asked(terms(0, 0, 0), Err(MissKind::NotFound));
    let ticket = entry.on(Event::Due, at(1)).unwrap();
    answered(&mut entry, ticket, Err(MissKind::Unavailable), 1);
    assert_eq!(entry.read(at(1)), Reading::Missing(&miss(MissKind::NotFound)));
}

#[test]
fn a_changed_vault_is_asked_and_the_value_serves_until_it_answers() {
    let mut entry = asked(terms(0, 0, 0), Ok(1));
    entry.on(Event::Reconfigured, at(5));
    let ticket = entry.on(Event::Needed, at(5)).unwrap();
    assert_eq!(value(&entry, 5), Some(1));
    answered(&mut entry, ticket, Err(MissKind::Unavailable), 6);
    assert_eq!(value(&entry, 6), Some(1));
    let ticket = entry.on(Event::Due, at(7)).unwrap();
    answered(&mut entry, ticket, Err(MissKind::NotFound), 8);
    assert_eq!(entry.read(at(8)), Reading::Missing(&miss(MissKind::NotFound)));
}

#[test]
fn an_answer_from_the_vault_as_it_was_counts_for_nothing() {
    let mut entry = Case::new(terms(0, 0, 0));
    let old = entry.on(Event::Needed, START).unwrap();
    entry.on(Event::Reconfigured, START);
    let new = entry.on(Event::Needed, START).unwrap();
    answered(&mut entry, old, Ok(1), 1);
    assert_eq!(entry.read(at(1)), Reading::Unknown);
    answered(&mut entry, new, Ok(2), 2);
    assert_eq!(value(&entry, 2), Some(2));
}
