//! Writes vaults: each in one commit that holds only if what it was checked against still stands.

use std::collections::BTreeSet;

use gateward_model::Vault;
use gateward_proxy::validation;
use gateward_vaults::Resolver;
use serde_json::{Map, Value};

use super::body::Fields;
use super::entity::{self, Stamp};
use super::error::{KongError, Violations};
use super::{Found, find, uuid, vaults};
use crate::ControlParts;
use crate::resources::{ResourceError, VAULTS, deletion, key};
use crate::vault_usage;

/// Writes a new vault.
pub(super) async fn insert(parts: &ControlParts, fields: Fields) -> Result<Vault, KongError> {
    let kind = fields.text("name").map(str::to_owned);
    let fields = fields.typed(kind.as_deref());
    let id = fields.get("id").and_then(Value::as_str).map_or_else(uuid::random, str::to_owned);
    let vault = entity::read(fields, None, stamp(parts, id, None))?;
    if find(parts, &vault.prefix).await?.is_some() {
        return Err(KongError::TakenPrefix(vault.prefix));
    }
    if find(parts, &vault.id).await?.is_some() {
        return Err(KongError::TakenId(vault.id));
    }
    match commit(parts, &vault, None).await {
        Err(KongError::Resource(ResourceError::Changed)) => Err(KongError::TakenPrefix(vault.prefix)),
        other => other.map(|()| vault),
    }
}

/// Writes the vault that is called `name` in the place of the one that stands there, if one does.
pub(super) async fn replace(parts: &ControlParts, name: &str, fields: Fields) -> Result<Vault, KongError> {
    let kind = fields.text("name").map(str::to_owned);
    let mut fields = fields.typed(kind.as_deref());
    let found = find(parts, name).await?;
    let by_id = uuid::is_one(name);
    if !by_id {
        check_prefix(name)?;
        if fields.get("prefix").is_some_and(|given| given.as_str() != Some(name)) {
            return Err(KongError::field("prefix", "must be the prefix in the URL"));
        }
        fields.insert("prefix".to_owned(), Value::from(name));
    } else if let Some(found) = &found
        && !fields.contains_key("prefix")
    {
        fields.insert("prefix".to_owned(), Value::from(found.prefix.as_str()));
    }
    let before = found.as_ref().and_then(|found| found.vault.as_ref());
    let id = match before {
        Some(before) => before.id.clone(),
        None if by_id => name.to_owned(),
        None => uuid::random(),
    };
    fields.shift_remove("id");
    let vault = entity::read(fields, before, stamp(parts, id, before))?;
    commit(parts, &vault, found.as_ref()).await.map(|()| vault)
}

/// Changes what `fields` say of the vault that is called `name`.
pub(super) async fn change(parts: &ControlParts, name: &str, fields: Fields) -> Result<Vault, KongError> {
    let found = find(parts, name).await?.ok_or(KongError::NotFound)?;
    let sealed = || KongError::field("@entity", "what is stored cannot be opened; put it anew, or delete it");
    let before = found.vault.as_ref().ok_or_else(sealed)?;
    let kind = fields.text("name").unwrap_or(&before.name).to_owned();
    let mut fields: Map<String, Value> = fields.typed(Some(&kind));
    for ours in ["id", "created_at", "updated_at"] {
        fields.shift_remove(ours);
    }
    let fields = entity::merged(before, fields);
    let vault = entity::read(fields, Some(before), stamp(parts, before.id.clone(), Some(before)))?;
    commit(parts, &vault, Some(&found)).await.map(|()| vault)
}

/// Deletes the vault that is called `name`, unless something refers to it and it is not `forced`.
pub(super) async fn delete(parts: &ControlParts, name: &str, forced: bool) -> Result<(), KongError> {
    let Some(found) = find(parts, name).await? else { return Ok(()) };
    let mut writes = vec![deletion(key(VAULTS, &found.prefix), found.version)];
    writes.push(vault_usage::unmark(parts, &found.prefix).await?);
    if !forced {
        refuse_if_used(parts, &found.prefix).await?;
    }
    Ok(parts.commit(writes).await?)
}

/// Puts `vault` in the place of `before`, which may have had another prefix.
async fn commit(parts: &ControlParts, vault: &Vault, before: Option<&Found>) -> Result<(), KongError> {
    let mut wrong = Violations::default();
    parts.resolver.check_place(vault).unwrap_or_else(|invalid| wrong.add_invalid(invalid));
    wrong.into_result()?;
    check_together(parts, vault, before).await?;
    let json = serde_json::to_value(vault).map_err(|_| KongError::NotFound)?;
    let same_place = before.filter(|before| before.prefix == vault.prefix);
    let mut writes = vec![parts.put(VAULTS, &vault.prefix, &json, same_place.map(|before| before.version))];
    if let Some(moved) = before.filter(|before| before.prefix != vault.prefix) {
        if parts.standing(VAULTS, &vault.prefix).await?.is_some() {
            return Err(KongError::TakenPrefix(vault.prefix.clone()));
        }
        writes.push(deletion(key(VAULTS, &moved.prefix), moved.version));
        writes.push(vault_usage::unmark(parts, &moved.prefix).await?);
        refuse_if_used(parts, &moved.prefix).await?;
    }
    let claims = vault_usage::claims(parts, &named(vault)).await?;
    writes.extend(claims.map_err(|name| KongError::field("config", format!("there is no vault {name:?}")))?);
    Ok(parts.commit(writes).await?)
}

/// Refuses a vault whose settings refer to one that does not exist, or that needs itself.
async fn check_together(
    parts: &ControlParts,
    vault: &Vault,
    before: Option<&Found>,
) -> Result<(), KongError> {
    if named(vault).is_empty() {
        return Ok(());
    }
    let mut all = vec![vault.clone()];
    let others = vaults(parts).await?.into_iter();
    all.extend(others.filter(|other| {
        other.prefix != vault.prefix && before.is_none_or(|before| before.prefix != other.prefix)
    }));
    let mut wrong = Violations::default();
    // The first is looked at first. What is wrong with another one is no reason to refuse this one.
    if let Err((prefix, invalid)) = Resolver::check_vaults(&all)
        && prefix == vault.prefix
    {
        wrong.add_invalid(invalid);
    }
    wrong.into_result()
}

async fn refuse_if_used(parts: &ControlParts, prefix: &str) -> Result<(), KongError> {
    match vault_usage::user(parts, prefix).await? {
        Some((kind, id)) => Err(KongError::InUse { kind, id }),
        None => Ok(()),
    }
}

/// The vaults that the settings of `vault` refer to, itself not among them.
fn named(vault: &Vault) -> BTreeSet<String> {
    validation::vaults_of(&Value::Object(vault.config.clone()))
}

fn check_prefix(name: &str) -> Result<(), KongError> {
    if Resolver::has_backend(name) {
        return Err(KongError::Prefix(format!("must not be one of: {}", Resolver::kinds().join(", "))));
    }
    Vault::check_prefix(name).map_err(|invalid| KongError::Prefix(invalid.problem))
}

fn stamp(parts: &ControlParts, id: String, before: Option<&Vault>) -> Stamp {
    let now = parts.clock.now().secs();
    Stamp { id, created_at: before.map_or(now, |before| before.created_at), updated_at: now }
}
