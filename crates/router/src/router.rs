//! The router: routes by host, then by path.

use std::sync::Arc;

use gateward_vars::{Facts, Params, RoutePath};
use http::Method;

use crate::candidates::{Candidate, Candidates};
use crate::hidden::{Hidden, HiddenBy};
use crate::host;
use crate::path_pattern::PathPattern;
use crate::route_match::{RouteMatch, bit};
use crate::tree::{Fit, Segment, Tree};

/// Routes, compiled for matching; each has a `T` that serves its requests.
#[derive(Debug)]
pub struct Router<T> {
    hosts: Tree<Paths<T>>,
    any_host: Paths<T>,
    /// How many candidates ask for something in the body.
    needing_body: usize,
}

type Paths<T> = Tree<Candidates<T>>;

/// The route that takes a request.
#[derive(Clone, Debug)]
pub struct Found<'r, T> {
    /// What serves its requests.
    pub payload: &'r T,
    /// Where in the request's path, as it was written, that begins which a last segment `*` of its uri stands for.
    pub rest: Option<usize>,
    /// What the parameters in its uri stand for.
    pub params: Params,
    /// By which of its uris it was found.
    pub uri: usize,
    /// At which of its hosts, if it has any.
    pub host: Option<usize>,
}

impl<T> Router<T> {
    /// The route that takes a request for `path` at `host` (without port) by `method`, if any does.
    pub fn find(
        &self,
        host: &str,
        path: &RoutePath<'_>,
        method: &Method,
        facts: &Facts<'_>,
    ) -> Option<Found<'_, T>> {
        let method = bit(method);
        self.search(host, path, &mut |candidates, fit| {
            for candidate in candidates.iter().filter(|candidate| candidate.methods & method != 0) {
                let params = params(candidate, path, fit);
                if candidate.takes(facts, &params) {
                    let rest = candidate.has_rest.then(|| path.raw_after(fit.taken));
                    let (uri, host) = (candidate.uri, candidate.host);
                    return Some(Found { payload: &candidate.payload, rest, params, uri, host });
                }
            }
            None
        })
    }

    /// Whether a route asks for something in the body of a request. If none does, there is no need to ask
    /// [`wants_body`](Self::wants_body).
    pub fn needs_body(&self) -> bool {
        self.needing_body > 0
    }

    /// Whether it depends on the body of this very request which route takes it.
    pub fn wants_body(&self, host: &str, path: &RoutePath<'_>, method: &Method, facts: &Facts<'_>) -> bool {
        let method = bit(method);
        let wants = self.search(host, path, &mut |candidates, fit| {
            for candidate in candidates.iter().filter(|candidate| candidate.methods & method != 0) {
                if candidate.needs_body() && candidate.takes_address(facts) {
                    return Some(true);
                }
                if candidate.takes(facts, &params(candidate, path, fit)) {
                    return Some(false);
                }
            }
            None
        });
        wants.unwrap_or(false)
    }

    /// What `accept` makes of the first candidates that it accepts, the most specific ones first.
    fn search<'r, R>(
        &'r self,
        host: &str,
        path: &RoutePath<'_>,
        accept: &mut impl FnMut(&'r Candidates<T>, Fit<'_>) -> Option<R>,
    ) -> Option<R> {
        if !self.hosts.is_empty() {
            let by_host = host::with_key(host, |key| {
                self.hosts.find(key, &mut |paths: &'r Paths<T>, _| paths.find(path.normal(), accept))
            });
            if by_host.is_some() {
                return by_host;
            }
        }
        self.any_host.find(path.normal(), accept)
    }
}

impl<T: Clone> Router<T> {
    /// Compiles `routes`, and names each uri that no request can reach with what hides it.
    pub fn compile(routes: impl IntoIterator<Item = (Arc<RouteMatch>, T)>) -> (Self, Vec<Hidden>) {
        let mut router = Self::default();
        let mut hidden = Vec::new();
        for (route, payload) in routes {
            router.insert_with(&route, &payload, &mut hidden, |_, _| {});
        }
        router.each(&mut |candidates| hidden.extend(hidden_of(candidates, candidates.hidden())));
        hidden.sort_by(|one, other| {
            (&one.route, &one.uri, &one.host).cmp(&(&other.route, &other.uri, &other.host))
        });
        (router, hidden)
    }

    /// Adds a route, whose id is that of no other. Names the uris that no request can reach from now on.
    pub fn insert(&mut self, route: &Arc<RouteMatch>, payload: T) -> Vec<Hidden> {
        let (mut hidden, mut newly) = (Vec::new(), Vec::new());
        self.insert_with(route, &payload, &mut hidden, |candidates, new| {
            newly.extend(hidden_of(candidates, candidates.hidden_since(new)));
        });
        hidden.append(&mut newly);
        hidden
    }

    /// Removes a route; `route` must be what it was added with.
    pub fn remove(&mut self, route: &RouteMatch) {
        for uri in &route.uris {
            let Ok(PathPattern { pattern, .. }) = PathPattern::parse(uri) else { continue };
            let mut gone = 0;
            self.at_hosts(route, |_, paths| {
                paths.update(&pattern, &mut |place| gone += Candidates::remove(place, route));
            });
            if route.needs_body() {
                self.needing_body -= gone;
            }
        }
    }

    fn insert_with(
        &mut self,
        route: &Arc<RouteMatch>,
        payload: &T,
        hidden: &mut Vec<Hidden>,
        mut inserted: impl FnMut(&Candidates<T>, usize),
    ) {
        for (place, uri) in route.uris.iter().enumerate() {
            let path = match PathPattern::parse(uri) {
                Ok(path) => path,
                Err(error) => {
                    let by = HiddenBy::Uri(error);
                    hidden.push(Hidden { route: route.id.clone(), uri: uri.clone(), host: None, by });
                    continue;
                }
            };
            let candidate = Candidate {
                methods: route.methods(),
                is_picky: route.is_picky(),
                has_addresses: !route.remote_addrs.is_empty(),
                condition: route.condition.clone(),
                has_rest: path.has_rest,
                uri: place,
                host: None,
                names: path.names,
                route: Arc::clone(route),
                payload: payload.clone(),
            };
            let mut new = 0;
            self.at_hosts(route, |host, paths| {
                paths.update(&path.pattern, &mut |place| {
                    let at = Candidates::insert(place, Candidate { host, ..candidate.clone() });
                    if let (Some(at), Some(candidates)) = (at, place) {
                        new += 1;
                        inserted(candidates, at);
                    }
                });
            });
            if route.needs_body() {
                self.needing_body += new;
            }
        }
    }

    /// Calls `change` with the paths of each host that the route takes requests for.
    fn at_hosts(&mut self, route: &RouteMatch, mut change: impl FnMut(Option<usize>, &mut Paths<T>)) {
        if route.hosts.is_empty() {
            return change(None, &mut self.any_host);
        }
        for (which, host) in route.hosts.iter().enumerate() {
            self.hosts.update(&host::pattern(host), &mut |place| {
                let paths = place.get_or_insert_default();
                change(Some(which), paths);
                if paths.is_empty() {
                    *place = None;
                }
            });
        }
    }

    fn each(&self, visit: &mut impl FnMut(&Candidates<T>)) {
        self.hosts.each(&mut |paths| paths.each(visit));
        self.any_host.each(visit);
    }
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self { hosts: self.hosts.clone(), any_host: self.any_host.clone(), needing_body: self.needing_body }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { hosts: Tree::default(), any_host: Tree::default(), needing_body: 0 }
    }
}

/// What the parameters of the candidate's uri stand for. Nearly every uri has none, and this costs nothing.
fn params<T>(candidate: &Candidate<T>, path: &RoutePath<'_>, fit: Fit<'_>) -> Params {
    let Some(names) = &candidate.names else { return Params::default() };
    let mut values = Vec::with_capacity(names.len());
    let mut segment = fit.last;
    while let Some(Segment { from, to, before }) = segment {
        values.push(&path.normal()[*from..*to]);
        segment = *before;
    }
    values.reverse();
    // The one name that is left is that of the rest.
    if values.len() < names.len() {
        values.push(&path.normal()[fit.taken..]);
    }
    Params::new(names, values.into_iter())
}

/// Words for the candidates at those places, each hidden by that at the other.
fn hidden_of<T>(candidates: &Candidates<T>, places: Vec<(usize, usize)>) -> impl Iterator<Item = Hidden> {
    places.into_iter().map(|(place, by)| {
        let Candidate { route, uri, host, .. } = candidates.at(place);
        Hidden {
            route: route.id.clone(),
            uri: route.uris[*uri].clone(),
            host: host.map(|host| route.hosts[host].clone()),
            by: HiddenBy::Route(candidates.at(by).route.id.clone()),
        }
    })
}

#[cfg(test)]
mod tests;
