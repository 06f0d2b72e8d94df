//! Hosts as keys: written from their end, so that what a wildcard leaves open comes last, as in a path.

use crate::tree::{End, Pattern, Piece};

/// The pattern that a route's host is: `www.example.com`, or `*.example.com`.
pub(crate) fn pattern(host: &str) -> Pattern {
    let (name, end) = match host.strip_prefix('*') {
        Some(suffix) => (suffix, End::Prefix),
        None => (host, End::Exact),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let reversed: Vec<u8> = name.bytes().rev().map(|byte| byte.to_ascii_lowercase()).collect();
    let pieces = if reversed.is_empty() { Vec::new() } else { vec![Piece::Literal(reversed)] };
    Pattern { pieces, end }
}

/// Calls `with` with the key of the host that a request asks for; not at all if no host is so long.
pub(crate) fn with_key<R>(host: &str, with: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    if host.len() > LONGEST_HOST {
        return None;
    }
    let mut reversed = [0; LONGEST_HOST];
    for (place, byte) in reversed.iter_mut().zip(host.iter().rev()) {
        *place = byte.to_ascii_lowercase();
    }
    with(&reversed[..host.len()])
}

/// No name in DNS is longer.
const LONGEST_HOST: usize = 255;
