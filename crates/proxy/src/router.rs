//! Finds the route that serves a request.
//!
//! Hosts first (exact, then the longest wildcard, then the routes without host), then the path (exact, then the
//! longest prefix). A route that does not take the request's method is passed over, and the search goes on to shorter
//! prefixes, shorter wildcards and the routes without host. Of routes that take the very same requests the one with
//! the lowest id serves, and the others are named when the router is compiled.

mod tree;

use std::fmt;

use gateward_model::apisix::{HttpMethod, ResourceId, Route};
use http::Method;

use gateward_vars::{PathError, RoutePath, normal_prefix};
use tree::{Pattern, Tree};

/// Routes compiled for matching. Built once per configuration change, shared by every data thread.
#[derive(Default)]
pub struct Router {
    /// By host, written from its end: what a wildcard leaves open then comes last, as in a path.
    hosts: Tree<Paths>,
    any_host: Paths,
}

/// The route that takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place among the routes that the router was compiled from.
    pub route: usize,
    /// Where in the request's path, as it was written, that begins which a last segment `*` of its uri stands for.
    pub rest: Option<usize>,
}

/// A uri of a route that no request can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The route.
    pub route: ResourceId,
    /// The uri.
    pub uri: String,
    /// What hides it.
    pub by: HiddenBy,
}

/// What hides a route's uri.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HiddenBy {
    /// Another route that takes the same requests, and has a lower id.
    Route(ResourceId),
    /// The uri itself: no request has such a path.
    Uri(PathError),
}

impl Router {
    /// Compiles `routes`, and names each uri that no request can reach with what hides it.
    pub fn compile<'c>(routes: impl IntoIterator<Item = &'c Route>) -> (Self, Vec<Hidden>) {
        let routes: Vec<&Route> = routes.into_iter().collect();
        let mut places: Vec<usize> = (0..routes.len()).filter(|place| routes[*place].enabled).collect();
        places.sort_by_key(|place| order(&routes[*place].id));
        let mut router = Self::default();
        let mut hidden = Vec::new();
        for place in places {
            let route = routes[place];
            let any_host = route.hosts.is_empty().then_some(None);
            let hosts = route.hosts.iter().map(|host| Some(host.as_str())).chain(any_host);
            for (host, uri) in hosts.flat_map(|host| route.uris.iter().map(move |uri| (host, uri))) {
                let by = match router.add(place, route, host, uri) {
                    Ok(None) => continue,
                    Ok(Some(first)) => HiddenBy::Route(routes[first].id.clone()),
                    Err(error) => HiddenBy::Uri(error),
                };
                hidden.push(Hidden { route: route.id.clone(), uri: uri.clone(), by });
            }
        }
        (router, hidden)
    }

    /// The route that takes a request for `path` at `host` (without port) by `method`, if any does.
    pub fn find(&self, host: &str, path: &RoutePath<'_>, method: &Method) -> Option<Found> {
        let method = bit(method);
        let mut by_path = |paths: &Paths| {
            paths.find(path.normal(), &mut |entries| {
                entries.iter().find(|entry| entry.methods & method != 0).copied()
            })
        };
        let entry = self.find_by_host(host, &mut by_path).or_else(|| by_path(&self.any_host))?;
        Some(Found { route: entry.route, rest: entry.rest_after.map(|taken| path.raw_after(taken)) })
    }

    fn find_by_host<R>(&self, host: &str, by_path: &mut impl FnMut(&Paths) -> Option<R>) -> Option<R> {
        let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
        if self.hosts.is_empty() || host.len() > LONGEST_HOST {
            return None;
        }
        let mut reversed = [0; LONGEST_HOST];
        for (place, byte) in reversed.iter_mut().zip(host.iter().rev()) {
            *place = byte.to_ascii_lowercase();
        }
        self.hosts.find(&reversed[..host.len()], by_path)
    }

    /// Adds one uri. If no request can reach it there, the place of the first route that takes its requests.
    fn add(
        &mut self,
        place: usize,
        route: &Route,
        host: Option<&str>,
        uri: &str,
    ) -> Result<Option<usize>, PathError> {
        let paths = match host {
            None => &mut self.any_host,
            Some(host) => self.hosts.at(&reversed_pattern(host)).get_or_insert_default(),
        };
        let (pattern, rest_after) = match uri.strip_suffix('*') {
            Some(prefix) => {
                let normal = normal_prefix(prefix)?.into_owned();
                let rest_after = prefix.ends_with('/').then_some(normal.len());
                (Pattern::Prefix(normal), rest_after)
            }
            None => (Pattern::Exact(RoutePath::new(uri)?.normal().to_owned()), None),
        };
        let entries = paths.at(&pattern).get_or_insert_default();
        // A route that says a uri twice says nothing new.
        if entries.iter().any(|entry| entry.route == place) {
            return Ok(None);
        }
        let methods = mask(&route.methods);
        let taken = entries.iter().fold(0, |taken, entry| taken | entry.methods);
        let hidden_by = match methods & !taken {
            0 => entries.iter().find(|entry| entry.methods & methods != 0).map(|entry| entry.route),
            _ => None,
        };
        entries.push(Entry { route: place, methods, rest_after });
        Ok(hidden_by)
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "route \"{}\": no request can reach uri {}: ", self.route, self.uri)?;
        match &self.by {
            HiddenBy::Route(first) => write!(formatter, "route \"{first}\" takes the same requests first"),
            HiddenBy::Uri(error) => write!(formatter, "{error}"),
        }
    }
}

type Paths = Tree<Vec<Entry>>;

/// One route at one pattern.
#[derive(Clone, Copy)]
struct Entry {
    route: usize,
    methods: u16,
    /// For a uri whose last segment is `*`: how much of the normal path stands before it.
    rest_after: Option<usize>,
}

fn reversed_pattern(host: &str) -> Pattern {
    match host.strip_prefix('*') {
        Some(suffix) => Pattern::Prefix(suffix.bytes().rev().collect()),
        None => Pattern::Exact(host.strip_suffix('.').unwrap_or(host).bytes().rev().collect()),
    }
}

/// Ids that are numbers come first, in their own order; the others follow in the order of their text.
fn order(id: &ResourceId) -> (u64, &str) {
    (id.as_str().parse().unwrap_or(u64::MAX), id.as_str())
}

fn mask(methods: &[HttpMethod]) -> u16 {
    if methods.is_empty() {
        return u16::MAX;
    }
    methods.iter().fold(0, |mask, method| mask | 1 << *method as u16)
}

/// The bit of a method that routes can name; all others share one, which only routes without methods have.
fn bit(method: &Method) -> u16 {
    let named = match method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        "HEAD" => HttpMethod::Head,
        "OPTIONS" => HttpMethod::Options,
        "CONNECT" => HttpMethod::Connect,
        "TRACE" => HttpMethod::Trace,
        "PURGE" => HttpMethod::Purge,
        _ => return 1 << 15,
    };
    1 << named as u16
}

/// No name in DNS is longer.
const LONGEST_HOST: usize = 255;

#[cfg(test)]
mod tests;
