//! `admin.json`: the administrator whom `gateward dev` made, kept for its next start and for the other commands.
//!
//! It holds secrets, so its owner alone can read it, and one that others can read is refused. It appears whole or not
//! at all, and the first of two processes that start at once decides what is in it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gateward_access::AccessId;
use gateward_seal::{SecretValue, wipe};
use serde::Deserialize;
use serde_json::{Value, json};

use super::DEV_DATA_DIR;
use crate::surroundings::Surroundings;

/// Where the administrator is kept.
#[derive(Clone, Debug)]
pub struct AdminFile {
    path: PathBuf,
}

/// Who administers, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Who logs in.
    pub access_id: AccessId,
    /// With what.
    pub access_key: SecretValue,
    /// What APISIX clients say.
    pub apisix_admin_key: SecretValue,
}

/// Why the file is of no use. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum AdminFileError {
    /// It cannot be read, or not be made.
    #[error("{} cannot be read or made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "{path} can be read by others than its owner (mode {mode:04o}); remove it, and `gateward dev` makes another",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "{} is not what `gateward dev` wrote: {problem}; put it right, or remove it, and another is made",
        path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl AdminFile {
    /// The file of a process that keeps its things in `data_dir`.
    pub fn within(data_dir: &Path) -> Self {
        Self { path: data_dir.join("admin.json") }
    }

    /// The file of a `gateward dev` that was started in this directory and this environment.
    pub fn of_dev(surroundings: &Surroundings) -> Self {
        match surroundings.variable("GATEWARD_DATA_DIR") {
            Some(data_dir) => Self::within(Path::new(data_dir)),
            None => Self::within(&surroundings.directory.join(DEV_DATA_DIR)),
        }
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who is kept, if anybody is.
    pub fn read(&self) -> Result<Option<Kept>, AdminFileError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        // Of the open file, not of the path: what is judged is what is read.
        let mode = file.metadata().map_err(|error| self.failed(error))?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(AdminFileError::Exposed { path: self.path.clone(), mode });
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| self.failed(error))?;
        let kept = gateward_model::from_admin(&text).and_then(|mut json: Value| {
            let kept = gateward_model::parse(&json);
            wipe(&mut json);
            kept
        });
        kept.map(Some).map_err(|invalid| AdminFileError::Content {
            path: self.path.clone(),
            problem: invalid.to_string(),
        })
    }

    /// Who is kept, and whether it was `make` that made it, just now.
    pub fn read_or_create(&self, make: impl FnOnce() -> Kept) -> Result<(Kept, bool), AdminFileError> {
        if let Some(kept) = self.read()? {
            return Ok((kept, false));
        }
        let made = make();
        match self.create(&made) {
            Ok(()) => Ok((made, true)),
            // Another process was faster: whom it made is the one that stands.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.read()? {
                Some(kept) => Ok((kept, false)),
                None => Err(self.failed(error)),
            },
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Puts `kept` into the file, whole and durable, or fails because there is one.
    fn create(&self, kept: &Kept) -> io::Result<()> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let draft = directory.join(format!(".admin-{}.json", std::process::id()));
        match std::fs::remove_file(&draft) {
            // What another process of this number left when it was killed.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // A link and not a rename, which would replace what another process has just made.
        let linked = write(&draft, kept).and_then(|()| std::fs::hard_link(&draft, &self.path));
        let removed = std::fs::remove_file(&draft);
        linked?;
        removed?;
        File::open(directory)?.sync_all()
    }

    fn failed(&self, source: io::Error) -> AdminFileError {
        AdminFileError::File { path: self.path.clone(), source }
    }
}

fn write(draft: &Path, kept: &Kept) -> io::Result<()> {
    let mut json = json!({
        "access_id": kept.access_id.as_str(),
        "access_key": kept.access_key.expose(),
        "apisix_admin_key": kept.apisix_admin_key.expose(),
    });
    let text = SecretValue::new(format!("{json:#}\n"));
    wipe(&mut json);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.expose().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
