//! How many leases may live, and for how long what about them: `gateway=100000,identity=100`. What is not named stays as
//! it is.

use std::collections::HashSet;
use std::str::FromStr;
use std::time::Duration;

use gateward_leases::{Caps, EngineSettings};

use super::values::{TWICE, Wrong};

/// What is chosen of the lease engine's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLimits {
    /// How many leases may live.
    pub caps: Caps,
    /// How long revocation waits after a restored store or a jump of the clock, if nobody lets go.
    pub hold: Duration,
    /// How long it is told what became of a lease.
    pub keep: Duration,
}

impl Default for LeaseLimits {
    fn default() -> Self {
        let EngineSettings { caps, hold_for, retention, .. } = EngineSettings::default();
        Self { caps, hold: hold_for, keep: retention }
    }
}

impl FromStr for LeaseLimits {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (mut limits, mut named) = (Self::default(), HashSet::new());
        for change in text.split(',').filter(|change| !change.trim().is_empty()) {
            let (name, value) = change.split_once('=').ok_or(UNKNOWN)?;
            if !named.insert(name.trim()) {
                return Err(TWICE);
            }
            let value = value.trim();
            match name.trim() {
                "gateway" => limits.caps.gateway = most(value)?,
                "identity" => limits.caps.identity = most(value)?,
                "item" => limits.caps.item = most(value)?,
                "hold_seconds" => limits.hold = Duration::from_secs(whole(value, LONGEST_HOLD, HOLD)?),
                "keep_days" => limits.keep = Duration::from_secs(whole(value, LONGEST_KEPT, KEPT)? * DAY),
                _ => return Err(UNKNOWN),
            }
        }
        Ok(limits)
    }
}

/// At least one: a gateway that is to issue nothing has no dynamic secrets.
fn most(value: &str) -> Result<Option<u64>, Wrong> {
    match value {
        "none" => Ok(None),
        value => value.parse().ok().filter(|most| *most > 0).map(Some).ok_or(NUMBER),
    }
}

fn whole(value: &str, most: u64, wrong: Wrong) -> Result<u64, Wrong> {
    value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or(wrong)
}

const DAY: u64 = 24 * 3600;
const LONGEST_HOLD: u64 = 7 * DAY;
const LONGEST_KEPT: u64 = 3650;

const NUMBER: Wrong = Wrong("gateway, identity and item are whole numbers of leases, 1 at least, or none");
const HOLD: Wrong = Wrong("hold_seconds is a whole number from 1 to 604800, a week");
const KEPT: Wrong = Wrong("keep_days is a whole number from 1 to 3650");
const UNKNOWN: Wrong =
    Wrong("limits of leases are NAME=VALUE: the numbers gateway, identity, item, hold_seconds, keep_days");

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<LeaseLimits, String> {
        text.parse().map_err(|wrong: Wrong| wrong.to_string())
    }

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let changed = limits("gateway=100000, identity=7,item=none,hold_seconds=60,keep_days=2").unwrap();
        let caps = Caps { gateway: Some(100_000), identity: Some(7), item: None };
        let (hold, keep) = (Duration::from_secs(60), Duration::from_secs(2 * DAY));
        assert_eq!(changed, LeaseLimits { caps, hold, keep });
        assert_eq!(limits(""), Ok(LeaseLimits::default()));
    }

    #[test]
    fn what_no_limit_can_be_is_refused() {
        for (text, says) in [
            ("leases=1", "gateway, identity"),
            ("gateway", "NAME=VALUE"),
            ("gateway=0", "1 at least"),
            ("identity=-1", "1 at least"),
            ("item=many", "1 at least"),
            ("hold_seconds=0", "hold_seconds"),
            ("hold_seconds=604801", "hold_seconds"),
            ("keep_days=0", "keep_days"),
            ("item=5, item=5", "twice"),
        ] {
            assert!(limits(text).is_err_and(|error| error.contains(says)), "{text}");
        }
    }
}
