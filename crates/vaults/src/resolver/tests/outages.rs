//! How a vault comes out of an outage: by whichever secret answers first.

use super::*;

/// The double with three secrets that have a value for 3 s, and then the vault out of order.
async fn broken() -> (World, Vec<(Binding, Told)>) {
    let world = world(&[]);
    ["g1", "g2", "g3"].iter().for_each(|name| world.double.put(name, Ok("one")));
    let mut bound: Vec<_> = ["g1", "g2", "g3"]
        .iter()
        .map(|name| world.bind(&[&format!("{{vault://double/{name}?ttl=3}}")]))
        .collect();
    for (_, told) in &mut bound {
        assert_eq!(told.next().await, Some(vec!["one".to_owned()]));
    }
    all_answer(&world, Err(MissKind::Unavailable));
    for _ in 0..6 {
        world.advance(1).await;
    }
    assert!(is_out_of_order(&world));
    (world, bound)
}

fn all_answer(world: &World, answer: Result<&'static str, MissKind>) {
    ["g1", "g2", "g3"].iter().for_each(|name| world.double.put(name, answer));
}

fn is_out_of_order(world: &World) -> bool {
    world.resolver.counts().iter().any(|counts| counts.problem.is_some())
}

#[tokio::test]
async fn a_secret_that_keeps_failing_keeps_no_other_from_ending_the_outage() {
    for bad in 0..3 {
        for kind in [MissKind::Unavailable, MissKind::Garbage, MissKind::Throttled] {
            let (world, mut bound) = broken().await;
            all_answer(&world, Ok("two"));
            world.double.put(["g1", "g2", "g3"][bad], Err(kind));
            for _ in 0..65 {
                world.advance(1).await;
            }
            assert!(!is_out_of_order(&world), "{kind:?} of one secret is no outage");
            for (place, (_, told)) in bound.iter_mut().enumerate() {
                if place == bad {
                    assert!(told.nothing());
                } else {
                    assert_eq!(told.0.try_recv(), Ok(Some(vec!["two".to_owned()])));
                }
            }
            world.double.put("late", Ok("there"));
            let (_binding, mut told) = world.bind(&["{vault://double/late}"]);
            world.quiet().await;
            assert_eq!(told.0.try_recv(), Ok(Some(vec!["there".to_owned()])));
        }
    }
}

#[tokio::test]
async fn a_secret_that_is_wanted_only_after_it_was_held_back_is_asked_for() {
    for is_passed_over_by_a_probe in [true, false] {
        let (world, bound) = broken().await;
        // Somebody tries it out, and nobody is bound to it when its turn comes.
        world.double.put("late", Ok("there"));
        assert!(world.resolver.ask(&reference("{vault://double/late}")).await.is_err());
        let mut late = None;
        for second in 0..200 {
            if second == 100 {
                if is_passed_over_by_a_probe {
                    late = Some(world.bind(&["{vault://double/late}"]));
                    world.quiet().await;
                }
                all_answer(&world, Ok("two"));
            }
            world.advance(1).await;
        }
        assert!(!is_out_of_order(&world));
        let (_binding, mut told) = late.unwrap_or_else(|| world.bind(&["{vault://double/late}"]));
        for _ in 0..60 {
            world.advance(1).await;
        }
        let last = std::iter::from_fn(|| told.0.try_recv().ok()).last();
        assert_eq!(last, Some(Some(vec!["there".to_owned()])));
        drop(bound);
    }
}

#[tokio::test]
async fn a_vault_nobody_is_bound_to_comes_back_with_the_first_who_asks() {
    let (world, bound) = broken().await;
    drop(bound);
    world.double.put("late", Ok("there"));
    assert!(world.resolve("{vault://double/late}").await.is_err());
    world.advance(60).await;
    assert_eq!(world.resolve("{vault://double/late}").await.as_deref(), Ok("there"));
    assert!(!is_out_of_order(&world));
}
