//! The environment's variables, as all tools of AWS read them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The environment's variables.
#[derive(Clone)]
pub(super) struct Variables(Arc<BTreeMap<String, String>>);

impl Variables {
    pub(super) fn new(environment: BTreeMap<String, String>) -> Self {
        Self(Arc::new(environment))
    }

    /// A variable; one that is empty is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a variable that forbids something does: any value but `false` is meant so.
    pub(super) fn forbids(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    }

    /// A path, whose `~/` is the home directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.get("HOME")) {
            (Some(inside), Some(home)) => PathBuf::from(home).join(inside),
            _ => PathBuf::from(text),
        }
    }
}
