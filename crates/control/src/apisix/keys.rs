//! What consumers show, each by at most one of them.
//!
//! For each there is an entry in the store, at a keyed hash of it, that names whose it is; it is written in the commit that
//! writes the consumer. So two that are written at the same time cannot both have it, and none of the others needs to be
//! read. An entry whose owner no longer shows it (it was deleted while it could not be opened, say) is taken over.

use bytes::Bytes;
use gateward_model::apisix::Kind;
use gateward_proxy::validation::{self, Shown};
use gateward_store::{Change, Key, Precondition, Write};
use ring::hmac;
use serde_json::Value;

use super::place::Place;
use super::problem::Problem;
use crate::ControlParts;
use crate::resources::{ResourceError, Standing, deletion};

/// What claims `shown` for what is written at `place`, and lets go of what stood there `before` and is not shown any
/// more.
pub(super) async fn claims(
    parts: &ControlParts,
    place: &Place,
    shown: &[Shown],
    before: Option<&Value>,
) -> Result<Vec<Write>, Problem> {
    if !matches!(place.kind, Kind::Consumers | Kind::Credentials) {
        return Ok(Vec::new());
    }
    let owner = owner(place);
    let mut writes: Vec<Write> = Vec::new();
    for shown in shown {
        let key = place_of(parts, shown);
        let entry = parts.store.get(&key).await.map_err(ResourceError::from)?;
        let precondition = match entry {
            None => Precondition::Absent,
            Some(entry) if entry.value == owner.as_bytes() => continue,
            Some(entry) => {
                if let Some(consumer) = shows(parts, &entry.value, shown).await? {
                    return Err(shown.taken(&consumer).into());
                }
                Precondition::Version(entry.version)
            }
        };
        writes.push(Write { key, precondition, change: Change::Put(Bytes::from(owner.clone())) });
    }
    let kept: Vec<Key> = shown.iter().map(|shown| place_of(parts, shown)).collect();
    let mut released = release(parts, place, before).await?;
    released.retain(|write| !kept.contains(&write.key));
    writes.extend(released);
    Ok(writes)
}

/// What lets go of everything that is shown by what stands at `place`.
pub(super) async fn release(
    parts: &ControlParts,
    place: &Place,
    standing: Option<&Value>,
) -> Result<Vec<Write>, ResourceError> {
    let mut writes: Vec<Write> = Vec::new();
    for shown in standing.map(|json| shown_by(place.kind, &place.sort(), json)).unwrap_or_default() {
        let key = place_of(parts, &shown);
        match parts.store.get(&key).await? {
            Some(entry) if entry.value == owner(place).as_bytes() => {
                writes.push(deletion(key, entry.version));
            }
            _ => {}
        }
    }
    Ok(writes)
}

/// The name of the consumer, if the one that an entry names still shows it.
async fn shows(parts: &ControlParts, owner: &[u8], shown: &Shown) -> Result<Option<String>, ResourceError> {
    let Some((kind, sort)) = std::str::from_utf8(owner).ok().and_then(|owner| owner.split_once('/')) else {
        return Ok(None);
    };
    let Some(kind) = Kind::of(kind) else { return Ok(None) };
    let standing = parts.standing(kind.plural(), sort).await?;
    let all = standing.as_ref().and_then(Standing::json).map(|json| shown_by(kind, sort, json));
    let same = |other: &Shown| other.plugin == shown.plugin && other.key == shown.key;
    Ok(all.unwrap_or_default().into_iter().find(same).map(|other| other.consumer))
}

fn shown_by(kind: Kind, sort: &str, json: &Value) -> Vec<Shown> {
    match kind {
        Kind::Consumers | Kind::Credentials => {
            validation::check(kind, sort, json).map(|sound| sound.shown).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn owner(place: &Place) -> String {
    format!("{}/{}", place.kind.plural(), place.sort())
}

fn place_of(parts: &ControlParts, shown: &Shown) -> Key {
    let key = hmac::Key::new(hmac::HMAC_SHA256, parts.sealer.derive(PARTITION).as_slice());
    let mut text = hmac::Context::with_key(&key);
    text.update(shown.plugin.as_bytes());
    text.update(&[0]);
    text.update(shown.key.expose().as_bytes());
    let sort = text.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Key { partition: PARTITION.to_owned(), sort }
}

/// In the store; and what the hashes' key is derived for.
const PARTITION: &str = "consumer_keys";
