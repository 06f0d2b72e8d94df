//! A small file that somebody else writes: a token, a key.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use gateward_seal::SecretValue;

use super::Fence;

/// [`small_file`] for a path that stands in a vault's settings, and so may not lead where no vault reads.
pub(super) fn fenced_file(path: &Path, fence: &Fence) -> io::Result<SecretValue> {
    let path = path.canonicalize()?;
    fence.check(&path).map_err(io::Error::other)?;
    small_file(&path)
}

/// The text in the file at `path`, which must be an ordinary one: others may keep us waiting for ever.
pub(super) fn small_file(path: &Path) -> io::Result<SecretValue> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not an ordinary file"));
    }
    // At its full length from the start, so that no shorter copy of a secret is left behind.
    let mut text = String::with_capacity(LARGEST);
    let length = File::open(path)?.take(LARGEST as u64).read_to_string(&mut text)?;
    let text = SecretValue::new(text);
    if length == LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(text)
}

const LARGEST: usize = 64 * 1024;
