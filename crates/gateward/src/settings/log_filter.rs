//! What is logged: a level for all, and levels for targets.
//!
//! The filter of tracing takes any word for a target, and then logs nothing else, so a level that is misspelt would end
//! the log in silence. Here a word is a level, or it is refused. And the lines of the audit are no matter of levels: they
//! are there unless they are switched off by their own name.

use std::str::FromStr;

use super::values::Wrong;

/// A filter, in the words of tracing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// For tracing.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self(format!("info,{AUDIT}=info"))
    }
}

impl FromStr for LogFilter {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (mut of_all, mut of_audit) = (None, None);
        let mut of_targets = Vec::new();
        for part in text.split(',').map(str::trim) {
            let Some((target, level)) = part.split_once('=') else {
                if of_all.replace(level_of(part)?).is_some() {
                    return Err(Wrong(FORM));
                }
                continue;
            };
            let (target, level) = (target.trim(), level_of(level.trim())?);
            let is_target = |byte: u8| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte);
            if target.is_empty() || !target.bytes().all(is_target) {
                return Err(Wrong(FORM));
            }
            match (target, level) {
                (AUDIT, "error" | "warn") => {
                    return Err(Wrong(
                        "the lines of the audit are of the level info: audit=info, or audit=off",
                    ));
                }
                (AUDIT, level) => of_audit = Some(level),
                (target, level) => of_targets.push(format!("{target}={level}")),
            }
        }
        let (of_all, of_audit) = (of_all.unwrap_or("info"), of_audit.unwrap_or("info"));
        let first = [of_all.to_owned(), format!("{AUDIT}={of_audit}")];
        Ok(Self(first.into_iter().chain(of_targets).collect::<Vec<_>>().join(",")))
    }
}

fn level_of(word: &str) -> Result<&'static str, Wrong> {
    LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(word)).ok_or(Wrong(FORM))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The target of the lines that say who did what.
const AUDIT: &str = "audit";

const FORM: &str = "a filter is off, error, warn, info, debug or trace, and target=level after it for some, as in \
                    info,gateward_leases=debug";

#[cfg(test)]
mod tests;
