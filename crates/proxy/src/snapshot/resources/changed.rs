//! What has changed among the resources.

use std::collections::BTreeSet;

use gateward_model::apisix::Kind;
use gateward_store::Key;

/// What has changed since somebody last asked.
#[derive(Debug, Default)]
pub(crate) enum Changed {
    /// Something that others may be made of, or nobody knows what.
    #[default]
    Anything,
    /// The routes of these ids, of which nothing is made, and nothing else.
    Routes(BTreeSet<String>),
}

impl Changed {
    /// Nothing, so far.
    pub(super) fn nothing() -> Self {
        Self::Routes(BTreeSet::new())
    }

    /// What stands at `key` has changed, too.
    pub(super) fn add(&mut self, key: &Key) {
        match self {
            Self::Routes(ids) if key.partition == Kind::Routes.plural() => {
                ids.insert(key.sort.clone());
            }
            _ => *self = Self::Anything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(keys: &[(&str, &str)]) -> Changed {
        let mut changed = Changed::nothing();
        for (partition, sort) in keys {
            changed.add(&Key { partition: (*partition).to_owned(), sort: (*sort).to_owned() });
        }
        changed
    }

    #[test]
    fn routes_alone_are_known_by_name_and_with_anything_else_nothing_is() {
        let Changed::Routes(ids) = after(&[("routes", "1"), ("routes", "2"), ("routes", "1")]) else {
            panic!("only routes have changed");
        };
        assert!(ids.into_iter().eq(["1", "2"]));
        assert!(matches!(after(&[("routes", "1"), ("services", "s")]), Changed::Anything));
        assert!(matches!(after(&[("upstreams", "u"), ("routes", "1")]), Changed::Anything));
    }
}
