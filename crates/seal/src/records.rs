//! Sealing what stands in the store: the place of a record is its partition, its sort key and its version.

use bytes::Bytes;
use gateward_store::{Entry, Key};
use zeroize::Zeroizing;

use crate::{FragmentId, OpenError, Place, Sealer};

impl Sealer {
    /// Seals `plaintext` for `key`, where it will have `version`: 1 if nothing stands there, else one more than what
    /// stands there.
    pub fn seal_at(&self, purpose: &str, key: &Key, version: u64, plaintext: &[u8]) -> Bytes {
        Bytes::from(self.seal(purpose, &place(key, version), plaintext))
    }

    /// The same with the root key alone, for what the gateway itself must be able to read at any start.
    pub fn seal_own_at(&self, purpose: &str, key: &Key, version: u64, plaintext: &[u8]) -> Bytes {
        Bytes::from(self.seal_without_fragment(purpose, &place(key, version), plaintext))
    }

    /// The same with a fragment that somebody chose; without one, with the default.
    pub fn seal_at_with(
        &self,
        fragment: Option<&FragmentId>,
        purpose: &str,
        key: &Key,
        version: u64,
        plaintext: &[u8],
    ) -> Result<Bytes, OpenError> {
        match fragment {
            Some(fragment) => {
                self.seal_with(fragment, purpose, &place(key, version), plaintext).map(Bytes::from)
            }
            None => Ok(self.seal_at(purpose, key, version, plaintext)),
        }
    }

    /// Opens what [`Sealer::seal_at`] has sealed, as it stands in the store.
    pub fn open_entry(&self, purpose: &str, entry: &Entry) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open(purpose, &place(&entry.key, entry.version), &entry.value)
    }
}

fn place(key: &Key, version: u64) -> Place<'_> {
    Place { table: &key.partition, key: &key.sort, version }
}
