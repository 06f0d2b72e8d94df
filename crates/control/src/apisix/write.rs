//! Writes a resource, with all that goes with it, in one commit.
//!
//! The commit holds only if what the resource was checked against still stands: its own last version, whatever it
//! refers to, and that nobody else shows what its consumer shows. If somebody was faster, everything is looked at anew.

use std::time::Duration;

use gateward_model::apisix::{Kind, ResourceId};
use gateward_proxy::validation::{self, Fault, Link};
use gateward_store::{Change, Precondition, Write};
use http::StatusCode;
use serde_json::Value;

use super::place::Place;
use super::problem::Problem;
use super::{Answer, expiry, keys, masks, timestamps, usage, written};
use crate::resources::{ResourceError, Standing, key};
use crate::{ControlParts, vault_usage};

/// Puts `json` in the place of whatever stands there.
pub(super) async fn put(parts: &ControlParts, place: &Place, json: Value, ttl: Option<Duration>) -> Answer {
    timestamps::refuse(&json)?;
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let standing = parts.standing(place.kind.plural(), &place.sort()).await?;
        let mut json = json.clone();
        match write(parts, place, &mut json, standing.as_ref(), ttl).await? {
            Written::Done => return Ok(written(place, standing.is_none(), json)),
            Written::Overtaken if tries > 0 => {}
            Written::Overtaken => return Err(ResourceError::Changed.into()),
        }
    }
}

/// Writes `json` under an id that nothing has had yet.
pub(super) async fn post(parts: &ControlParts, kind: Kind, json: Value, ttl: Option<Duration>) -> Answer {
    if json.get("id").is_some() {
        return Err(Problem::bad(format!("wrong {} id, do not need it", kind.singular())));
    }
    timestamps::refuse(&json)?;
    let mut tries = TRIES;
    loop {
        tries -= 1;
        // The revision that the commit is going to have, unless somebody is faster; then the id is taken or free, and
        // the commit finds out.
        let next = parts.store.revision().await.map_err(ResourceError::from)?.0 + 1;
        let id = ResourceId::parse(&format!("{next:020}"))
            .map_err(|error| Problem::status(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
        let place = Place::new(kind, None, id);
        let mut json = json.clone();
        match write(parts, &place, &mut json, None, ttl).await? {
            Written::Done => return Ok(written(&place, true, json)),
            Written::Overtaken if tries > 0 => {}
            Written::Overtaken => return Err(ResourceError::Changed.into()),
        }
    }
}

/// Whether a write has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Something that it was checked against has changed meanwhile.
    Overtaken,
}

/// Completes `json`, checks it and writes it in the place of `standing`.
pub(super) async fn write(
    parts: &ControlParts,
    place: &Place,
    json: &mut Value,
    standing: Option<&Standing>,
    ttl: Option<Duration>,
) -> Result<Written, Problem> {
    let before = standing.and_then(Standing::json);
    masks::restore(place.kind, place.id.as_str(), json, before)?;
    place.write_id(json);
    if place.kind != Kind::PluginMetadata {
        timestamps::write(json, before, parts.clock.now());
    }
    let sort = place.sort();
    let sound = validation::check(place.kind, &sort, json)?;
    let mut writes = vec![parts.put(place.kind.plural(), &sort, json, standing.map(|old| old.version))];
    writes.extend(links(parts, &sound.links).await?);
    let claims = vault_usage::claims(parts, &sound.vaults).await?;
    writes.extend(claims.map_err(|name| Fault::NoVault { name })?);
    writes.extend(keys::claims(parts, place, &sound.shown, before).await?);
    writes.extend(expiry::write(parts, place, ttl).await?);
    match parts.commit(writes).await {
        Ok(()) => Ok(Written::Done),
        Err(ResourceError::Changed) => Ok(Written::Overtaken),
        Err(error) => Err(error.into()),
    }
}

/// What makes a commit hold only if all that is referred to exists, and tells those who might delete it.
async fn links(parts: &ControlParts, links: &[Link]) -> Result<Vec<Write>, Problem> {
    let mut checks = Vec::with_capacity(links.len());
    for link in links {
        let (kind, id) = (link.kind.plural(), link.id.as_str());
        let standing = parts.standing(kind, id).await?.ok_or_else(|| link.missing())?;
        if !parts.is_declared(kind) {
            checks.push(Write {
                key: key(kind, id),
                precondition: Precondition::Version(standing.version),
                change: Change::Check,
            });
            checks.extend(usage::mark(link));
        }
    }
    Ok(checks)
}

/// How often a write is tried again that others overtake.
pub(super) const TRIES: u32 = 8;
