//! What no engine takes, so that a commit that one of them does is done by all of them.

use std::collections::HashSet;

use crate::{Key, MAX_WRITES, StoreError, Write};

/// The longest partition, and the longest sort key, in bytes: the least that any engine we know of holds.
pub const MAX_KEY_BYTES: usize = 1024;

/// Refuses a commit that is too large, writes one key twice, or names a key that cannot be held.
pub(crate) fn writes(writes: &[Write]) -> Result<(), StoreError> {
    if writes.len() > MAX_WRITES {
        return Err(StoreError::Unacceptable("a commit has at most 50 writes"));
    }
    let mut seen = HashSet::with_capacity(writes.len());
    for write in writes {
        key(&write.key)?;
        if !seen.insert(&write.key) {
            return Err(StoreError::Unacceptable("a commit writes each key once"));
        }
    }
    Ok(())
}

/// Refuses a key that cannot be held.
pub(crate) fn key(key: &Key) -> Result<(), StoreError> {
    partition(&key.partition)?;
    if key.sort.len() > MAX_KEY_BYTES {
        return Err(StoreError::Unacceptable("a sort key has at most 1024 bytes"));
    }
    Ok(())
}

/// Refuses a partition that cannot be held. NUL is what stands between the partition and the sort key.
pub(crate) fn partition(partition: &str) -> Result<(), StoreError> {
    if partition.len() > MAX_KEY_BYTES {
        return Err(StoreError::Unacceptable("a partition has at most 1024 bytes"));
    }
    if partition.contains('\0') {
        return Err(StoreError::Unacceptable("a partition has no NUL in it"));
    }
    Ok(())
}
