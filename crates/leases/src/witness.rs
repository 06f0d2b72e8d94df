//! What was seen of the store, kept outside of it.
//!
//! A store that is put back to an earlier state cannot tell: in it everything is as it was then, leases that were renewed
//! since look expired, and a revocation would take a credential from under its holder. So a witness outside remembers how
//! far the store had come. It also remembers both clocks, to tell a clock that was set while the gateway was down.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Timestamp;
use serde::{Deserialize, Serialize};

/// What was seen last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which store.
    pub store: String,
    /// How far it had come: of a number that grows in it while leases are written.
    pub ticks: u64,
    /// The wall clock.
    pub now: Timestamp,
    /// How long the machine had run.
    pub uptime: Duration,
    /// Since which start of the machine, where that can be told.
    pub boot: Option<String>,
}

/// Remembers what was seen of the store.
#[async_trait]
pub trait Witness: Send + Sync + 'static {
    /// What was seen last; nothing, if nothing ever was.
    async fn recall(&self) -> io::Result<Option<Seen>>;

    /// Remembers what is seen now.
    async fn remember(&self, seen: &Seen) -> io::Result<()>;

    /// Which start of the machine this is, where that can be told.
    fn boot(&self) -> Option<String> {
        None
    }
}

/// A witness that is a file.
#[derive(Debug)]
pub struct FileWitness {
    path: PathBuf,
}

impl FileWitness {
    /// The file at `path`; it need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }
}

#[async_trait]
impl Witness for FileWitness {
    async fn recall(&self) -> io::Result<Option<Seen>> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || fs::read(path)).await?;
        match read {
            // What cannot be read is no witness; the next one is written over it.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remember(&self, seen: &Seen) -> io::Result<()> {
        let (path, bytes) = (self.path.clone(), serde_json::to_vec(seen)?);
        tokio::task::spawn_blocking(move || replace(&path, &bytes)).await?
    }

    fn boot(&self) -> Option<String> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(boot.trim().to_owned())
    }
}

/// Whoever reads it sees the file of before or that of after, also after a power cut.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // The directory may be everybody's; what the store has got to is nobody else's.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_file_recalls_what_it_was_told_last() {
        let folder = tempfile::tempdir().unwrap();
        let witness = FileWitness::at(folder.path().join("witness.json"));
        assert_eq!(witness.recall().await.unwrap(), None);
        for ticks in [7, 8] {
            let seen = Seen {
                store: "a".to_owned(),
                ticks,
                now: Timestamp::from_secs(9),
                uptime: Duration::from_secs(1),
                boot: witness.boot(),
            };
            witness.remember(&seen).await.unwrap();
            assert_eq!(witness.recall().await.unwrap(), Some(seen));
            let file = fs::metadata(folder.path().join("witness.json")).unwrap();
            assert_eq!(file.mode() & 0o777, 0o600, "its owner's alone, whatever the directory is");
        }
        // What the disk does not confirm is not remembered: this takes what is written, and cannot be synced.
        std::os::unix::fs::symlink("/dev/null", folder.path().join("witness.new")).unwrap();
        let before = witness.recall().await.unwrap();
        let newer = Seen { ticks: 9, ..before.clone().unwrap() };
        assert!(witness.remember(&newer).await.is_err());
        assert_eq!(witness.recall().await.unwrap(), before);
        fs::remove_file(folder.path().join("witness.new")).unwrap();
        witness.remember(&newer).await.unwrap();
        assert_eq!(witness.recall().await.unwrap(), Some(newer));

        fs::write(folder.path().join("witness.json"), "{").unwrap();
        assert_eq!(witness.recall().await.unwrap(), None, "half a file is none");
    }
}
