//! What both ways to call a function have in their settings, and what can be wrong with it.

use std::time::Duration;

use gateward_model::Invalid;
use gateward_net::{Keepalive, Peer, PoolSettings};

/// Fails unless `value`, if there is one, is at least `least`.
pub(super) fn at_least(field: &str, value: Option<u64>, least: u64) -> Result<(), Invalid> {
    match value {
        Some(value) if value < least => Err(Invalid::new(field, format!("must be at least {least}"))),
        _ => Ok(()),
    }
}

/// Checks what stands in the scope of a signature.
pub(super) fn check_in_scope(field: &str, text: &str) -> Result<(), Invalid> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match text {
        "" => Err(Invalid::new(field, "must not be empty")),
        text if text.bytes().all(fits) => Ok(()),
        _ => {
            let problem = "must be lower-case letters, digits and hyphens, such as us-east-1 or execute-api";
            Err(Invalid::new(field, problem))
        }
    }
}

/// Checks the id of an access key, which is written into a header between `=` and `/`, and a comma ends that part. Beyond
/// that it may be anything: the documents people paste from have `<access key>` there.
pub(super) fn check_access_key(field: &str, text: &str) -> Result<(), Invalid> {
    let fits = |byte: u8| (b' '..=b'~').contains(&byte) && !b",/".contains(&byte);
    match text {
        "" => Err(Invalid::new(field, "must not be empty")),
        text if text.bytes().all(fits) => Ok(()),
        _ => {
            let problem = "must be printable ASCII without commas and slashes, as AWS makes them";
            Err(Invalid::new(field, problem))
        }
    }
}

/// Checks a secret that is used as it is.
pub(super) fn check_secret(field: &str, text: &str) -> Result<(), Invalid> {
    if text.is_empty() { Err(Invalid::new(field, "must not be empty")) } else { Ok(()) }
}

/// `peer`, with at most `pool` connections idle in the whole process, each for at most `timeout` milliseconds. What is
/// not said is as with every other peer.
pub(super) fn kept(peer: Peer, pool: Option<u64>, timeout: Option<u64>) -> Peer {
    if pool.is_none() && timeout.is_none() {
        return peer;
    }
    let usual = PoolSettings::default();
    let idle_timeout = timeout.map_or(usual.idle_timeout, Duration::from_millis);
    let size = |pool: u64| usize::try_from(pool).unwrap_or(usize::MAX);
    match pool {
        Some(pool) => peer.with_keepalive_of_all(Keepalive { size: size(pool), idle_timeout, requests: 0 }),
        None => peer.with_keepalive(Keepalive { size: usual.idle_per_peer, idle_timeout, requests: 0 }),
    }
}
