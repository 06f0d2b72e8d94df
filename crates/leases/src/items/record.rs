//! The records of a dynamic secret: what its producer is called with, and the mark that it stands.

use bytes::Bytes;
use gateward_model::DynamicSecret;
use gateward_seal::{FragmentId, OpenError, Sealer, SecretValue};
use gateward_store::{Change, Entry, Key, Precondition, Write};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::CatalogError;
use crate::rotation::Rotation;

/// A dynamic secret of which a credential can be issued.
pub(crate) struct OpenSecret {
    pub(crate) secret: DynamicSecret,
    pub(crate) payload: SecretValue,
    /// What is sealed for it is sealed with this, if somebody chose it.
    pub(crate) fragment: Option<FragmentId>,
    /// Goes into the commit that opens a lease: it holds only while nothing of the secret was changed, neither its
    /// producer nor its payload nor its state.
    pub(crate) unchanged: Write,
    /// Goes into the commit that hands the credential out: it holds only while the secret has not been deleted. A change
    /// or a rotation in the meantime is no reason to take the credential back.
    pub(crate) stands: Write,
}

impl OpenSecret {
    /// The version of its record for which [`OpenSecret::unchanged`] holds.
    pub(crate) fn version(&self) -> u64 {
        match self.unchanged.precondition {
            Precondition::Version(version) => version,
            _ => 0,
        }
    }
}

/// What a producer is called with, as it was read.
#[derive(Clone, Deserialize)]
pub(crate) struct Producer {
    pub(crate) secret: DynamicSecret,
    pub(crate) payload: SecretValue,
    /// The payload before, while the newest has yet to be tried.
    #[serde(default)]
    pub(crate) previous: Option<SecretValue>,
    /// Whether its item was deleted.
    pub(super) retired: bool,
    #[serde(default)]
    pub(crate) rotation: Rotation,
    /// What the record is sealed with, if somebody chose it.
    #[serde(default)]
    pub(crate) fragment: Option<FragmentId>,
}

#[derive(Serialize)]
struct Written<'a> {
    secret: &'a DynamicSecret,
    payload: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<&'a str>,
    retired: bool,
    rotation: &'a Rotation,
    #[serde(skip_serializing_if = "Option::is_none")]
    fragment: Option<&'a FragmentId>,
}

pub(super) fn producer_key(id: u64) -> Key {
    Key { partition: "producers".to_owned(), sort: format!("{id:020}") }
}

/// Where the mark of a secret stands that was not deleted.
pub(super) fn standing_key(id: u64) -> Key {
    Key { partition: "standing".to_owned(), sort: format!("{id:020}") }
}

/// Where it is marked that the leases of a deleted secret are not all written down as to be revoked.
pub(super) fn going_key(id: u64) -> Key {
    Key { partition: GOING.to_owned(), sort: format!("{id:020}") }
}

/// The partition of these marks.
pub(super) const GOING: &str = "~going";

impl Producer {
    /// What stands in `entry`, the record of the secret `id`.
    pub(super) fn open(sealer: &Sealer, id: u64, entry: &Entry) -> Result<Self, CatalogError> {
        let broken = |why: String| CatalogError::Sealed { item: format!("number {id}"), why };
        let plaintext = sealer.open_entry(PURPOSE, entry).map_err(|error| broken(error.to_string()))?;
        serde_json::from_slice(&plaintext).map_err(|_| broken("it is no record".to_owned()))
    }

    /// What writes the sealed record, which will have `version` there.
    pub(super) fn put(
        &self,
        sealer: &Sealer,
        precondition: Precondition,
        version: u64,
    ) -> Result<Write, CatalogError> {
        let Self { secret, payload, previous, retired, rotation, fragment } = self;
        let record = Written {
            secret,
            payload: payload.expose(),
            previous: previous.as_ref().map(SecretValue::expose),
            retired: *retired,
            rotation,
            fragment: fragment.as_ref(),
        };
        let unwritable = |error: serde_json::Error| CatalogError::Sealed {
            item: secret.name.to_string(),
            why: error.to_string(),
        };
        let plaintext = serde_json::to_vec(&record).map(Zeroizing::new).map_err(unwritable)?;
        let key = producer_key(secret.id);
        let sealed = sealer.seal_at_with(fragment.as_ref(), PURPOSE, &key, version, &plaintext);
        let unsealed =
            |error: OpenError| CatalogError::Sealed { item: secret.name.to_string(), why: error.to_string() };
        let sealed = sealed.map_err(unsealed)?;
        Ok(Write { key, precondition, change: Change::Put(sealed) })
    }
}

/// The mark that the secret `id` was not deleted; written once.
pub(super) fn stand(id: u64) -> Write {
    let (precondition, change) = (Precondition::Absent, Change::Put(Bytes::new()));
    Write { key: standing_key(id), precondition, change }
}

const PURPOSE: &str = "producer payload";
