use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::ItemName;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn intent() -> Lease {
    let holder = Holder { access_id: "p-caller".to_owned(), sub_claims: BTreeMap::new() };
    let name = ItemName::parse("/db").unwrap();
    Lease::intent((7, &name), holder, Duration::from_secs(60), at(0), at(30))
}

fn active() -> Lease {
    intent().activate("tmp.user".to_owned(), at(10)).unwrap()
}

#[test]
fn the_ttl_runs_from_the_producers_answer() {
    assert_eq!(intent().due(), Some(at(30)));
    assert_eq!(active().due(), Some(at(70)));
}

#[test]
fn a_lease_is_not_claimed_before_it_expires() {
    assert_eq!(active().claim("a", at(69), at(99)), Err(Refused));
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    assert_eq!(claimed.due(), Some(at(99)));
}

#[test]
fn a_claim_holds_others_off_until_it_ends() {
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    assert_eq!(claimed.claim("b", at(98), at(120)), Err(Refused));
    let LeaseState::Revoking { claim: Some(claim), attempts, .. } =
        claimed.claim("b", at(99), at(120)).unwrap().state
    else {
        panic!("claimed")
    };
    assert_eq!((claim.owner.as_str(), claim.fence, attempts), ("b", 2, 2));
}

#[test]
fn only_a_claimed_lease_can_become_revoked() {
    assert_eq!(active().revoked(at(70)), Err(Refused));
    assert_eq!(active().revoke(at(20)).unwrap().revoked(at(70)), Err(Refused));
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    assert_eq!(claimed.revoked(at(71)).unwrap().due(), None);
}

#[test]
fn a_failed_attempt_is_counted_and_has_a_next_time() {
    let mut rng = fastrand::Rng::with_seed(1);
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    let waiting = claimed.retry("refused".to_owned(), at(71), &mut rng).unwrap();
    let due = waiting.due().unwrap();
    assert!(due > at(71) && due <= at(72), "{due}");
    assert!(waiting.claim("b", due, at(120)).is_ok());
}

#[test]
fn a_lost_answer_is_unknown_and_a_late_one_still_names_what_must_go() {
    let unknown = intent().lose("timeout", at(30)).unwrap();
    assert_eq!(unknown.due(), None);
    assert_eq!(unknown.activate("tmp.user".to_owned(), at(31)), Err(Refused));
    assert_eq!(unknown.discard("tmp.user".to_owned(), at(31)).unwrap().due(), Some(at(31)));
    assert_eq!(active().lose("timeout", at(30)), Err(Refused));
    assert_eq!(active().discard("x".to_owned(), at(30)), Err(Refused));
}

#[test]
fn revoking_early_makes_a_lease_due_at_once_but_not_out_of_anothers_hands() {
    assert_eq!(active().revoke(at(20)).unwrap().due(), Some(at(20)));
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    assert_eq!(claimed.revoke(at(71)), Err(Refused));
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    for lease in [intent(), active(), active().claim("a", at(70), at(99)).unwrap()] {
        let text = serde_json::to_string(&lease).unwrap();
        assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease);
    }
}
