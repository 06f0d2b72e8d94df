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
    let again = claimed.claim("b", at(99), at(120)).unwrap();
    let claim = again.claim_held().unwrap();
    assert_eq!((claim.owner.as_str(), claim.fence), ("b", 2));
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
    let waiting = claimed.retry(RevokeFailure::Transient, "refused", at(71), &mut rng).unwrap();
    let due = waiting.due().unwrap();
    assert!(due > at(71) && due <= at(72), "{due}");
    assert!(waiting.claim("b", due, at(120)).is_ok());
}

#[test]
fn a_lost_answer_is_unknown_and_a_late_one_still_names_what_must_go() {
    let unknown = intent().lose("timeout", at(30), false).unwrap();
    assert_eq!(unknown.due(), None);
    assert_eq!(unknown.activate("tmp.user".to_owned(), at(31)), Err(Refused));
    assert_eq!(unknown.discard("tmp.user".to_owned(), at(31)).unwrap().due(), Some(at(31)));
    assert_eq!(active().lose("timeout", at(30), false), Err(Refused));
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
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let parked = claimed.retry(RevokeFailure::Refused, "422", at(71), &mut rng).unwrap();
    let verdict = Verdict { by: "p-operator".to_owned(), reason: "gone".to_owned() };
    let asked = intent().lose("timeout", at(30), true).unwrap();
    let abandoned = parked.abandon(verdict.clone(), at(80)).unwrap();
    let settled = asked.settle(verdict, at(80)).unwrap();
    for lease in [intent(), active(), claimed, parked, abandoned, asked, settled] {
        let text = serde_json::to_string(&lease).unwrap();
        assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease);
    }
}

#[test]
fn the_fence_grows_with_every_claim_also_after_a_failure() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut lease = active();
    for fence in 1..20 {
        let now = lease.due().unwrap();
        let claimed = lease.claim("a", now, now + Duration::from_secs(9)).unwrap();
        assert_eq!(claimed.claim_held().unwrap().fence, fence);
        lease = claimed.retry(RevokeFailure::Transient, "no", now, &mut rng).unwrap();
    }
}

#[test]
fn renewal_after_claim_is_refused_and_a_claim_after_renewal_too() {
    let renewed = active().renew(at(200), at(69)).unwrap();
    assert_eq!(renewed.claim("a", at(70), at(99)), Err(Refused));
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    assert_eq!(claimed.renew(at(200), at(70)), Err(Refused));
    assert_eq!(active().renew(at(200), at(70)), Err(Refused), "nobody has claimed it, and its time is over");
    assert_eq!(active().revoke(at(20)).unwrap().renew(at(200), at(20)), Err(Refused));
}

#[test]
fn after_an_hour_of_failures_a_lease_is_parked_and_still_tried() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut lease = active();
    let (mut attempts, mut parked_after) = (0, None);
    for _ in 0..200 {
        let now = lease.due().unwrap();
        let claimed = lease.claim("a", now, now + Duration::from_secs(9)).unwrap();
        lease = claimed.retry(RevokeFailure::Transient, "503", now, &mut rng).unwrap();
        attempts += 1;
        let parked = matches!(lease.state, LeaseState::Parked(_));
        if parked && parked_after.is_none() {
            parked_after = Some(now.saturating_since(at(70)));
        }
        assert!(parked_after.is_none() || parked, "once parked it stays so until it is gone");
        assert!(lease.due().is_some_and(|due| due > now), "it is tried for ever");
    }
    assert_eq!(attempts, 200);
    assert!(parked_after.is_some_and(|after| after >= Duration::from_secs(3600)), "{parked_after:?}");
    let now = lease.due().unwrap();
    assert!(lease.claim("b", now, at(0)).unwrap().revoked(now).is_ok());
}

#[test]
fn a_revocation_that_is_refused_outright_is_parked_at_once() {
    let mut rng = fastrand::Rng::with_seed(1);
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    let parked = claimed.retry(RevokeFailure::Refused, "422", at(71), &mut rng).unwrap();
    assert!(matches!(parked.state, LeaseState::Parked(_)));
    let alarmed = claimed.retry(RevokeFailure::Misconfigured, "404", at(71), &mut rng).unwrap();
    assert!(
        matches!(alarmed.state, LeaseState::Revoking(_)),
        "a mistyped URL says nothing of the credential"
    );
}

#[test]
fn only_a_parked_lease_that_nobody_is_at_can_be_abandoned() {
    let mut rng = fastrand::Rng::with_seed(1);
    let verdict = Verdict { by: "p-operator".to_owned(), reason: "the server is gone".to_owned() };
    let claimed = active().claim("a", at(70), at(99)).unwrap();
    assert_eq!(active().abandon(verdict.clone(), at(20)), Err(Refused));
    assert_eq!(claimed.abandon(verdict.clone(), at(71)), Err(Refused));
    let parked = claimed.retry(RevokeFailure::Refused, "422", at(71), &mut rng).unwrap();
    let due = parked.due().unwrap();
    assert_eq!(
        parked.claim("a", due, due + Duration::from_secs(9)).unwrap().abandon(verdict.clone(), due),
        Err(Refused)
    );
    let abandoned = parked.abandon(verdict, at(80)).unwrap();
    assert!(abandoned.is_over() && abandoned.due().is_none());
}

#[test]
fn an_unknown_lease_is_asked_about_only_where_that_is_safe_and_can_be_settled() {
    let mut rng = fastrand::Rng::with_seed(1);
    let asked = intent().lose("timeout", at(30), true).unwrap();
    let due = asked.due().unwrap();
    let claimed = asked.claim("a", due, due + Duration::from_secs(9)).unwrap();
    assert_eq!(claimed.revoked(due), Err(Refused), "nothing is known to be gone");
    let later = claimed.ask_later("503", due, &mut rng).unwrap();
    assert!(later.due().is_some_and(|again| again > due));
    assert!(matches!(claimed.discard("u".to_owned(), due).unwrap().state, LeaseState::Revoking(_)));
    let verdict = Verdict { by: "p-operator".to_owned(), reason: "looked".to_owned() };
    assert_eq!(claimed.settle(verdict.clone(), due), Err(Refused), "the producer is being asked");
    assert!(later.settle(verdict.clone(), due).unwrap().is_over());
    assert_eq!(active().settle(verdict, at(20)), Err(Refused));
}
