//! The root key: 32 bytes from which every other key is derived.
//!
//! Whoever has it opens everything, and without it nothing opens. So it is made once, on the first start, in a file
//! that its owner alone can read; a file that others can read is refused, not repaired, because by then they may
//! have read it.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The key that all others are derived from. It wipes itself and prints as `***`.
pub struct RootKey {
    bytes: Zeroizing<[u8; ROOT_KEY_BYTES]>,
    origin: Origin,
}

/// Where a root key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody gave its text.
    Given,
    /// It stood in its file.
    File,
    /// It was made just now, because there was no file.
    Generated,
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// A text that is no key. The text itself is never repeated.
    #[error("a root key is 32 bytes, written as 44 characters of base64 or 64 of hexadecimal")]
    Text,
    /// What stands in the file is no key.
    #[error("what is in {} is no root key: 32 bytes, written as 44 characters of base64 or 64 of hexadecimal", path.display())]
    Content {
        /// The key's file.
        path: PathBuf,
    },
    /// The file can be read by more than its owner.
    #[error(
        "the root key in {path} can be read by others than its owner (mode {mode:04o}); run `chmod 600 {path}`, and \
         if somebody else may have read it, take another key",
        path = path.display()
    )]
    Exposed {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be read, or not be made.
    #[error("the root key in {} cannot be read or made", path.display())]
    File {
        /// The key's file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl RootKey {
    /// Reads the key from base64 or hexadecimal, with space around it or none.
    pub fn from_text(text: &str) -> Result<Self, RootKeyError> {
        Self::parse(text, Origin::Given).ok_or(RootKeyError::Text)
    }

    /// Takes the key from the bytes that it is; there must be 32 of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RootKeyError> {
        let bytes: &[u8; ROOT_KEY_BYTES] = bytes.try_into().map_err(|_| RootKeyError::Text)?;
        Ok(Self { bytes: Zeroizing::new(*bytes), origin: Origin::Given })
    }

    /// Reads the key from the file at `path`, if there is one.
    pub fn from_file(path: &Path) -> Result<Option<Self>, RootKeyError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(path, source)),
        }
    }

    /// Reads the key from the file at `path`; makes a random one, and the file and its directory, if there is none.
    pub fn from_file_or_create(path: &Path) -> Result<Self, RootKeyError> {
        if let Some(found) = Self::from_file(path)? {
            return Ok(found);
        }
        let made = Self::generate();
        match made.create(path) {
            Ok(()) => Ok(made),
            // Another process was faster: its key is the one that stands.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = File::open(path).map_err(|source| failed(path, source))?;
                Self::read(path, file)
            }
            Err(source) => Err(failed(path, source)),
        }
    }

    /// A random key that stands nowhere else.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; ROOT_KEY_BYTES]);
        SystemRandom::new().fill(&mut *bytes).expect("the operating system has randomness");
        Self { bytes, origin: Origin::Generated }
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn bytes(&self) -> &[u8; ROOT_KEY_BYTES] {
        &self.bytes
    }

    fn read(path: &Path, mut file: File) -> Result<Self, RootKeyError> {
        // Of the open file, not of the path: what is judged is what is read.
        let metadata = file.metadata().map_err(|source| failed(path, source))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(RootKeyError::Exposed { path: path.to_owned(), mode });
        }
        // One byte more than a key with generous space around it, so that something else is seen to be too long.
        let mut content = Zeroizing::new([0; MOST_FILE_BYTES + 1]);
        let mut length = 0;
        while length < content.len() {
            match file.read(&mut content[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed(path, source)),
            }
        }
        let text = std::str::from_utf8(&content[..length]).ok().filter(|text| text.len() <= MOST_FILE_BYTES);
        text.and_then(|text| Self::parse(text, Origin::File))
            .ok_or_else(|| RootKeyError::Content { path: path.to_owned() })
    }

    /// Puts the key into the file at `path`, whole and durable, or fails because there is one.
    ///
    /// A link is made and not a rename, because a rename would replace a key that another process has just made and
    /// may already be sealing with.
    fn create(&self, path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut suffix = [0; 8];
        SystemRandom::new().fill(&mut suffix).expect("the operating system has randomness");
        let draft = directory.join(format!(".root-key-{:016x}", u64::from_be_bytes(suffix)));
        let linked = self.write_draft(&draft).and_then(|()| std::fs::hard_link(&draft, path));
        let removed = std::fs::remove_file(&draft);
        linked?;
        removed?;
        File::open(directory)?.sync_all()
    }

    fn write_draft(&self, draft: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        let mut text = Zeroizing::new([0; BASE64_CHARACTERS + 1]);
        let length = STANDARD.encode_slice(self.bytes(), &mut *text).map_err(io::Error::other)?;
        text[length] = b'\n';
        file.write_all(&*text)?;
        file.sync_all()
    }

    fn parse(text: &str, origin: Origin) -> Option<Self> {
        let text = text.trim();
        let bytes = if text.len() == 2 * ROOT_KEY_BYTES { from_hex(text)? } else { from_base64(text)? };
        Some(Self { bytes, origin })
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; ROOT_KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; ROOT_KEY_BYTES]);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let high = char::from(digits[0]).to_digit(16)?;
        let low = char::from(digits[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

/// Either alphabet, with or without padding.
fn from_base64(text: &str) -> Option<Zeroizing<[u8; ROOT_KEY_BYTES]>> {
    let unpadded = text.trim_end_matches('=');
    // As long as the decoder's own estimate, which it insists on.
    let mut decoded = Zeroizing::new([0; ROOT_KEY_BYTES + 4]);
    let engine = if unpadded.contains(['-', '_']) { URL_SAFE_NO_PAD } else { STANDARD_NO_PAD };
    if engine.decode_slice(unpadded, &mut *decoded) != Ok(ROOT_KEY_BYTES) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; ROOT_KEY_BYTES]);
    bytes.copy_from_slice(&decoded[..ROOT_KEY_BYTES]);
    Some(bytes)
}

fn failed(path: &Path, source: io::Error) -> RootKeyError {
    RootKeyError::File { path: path.to_owned(), source }
}

const ROOT_KEY_BYTES: usize = 32;
const BASE64_CHARACTERS: usize = 44;
const MOST_FILE_BYTES: usize = 128;

#[cfg(test)]
mod tests;
