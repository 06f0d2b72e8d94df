//! What no engine takes, so that a commit that one of them does is done by all of them.

use std::collections::HashSet;

use crate::{Change, Key, MAX_WRITES, StoreError, Write};

/// The longest partition, and the longest sort key, in bytes: DynamoDB's 1024, less one for a mark.
pub const MAX_KEY_BYTES: usize = 1023;

/// The longest value: DynamoDB's 400 KB for an item, less what else stands in it.
pub const MAX_VALUE_BYTES: usize = 390 * 1024;

/// The most that the values of one commit have together: DynamoDB's 4 MB for a transaction, less what else is in it.
pub const MAX_COMMIT_BYTES: usize = 3 * 1024 * 1024;

/// Refuses a commit that is too large, writes one key twice, or names a key that cannot be held.
pub(crate) fn writes(writes: &[Write]) -> Result<(), StoreError> {
    if writes.len() > MAX_WRITES {
        return Err(StoreError::Unacceptable("a commit has at most 50 writes"));
    }
    let mut seen = HashSet::with_capacity(writes.len());
    let mut bytes = 0;
    for write in writes {
        key(&write.key)?;
        if let Change::Put(value) = &write.change {
            bytes += value.len();
            if value.len() > MAX_VALUE_BYTES {
                return Err(StoreError::TooLarge("a value has at most 390 KiB, as it is sealed"));
            }
        }
        if !seen.insert(&write.key) {
            return Err(StoreError::Unacceptable("a commit writes each key once"));
        }
    }
    if bytes > MAX_COMMIT_BYTES {
        return Err(StoreError::TooLarge("the values of a commit have at most 3 MiB together"));
    }
    Ok(())
}

/// Refuses to count where something else stands.
pub(crate) fn no_counter() -> StoreError {
    StoreError::Unacceptable("only a counter can be added to")
}

/// Refuses a key that cannot be held.
pub(crate) fn key(key: &Key) -> Result<(), StoreError> {
    partition(&key.partition)?;
    if key.sort.len() > MAX_KEY_BYTES {
        return Err(StoreError::TooLarge("a sort key has at most 1023 bytes"));
    }
    Ok(())
}

/// Refuses a partition that cannot be held. NUL is what stands between the partition and the sort key.
pub(crate) fn partition(partition: &str) -> Result<(), StoreError> {
    if partition.len() > MAX_KEY_BYTES {
        return Err(StoreError::TooLarge("a partition has at most 1023 bytes"));
    }
    if partition.contains('\0') {
        return Err(StoreError::Unacceptable("a partition has no NUL in it"));
    }
    Ok(())
}
