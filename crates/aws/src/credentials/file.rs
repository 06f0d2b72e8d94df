//! A small file that somebody else writes: a token, a profile.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use gateward_seal::SecretValue;

/// The text in the file at `path`, which must be an ordinary one: others may keep us waiting for ever.
pub(super) fn read(path: &Path) -> io::Result<SecretValue> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not an ordinary file"));
    }
    let mut text = String::new();
    let length = File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    let text = SecretValue::new(text);
    if length as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(text)
}

const LARGEST: u64 = 1024 * 1024;
