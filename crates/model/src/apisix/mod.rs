//! Routes and upstreams, as APISIX has them.

mod id;
mod route;
mod upstream;

pub use id::ResourceId;
pub use route::{HttpMethod, Route, RouteUpstream, Timeout};
pub use upstream::{Node, Scheme, Upstream};

#[cfg(test)]
mod tests;
