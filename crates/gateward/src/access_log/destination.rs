//! Where the lines go: a stream of the process, or the end of a file that others may move away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::settings::AccessLog as Target;

/// Where the lines go.
pub(super) enum Destination {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

impl Destination {
    /// Opens `target`, if it is somewhere.
    pub(super) fn open(target: &Target) -> Result<Option<Self>, (PathBuf, io::Error)> {
        Ok(Some(match target {
            Target::Off => return Ok(None),
            Target::Stdout => Self::Stdout,
            Target::Stderr => Self::Stderr,
            Target::File(path) => {
                let file = open(path).map_err(|error| (path.clone(), error))?;
                Self::File { path: path.clone(), file }
            }
        }))
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines).and_then(|()| stdout.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File { file, .. } => file.write_all(lines),
        }
    }

    /// Whether the file that is written is not the one that stands in its place any more.
    pub(super) fn has_moved(&self) -> bool {
        let Self::File { path, file } = self else { return false };
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (std::fs::metadata(path), file.metadata()) {
            (Ok(there), Ok(ours)) => identity(there) != identity(ours),
            _ => true,
        }
    }

    /// Opens the file anew. The old one is kept if that fails.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Self::File { path, file } = self {
            *file = open(path)?;
        }
        Ok(())
    }
}

/// Who called what is nobody else's business, so nobody else may read it.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}
