//! Finds what serves a request: by host, path, method, address and variables.
//!
//! **Hosts** first: exact, then the longest wildcard, then shorter ones, then the routes without host. **Paths** within
//! one: byte by byte from the left, what a pattern spells out comes before a parameter, and a parameter before a `*`.
//! So exact paths come first, and of prefixes the longest. Of routes with the very same pattern the one with the highest
//! **priority** is asked first, and of equal ones that with the lowest id. Asked means: does it take the method, the
//! client's address, and what `vars` say? The first that takes all serves, else the search goes on to shorter prefixes,
//! shorter wildcards and the routes without host.
//!
//! A router never blocks and is cheap to clone; clones share what they have in common, and a change to one copies only
//! the few nodes on its way. So the router that requests are served from can be replaced by one that differs in one
//! route of a hundred thousand, within microseconds.

mod candidates;
mod hidden;
mod host;
mod path_pattern;
mod route_match;
mod router;
mod tree;

pub use gateward_vars::{PathError, RoutePath};
pub use hidden::{Hidden, HiddenBy};
pub use path_pattern::UriError;
pub use route_match::{Matched, RouteMatch};
pub use router::{Found, Router};
