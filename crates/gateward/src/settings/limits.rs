//! What a client may take, as it is set: `connections=1000,body_bytes=1048576`. What is not named stays as it is.

use std::collections::HashSet;
use std::str::FromStr;
use std::time::Duration;

use gateward_proxy::host::server::Limits;

use super::values::{TWICE, Wrong};

/// The usual limits, some of them changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChanges(pub(super) Limits);

impl FromStr for LimitChanges {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (mut limits, mut named) = (Limits::default(), HashSet::new());
        for change in text.split(',').filter(|change| !change.trim().is_empty()) {
            let (name, value) = change.split_once('=').ok_or(UNKNOWN)?;
            if !named.insert(name.trim()) {
                return Err(TWICE);
            }
            set(&mut limits, name.trim(), value.trim())?;
        }
        if limits.head_bytes < LEAST_HEAD {
            return Err(Wrong("head_bytes is at least 8192"));
        }
        Ok(Self(limits))
    }
}

fn set(limits: &mut Limits, name: &str, value: &str) -> Result<(), Wrong> {
    match name {
        "head" => limits.head = seconds(value)?,
        "idle" => limits.idle = seconds(value)?,
        "handshake" => limits.handshake = seconds(value)?,
        "body_idle" => limits.body_idle = seconds(value)?,
        "head_bytes" => limits.head_bytes = number(value)?,
        "head_fields" => limits.head_fields = number(value)?,
        "target_bytes" => limits.target_bytes = number(value)?,
        "body_bytes" => limits.body_bytes = or_none(value, number)?,
        "connections" => limits.connections = number(value)?,
        "connections_per_address" => limits.connections_per_address = or_none(value, number)?,
        "requests" => limits.requests = number(value)?,
        "requests_per_connection" => limits.requests_per_connection = number(value)?,
        "connection_age" => limits.connection_age = or_none(value, seconds)?,
        "streams" => limits.streams = number(value)?,
        "stream_window" => limits.stream_window = number(value)?,
        "connection_window" => limits.connection_window = number(value)?,
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

fn or_none<T>(value: &str, read: fn(&str) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
    if value == "none" { Ok(None) } else { read(value).map(Some) }
}

fn seconds(value: &str) -> Result<Duration, Wrong> {
    let seconds = value.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or(Wrong("a time is a number of seconds, 86400 at most"))
}

fn number<T: FromStr + PartialOrd + From<u8>>(value: &str) -> Result<T, Wrong> {
    let number = value.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or(Wrong("a number or size is a whole number, 1 at least"))
}

const LEAST_HEAD: usize = 8 * 1024;

const UNKNOWN: Wrong = Wrong(
    "limits are NAME=VALUE: the times head, idle, handshake, body_idle, connection_age in seconds; the sizes \
     head_bytes, target_bytes, body_bytes, stream_window, connection_window; the numbers head_fields, connections, \
     connections_per_address, requests, requests_per_connection, streams",
);

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<Limits, String> {
        text.parse().map(|LimitChanges(limits)| limits).map_err(|wrong: Wrong| wrong.to_string())
    }

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let usual = Limits::default();
        let changed = limits("head=2.5, connections=7,body_bytes=1024,connection_age=none").unwrap();
        let expected =
            Limits { head: Duration::from_millis(2500), connections: 7, body_bytes: Some(1024), ..usual };
        assert_eq!(changed, expected);
        assert_eq!(limits(""), Ok(usual));
    }

    #[test]
    fn what_no_limit_can_be_is_refused() {
        for (text, says) in [
            ("heads=1", "head, idle"),
            ("head", "NAME=VALUE"),
            ("head=0", "seconds"),
            ("head=none", "seconds"),
            ("connections=0", "whole number"),
            ("streams=5000000000", "whole number"),
            ("head_bytes=100", "8192"),
            ("idle=5,idle=6", "twice"),
        ] {
            assert!(limits(text).is_err_and(|error| error.contains(says)), "{text}");
        }
    }
}
