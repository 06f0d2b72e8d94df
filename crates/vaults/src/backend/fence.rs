//! What no vault reads, whichever file a vault's settings or a reference name: what tells of processes and devices, and
//! what is the gateway's own.
//!
//! Whoever may write a vault may have any file read that the gateway may read. The environment of its process is among
//! those (`/proc/self/environ`), and so are its root key and its store: with them he would have every other secret too.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

/// Keeps vaults from reading what they must not.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    /// The gateway's own files and directories.
    own: Vec<PathBuf>,
}

impl Fence {
    pub(crate) fn around(own: Vec<PathBuf>) -> Self {
        Self { own }
    }

    /// Refuses the file or the directory at `path`, all of whose links have been followed, with a sentence. Another
    /// mount of the same directory, or another link to the same file, is the same.
    pub(crate) fn check(&self, path: &Path) -> Result<(), String> {
        if let Some(place) = KERNEL.iter().find(|place| path.starts_with(place)) {
            return Err(format!(
                "what is below {place} tells of processes and devices, and no vault reads it"
            ));
        }
        let identity = |path: &Path| path.metadata().ok().as_ref().map(identity);
        let own: Vec<_> = self.own.iter().filter_map(|own| identity(own)).collect();
        if !own.is_empty() && path.ancestors().filter_map(identity).any(|place| own.contains(&place)) {
            return Err(
                "it is the gateway's own (its data directory or its root key), and no vault reads it"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Refuses `file` where the kernel makes it up, wherever that is mounted.
    pub(crate) fn check_open(&self, file: &File) -> io::Result<()> {
        match fstatfs(file)?.f_type {
            // Of those two, sysfs has no name in the library.
            PROC_SUPER_MAGIC | 0x6265_6572 => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
            _ => Ok(()),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
