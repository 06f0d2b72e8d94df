//! Who else may do what: entries that were made while the gateway ran, and those of the deployment, which only show.

use std::collections::BTreeSet;

use gateward_access::{
    AccessId, AllowedAccess, Directory, DirectoryError, OutOfReach, Permission, SubClaims, allowed,
};
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, ApiError, Call, fields};
use crate::ControlParts;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    name: String,
    #[serde(default, deserialize_with = "fields::text")]
    new_name: Option<String>,
    #[serde(default)]
    access_id: Option<AccessId>,
    #[serde(default)]
    permissions: Value,
    #[serde(default)]
    sub_claims: Value,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    case_sensitive: Option<bool>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
}

impl Entry {
    fn permissions(&self) -> Result<Option<BTreeSet<Permission>>, Invalid> {
        if self.permissions.is_null() || self.permissions == "" {
            return Ok(None);
        }
        allowed::permissions(&self.permissions)
            .map(Some)
            .map_err(|problem| Invalid::new("permissions", problem))
    }

    fn sub_claims(&self) -> Result<Option<SubClaims>, Invalid> {
        if self.sub_claims.is_null() {
            return Ok(None);
        }
        allowed::sub_claims(&self.sub_claims).map(Some).map_err(|problem| Invalid::new("sub-claims", problem))
    }
}

/// `/gateway-create-allowed-access`.
pub(super) async fn create(call: Call) -> Answer {
    let sent: Entry = call.fields()?;
    call.refuse_others(FIELDS, |_| true, UNKNOWN)?;
    let permissions = sent.permissions()?.ok_or_else(|| Invalid::new("permissions", "is missing"))?;
    let sub_claims = sent.sub_claims()?.unwrap_or_default();
    let access_id = sent.access_id.clone().ok_or_else(|| Invalid::new("access-id", "is missing"))?;
    check_name(&sent.name)?;
    let now = call.parts.clock.now().secs();
    let entry = AllowedAccess {
        name: sent.name.clone(),
        access_id,
        sub_claims,
        case_insensitive: sent.case_sensitive == Some(false),
        permissions,
        description: sent.description.clone().unwrap_or_default(),
        created: now,
        modified: now,
    };
    check_free(&call.parts, &entry.name)?;
    directory(&call.parts)?
        .edit(|kept| {
            if kept.allowed.iter().any(|other| other.name == entry.name) {
                return Err(DirectoryError::Exists { kind: KIND, name: entry.name.clone() });
            }
            kept.allowed.push(entry.clone());
            Ok(())
        })
        .await?;
    Ok(shown(&entry, true).into())
}

/// `/gateway-update-allowed-access`.
pub(super) async fn update(call: Call) -> Answer {
    let sent: Entry = call.fields()?;
    call.refuse_others(FIELDS, |_| true, UNKNOWN)?;
    let (permissions, sub_claims) = (sent.permissions()?, sent.sub_claims()?);
    check_free(&call.parts, &sent.name)?;
    if let Some(name) = &sent.new_name {
        check_name(name)?;
        check_free(&call.parts, name)?;
    }
    let now = call.parts.clock.now().secs();
    let changed = directory(&call.parts)?
        .edit(|kept| {
            if let Some(name) = sent.new_name.as_ref().filter(|name| **name != sent.name)
                && kept.allowed.iter().any(|other| other.name == *name)
            {
                return Err(DirectoryError::Exists { kind: KIND, name: name.clone() });
            }
            let entry = kept.allowed.iter_mut().find(|entry| entry.name == sent.name);
            let entry = entry.ok_or_else(|| missing(&sent.name))?;
            if let Some(permissions) = &permissions {
                entry.permissions.clone_from(permissions);
            }
            if let Some(sub_claims) = &sub_claims {
                entry.sub_claims.clone_from(sub_claims);
            }
            if let Some(access_id) = &sent.access_id {
                entry.access_id.clone_from(access_id);
            }
            if let Some(flag) = sent.case_sensitive {
                entry.case_insensitive = !flag;
            }
            if let Some(description) = &sent.description {
                entry.description.clone_from(description);
            }
            if let Some(name) = &sent.new_name {
                entry.name.clone_from(name);
            }
            entry.modified = now;
            Ok(entry.clone())
        })
        .await?;
    Ok(shown(&changed, true).into())
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// `/gateway-get-allowed-access`.
pub(super) async fn get(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let found = all(&call.parts)?.into_iter().find(|entry| entry["name"] == name.as_str());
    Ok(found.ok_or_else(|| missing(&name))?.into())
}

/// `/gateway-delete-allowed-access`.
pub(super) async fn delete(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let is_kept = |kept: &gateward_access::Kept| kept.allowed.iter().any(|entry| entry.name == name);
    let current = directory(&call.parts)?.current()?;
    if !is_kept(&current) {
        check_free(&call.parts, &name)?;
    }
    directory(&call.parts)?
        .edit(|kept| {
            let place = kept.allowed.iter().position(|entry| entry.name == name);
            kept.allowed.remove(place.ok_or_else(|| missing(&name))?);
            Ok(())
        })
        .await?;
    Ok(json!({"allowed_access_name": name}).into())
}

/// All entries, those of the deployment first.
pub(super) fn all(parts: &ControlParts) -> Result<Vec<Value>, OutOfReach> {
    let deployed = parts.authenticator.deployed().iter().map(|entry| shown(entry, false));
    let kept = parts.authenticator.directory().map(Directory::current).transpose()?;
    let kept = kept.iter().flat_map(|kept| &kept.allowed).map(|entry| shown(entry, true));
    Ok(deployed.chain(kept).collect())
}

/// The same by their names, in the words of the vendor's configuration besides. Of several with one name each is there.
pub(super) fn by_name(parts: &ControlParts) -> Result<Map<String, Value>, OutOfReach> {
    let mut by_name = Map::new();
    for mut entry in all(parts)? {
        for (ours, theirs) in
            [("access_id", "acc_id"), ("permissions", "access_permissions"), ("error", "err_msg")]
        {
            entry[theirs] = entry[ours].clone();
        }
        let name = entry["name"].as_str().unwrap_or_default().to_owned();
        let mut key = name.clone();
        let mut number = 2_usize;
        while by_name.contains_key(&key) {
            key = format!("{name} ({number})");
            number += 1;
        }
        by_name.insert(key, entry);
    }
    Ok(by_name)
}

fn shown(entry: &AllowedAccess, editable: bool) -> Value {
    // Those of the deployment have no time of their own.
    let time = |secs: u64| (secs > 0).then(|| Timestamp::from_secs(secs).rfc3339());
    json!({
        "name": entry.name,
        "access_id": entry.access_id,
        "description": entry.description,
        "permissions": entry.permissions.iter().map(|permission| permission.name()).collect::<Vec<_>>(),
        "sub_claims": entry.sub_claims,
        "sub_claims_case_insensitive": entry.case_insensitive,
        "editable": editable,
        "is_valid": true,
        "error": "",
        "created_at": time(entry.created),
        "updated_at": time(entry.modified),
    })
}

/// Refuses a name that the deployment has.
fn check_free(parts: &ControlParts, name: &str) -> Result<(), DirectoryError> {
    let mut deployed = parts.authenticator.deployed().iter();
    let is_deployed = !name.is_empty() && deployed.any(|entry| entry.name == name);
    if is_deployed { Err(DirectoryError::Deployed { name: name.to_owned() }) } else { Ok(()) }
}

pub(super) fn check_name(name: &str) -> Result<(), Invalid> {
    let is_good = (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_good {
        Ok(())
    } else {
        Err(Invalid::new("name", "has 1 to 255 characters, and no control characters"))
    }
}

pub(super) fn directory(parts: &ControlParts) -> Result<&Directory, ApiError> {
    let missing = || ApiError::bad("this gateway keeps no auth methods");
    parts.authenticator.directory().ok_or_else(missing)
}

fn missing(name: &str) -> DirectoryError {
    DirectoryError::Missing { kind: KIND, name: name.to_owned() }
}

/// Those of an entry, and those of every call.
const FIELDS: &[&str] = &[
    "name",
    "new-name",
    "access-id",
    "permissions",
    "sub-claims",
    "case-sensitive",
    "description",
    "token",
    "uid-token",
    "json",
];

/// A field that is ignored might have been the one that bounds the entry.
const UNKNOWN: &str = "is no field of an entry; leave it out";

const KIND: &str = "allowed access";
