//! What all items have in common: lists and folders, descriptions, tags, states, renames, deletion.

use std::collections::BTreeSet;

use gateward_clock::Timestamp;
use gateward_items::{Format, Item, ItemError, ItemKind, ItemState, ListQuery, Record, Tree};
use gateward_leases::KnownSecret;
use gateward_leases::rotation::{KnownRotated, RotatedSecretChange};
use gateward_model::{Invalid, ItemName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::static_secret::{check_accessibility, which};
use super::{Answer, ApiError, Call, dynamic_secret, fields};
use crate::ControlParts;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    #[serde(default, rename = "type", deserialize_with = "fields::texts")]
    kinds: Vec<String>,
    #[serde(default, deserialize_with = "fields::text")]
    path: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    filter: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    tag: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    pagination_token: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    auto_pagination: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    current_folder: bool,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    modified_after: Option<u64>,
    #[serde(default, deserialize_with = "fields::text")]
    accessibility: Option<String>,
}

/// `/list-items`: what is known of each in the open, and the folders that they are in.
pub(super) async fn list(call: Call) -> Answer {
    let sent: List = call.fields()?;
    check_accessibility(sent.accessibility.as_deref())?;
    let is_paged = match sent.auto_pagination.as_deref() {
        None | Some("enabled") => false,
        Some("disabled") => true,
        Some(_) => return Err(Invalid::new("auto-pagination", "is enabled or disabled").into()),
    };
    let kinds = kinds(&sent.kinds)?;
    check_page(sent.pagination_token.as_deref())?;
    if kinds.is_empty() {
        return Ok(json!({"items": [], "folders": [], "has_next": false, "next_page": ""}).into());
    }
    let query = ListQuery {
        folder: sent.path.unwrap_or_default(),
        only_folder: sent.current_folder,
        kinds,
        filter: sent.filter,
        tag: sent.tag,
        modified_after: sent.modified_after.map(|seconds| Timestamp::from_secs(seconds).millis()),
        after: sent.pagination_token,
    };
    let limit = if is_paged { PAGE } else { usize::MAX };
    let page = tree(&call.parts).list(&query, limit).await?;
    let folders: BTreeSet<String> = page.folders.into_iter().map(|folder| folder + "/").collect();
    Ok(json!({
        "items": page.items.iter().map(|item| shown(item, false)).collect::<Value>(),
        "folders": folders,
        "has_next": page.next.is_some(),
        "next_page": page.next.unwrap_or_default(),
    })
    .into())
}

/// The kinds that are meant by the vendor's words for them; all but targets, if nothing is said. The vendor's words for
/// kinds that there are not here mean nothing, and others are refused: a list that is empty must be true.
fn kinds(words: &[String]) -> Result<Vec<ItemKind>, Invalid> {
    if words.is_empty() {
        return Ok(vec![ItemKind::StaticSecret, ItemKind::DynamicSecret, ItemKind::RotatedSecret]);
    }
    let mut kinds = Vec::with_capacity(words.len());
    for word in words {
        match word.to_lowercase().replace('_', "-").as_str() {
            "static-secret" => kinds.push(ItemKind::StaticSecret),
            "dynamic-secret" => kinds.push(ItemKind::DynamicSecret),
            "rotated-secret" => kinds.push(ItemKind::RotatedSecret),
            "target" => kinds.push(ItemKind::Target),
            "key" | "dfc-key" => kinds.push(ItemKind::Key),
            other if KINDS_OF_THE_VENDOR.contains(&other) => {}
            _ => {
                let problem = "is static-secret, dynamic-secret, rotated-secret, target or key";
                return Err(Invalid::new("type", problem));
            }
        }
    }
    Ok(kinds)
}

/// Refuses where no page can begin: it is what the page before has told as `next_page`, and that is a name.
pub(super) fn check_page(token: Option<&str>) -> Result<(), Invalid> {
    match token {
        Some(token) if !token.starts_with('/') || ItemName::parse(token).is_err() => Err(Invalid::new(
            "pagination-token",
            "is no page; it is what the page before has told as next_page",
        )),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Describe {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    item_id: Option<u64>,
    #[serde(default, deserialize_with = "fields::text")]
    display_id: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    show_versions: bool,
}

/// `/describe-item`: an item by its name, its number, or its number as text.
pub(super) async fn describe(call: Call) -> Answer {
    let Describe { name, item_id, display_id, show_versions } = call.fields()?;
    let tree = tree(&call.parts);
    let id = match display_id {
        Some(text) if name.is_none() => Some(
            text.parse()
                .map_err(|_| Invalid::new("display-id", "is what describe-item shows as display_id"))?,
        ),
        _ => item_id,
    };
    let item = match (name, id) {
        (Some(name), _) => tree.get(&ItemName::parse(&name)?).await?.item,
        (None, Some(id)) => {
            let found = tree.find(id).await?;
            let missing = || {
                ApiError::new(http::StatusCode::NOT_FOUND, format!("there is no item with the number {id}"))
            };
            found.ok_or_else(missing)?.item
        }
        (None, None) => return Err(Invalid::new("name", "is missing").into()),
    };
    let mut described = shown(&item, show_versions);
    match item.record.kind {
        ItemKind::StaticSecret | ItemKind::Target | ItemKind::Key => {}
        ItemKind::DynamicSecret => {
            describe_dynamic(&mut described, &call.parts.catalog.known(&item.name).await?);
        }
        ItemKind::RotatedSecret => {
            describe_rotated(&mut described, &call.parts.rotated_secrets.known(&item.name).await?);
        }
    }
    Ok(described.into())
}

fn describe_dynamic(described: &mut Value, known: &KnownSecret) {
    let failure = known.rotation.failure.as_deref();
    described["item_general_info"] = json!({"dynamic_secret_producer_details": {
        "producer_type": known.secret.producer.kind(),
        "user_ttl": known.secret.user_ttl,
        "producer_status": if failure.is_some() { "Error" } else { "OK" },
        "failure_message": failure.unwrap_or_default(),
        "gw_cluster_id": 0,
    }});
}

fn describe_rotated(described: &mut Value, known: &KnownRotated) {
    let rotation = &known.rotation;
    let status = match (&rotation.failure, rotation.last_at) {
        (Some(_), _) => "RotationFailed",
        (None, Some(_)) => "RotationSucceeded",
        (None, None) => "NeverRotated",
    };
    described["auto_rotate"] = rotation.every.is_some().into();
    described["rotation_interval"] = rotation.every.map_or(0, |every| every.minutes).into();
    described["next_rotation_date"] = rotation.next_at.map(Timestamp::rfc3339).into();
    described["last_rotation_date"] = rotation.last_at.map(Timestamp::rfc3339).into();
    described["item_general_info"] = json!({"rotated_secret_details": {
        "rotator_type": "custom",
        "rotator_creds_type": "use-user-creds",
        "rotator_status": status,
        "last_rotation_error": rotation.failure.as_deref().unwrap_or_default(),
        "rotation_interval_min": true,
        "rotation_hour": rotation.every.and_then(|every| every.hour),
        "max_versions": known.item.record.max_versions,
        "timeout_seconds": known.timeout_sec,
    }});
    described["item_targets_assoc"] = known.target.iter().map(|target| {
        let id = known.item.record.target;
        json!({"assoc_id": id.map(|id| id.to_string()), "target_id": id, "target_name": target, "target_type": "web"})
    }).collect();
}

/// An item in the vendor's words, without anything secret of it.
pub(super) fn shown(item: &Item, with_versions: bool) -> Value {
    let Item { name, record } = item;
    let Record { id, kind, state, description, tags, delete_protection, created, modified, .. } = record;
    let (item_type, sub_type) = match kind {
        ItemKind::StaticSecret => ("STATIC_SECRET", "generic"),
        ItemKind::DynamicSecret => ("DYNAMIC_SECRET", "generic"),
        ItemKind::RotatedSecret => ("ROTATED_SECRET", "custom"),
        ItemKind::Target => ("TARGET", "web"),
        ItemKind::Key => ("KEY", "AES256GCM"),
    };
    let time = |millis: u64| Timestamp::from_millis(millis).rfc3339();
    let key = record.protection.as_ref().and_then(|protection| protection.key.as_ref());
    let mut shown = json!({
        "item_id": id,
        "display_id": id.to_string(),
        "item_name": name,
        "item_type": item_type,
        "item_sub_type": sub_type,
        "item_state": match state { ItemState::Enabled => "Enabled", ItemState::Disabled => "Disabled" },
        "is_enabled": *state == ItemState::Enabled,
        "item_metadata": description.as_deref().unwrap_or_default(),
        "item_tags": tags,
        "last_version": record.last_version(),
        "creation_date": time(*created),
        "modification_date": time(*modified),
        "delete_protection": delete_protection,
        "with_customer_fragment": record.protection.is_some(),
        "customer_fragment_id": record.fragment().map_or("", |fragment| fragment.as_str()),
        "protection_key_name": key.map_or("", |key| key.as_str()),
    });
    if *kind == ItemKind::StaticSecret {
        let format = match record.format {
            Format::Text => "text",
            Format::Json => "json",
            Format::KeyValue => "key-value",
        };
        let info = json!({"format": format, "max_versions": record.max_versions});
        shown["item_general_info"] = json!({"static_secret_info": info});
    }
    if with_versions {
        let versions = record.versions.iter().rev();
        shown["item_versions"] = versions
            .map(|version| {
                let created = time(version.created);
                json!({"version": version.number, "creation_date": created, "item_version_state": "Enabled"})
            })
            .collect();
    }
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Delete {
    name: ItemName,
    #[serde(default, deserialize_with = "fields::maybe_integer")]
    version: Option<i64>,
    #[serde(default, deserialize_with = "fields::text")]
    accessibility: Option<String>,
}

/// `/delete-item`, and `/rotated-secret-delete`: at once. `delete-in-days` is about keys of the vendor's.
pub(super) async fn delete(call: Call, only: Option<ItemKind>) -> Answer {
    let Delete { name, version, accessibility } = call.fields()?;
    check_accessibility(accessibility.as_deref())?;
    let parts = &call.parts;
    let item = match only {
        Some(kind) => tree(parts).get_kind(&name, kind).await?.item,
        None => tree(parts).get(&name).await?.item,
    };
    // As the vendor has it: -1 is the item with all its versions, 0 its newest one.
    let version = match version.unwrap_or(-1) {
        -1 => None,
        number if number >= 0 => Some(item.version(which(number))?),
        _ => return Err(Invalid::new("version", "is the number of a version, or -1 for all").into()),
    };
    let deleted = match item.record.kind {
        ItemKind::StaticSecret => parts.static_secrets.delete(&name, version).await?,
        ItemKind::RotatedSecret => parts.rotated_secrets.delete(&name, version).await?,
        ItemKind::DynamicSecret => {
            dynamic_secret::deleted(parts, &name).await?;
            item
        }
        ItemKind::Target => parts.rotated_secrets.targets().delete(&name).await?,
        // What was sealed by its name stays as it is: the fragment opens it.
        ItemKind::Key => tree(parts).remove(&name, ItemKind::Key).await?,
    };
    // With its only version the item has gone too.
    let version = version.filter(|_| deleted.record.versions.len() > 1);
    Ok(json!({
        "item_id": deleted.record.id,
        "item_name": deleted.name,
        "deletion_date": parts.clock.now().rfc3339(),
        "version_deleted": version.map_or(-1, |version| i64::try_from(version).unwrap_or(i64::MAX)),
    })
    .into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Update {
    name: ItemName,
    #[serde(default)]
    new_name: Option<ItemName>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    /// What older clients call the description.
    #[serde(default, deserialize_with = "fields::text")]
    new_metadata: Option<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    add_tag: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    rm_tag: Vec<String>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    delete_protection: Option<bool>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    max_versions: Option<u64>,
}

/// `/update-item`.
pub(super) async fn update(call: Call) -> Answer {
    let sent: Update = call.fields()?;
    let most = gateward_items::MOST_VERSIONS;
    let max_versions = sent.max_versions.map(|versions| usize::try_from(versions).unwrap_or(usize::MAX));
    if max_versions.is_some_and(|versions| !(1..=most).contains(&versions)) {
        return Err(Invalid::new("max-versions", format!("is from 1 to {most}")).into());
    }
    // The words with which clients say that they say nothing.
    let is_said = |text: &String| text != "default_metadata" && text != "default_comment";
    let description = sent.description.or(sent.new_metadata).filter(is_said);
    let now = call.parts.clock.now().millis();
    let (add, remove, protection) = (sent.add_tag, sent.rm_tag, sent.delete_protection);
    edit(&call.parts, &sent.name, sent.new_name.as_ref(), |record| {
        record.modified = now;
        record.description = description.clone().or(record.description.take());
        record.tags.retain(|tag| !remove.contains(tag));
        let new: Vec<_> = add.iter().filter(|tag| !record.tags.contains(tag)).cloned().collect();
        record.tags.extend(new);
        record.delete_protection = protection.unwrap_or(record.delete_protection);
        record.max_versions = max_versions.unwrap_or(record.max_versions);
    })
    .await?;
    Ok(json!({"updated": true}).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SetState {
    name: ItemName,
    #[serde(default)]
    desired_state: String,
}

/// `/set-item-state`: a disabled item gives no values.
pub(super) async fn set_state(call: Call) -> Answer {
    let SetState { name, desired_state } = call.fields()?;
    let state = match desired_state.to_lowercase().as_str() {
        "enabled" => ItemState::Enabled,
        "disabled" => ItemState::Disabled,
        _ => return Err(Invalid::new("desired-state", "is Enabled or Disabled").into()),
    };
    let now = call.parts.clock.now().millis();
    edit(&call.parts, &name, None, |record| {
        record.state = state;
        record.modified = now;
    })
    .await?;
    Ok(json!({}).into())
}

#[derive(Deserialize)]
struct Named {
    name: ItemName,
}

/// `/get-tags`.
pub(super) async fn tags(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let item = tree(&call.parts).get(&name).await?.item;
    Ok(json!(item.record.tags).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Move {
    #[serde(default)]
    source: String,
    #[serde(default)]
    target: String,
    #[serde(default, deserialize_with = "fields::text")]
    objects_type: Option<String>,
}

/// `/move-objects`: an item, or a folder with all in it. It is looked first whether all new names are free, and then each
/// item moves by itself: one that cannot after all ends it, which is told, and the same call again moves those that are
/// left. At no moment does an item have two names, or none. A slash at the end says folder: as the source only that, and as
/// the target the one that it moves into.
pub(super) async fn move_objects(call: Call) -> Answer {
    let Move { source, target, objects_type } = call.fields()?;
    if objects_type.is_some_and(|kind| kind != "item") {
        return Err(Invalid::new("objects-type", "is item").into());
    }
    let within = |error: Invalid, field: &str| Invalid { field: field.to_owned(), ..error };
    let is_folder = source.ends_with('/');
    let source = ItemName::parse(source.trim_end_matches('/')).map_err(|error| within(error, "source"))?;
    let target = match target.strip_suffix('/') {
        Some(folder) => format!("{folder}/{}", source.as_str().rsplit('/').next().unwrap_or_default()),
        None => target,
    };
    let target = ItemName::parse(&target).map_err(|error| within(error, "target"))?;
    let tree = tree(&call.parts);
    let moved = match tree.get(&source).await {
        Ok(_) if !is_folder => vec![source.clone()],
        Ok(_) | Err(ItemError::Missing(_)) => {
            if target.as_str().strip_prefix(source.as_str()).is_some_and(|below| below.starts_with('/')) {
                return Err(Invalid::new("target", "is in the folder that is to move").into());
            }
            let query = ListQuery { folder: source.to_string(), ..ListQuery::default() };
            tree.list(&query, usize::MAX).await?.items.into_iter().map(|item| item.name).collect()
        }
        Err(error) => return Err(error.into()),
    };
    if moved.is_empty() {
        return Err(ItemError::Missing(source).into());
    }
    let mut moves = Vec::with_capacity(moved.len());
    for name in &moved {
        let rest = name.as_str().strip_prefix(source.as_str()).unwrap_or_default();
        let new_name = ItemName::parse(&format!("{target}{rest}"))?;
        match tree.get(&new_name).await {
            Ok(_) if !moved.contains(&new_name) => return Err(ItemError::Exists(new_name).into()),
            Ok(_) | Err(ItemError::Missing(_)) => moves.push((name.clone(), new_name)),
            Err(error) => return Err(error.into()),
        }
    }
    // A folder may move out of itself: whoever stands where another goes is nearer to its top, and goes first.
    moves.sort_by_key(|(name, _)| name.as_str().len());
    let (now, all) = (call.parts.clock.now().millis(), moves.len());
    for (moved, (name, new_name)) in moves.into_iter().enumerate() {
        let done = edit(&call.parts, &name, Some(&new_name), |record| record.modified = now).await;
        done.map_err(|error| match moved {
            0 => error,
            _ => error
                .and(&format!("{moved} of {all} items are moved, and the same call again moves the rest")),
        })?;
    }
    Ok(json!({}).into())
}

/// Changes what is known of an item in the open, and its name. Where else the name stands it changes too.
async fn edit(
    parts: &ControlParts,
    name: &ItemName,
    new_name: Option<&ItemName>,
    change: impl Fn(&mut Record) + Send + Sync,
) -> Result<(), ApiError> {
    let item = tree(parts).get(name).await?.item;
    let edit = |item: &mut Item| {
        change(&mut item.record);
        item.name = new_name.cloned().unwrap_or_else(|| item.name.clone());
        Ok(())
    };
    match item.record.kind {
        ItemKind::StaticSecret | ItemKind::Target | ItemKind::Key => {
            tree(parts).edit(name, edit).await?;
        }
        ItemKind::DynamicSecret => {
            parts.catalog.edit(name, edit).await?;
        }
        ItemKind::RotatedSecret => {
            if let Some(new_name) = new_name.filter(|new_name| *new_name != name) {
                let rename = RotatedSecretChange {
                    new_name: Some(new_name.clone()),
                    ..RotatedSecretChange::default()
                };
                parts.rotated_secrets.update(name, &rename).await?;
            }
            tree(parts).update(new_name.unwrap_or(name), change).await?;
        }
    }
    Ok(())
}

/// The tree of items.
pub(super) fn tree(parts: &ControlParts) -> &Tree {
    parts.catalog.tree()
}

/// What the vendor has besides, and this gateway has not.
const KINDS_OF_THE_VENDOR: &[&str] = &[
    "bastion-certificate",
    "certificate",
    "classic-key",
    "oidc-app",
    "passkey",
    "password",
    "pki-cert-issuer",
    "ssh-cert-issuer",
    "tokenizer",
    "universal-secrets-connector",
    "usc",
];

/// As many items as a page has.
const PAGE: usize = 1000;
