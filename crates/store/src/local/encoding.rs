//! How keys and values stand in the engine.
//!
//! A key is the partition, a NUL, the sort key: with no NUL in a partition, the byte order of these is the order of
//! partitions and, within one, of sort keys. A value is its version in eight bytes, big end first, then itself.

use std::ops::Bound;

use bytes::Bytes;

use crate::{Entry, Key, StoreError};

/// Where the store's own revision stands. No key begins with this byte, because no UTF-8 text does.
pub(super) const REVISION: [u8; 1] = [0xff];

/// What stands between the partition and the sort key.
const SEPARATOR: u8 = 0;

/// The engine's form of `key`.
pub(super) fn key(key: &Key) -> Vec<u8> {
    join(&key.partition, &key.sort)
}

/// The key that the engine holds as `stored`, known to stand in `partition`.
pub(super) fn decode_key(partition: &str, stored: &[u8]) -> Result<Key, StoreError> {
    let sort = stored.get(partition.len() + 1..).ok_or_else(damaged)?;
    let sort = String::from_utf8(sort.to_vec()).map_err(|_| damaged())?;
    Ok(Key { partition: partition.to_owned(), sort })
}

/// The engine's range for `range` of sort keys in `partition`, closed on both sides so that it stays there.
pub(super) fn range(
    partition: &str,
    range: &(Bound<String>, Bound<String>),
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = match range.0.as_ref().map(|sort| join(partition, sort)) {
        Bound::Unbounded => Bound::Included(join(partition, "")),
        bounded => bounded,
    };
    let end = match range.1.as_ref().map(|sort| join(partition, sort)) {
        Bound::Unbounded => {
            let mut after = partition.as_bytes().to_vec();
            after.push(SEPARATOR + 1);
            Bound::Excluded(after)
        }
        bounded => bounded,
    };
    (start, end)
}

/// The engine's form of a value.
pub(super) fn value(version: u64, bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(VERSION_BYTES + bytes.len());
    stored.extend_from_slice(&version.to_be_bytes());
    stored.extend_from_slice(bytes);
    stored
}

/// The entry at `key` that the engine holds as `stored`. Copied, so that it keeps no block of a file in memory.
pub(super) fn entry(key: Key, stored: &[u8]) -> Result<Entry, StoreError> {
    let version = version(stored)?;
    Ok(Entry { key, value: Bytes::copy_from_slice(&stored[VERSION_BYTES..]), version })
}

/// The version in front of `stored`.
pub(super) fn version(stored: &[u8]) -> Result<u64, StoreError> {
    stored.first_chunk().map(|version| u64::from_be_bytes(*version)).ok_or_else(damaged)
}

/// What stands behind the version.
pub(super) fn bytes(stored: &[u8]) -> Option<&[u8]> {
    stored.get(VERSION_BYTES..)
}

fn join(partition: &str, sort: &str) -> Vec<u8> {
    let mut joined = Vec::with_capacity(partition.len() + 1 + sort.len());
    joined.extend_from_slice(partition.as_bytes());
    joined.push(SEPARATOR);
    joined.extend_from_slice(sort.as_bytes());
    joined
}

fn damaged() -> StoreError {
    StoreError::Engine("an entry is damaged, or was written by something else".into())
}

const VERSION_BYTES: usize = size_of::<u64>();
