//! All that a producer must stand, call after call, told in sentences.

mod checks;

use std::fmt;

use serde_json::{Value, json};

use super::Caller;

/// What a producer is tried with. It makes credentials, and revokes every one of them.
#[derive(Clone, Debug)]
pub struct Conformance {
    pub(super) payload: String,
    pub(super) input: Value,
    pub(super) rotates: bool,
}

impl Default for Conformance {
    fn default() -> Self {
        Self { payload: String::new(), input: json!({}), rotates: false }
    }
}

impl Conformance {
    /// The producer's own secret. It is looked for in every refusal, where it must not be.
    #[must_use]
    pub fn payload(mut self, payload: &str) -> Self {
        payload.clone_into(&mut self.payload);
        self
    }

    /// What a user gives with a request, an object.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }

    /// Have the payload rotated, too: whatever the producer administers has another secret then.
    #[must_use]
    pub fn rotating(mut self) -> Self {
        self.rotates = true;
        self
    }

    /// Makes all the calls, and tells what came of them.
    pub async fn check(&self, caller: &Caller) -> Report {
        checks::all(self, caller).await
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which it was tried.
    pub findings: Vec<Finding>,
}

/// What came of one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What should be so.
    pub sentence: &'static str,
    /// Whether it is.
    pub outcome: Outcome,
}

/// Whether a sentence holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Holds,
    /// It does not; what happened instead.
    Broken(String),
    /// Nobody knows, and why.
    NotTried(&'static str),
}

impl Report {
    /// Whether no sentence is broken.
    pub fn holds(&self) -> bool {
        self.broken().is_empty()
    }

    /// The sentences that are.
    pub fn broken(&self) -> Vec<&'static str> {
        let broken = |finding: &&Finding| matches!(finding.outcome, Outcome::Broken(_));
        self.findings.iter().filter(broken).map(|finding| finding.sentence).collect()
    }

    pub(super) fn add(&mut self, sentence: &'static str, outcome: Outcome) {
        self.findings.push(Finding { sentence, outcome });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { sentence, outcome } in &self.findings {
            match outcome {
                Outcome::Holds => writeln!(formatter, "holds      {sentence}")?,
                Outcome::Broken(why) => writeln!(formatter, "BROKEN     {sentence}: {why}")?,
                Outcome::NotTried(why) => writeln!(formatter, "not tried  {sentence}: {why}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
