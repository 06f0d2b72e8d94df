//! Whether something still refers to a vault that is to go.
//!
//! As with other resources: whoever refers to a vault is found by looking at all, so whoever writes a reference puts a mark
//! beside the vault in the same commit, and a deletion holds only if the mark is as it was before the look.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use gateward_model::apisix::Kind;
use gateward_proxy::validation;
use gateward_store::{Change, Key, Precondition, Write};

use crate::ControlParts;
use crate::resources::{ResourceError, VAULTS, deletion, key};

/// What makes a commit hold only if the vaults `names` exist, and tells those who might delete them. The error is the
/// first name that no vault has.
pub(crate) async fn claims(
    parts: &ControlParts,
    names: &BTreeSet<String>,
) -> Result<Result<Vec<Write>, String>, ResourceError> {
    let mut claims = Vec::with_capacity(2 * names.len());
    for name in names {
        let Some(standing) = parts.standing(VAULTS, name).await? else { return Ok(Err(name.clone())) };
        if !parts.is_declared(VAULTS) {
            let precondition = Precondition::Version(standing.version);
            claims.push(Write { key: key(VAULTS, name), precondition, change: Change::Check });
            // Any: who refers to the same at the same time is in nobody's way.
            let change = Change::Put(Bytes::from_static(b"referred to"));
            claims.push(Write { key: mark(name), precondition: Precondition::Any, change });
        }
    }
    Ok(Ok(claims))
}

/// What makes the deletion of the vault `name` hold only if nothing has come to refer to it since now.
pub(crate) async fn unmark(parts: &ControlParts, name: &str) -> Result<Write, ResourceError> {
    let key = mark(name);
    Ok(match parts.store.get(&key).await? {
        Some(entry) => deletion(key, entry.version),
        None => Write { key, precondition: Precondition::Absent, change: Change::Check },
    })
}

/// The kind and the id of something with a reference to the vault `name`, if there is one.
pub(crate) async fn user(
    parts: &ControlParts,
    name: &str,
) -> Result<Option<(&'static str, String)>, ResourceError> {
    for kind in Kind::ALL.into_iter().map(Kind::plural).chain([VAULTS]) {
        let mut user = None;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        parts
            .each(kind, everything, |document| {
                // What a vault says of itself is for people, and its own secrets it has to have elsewhere.
                let names = match kind {
                    VAULTS if document.id == name => BTreeSet::new(),
                    VAULTS => validation::vaults_of(&document.json["config"]),
                    _ => validation::vaults_of(&document.json),
                };
                if names.contains(name) {
                    user = Some(document.id);
                }
                user.is_none()
            })
            .await?;
        if let Some(user) = user {
            return Ok(Some((kind, user)));
        }
    }
    Ok(None)
}

fn mark(name: &str) -> Key {
    Key { partition: PARTITION.to_owned(), sort: name.to_owned() }
}

/// In the store.
const PARTITION: &str = "references to vaults";
