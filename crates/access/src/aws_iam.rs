//! Whose AWS identity may log in: bounds on what STS says of it.

use gateward_aws::sts::Identity as CallerIdentity;
use serde::{Deserialize, Serialize};

use crate::allowed::SubClaims;
use crate::wildcard;

/// Bounds; each that has nothing in it bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsBounds {
    /// Accounts, by number.
    pub accounts: Vec<String>,
    /// ARNs as STS tells them, with `*` and `?`.
    pub arns: Vec<String>,
    /// Names of assumed roles.
    pub role_names: Vec<String>,
    /// Ids of assumed roles.
    pub role_ids: Vec<String>,
    /// What assumed the role: the session's name, which for an instance is its id.
    pub resource_ids: Vec<String>,
    /// Names of users.
    pub user_names: Vec<String>,
    /// Ids of users.
    pub user_ids: Vec<String>,
}

impl AwsBounds {
    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `caller` is within all of them.
    pub fn admit(&self, caller: &CallerIdentity) -> bool {
        let who = Who::of(caller);
        let exact = |allowed: &[String], known: Option<&str>| {
            allowed.is_empty() || known.is_some_and(|known| allowed.iter().any(|one| one == known))
        };
        exact(&self.accounts, Some(&caller.account))
            && (self.arns.is_empty() || self.arns.iter().any(|arn| is_arn(arn, &caller.arn)))
            && exact(&self.role_names, who.role_name)
            && exact(&self.role_ids, who.role_id)
            && exact(&self.resource_ids, who.resource_id)
            && exact(&self.user_names, who.user_name)
            && exact(&self.user_ids, who.user_id)
    }
}

/// Whether `pattern` is `arn`, part by part: a star in one part never takes another along, or a user of any account could
/// have a path that spells out the rest.
pub(crate) fn is_arn(pattern: &str, arn: &str) -> bool {
    let (wanted, parts): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    if wanted.len() < 6 {
        return wildcard::matches(pattern, arn);
    }
    wanted.len() == parts.len()
        && wanted.iter().zip(&parts).all(|(wanted, part)| wildcard::matches(wanted, part))
}

/// The account that a pattern of ARNs names, if it names one alone.
pub(crate) fn account_of(pattern: &str) -> Option<&str> {
    let parts: Vec<&str> = pattern.splitn(6, ':').collect();
    let [_, _, _, _, account, _] = parts[..] else { return None };
    is_account(account).then_some(account)
}

/// Whether it is the number of an account.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a token says of `caller`.
pub(crate) fn claims(caller: &CallerIdentity) -> SubClaims {
    let who = Who::of(caller);
    let all = [
        ("account_id", Some(caller.account.as_str())),
        ("arn", Some(caller.arn.as_str())),
        ("role_name", who.role_name),
        ("role_id", who.role_id),
        ("resource_id", who.resource_id),
        ("user_name", who.user_name),
        ("user_id", who.user_id),
    ];
    let known = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), vec![value?.to_owned()])));
    known.collect()
}

/// The parts of an ARN and of a user id.
#[derive(Default)]
struct Who<'c> {
    role_name: Option<&'c str>,
    role_id: Option<&'c str>,
    resource_id: Option<&'c str>,
    user_name: Option<&'c str>,
    user_id: Option<&'c str>,
}

impl<'c> Who<'c> {
    fn of(caller: &'c CallerIdentity) -> Self {
        // arn:aws:sts::123456789012:assumed-role/name/session, arn:aws:iam::123456789012:user/path/name
        let mut parts = caller.arn.splitn(6, ':').skip(2);
        let (Some(service), Some(_region), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self::default();
        };
        if account != caller.account {
            return Self::default();
        }
        match (service, resource.split_once('/')) {
            ("sts", Some(("assumed-role", rest))) => {
                let (role_name, session) = rest.split_once('/').unzip();
                let (role_id, resource_id) = caller.user_id.split_once(':').unzip();
                // The two say the same of the session, or nothing is believed.
                if session != resource_id {
                    return Self::default();
                }
                Self { role_name, role_id, resource_id, ..Self::default() }
            }
            ("iam", Some(("user", path))) => {
                Self { user_name: path.rsplit('/').next(), user_id: Some(&caller.user_id), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(arn: &str, user_id: &str) -> CallerIdentity {
        CallerIdentity {
            account: "123456789012".to_owned(),
            arn: arn.to_owned(),
            user_id: user_id.to_owned(),
        }
    }

    fn list(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn each_bound_holds_for_itself() {
        let role = caller("arn:aws:sts::123456789012:assumed-role/gateway/i-1", "AROA:i-1");
        let user = caller("arn:aws:iam::123456789012:user/team/ann", "AIDA");
        let bounds = |change: fn(&mut AwsBounds, Vec<String>), text: &str| {
            let mut bounds = AwsBounds::default();
            change(&mut bounds, list(text));
            bounds
        };
        type Change = fn(&mut AwsBounds, Vec<String>);
        let cases: [(Change, &CallerIdentity, &str, &str); 8] = [
            (|bounds, list| bounds.accounts = list, &role, "123456789012", "123456789013"),
            (|bounds, list| bounds.arns = list, &role, "arn:aws:sts::*:assumed-role/gateway/*", "*:user/*"),
            (|bounds, list| bounds.role_names = list, &role, "gateway", "gate*"),
            (|bounds, list| bounds.role_ids = list, &role, "AROA", "AIDA"),
            (|bounds, list| bounds.resource_ids = list, &role, "i-1", "i-2"),
            (|bounds, list| bounds.user_names = list, &user, "ann", "team"),
            (|bounds, list| bounds.user_ids = list, &user, "AIDA", "AROA"),
            (|bounds, list| bounds.arns = list, &user, "arn:aws:iam::123456789012:user/team/???", "ann"),
        ];
        for (change, caller, right, wrong) in cases {
            assert!(bounds(change, right).admit(caller), "{right}");
            assert!(!bounds(change, wrong).admit(caller), "{wrong}");
        }
        assert!(!bounds(|bounds, list| bounds.role_names = list, "gateway").admit(&user));
        assert!(!bounds(|bounds, list| bounds.user_names = list, "ann").admit(&role));
    }

    #[test]
    fn a_star_in_one_part_of_an_arn_takes_no_other_part_along() {
        // A user of another account, whose path spells out what the pattern wants.
        let arn = "arn:aws:iam::999999999999:user/x:iam::123456789012:user/admin";
        let hostile = CallerIdentity {
            account: "999999999999".to_owned(),
            arn: arn.to_owned(),
            user_id: "AIDA".to_owned(),
        };
        for pattern in [
            "arn:*:iam::123456789012:user/admin",
            "arn:aws:*::123456789012:user/admin",
            "arn:aws:iam:*:123456789012:user/admin",
        ] {
            let bounds = AwsBounds { arns: list(pattern), ..AwsBounds::default() };
            assert!(!bounds.admit(&hostile), "{pattern}");
            assert!(bounds.admit(&caller("arn:aws:iam::123456789012:user/admin", "AIDA")), "{pattern}");
        }
    }

    #[test]
    fn what_has_no_arn_of_that_account_is_nobody() {
        for arn in [
            "",
            "arn:aws:iam::123456789012",
            "arn:aws:iam::999999999999:user/ann",
            "arn:aws:sts::123456789012:assumed-role/gateway",
        ] {
            let odd = caller(arn, "AIDA");
            for bounds in [
                AwsBounds { user_names: list("ann"), ..AwsBounds::default() },
                AwsBounds { role_names: list("gateway"), user_ids: list("AIDA"), ..AwsBounds::default() },
            ] {
                assert!(!bounds.admit(&odd), "{arn}");
            }
        }
    }

    #[test]
    fn a_role_whose_session_is_told_in_two_ways_is_no_role() {
        let odd = caller("arn:aws:sts::123456789012:assumed-role/gateway/i-1", "AROA:i-2");
        assert!(!AwsBounds { role_names: list("gateway"), ..AwsBounds::default() }.admit(&odd));
    }

    #[test]
    fn a_token_says_who_it_was() {
        let claims = claims(&caller("arn:aws:sts::123456789012:assumed-role/gateway/i-1", "AROA:i-1"));
        assert_eq!(claims["role_name"], ["gateway"]);
        assert_eq!(claims["resource_id"], ["i-1"]);
        assert!(!claims.contains_key("user_name"));
    }
}
