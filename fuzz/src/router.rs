//! Routers of whatever uris and hosts, against a plain look at one route after the other: something is found where a
//! route takes the request, and it is one that does. Changes lead to what a fresh compilation makes. Which of several
//! routes comes first is what the router's own property tests ask.
//!
//! The input is lines: `uri host` each, of which the last is the path and host that are asked for.

use std::sync::Arc;

use gateward_model::apisix::{ResourceId, UriPattern, UriPiece, UriTail};
use gateward_router::{RouteMatch, RoutePath, Router};
use http::Uri;

use crate::request::facts;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines: Vec<(&str, &str)> =
        text.lines().take(24).map(|line| line.split_once(' ').unwrap_or((line, ""))).collect();
    let Some((path, host)) = lines.pop() else { return };
    let routes: Vec<Arc<RouteMatch>> =
        lines.iter().enumerate().map(|(place, (uri, host))| Arc::new(route(place, uri, host))).collect();
    let payloads = || routes.iter().enumerate().map(|(place, route)| (Arc::clone(route), place));
    let (compiled, _) = Router::compile(payloads());

    let mut changed = Router::default();
    for (route, place) in payloads() {
        changed.insert(&route, place);
    }
    assert_eq!(format!("{changed:?}"), format!("{compiled:?}"));
    ask(&compiled, &lines, host, path);
    for (uri, host) in &lines {
        ask(&compiled, &lines, host.trim_start_matches('*'), uri);
    }
    for route in &routes {
        changed.remove(route);
    }
    assert_eq!(format!("{changed:?}"), format!("{:?}", Router::<usize>::default()));
}

/// Asks for `path` at `host`, and looks for it in `routes` by hand.
fn ask(router: &Router<usize>, routes: &[(&str, &str)], host: &str, path: &str) {
    let Ok(target) = path.parse::<Uri>() else { return };
    let Ok(normal) = RoutePath::new(target.path()) else { return };
    // What the URI is parsed into may be less than what was written.
    if !path.starts_with('/') || target.path() != path || host.is_empty() || host.len() > 255 {
        return;
    }
    let found = facts(&target, host, |facts| {
        let found = router.find(host, &normal, facts.method, facts)?;
        assert!(found.rest.is_none_or(|at| path.get(at..).is_some()), "the rest is a part of the path");
        Some(*found.payload)
    });
    let takes = |(uri, at): &(&str, &str)| takes_host(at, host) && takes_path(uri, normal.normal());
    match found {
        Some(place) => {
            assert!(takes(&routes[place]), "{:?} was found for {path:?} at {host:?}", routes[place]);
        }
        None => {
            let missed = routes.iter().find(|route| takes(route));
            assert!(missed.is_none(), "{missed:?} was not found for {path:?} at {host:?}");
        }
    }
}

fn takes_host(pattern: &str, host: &str) -> bool {
    // A name may end with the dot of the root.
    let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match pattern.strip_prefix('*') {
        Some(suffix) => plain(host).ends_with(&plain(suffix)),
        None => pattern.is_empty() || plain(pattern) == plain(host),
    }
}

/// Whether `uri` takes the path whose normal form that is.
fn takes_path(uri: &str, normal: &[u8]) -> bool {
    let Ok(pattern) = UriPattern::parse(uri) else { return false };
    let mut rest = normal;
    for (place, piece) in pattern.pieces.iter().enumerate() {
        match piece {
            UriPiece::Literal(text) => {
                let is_open = place + 1 < pattern.pieces.len() || pattern.tail != UriTail::End;
                let literal = if is_open { gateward_vars::normal_prefix(text).ok() } else { None };
                let whole = if is_open { None } else { RoutePath::new(text).ok() };
                let Some(literal) = literal.as_deref().or(whole.as_ref().map(RoutePath::normal)) else {
                    return false;
                };
                let Some(after) = rest.strip_prefix(literal) else { return false };
                rest = after;
            }
            UriPiece::Parameter(_) => {
                let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                if end == 0 {
                    return false;
                }
                rest = &rest[end..];
            }
        }
    }
    pattern.tail != UriTail::End || rest.is_empty()
}

/// A route that asks for nothing else.
pub(crate) fn route(place: usize, uri: &str, host: &str) -> RouteMatch {
    RouteMatch {
        id: ResourceId::parse(&place.to_string()).expect("a number is an id"),
        uris: vec![uri.to_owned()],
        hosts: if host.is_empty() { Vec::new() } else { vec![host.to_owned()] },
        methods: Vec::new(),
        remote_addrs: Vec::new(),
        condition: None,
        priority: 0,
    }
}
