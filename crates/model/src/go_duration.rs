//! Durations as Go and Akeyless write them: `60m`, `1h30m`, `90s`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A duration in Go's text form; it keeps the text that it was written as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GoDuration {
    text: String,
    span: Duration,
}

impl GoDuration {
    /// Reads `60m`, `1h30m`, `1.5h`, `300ms`; a number alone is refused, for nobody knows its unit.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("", "a duration is numbers with units, for example 90s, 60m or 1h30m");
        let mut rest = text;
        let mut seconds = 0.0_f64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            let after = &rest[digits..];
            let (unit, length) = UNITS
                .iter()
                .find_map(|(name, unit)| after.starts_with(name).then_some((*unit, name.len())))
                .ok_or_else(wrong)?;
            seconds += number * unit;
            rest = &after[length..];
        }
        let span = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        if text.is_empty() || span > LONGEST {
            return Err(wrong());
        }
        Ok(Self { text: text.to_owned(), span })
    }

    /// Reads the same, or a number alone where that is seconds.
    pub fn parse_or_seconds(text: &str) -> Result<Self, Invalid> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::parse(&format!("{text}s"));
        }
        Self::parse(text).map_err(|error| Invalid::new("", format!("{}, or seconds", error.problem)))
    }

    /// So many minutes.
    pub fn minutes(minutes: u32) -> Self {
        Self { text: format!("{minutes}m"), span: Duration::from_secs(60) * minutes }
    }

    /// How long it is.
    pub fn span(&self) -> Duration {
        self.span
    }
}

impl TryFrom<String> for GoDuration {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<GoDuration> for String {
    fn from(duration: GoDuration) -> String {
        duration.text
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Longer units first where one begins like another (`ms`, `m`).
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];

/// A century: beyond it, arithmetic with moments would not be exact.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, millis) in
            [("60m", 3_600_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("300ms", 300), ("0s", 0)]
        {
            assert_eq!(GoDuration::parse(text).unwrap().span().as_millis(), millis, "{text}");
        }
    }

    #[test]
    fn a_duration_without_unit_or_beyond_a_century_is_refused() {
        for text in ["", "60", "m", "1x", "-1s", "1h60", "1..5s", "99999999999h", "1d"] {
            assert!(GoDuration::parse(text).is_err(), "{text}");
        }
    }
}
