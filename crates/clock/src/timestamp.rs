//! A moment, in milliseconds since 1970 (UTC).

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since 1970 (UTC); what it looks like in JSON is that number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `2026-11-21T00:53:27Z`, whole seconds (RFC 3339).
    pub fn rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// `2026-11-21T00:53:27.042Z`, the same with milliseconds.
    pub fn rfc3339_millis(self) -> String {
        format!("{}.{:03}Z", self.civil().strftime("%Y-%m-%dT%H:%M:%S"), self.0 % 1000)
    }

    /// `20261121T005327Z`, as AWS writes a date.
    pub fn iso8601_basic(self) -> String {
        self.civil().strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// The moment that `text` names in the form of RFC 3339, such as `2026-11-21T00:53:27Z`; `None` if it names none since
    /// 1970.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(moment.as_millisecond()).ok().map(Self)
    }

    /// `21/Nov/2026:00:53:27 +0000`, as web servers write a date into their logs.
    pub fn common_log_format(self) -> String {
        self.civil().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
    }

    fn civil(self) -> jiff::civil::DateTime {
        let seconds = i64::try_from(self.secs()).unwrap_or(i64::MAX);
        let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        jiff::tz::Offset::UTC.to_datetime(moment)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_moment_is_written_as_people_and_as_aws_write_it() {
        let moment = Timestamp::from_millis(1_440_938_160_999);
        assert_eq!(moment.rfc3339(), "2015-08-30T12:36:00Z");
        assert_eq!(moment.rfc3339_millis(), "2015-08-30T12:36:00.999Z");
        assert_eq!(moment.iso8601_basic(), "20150830T123600Z");
        assert_eq!(moment.common_log_format(), "30/Aug/2015:12:36:00 +0000");
    }

    #[test]
    fn a_moment_is_read_as_aws_writes_it() {
        for (text, millis) in [
            ("2015-08-30T12:36:00Z", 1_440_938_160_000),
            ("2015-08-30T12:36:00.999Z", 1_440_938_160_999),
            ("2015-08-30T14:36:00+02:00", 1_440_938_160_000),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "2015-08-30", "1440938160", "1960-01-01T00:00:00Z", "2015-08-30T12:36:00"] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_does_not_panic() {
        assert!(!Timestamp::from_millis(u64::MAX).rfc3339().is_empty());
    }
}
