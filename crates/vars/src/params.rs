//! What the parameters in a route's `uri` stand for in one request's path.

use std::sync::Arc;

/// The names and values of a request's parameters. Empty for nearly every request, and then without cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(Arc<str>, String)>);

impl Params {
    /// The value of the parameter `name`, of the last one if several are called so: percent-decoded, but for encoded
    /// slashes and percent signs.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|(known, value)| (**known == *name).then_some(value.as_str()))
    }

    /// All of them, in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Arc<str>, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, String)>>(params: I) -> Self {
        Self(params.into_iter().collect())
    }
}
