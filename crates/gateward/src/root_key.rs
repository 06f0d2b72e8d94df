//! Where the root key comes from.
//!
//! With AWS KMS it is a data key: made by KMS at the first start, sealed under a key that never leaves KMS, and kept so
//! in the store. Whoever reads the store has nothing, and whoever may use the KMS key is written down by AWS.
//!
//! One is made for an empty store only. Everything else in a store was sealed with a key that is somewhere, and a new one
//! in its place would open none of it and be taken for the right one from then on.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use gateward_aws::kms::{DataKey, Kms, KmsError};
use gateward_model::Invalid;
use gateward_seal::{RootKey, RootKeyError, SecretValue};
use gateward_store::{Change, CommitError, Key, Precondition, Revision, Store, StoreError, Write};
use serde::{Deserialize, Serialize};

use crate::aws_services::AwsServices;
use crate::settings::RootKeySource;

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum NoRootKey {
    /// What was given is none, or cannot be read.
    #[error(transparent)]
    Local(#[from] RootKeyError),
    /// There is something in the store, and no file: the key that sealed it is lost, or elsewhere.
    #[error(
        "root_key_file: there is no {}, and the store has records that were sealed with a root key, which a new one \
         would not open; put the file back, or start with the key that they were sealed with", path.display()
    )]
    Lost {
        /// Where the file would be.
        path: PathBuf,
    },
    /// KMS does not open it, or makes none.
    #[error("root_key_kms: the root key cannot be had from the KMS key \"{key}\"")]
    Kms {
        /// The key, as it is set.
        key: String,
        /// Why.
        source: KmsError,
    },
    /// Where KMS is, is not known.
    #[error(transparent)]
    Settings(#[from] Invalid),
    /// The sealed key cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What stands in its place is something else.
    #[error("root_key_kms: what the store has of the root key is not what a gateway puts there")]
    Record,
    /// There is something in the store, and no sealed key: it was sealed with another.
    #[error(
        "root_key_kms: the store has records and no root key in it, so they were sealed with another; start with that one"
    )]
    Other,
}

/// The root key as it stands in the store.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The ARN of the KMS key.
    kms_key: String,
    /// The root key, sealed by it.
    sealed: String,
}

/// Where the root key is to be had.
pub enum Origin<'s> {
    /// From a text.
    Text(&'s SecretValue),
    /// From a file.
    File(&'s Path),
    /// From KMS, which has sealed it with this key.
    Kms(Kms, &'s str),
}

impl<'s> Origin<'s> {
    /// The one that `source` names.
    pub fn of(source: &'s RootKeySource, services: &AwsServices<'_>) -> Result<Self, NoRootKey> {
        Ok(match source {
            RootKeySource::Text(text) => Self::Text(text),
            RootKeySource::File(path) => Self::File(path),
            RootKeySource::Kms(key) => Self::Kms(services.kms()?, key),
        })
    }

    /// Does what can be done before there is a store: in a function, a handshake is a good part of the start.
    pub async fn prepare(&self) {
        if let Self::Kms(kms, _) = self {
            kms.warm().await;
        }
    }

    /// Reads the root key; makes one if there is none and one may be made. `before` is the revision of the store.
    pub async fn open(&self, store: &dyn Store, before: Revision) -> Result<RootKey, NoRootKey> {
        match self {
            Self::Text(text) => Ok(RootKey::from_text(text.expose())?),
            Self::File(path) => match RootKey::from_file(path)? {
                Some(key) => Ok(key),
                None if before > Revision::default() => Err(NoRootKey::Lost { path: path.to_path_buf() }),
                None => Ok(RootKey::from_file_or_create(path)?),
            },
            Self::Kms(kms, key) => Asking { kms, key }.open(store, before).await,
        }
    }
}

struct Asking<'a> {
    kms: &'a Kms,
    key: &'a str,
}

impl Asking<'_> {
    async fn open(&self, store: &dyn Store, before: Revision) -> Result<RootKey, NoRootKey> {
        if let Some(record) = read(store).await? {
            return self.unseal(&record).await;
        }
        if before > Revision::default() {
            return Err(NoRootKey::Other);
        }
        let made = self.make().await?;
        let record = Record { kms_key: made.kms_key, sealed: made.sealed };
        let value = serde_json::to_vec(&record).map_err(|_| NoRootKey::Record)?;
        let change = Change::Put(Bytes::from(value));
        match store.commit(vec![Write { key: place(), precondition: Precondition::Absent, change }]).await {
            Ok(_) => Ok(RootKey::from_bytes(&made.plaintext)?),
            Err(CommitError::Conflict { .. }) => {
                let record = read(store).await?.ok_or(NoRootKey::Record)?;
                self.unseal(&record).await
            }
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    async fn make(&self) -> Result<DataKey, NoRootKey> {
        self.kms.generate_data_key(self.key, PURPOSE).await.map_err(|source| self.failed(source))
    }

    async fn unseal(&self, record: &Record) -> Result<RootKey, NoRootKey> {
        let opened = self.kms.decrypt(self.key, PURPOSE, &record.sealed).await;
        Ok(RootKey::from_bytes(&opened.map_err(|source| self.failed(source))?)?)
    }

    fn failed(&self, source: KmsError) -> NoRootKey {
        NoRootKey::Kms { key: self.key.to_owned(), source }
    }
}

async fn read(store: &dyn Store) -> Result<Option<Record>, NoRootKey> {
    let Some(entry) = store.get(&place()).await? else { return Ok(None) };
    serde_json::from_slice(&entry.value).map(Some).map_err(|_| NoRootKey::Record)
}

fn place() -> Key {
    Key { partition: "keys".to_owned(), sort: "root-key".to_owned() }
}

/// What the key is for, as KMS's encryption context and the logs of its use have it.
const PURPOSE: &str = "root key";
