//! Routes that no request can reach.

use std::fmt;

use gateward_model::apisix::ResourceId;

use crate::UriError;

/// A uri of a route that no request can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The route.
    pub route: ResourceId,
    /// The uri.
    pub uri: String,
    /// The one of the route's hosts at which it is hidden; none where it has no hosts, or at all of them.
    pub host: Option<String>,
    /// What hides it.
    pub by: HiddenBy,
}

/// What hides a route's uri.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HiddenBy {
    /// Another route that takes the same requests, and is asked before.
    Route(ResourceId),
    /// The uri itself: no request has such a path.
    Uri(UriError),
}

impl fmt::Display for Hidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "route \"{}\": no request can reach uri {}", self.route, self.uri)?;
        if let Some(host) = &self.host {
            write!(formatter, " at host {host}")?;
        }
        match &self.by {
            HiddenBy::Route(first) => write!(formatter, ": route \"{first}\" takes the same requests first"),
            HiddenBy::Uri(error) => write!(formatter, ": {error}"),
        }
    }
}
