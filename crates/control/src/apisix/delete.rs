//! Deletes a resource, with all that goes with it.

use std::ops::Bound;

use gateward_model::apisix::{Kind, ResourceId};
use gateward_store::{MAX_WRITES, Write};
use http::StatusCode;
use serde_json::json;

use super::place::Place;
use super::problem::Problem;
use super::write::TRIES;
use super::{Answer, Reply, expiry, keys, usage};
use crate::ControlParts;
use crate::resources::{ResourceError, Standing, deletion, key};

/// Deletes what stands at `place`, unless something refers to it and it is not `forced`.
pub(super) async fn delete(parts: &ControlParts, place: &Place, forced: bool) -> Answer {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let standing = parts.standing(place.kind.plural(), &place.sort()).await?;
        let standing = standing.ok_or_else(Problem::missing)?;
        let unmark = usage::unmark(parts, place).await?;
        if !forced {
            usage::refuse(parts, place).await?;
        }
        match remove(parts, place, &standing, unmark).await {
            Ok(()) => {
                let body = json!({"deleted": "1", "key": place.key()});
                return Ok(Reply::Json(StatusCode::OK, body));
            }
            Err(ResourceError::Changed) if tries > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Deletes `standing`, and of a consumer its credentials, if `unmark` holds.
///
/// A consumer goes in the last commit: if there are more credentials than one commit takes, and it breaks off, the
/// deletion can be asked for again, and nothing stays that a later consumer of the same name would get.
pub(super) async fn remove(
    parts: &ControlParts,
    place: &Place,
    standing: &Standing,
    unmark: Option<Write>,
) -> Result<(), ResourceError> {
    let mut own = removal(parts, place, standing).await?;
    own.extend(unmark);
    let mut writes = Vec::new();
    if place.kind == Kind::Consumers {
        for (place, standing) in credentials(parts, &place.id).await? {
            let more = removal(parts, &place, &standing).await?;
            if writes.len() + more.len() + own.len() > MAX_WRITES {
                parts.commit(std::mem::take(&mut writes)).await?;
            }
            writes.extend(more);
        }
    }
    writes.extend(own);
    parts.commit(writes).await?;
    if place.kind == Kind::Consumers {
        // One may have been written between the list and the commit. After it none can be: a credential's write holds
        // only while its consumer stands.
        for (place, standing) in credentials(parts, &place.id).await? {
            parts.commit(removal(parts, &place, &standing).await?).await?;
        }
    }
    Ok(())
}

async fn removal(
    parts: &ControlParts,
    place: &Place,
    standing: &Standing,
) -> Result<Vec<Write>, ResourceError> {
    let mut writes = vec![deletion(key(place.kind.plural(), &place.sort()), standing.version)];
    writes.extend(keys::release(parts, place, standing.json()).await?);
    writes.extend(expiry::forget(parts, place).await?);
    Ok(writes)
}

/// The credentials of `consumer`, those that cannot be opened too.
async fn credentials(
    parts: &ControlParts,
    consumer: &ResourceId,
) -> Result<Vec<(Place, Standing)>, ResourceError> {
    let kind = Kind::Credentials;
    let (from, to) = of_consumer(consumer);
    let entries = parts.store.list(kind.plural(), (from, to), usize::MAX).await?;
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.key.sort.split_once('/').and_then(|(_, id)| ResourceId::parse(id).ok());
        let Some(id) = id else { continue };
        if let Some(standing) = parts.standing(kind.plural(), &entry.key.sort).await? {
            found.push((Place::new(kind, Some(consumer.clone()), id), standing));
        }
    }
    Ok(found)
}

/// Where the credentials of `consumer` stand among all.
pub(super) fn of_consumer(consumer: &ResourceId) -> (Bound<String>, Bound<String>) {
    // `0` follows `/`, so everything that begins with the name and a slash lies between.
    (Bound::Excluded(format!("{consumer}/")), Bound::Excluded(format!("{consumer}0")))
}
