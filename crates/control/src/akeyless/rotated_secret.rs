//! Rotated secrets with a custom producer, and rotation on demand.

use std::sync::Arc;

use gateward_clock::Timestamp;
use gateward_items::{ItemState, Which};
use gateward_leases::rotation::{Every, KnownRotated, MINUTES_A_DAY, NewRotatedSecret, RotatedSecretChange};
use gateward_leases::{RotateFailure, Rotator};
use gateward_model::{Invalid, ItemName};
use gateward_seal::SecretValue;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::static_secret::which;
use super::terms::LONGEST_TIMEOUT;
use super::{Answer, ApiError, Call, fields, protection};
use crate::ControlParts;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Definition {
    name: ItemName,
    #[serde(default)]
    new_name: Option<ItemName>,
    #[serde(default)]
    target_name: Option<ItemName>,
    #[serde(default)]
    custom_payload: Option<SecretValue>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    auto_rotate: Option<bool>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    rotation_interval: Option<u64>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    rotation_hour: Option<u64>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    timeout_sec: Option<u64>,
    #[serde(default, alias = "protection-key", deserialize_with = "fields::text")]
    key: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    /// What older clients call the description.
    #[serde(default, deserialize_with = "fields::text")]
    metadata: Option<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    add_tag: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    rm_tag: Vec<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    max_versions: Option<u64>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    delete_protection: Option<bool>,
}

impl Definition {
    fn check(&self) -> Result<(), Invalid> {
        if self.timeout_sec.is_some_and(|seconds| !(1..=LONGEST_TIMEOUT).contains(&seconds)) {
            return Err(Invalid::new("timeout-sec", format!("is seconds, from 1 to {LONGEST_TIMEOUT}")));
        }
        Ok(())
    }

    /// How often it is rotated by itself, if ever; none if that is not said. `before` is how often it was.
    fn every(&self, before: Option<Every>) -> Result<Option<Option<Every>>, Invalid> {
        if self.rotation_interval.is_some_and(|minutes| !(1..=LONGEST_INTERVAL).contains(&minutes)) {
            return Err(Invalid::new(
                "rotation-interval",
                format!("is minutes, from 1 to {LONGEST_INTERVAL}"),
            ));
        }
        if self.rotation_hour.is_some_and(|hour| hour > 23) {
            return Err(Invalid::new("rotation-hour", "is from 0 to 23"));
        }
        let said = [("rotation-interval", self.rotation_interval), ("rotation-hour", self.rotation_hour)];
        let said = said.iter().find(|(_, value)| value.is_some()).map(|(field, _)| *field);
        match (self.auto_rotate, said) {
            (Some(false), _) => return Ok(Some(None)),
            (None, None) => return Ok(None),
            (None, Some(field)) if before.is_none() => {
                let problem = "is of no use without auto-rotate; say auto-rotate true, or leave it out";
                return Err(Invalid::new(field, problem));
            }
            _ => {}
        }
        let Some(minutes) = self.rotation_interval.or(before.map(|every| every.minutes)) else {
            return Err(Invalid::new("rotation-interval", "is missing; auto-rotate needs it, in minutes"));
        };
        let hour = match self.rotation_hour {
            None => before.and_then(|every| every.hour).filter(|_| minutes % MINUTES_A_DAY == 0),
            Some(hour) if minutes % MINUTES_A_DAY == 0 => u8::try_from(hour).ok(),
            Some(_) => {
                let problem = "goes with a rotation-interval of whole days (1440 minutes)";
                return Err(Invalid::new("rotation-hour", problem));
            }
        };
        Ok(Some(Some(Every { minutes, hour })))
    }

    fn max_versions(&self) -> Option<usize> {
        self.max_versions.map(|versions| usize::try_from(versions).unwrap_or(usize::MAX))
    }

    fn description(&self) -> Option<String> {
        let said = self.description.clone().or_else(|| self.metadata.clone());
        said.filter(|text| text != "default_metadata")
    }
}

/// `/rotated-secret-create-custom`. Nothing is called: to try the producer out would be to rotate.
pub(super) async fn create(call: Call) -> Answer {
    let sent: Definition = call.fields()?;
    sent.check()?;
    let protection = protection::chosen(&call, "key", sent.key.as_deref()).await?;
    let new = NewRotatedSecret {
        protection,
        target: sent.target_name.clone().ok_or_else(|| Invalid::new("target-name", "is missing"))?,
        payload: sent.custom_payload.clone().unwrap_or_default(),
        timeout_sec: sent.timeout_sec.unwrap_or(40),
        every: sent.every(None)?.flatten(),
        description: sent.description(),
        tags: sent.tags.clone(),
        delete_protection: sent.delete_protection.unwrap_or_default(),
        max_versions: sent.max_versions(),
        name: sent.name,
    };
    let item = call.parts.rotated_secrets.create(new).await?;
    look_again(&call.parts);
    Ok(json!({"name": item.name}).into())
}

/// `/rotated-secret-update-custom`.
pub(super) async fn update(call: Call) -> Answer {
    let sent: Definition = call.fields()?;
    sent.check()?;
    let protection = protection::chosen(&call, "key", sent.key.as_deref()).await?;
    let secrets = &call.parts.rotated_secrets;
    let known = secrets.known(&sent.name).await?;
    let mut tags = known.item.record.tags;
    tags.retain(|tag| !sent.rm_tag.contains(tag));
    tags.extend(sent.add_tag.iter().filter(|tag| !tags.contains(tag)).cloned().collect::<Vec<_>>());
    let change = RotatedSecretChange {
        protection,
        every: sent.every(known.rotation.every)?,
        description: sent.description(),
        max_versions: sent.max_versions(),
        new_name: sent.new_name,
        payload: sent.custom_payload,
        timeout_sec: sent.timeout_sec,
        tags: Some(tags),
        delete_protection: sent.delete_protection,
    };
    let item = secrets.update(&sent.name, &change).await?;
    look_again(&call.parts);
    Ok(json!({"name": item.name}).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct GetValue {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "fields::maybe_integer")]
    version: Option<i64>,
    #[serde(default, deserialize_with = "fields::text")]
    host: Option<String>,
}

/// `/get-rotated-secret-value`, and `/rotated-secret-get-value`.
pub(super) async fn get_value(call: Call) -> Answer {
    let GetValue { name, names, version, host } = call.fields()?;
    if host.is_some() {
        return Err(Invalid::new("host", "a custom rotated secret has no linked target; leave it out").into());
    }
    let name = match (name, names.as_slice()) {
        (Some(name), []) => name,
        (None, [name]) => name.clone(),
        _ => return Err(Invalid::new("names", "is the name of one rotated secret").into()),
    };
    let version = match version.unwrap_or_default() {
        version if version >= 0 => which(version),
        -1 => Which::Current,
        _ => return Err(Invalid::new("version", "is the number of a version, or 0 for the newest").into()),
    };
    let name = ItemName::parse(&name)?;
    let value = call.parts.rotated_secrets.value(&name, version).await?;
    if value.is_empty() {
        let text = format!(
            "the rotated secret {name} has no value yet: it was created without custom-payload, and its first rotation \
             makes one (gateway-rotate-secret)"
        );
        return Err(ApiError::new(StatusCode::NOT_FOUND, text));
    }
    Ok(json!({"value": {"payload": value.expose()}}).into())
}

/// `/rotated-secret-list`.
pub(super) async fn list(call: Call) -> Answer {
    let secrets = call.parts.rotated_secrets.list().await?;
    let told: Value = secrets.iter().map(listed).collect();
    Ok(json!({"producers": told, "producers_errors": []}).into())
}

fn listed(known: &KnownRotated) -> Value {
    let record = &known.item.record;
    json!({
        "id": record.id,
        "name": known.item.name,
        "type": "custom",
        "active": record.state == ItemState::Enabled,
        "init": true,
        "failure_message": known.rotation.failure,
        "target_name": known.target,
        "auto_rotate": known.rotation.every.is_some(),
        "rotation_interval": known.rotation.every.map_or(0, |every| every.minutes),
        "next_rotation_date": known.rotation.next_at.map(Timestamp::rfc3339),
        "last_version": record.last_version(),
    })
}

#[derive(Deserialize)]
struct Rotate {
    name: ItemName,
}

/// `/gateway-rotate-secret`, and `/rotate-secret`: a rotated secret, or the payload of a dynamic secret's producer.
pub(super) async fn rotate(call: Call) -> Answer {
    let Rotate { name } = call.fields()?;
    rotator(&call.parts)?.rotate(&name).await?;
    Ok(json!({"name": name}).into())
}

/// The rotator, where there is one.
fn rotator(parts: &ControlParts) -> Result<&Arc<Rotator>, ApiError> {
    parts.rotator.as_ref().ok_or_else(|| {
        let text = "this gateway would lose what it rotated: its store is not durable here";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })
}

/// The schedule may have something sooner than before.
pub(super) fn look_again(parts: &ControlParts) {
    if let Some(rotator) = &parts.rotator {
        rotator.look_again();
    }
}

impl From<RotateFailure> for ApiError {
    fn from(error: RotateFailure) -> Self {
        let status = match error {
            RotateFailure::Item(error) => return error.into(),
            RotateFailure::NoUrl(_) => StatusCode::BAD_REQUEST,
            RotateFailure::Busy(_) => StatusCode::CONFLICT,
            RotateFailure::Producer(_) | RotateFailure::Lost(_) => StatusCode::BAD_GATEWAY,
            RotateFailure::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            RotateFailure::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// A year, in minutes.
const LONGEST_INTERVAL: u64 = 365 * MINUTES_A_DAY;
