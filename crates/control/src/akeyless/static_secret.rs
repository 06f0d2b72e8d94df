//! Static secrets: put there, read, replaced, put back.

use gateward_items::{Format, NewStaticSecret, Which};
use gateward_model::{Invalid, ItemName};
use gateward_seal::SecretValue;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, ApiError, Call, fields, protection};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Create {
    name: ItemName,
    #[serde(default)]
    value: SecretValue,
    #[serde(default, rename = "type", deserialize_with = "fields::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    format: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    /// What older clients call the description.
    #[serde(default, deserialize_with = "fields::text")]
    metadata: Option<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    tags: Vec<String>,
    #[serde(default, alias = "key", deserialize_with = "fields::text")]
    protection_key: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    max_versions: Option<u64>,
    #[serde(default, deserialize_with = "fields::text")]
    accessibility: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    delete_protection: bool,
}

/// `/create-secret`.
pub(super) async fn create(call: Call) -> Answer {
    let sent: Create = call.fields()?;
    if sent.kind.as_deref().is_some_and(|kind| kind != "generic") {
        return Err(Invalid::new("type", "is generic; there is no other").into());
    }
    let protection = protection::chosen(&call, "protection_key", sent.protection_key.as_deref()).await?;
    check_accessibility(sent.accessibility.as_deref())?;
    let new = NewStaticSecret {
        name: sent.name,
        value: sent.value,
        format: format(sent.format.as_deref())?.unwrap_or_default(),
        description: sent.description.or(sent.metadata),
        tags: sent.tags,
        delete_protection: sent.delete_protection,
        max_versions: sent.max_versions.map(|versions| usize::try_from(versions).unwrap_or(usize::MAX)),
        protection,
    };
    let item = call.parts.static_secrets.create(new).await?;
    Ok(json!({"name": item.name}).into())
}

#[derive(Deserialize)]
struct Get {
    /// As they were written: the answer has them in the same spelling.
    #[serde(default, deserialize_with = "fields::texts")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "fields::maybe_integer")]
    version: Option<i64>,
    #[serde(default, deserialize_with = "fields::text")]
    accessibility: Option<String>,
}

/// `/get-secret-value`.
pub(super) async fn get(call: Call) -> Answer {
    let Get { names, version, accessibility } = call.fields()?;
    check_accessibility(accessibility.as_deref())?;
    if names.is_empty() {
        return Err(Invalid::new("names", "is the name of a secret, or a list of names").into());
    }
    if names.len() > MOST_NAMES {
        return Err(Invalid::new("names", format!("has at most {MOST_NAMES} names")).into());
    }
    let mut values = Map::new();
    for text in names {
        let name = ItemName::parse(&text).map_err(|error| Invalid { field: "names".to_owned(), ..error })?;
        values.insert(text, value(&call, &name, version).await?);
    }
    Ok(Value::Object(values).into())
}

/// One version as text; a negative number asks for so many versions, the newest first.
async fn value(call: &Call, name: &ItemName, version: Option<i64>) -> Result<Value, ApiError> {
    let secrets = &call.parts.static_secrets;
    let wanted = version.unwrap_or_default();
    if wanted >= 0 {
        return Ok(secrets.value(name, which(wanted)).await?.expose().into());
    }
    let most = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
    let values = secrets.last_values(name, most).await?;
    let told = values.iter().map(|(version, value)| {
        let created = gateward_clock::Timestamp::from_millis(version.created).rfc3339();
        json!({"version": version.number, "value": value.expose(), "creation_date": created})
    });
    Ok(told.collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Update {
    name: ItemName,
    #[serde(default)]
    value: SecretValue,
    #[serde(default, deserialize_with = "fields::text")]
    format: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    keep_prev_version: Option<bool>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    last_version: Option<u64>,
    #[serde(default, alias = "protection-key", deserialize_with = "fields::text")]
    key: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    accessibility: Option<String>,
}

/// `/update-secret-val`. The value before stays a version unless it is said not to.
pub(super) async fn update(call: Call) -> Answer {
    let sent: Update = call.fields()?;
    let protection = protection::chosen(&call, "key", sent.key.as_deref()).await?;
    check_accessibility(sent.accessibility.as_deref())?;
    let (format, keep) = (format(sent.format.as_deref())?, sent.keep_prev_version.unwrap_or(true));
    let expected = sent.last_version.filter(|version| *version > 0);
    let secrets = &call.parts.static_secrets;
    let version =
        secrets.update_under(&sent.name, &sent.value, format, keep, expected, protection.as_ref()).await?;
    Ok(json!({"name": sent.name, "version": version}).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RollBack {
    name: ItemName,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    old_version: Option<u64>,
}

/// `/rollback-secret`: the value of an older version becomes the newest, as a version of its own.
pub(super) async fn roll_back(call: Call) -> Answer {
    let RollBack { name, old_version } = call.fields()?;
    let old = old_version.ok_or_else(|| Invalid::new("old-version", "is missing"))?;
    let version = call.parts.static_secrets.roll_back(&name, old).await?;
    Ok(json!({"name": name, "version": version}).into())
}

/// What a version that is not negative means: 0 is the newest.
pub(super) fn which(version: i64) -> Which {
    match u64::try_from(version) {
        Ok(0) | Err(_) => Which::Current,
        Ok(number) => Which::Number(number),
    }
}

/// There is one tree, and nobody has one to themselves.
pub(super) fn check_accessibility(accessibility: Option<&str>) -> Result<(), Invalid> {
    match accessibility {
        None | Some("regular") => Ok(()),
        Some(_) => Err(Invalid::new("accessibility", "is regular; there are no personal items")),
    }
}

fn format(text: Option<&str>) -> Result<Option<Format>, Invalid> {
    match text {
        None => Ok(None),
        Some("text") => Ok(Some(Format::Text)),
        Some("json") => Ok(Some(Format::Json)),
        Some("key-value") => Ok(Some(Format::KeyValue)),
        Some(_) => Err(Invalid::new("format", "is text, json or key-value")),
    }
}

/// As many secrets as one call asks for at most.
const MOST_NAMES: usize = 100;
