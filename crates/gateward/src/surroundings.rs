//! What the process finds itself in: its environment, its directory, its processors.
//!
//! Read once, here, and handed on: nothing else in Gateward asks the operating system for a variable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::available_parallelism;

/// What the process finds itself in.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The environment's variables.
    pub environment: BTreeMap<String, String>,
    /// What relative paths of our own choice start from.
    pub directory: PathBuf,
    /// How many threads can run at once.
    pub cores: usize,
}

/// A variable that we would read is not text.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} is not UTF-8")]
pub struct NotText {
    name: String,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Result<Self, NotText> {
        let mut environment = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => {
                    environment.insert(name, value);
                }
                // To go on without it would be to start with other settings than were meant.
                Err(_) if name.starts_with("GATEWARD_") => return Err(NotText { name }),
                Err(_) => {}
            }
        }
        Ok(Self {
            environment,
            directory: PathBuf::new(),
            cores: available_parallelism().map_or(1, usize::from),
        })
    }

    /// A variable; one that is empty is as good as absent.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

/// Names no value: the environment is where secrets are.
impl std::fmt::Debug for Surroundings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Surroundings")
            .field("directory", &self.directory)
            .field("cores", &self.cores)
            .finish_non_exhaustive()
    }
}
