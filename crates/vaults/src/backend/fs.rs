//! A directory as a vault: a secret is a file in it, or below it.
//!
//! The file that is read lies in the directory once all symbolic links are followed, so that a link may lead from one
//! place in it to another (Kubernetes mounts a secret so, and swaps one link to change all of its files at once) but
//! not out of it. Files that were read are looked at from then on, and asked for again when they have changed.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Clock;
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use rustix::fs::OFlags;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::text::of_bytes;
use super::{Backend, Changes, Fence, Kind, Surroundings, Wanted};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};

pub(super) const KIND: Kind =
    Kind { name: "fs", fields: &[Field::text("prefix")], is_constant: false, check, open };

struct Directory {
    root: PathBuf,
    fence: Arc<Fence>,
    watched: Arc<Watched>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

fn check(settings: &Settings<'_>) -> Result<(), Invalid> {
    match settings.text("prefix")? {
        Some(prefix) if !Path::new(&prefix).is_absolute() => {
            Err(Invalid::new("prefix", "expected the whole path of a directory, which begins with /"))
        }
        Some(prefix) => {
            Fence::default().check(Path::new(&prefix)).map_err(|problem| Invalid::new("prefix", problem))
        }
        None => Ok(()),
    }
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    check(settings)?;
    Ok(Arc::new(Directory {
        root: settings.required("prefix")?.into(),
        fence: Arc::clone(&surroundings.fence),
        watched: Arc::default(),
        clock: Arc::clone(&surroundings.clock),
        runtime: surroundings.runtime.clone(),
    }))
}

#[async_trait]
impl Backend for Directory {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        check_name(wanted.name)?;
        if wanted.version == Version::Previous {
            return Err(Miss::new(MissKind::NotFound, "a file has no version before the one that is there"));
        }
        let (root, fence, name) = (self.root.clone(), Arc::clone(&self.fence), wanted.name.to_owned());
        let read = move || {
            // The look comes first: what is written after it will be seen to differ.
            let look = Look::at(&root.join(&name));
            (read(&root, &fence, &name), look)
        };
        let (text, look) = self.runtime.spawn_blocking(read).await.map_err(|error| unavailable(&error))?;
        self.watched.remember(wanted.name, look);
        text
    }

    fn follow(&self, changes: Changes) {
        let watched = Arc::downgrade(&self.watched);
        self.runtime.spawn(watch(self.root.clone(), watched, Arc::clone(&self.clock), changes));
    }
}

/// Refuses what could lead elsewhere, and the names that Kubernetes keeps for itself.
fn check_name(name: &str) -> Result<(), Miss> {
    if name.split('/').any(|part| part.is_empty() || part == "." || part.starts_with("..")) {
        let problem = "it is no path below the directory: no part of it is empty, . or begins with ..";
        return Err(Miss::new(MissKind::Denied, problem));
    }
    Ok(())
}

/// The text in the file `name` below `root`.
fn read(root: &Path, fence: &Fence, name: &str) -> Result<SecretValue, Miss> {
    let real_root = root.canonicalize().map_err(|error| {
        let problem = format!("the directory {} cannot be read: {error}", root.display());
        Miss::new(MissKind::Unavailable, problem)
    })?;
    // Where all files are swapped at once, one may vanish between two steps; another has its name then.
    let mut attempts = 0;
    let bytes = loop {
        attempts += 1;
        match read_once(&real_root, fence, name) {
            Err(error) if error.kind() == ErrorKind::NotFound && attempts < ATTEMPTS => {}
            Err(error) => return Err(miss_of(&error)),
            Ok(read) => break read.map_err(|problem| Miss::new(MissKind::Denied, problem))?,
        }
    };
    if bytes.len() > LARGEST {
        let problem = format!("the file is larger than {LARGEST} bytes");
        return Err(Miss::new(MissKind::Garbage, problem));
    }
    let text = of_bytes(&bytes).map_err(|_| being_written())?;
    if text.expose().as_bytes() != bytes.as_slice() {
        return Ok(text);
    }
    // Editors and `echo` end a file with one, which is no part of the secret.
    let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() { Err(being_written()) } else { Ok(SecretValue::from(line)) }
}

/// What is in the file, and a byte more than there may be; or why it is not looked at.
fn read_once(real_root: &Path, fence: &Fence, name: &str) -> io::Result<Result<Zeroizing<Vec<u8>>, String>> {
    let path = real_root.join(name).canonicalize()?;
    if !path.starts_with(real_root) {
        return Ok(Err("it is a symbolic link that leads out of the directory".to_owned()));
    }
    if let Err(problem) = fence.check(&path) {
        return Ok(Err(problem));
    }
    // All links have been followed: one that stands there now was put there since.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let file: File =
        OpenOptions::new().read(true).custom_flags(i32::from_ne_bytes(flags.to_ne_bytes())).open(path)?;
    fence.check_open(&file)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is no ordinary file"));
    }
    // At its full length from the start, so that no shorter copy of a secret is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

fn miss_of(error: &io::Error) -> Miss {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Miss::new(MissKind::NotFound, "there is no such file")
        }
        ErrorKind::IsADirectory => Miss::new(MissKind::NotFound, "it is no ordinary file"),
        ErrorKind::PermissionDenied => {
            Miss::new(MissKind::Denied, "the gateway may not read the file: see its owner and mode")
        }
        _ => unavailable(error),
    }
}

fn unavailable(error: &dyn std::error::Error) -> Miss {
    Miss::new(MissKind::Unavailable, format!("the file cannot be read: {error}"))
}

/// A file that is written in place is empty for a moment: that is no deletion.
fn being_written() -> Miss {
    Miss::new(MissKind::Garbage, "the file is empty")
}

/// The files that were read.
#[derive(Default)]
struct Watched(Mutex<HashMap<String, Seen>>);

/// How a file looked when it was read, and when it was last looked at.
#[derive(Clone, Copy)]
struct Seen {
    read: Look,
    last: Look,
}

/// What a file looks like from outside; none if it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look(Option<Outside>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outside {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    fn at(path: &Path) -> Self {
        let outside = |metadata: Metadata| Outside {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        Self(path.metadata().ok().map(outside))
    }
}

impl Watched {
    fn remember(&self, name: &str, look: Look) {
        let mut files = self.lock();
        if files.len() < MOST_WATCHED || files.contains_key(name) {
            files.insert(name.to_owned(), Seen { read: look, last: look });
        }
    }

    /// Looks at all files, and forgets and gives those that have changed and stayed so since the last look.
    fn look(&self, root: &Path) -> Vec<String> {
        let before: Vec<_> = self.lock().iter().map(|(name, seen)| (name.clone(), *seen)).collect();
        let mut changed = Vec::new();
        for (name, seen) in before {
            let now = Look::at(&root.join(&name));
            let mut files = self.lock();
            // It may have been read meanwhile.
            let Some(kept) = files.get_mut(&name).filter(|kept| kept.read == seen.read) else { continue };
            if now != seen.read && now == seen.last {
                files.remove(&name);
                changed.push(name);
            } else {
                kept.last = now;
            }
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the files for as long as the vault is there.
async fn watch(root: PathBuf, watched: Weak<Watched>, clock: Arc<dyn Clock>, changes: Changes) {
    loop {
        let Some(count) = watched.upgrade().map(|watched| watched.lock().len()) else { return };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        clock.sleep(INTERVAL.max(A_LOOK * count)).await;
        let (watched, root) = (Weak::clone(&watched), root.clone());
        let look = move || watched.upgrade().map(|watched| watched.look(&root));
        let Ok(Some(changed)) = tokio::task::spawn_blocking(look).await else { return };
        for name in changed {
            if !changes.tell(name).await {
                return;
            }
        }
    }
}

const LARGEST: usize = 64 * 1024;
const ATTEMPTS: u32 = 3;
/// Twice this, and the reading, stay below a second.
const INTERVAL: Duration = Duration::from_millis(250);
/// So that there are no more than a thousand looks a second, however many files there are.
const A_LOOK: Duration = Duration::from_millis(1);
/// How many files are looked at; a ttl serves the others.
const MOST_WATCHED: usize = 10_000;

#[cfg(test)]
mod tests;
