//! Each call has its line, and each line is as it was decided.

use super::*;
use crate::akeyless;

#[test]
fn every_call_of_the_akeyless_api_has_a_line() {
    let forgotten: Vec<&str> = akeyless::calls().filter(|call| line(call).is_none()).collect();
    assert_eq!(forgotten, Vec::<&str>::new(), "say in permissions.rs who may make them");
    assert_eq!(line("nothing"), None);
    assert_eq!(of_call("nothing"), (Need::Admin, Does::Change));
}

/// What stands in the file is what was decided; whoever changes a line sees here whom it concerns.
#[test]
fn each_permission_allows_what_was_decided() {
    let mut told = String::new();
    let may = |has: &dyn Fn(Permission) -> bool| -> Vec<&str> {
        akeyless::calls().filter(|call| of_call(call).0.is_met_by(has)).collect()
    };
    let with_login = may(&|_| false);
    told += &format!("whoever is known:\n{}", listed(&with_login));
    for permission in Permission::ALL {
        let more: Vec<&str> = may(&|wanted| permission.gives(wanted));
        let more: Vec<&str> = more.into_iter().filter(|call| !with_login.contains(call)).collect();
        let all = with_login.len() + more.len() == akeyless::calls().count();
        let more = if all { "  everything\n".to_owned() } else { listed(&more) };
        told += &format!("{}:\n{more}", permission.name());
    }
    let items = may(&|wanted| ITEMS.contains(&wanted));
    let items: Vec<&str> = items.into_iter().filter(|call| of_call(call).0 == Need::All(ITEMS)).collect();
    told += &format!("all kinds of items:\n{}", listed(&items));
    for does in [Does::Reveal, Does::Look] {
        let calls: Vec<&str> = akeyless::calls().filter(|call| of_call(call).1 == does).collect();
        told += &format!("{does:?}:\n{}", listed(&calls));
    }
    let decided = include_str!("decided.txt");
    assert!(told == decided, "another decision than decided.txt:\n{told}");
}

#[test]
fn three_of_four_kinds_are_not_all() {
    for missing in ITEMS {
        let has = |wanted: Permission| wanted != *missing && ITEMS.contains(&wanted);
        assert!(!Need::All(ITEMS).is_met_by(has), "{missing:?}");
    }
    assert!(!Need::All(&[]).is_met_by(|_| false));
    assert!(!Need::Any(&[]).is_met_by(|wanted| wanted != Permission::Admin));
    assert!(!Need::Admin.is_met_by(|wanted| wanted != Permission::Admin));
}

fn listed(calls: &[&str]) -> String {
    calls.iter().map(|call| format!("  {call}\n")).collect()
}
