//! Variables of a request, in nginx's and APISIX's names, and what is made of them.
//!
//! ```text
//! Facts ── what is known of a request, by reference; free to build, nothing is computed before it is asked for
//!   ├─ get(Variable)      one value, or none
//!   ├─ Condition::holds   `vars` of a route, `_meta.filter` of a plugin
//!   └─ Template::render   texts such as "$remote_addr ${http_x}"
//! ```

mod arguments;
mod body;
mod condition;
mod facts;
mod literal;
mod params;
mod path;
mod template;
mod variable;

pub use body::RequestBody;
pub use condition::Condition;
pub use facts::{Facts, RouteFacts, UpstreamFacts};
pub use literal::{Segment, literal, plain, segments};
pub use params::Params;
pub use path::{PathError, RoutePath, normal_prefix};
pub use template::Template;
pub use variable::Variable;

#[cfg(test)]
mod testing;
