//! What is wrong with a resource, and where.

use std::fmt;

/// What is wrong with a resource: the field, by its path, and a sentence about it.
///
/// It never holds the field's value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The path of the field, for example `upstream.nodes`; empty when it is about the whole.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl Invalid {
    /// `problem` with the field at `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same, for a field that stands inside `outer`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => outer.to_owned(),
            place if place.starts_with('[') => format!("{outer}{place}"),
            inner => format!("{outer}.{inner}"),
        };
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return formatter.write_str(&self.problem);
        }
        write!(formatter, "property \"{}\": {}", self.field, self.problem)
    }
}

impl std::error::Error for Invalid {}
