//! What the parameters in a route's `uri` stand for in one request's path.

use std::sync::Arc;

/// The names and values of a request's parameters. Empty for nearly every request, and then without cost; else with one
/// allocation, for the names are the route's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    names: Option<Arc<[Arc<str>]>>,
    /// One after the other, each but the first after a NUL, which no path has.
    values: String,
}

impl Params {
    /// Parameters of these `names`, with those values, in the order of the path.
    pub fn new<'v>(names: &Arc<[Arc<str>]>, values: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut joined = String::new();
        for (place, value) in values.enumerate() {
            if place > 0 {
                joined.push('\0');
            }
            joined.push_str(&String::from_utf8_lossy(value));
        }
        Self { names: Some(Arc::clone(names)), values: joined }
    }

    /// The value of the parameter `name`, of the last one if several are called so: percent-decoded, but for encoded
    /// slashes and percent signs.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().filter(|(known, _)| *known == name).last().map(|(_, value)| value)
    }

    /// All of them, in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.names.iter().flat_map(|names| names.iter());
        names.map(|name| &**name).zip(self.values.split('\0'))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_value_and_the_last_of_equal_names_counts() {
        let names: Arc<[Arc<str>]> = ["a", "b", "a", "d"].map(Arc::from).into();
        let params = Params::new(&names, ["1", "", "3", "x/y"].iter().map(|value| value.as_bytes()));
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [("a", "1"), ("b", ""), ("a", "3"), ("d", "x/y")]);
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("3"), Some(""), None));
        assert!(!params.is_empty());
    }

    #[test]
    fn without_names_there_is_nothing() {
        assert!(Params::default().is_empty());
        assert_eq!(Params::default().iter().count(), 0);
    }
}
