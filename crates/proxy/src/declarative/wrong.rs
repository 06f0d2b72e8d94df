//! What is wrong in a file: where, and a sentence. Never a value.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Place;

/// Something that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Why the files were not taken: all that is wrong in them, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Vec<Wrong>);

impl Wrong {
    pub(super) fn at(file: &Path, (place, problem): (Place, String)) -> Self {
        Self { file: file.to_owned(), place, problem }
    }
}

impl Refused {
    /// In the order in which somebody who mends the files comes by.
    pub(super) fn sorted(mut wrong: Vec<Wrong>) -> Self {
        wrong.sort_by(|one, other| (&one.file, one.place).cmp(&(&other.file, other.place)));
        Self(wrong)
    }

    /// All that is wrong.
    pub fn errors(&self) -> &[Wrong] {
        &self.0
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(formatter, "{}:{line}:{column}: {}", self.file.display(), self.problem)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else { return Ok(()) };
        write!(formatter, "{first}")?;
        match others.len() {
            0 => Ok(()),
            1 => formatter.write_str(" (and one more error)"),
            more => write!(formatter, " (and {more} more errors)"),
        }
    }
}

impl std::error::Error for Refused {}
