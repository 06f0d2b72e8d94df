//! Which requests a route takes.

use std::cmp::Reverse;
use std::sync::Arc;

use gateward_model::apisix::{AddressRange, HttpMethod, ResourceId};
use gateward_vars::Condition;
use http::Method;

/// Which requests a route takes.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// The route's id.
    pub id: ResourceId,
    /// Exact paths, prefixes that end with `*`, and patterns with parameters.
    pub uris: Vec<String>,
    /// Exact hosts, and those that begin with `*`; empty for any.
    pub hosts: Vec<String>,
    /// Empty for all methods but TRACE: whoever may send that reads the secrets that others added to the request, so it
    /// wants a route that says so.
    pub methods: Vec<HttpMethod>,
    /// Where clients may be; empty for anywhere.
    pub remote_addrs: Vec<AddressRange>,
    /// What else must hold of a request.
    pub condition: Option<Arc<Condition>>,
    /// Of routes with the same pattern the one with the highest priority is asked first.
    pub priority: i32,
}

/// By which of its uris, and at which of its hosts, a route took a request.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The route.
    pub route: Arc<RouteMatch>,
    /// The place of the uri.
    pub uri: usize,
    /// The place of the host, if the route has any.
    pub host: Option<usize>,
}

impl Matched {
    /// The uri, as the route has it.
    pub fn uri(&self) -> &str {
        self.route.uris.get(self.uri).map_or("", String::as_str)
    }

    /// The host, as the route has it; empty if it has none.
    pub fn host(&self) -> &str {
        self.host.and_then(|host| self.route.hosts.get(host)).map_or("", String::as_str)
    }
}

impl RouteMatch {
    /// Its place among the routes with the same pattern: by priority, then by id. Ids that are numbers come first, in
    /// their own order; the others follow in the order of their text.
    pub(crate) fn rank(&self) -> (Reverse<i32>, u64, &str) {
        let id = self.id.as_str();
        (Reverse(self.priority), id.parse().unwrap_or(u64::MAX), id)
    }

    /// Whether there is more to ask than the method.
    pub(crate) fn is_picky(&self) -> bool {
        !self.remote_addrs.is_empty() || self.condition.is_some()
    }

    pub(crate) fn needs_body(&self) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.needs_body())
    }

    /// The methods that it takes, a bit for each.
    pub(crate) fn methods(&self) -> u16 {
        match self.methods.as_slice() {
            [] => !(1 << HttpMethod::Trace as u16),
            methods => methods.iter().fold(0, |mask, method| mask | 1 << *method as u16),
        }
    }
}

/// The bit of a method that routes can name; all others share one, which only routes without methods have.
pub(crate) fn bit(method: &Method) -> u16 {
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
