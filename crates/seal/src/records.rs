//! Sealing what stands in the store: the place of a record is its partition, its sort key and its version.

use bytes::Bytes;
use gateward_store::{Entry, Key};
use zeroize::Zeroizing;

use crate::{OpenError, Place, Sealer};

impl Sealer {
    /// Seals `plaintext` for `key`, where it will have `version`: 1 if nothing stands there, else one more than what
    /// stands there.
    pub fn seal_at(&self, purpose: &str, key: &Key, version: u64, plaintext: &[u8]) -> Bytes {
        Bytes::from(self.seal(purpose, &place(key, version), plaintext))
    }

    /// Opens what [`Sealer::seal_at`] has sealed, as it stands in the store.
    pub fn open_entry(&self, purpose: &str, entry: &Entry) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.open(purpose, &place(&entry.key, entry.version), &entry.value)
    }
}

fn place(key: &Key, version: u64) -> Place<'_> {
    Place { table: &key.partition, key: &key.sort, version }
}
