//! On what terms a dynamic secret is issued, whatever its producer: how long a credential lives, how many live at once, and
//! how long one call of the producer may take.

use gateward_model::{DynamicSecret, GoDuration, Invalid, ItemName, ProducerCapabilities, ProducerSettings};

/// What was said of them; what was not has its default, or stays as it is.
pub(super) struct Terms<'t> {
    pub(super) name: &'t ItemName,
    pub(super) new_name: Option<&'t ItemName>,
    /// Seconds.
    pub(super) timeout: Option<u64>,
    /// Seconds, where neither was said nor stands how long a call may take.
    pub(super) usual_timeout: u64,
    pub(super) user_ttl: Option<&'t GoDuration>,
    /// 0 is no bound.
    pub(super) max_leases: Option<u64>,
}

impl Terms<'_> {
    /// The secret that `producer` makes credentials for on these terms, out of the one `before` if there is one.
    pub(super) fn applied_to(
        &self,
        before: Option<DynamicSecret>,
        producer: ProducerSettings,
    ) -> Result<DynamicSecret, Invalid> {
        let bounded = |most: u64| Some(most).filter(|most| *most > 0);
        let secret = match before {
            None => DynamicSecret {
                // Small enough that every client can hold it in a number.
                id: fastrand::u64(1..1 << 52),
                name: self.name.clone(),
                producer,
                timeout_sec: self.timeout.unwrap_or(self.usual_timeout),
                user_ttl: self.user_ttl.cloned().unwrap_or_else(|| GoDuration::minutes(60)),
                max_leases: self.max_leases.and_then(bounded),
                capabilities: ProducerCapabilities::default(),
            },
            Some(before) => DynamicSecret {
                name: self.new_name.cloned().unwrap_or(before.name),
                producer,
                timeout_sec: self.timeout.unwrap_or(before.timeout_sec),
                user_ttl: self.user_ttl.cloned().unwrap_or(before.user_ttl),
                max_leases: self.max_leases.map_or(before.max_leases, bounded),
                ..before
            },
        };
        if !(1..=LONGEST_TIMEOUT).contains(&secret.timeout_sec) {
            return Err(Invalid::new("timeout-sec", format!("is seconds, from 1 to {LONGEST_TIMEOUT}")));
        }
        if secret.user_ttl.span().as_secs() == 0 {
            return Err(Invalid::new("user-ttl", "is at least one second"));
        }
        Ok(secret)
    }
}

/// A Lambda function's longest life, in seconds; nothing that answers a call takes longer.
pub(super) const LONGEST_TIMEOUT: u64 = 900;
