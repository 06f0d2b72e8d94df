//! Dynamic secrets with a custom producer: creating one, getting a credential from it, deleting it.

use std::sync::Arc;

use gateward_leases::lease::Holder;
use gateward_leases::{Engine, NewDynamicSecret};
use gateward_model::{DynamicSecret, GoDuration, Invalid, ItemName, ProducerUrl};
use gateward_seal::SecretValue;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, ApiError, Call, fields};
use crate::ControlParts;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Create {
    name: ItemName,
    create_sync_url: ProducerUrl,
    revoke_sync_url: ProducerUrl,
    #[serde(default, deserialize_with = "fields::text")]
    rotate_sync_url: Option<String>,
    #[serde(default)]
    payload: SecretValue,
    #[serde(default = "minute", deserialize_with = "fields::whole")]
    timeout_sec: u64,
    #[serde(default = "hour")]
    user_ttl: GoDuration,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    #[serde(default, rename = "delete_protection", deserialize_with = "fields::flag")]
    delete_protection: bool,
    #[serde(default, deserialize_with = "fields::flag")]
    skip_dry_run: bool,
    #[serde(default, deserialize_with = "fields::flag")]
    enable_admin_rotation: bool,
    #[serde(default, deserialize_with = "fields::text")]
    producer_encryption_key_name: Option<String>,
}

/// `/dynamic-secret-create-custom`.
pub(super) async fn create(call: Call) -> Answer {
    Ok(json!({"dynamic_secret_details": created(&call).await?}))
}

/// `/gateway-create-producer-custom`.
pub(super) async fn create_old(call: Call) -> Answer {
    Ok(json!({"producer_details": created(&call).await?}))
}

async fn created(call: &Call) -> Result<Value, ApiError> {
    let new = new_secret(call.fields()?)?;
    let NewDynamicSecret { secret, payload } = &new.secret;
    if call.parts.catalog.exists(&secret.name).await? {
        return Err(gateward_leases::CatalogError::Exists(secret.name.clone()).into());
    }
    if !new.skip_dry_run {
        let producer = call.parts.producers.of(secret, payload.clone());
        producer
            .dry_run()
            .await
            .map_err(|why| ApiError::bad(format!("the dry run failed, and nothing was created: {why}")))?;
    }
    call.parts.catalog.create(&new.secret).await?;
    Ok(details(&new.secret.secret))
}

struct New {
    secret: NewDynamicSecret,
    skip_dry_run: bool,
}

fn new_secret(sent: Create) -> Result<New, Invalid> {
    if sent.enable_admin_rotation {
        return Err(Invalid::new("enable-admin-rotation", "payloads are not rotated yet; leave it out"));
    }
    if sent.producer_encryption_key_name.is_some() {
        let problem = "payloads are sealed with the gateway's own key; leave it out";
        return Err(Invalid::new("producer-encryption-key-name", problem));
    }
    if !(1..=LONGEST_TIMEOUT).contains(&sent.timeout_sec) {
        return Err(Invalid::new("timeout-sec", format!("is seconds, from 1 to {LONGEST_TIMEOUT}")));
    }
    if sent.user_ttl.span().as_secs() == 0 {
        return Err(Invalid::new("user-ttl", "is at least one second"));
    }
    let rotate_sync_url = sent
        .rotate_sync_url
        .map(|url| ProducerUrl::parse(&url).map_err(|error| error.within("rotate-sync-url")))
        .transpose()?;
    let secret = DynamicSecret {
        // Small enough that every client can hold it in a number.
        id: fastrand::u64(1..1 << 52),
        name: sent.name,
        create_sync_url: sent.create_sync_url,
        revoke_sync_url: sent.revoke_sync_url,
        rotate_sync_url,
        timeout_sec: sent.timeout_sec,
        user_ttl: sent.user_ttl,
        tags: sent.tags,
        description: sent.description,
        delete_protection: sent.delete_protection,
    };
    Ok(New { secret: NewDynamicSecret { secret, payload: sent.payload }, skip_dry_run: sent.skip_dry_run })
}

/// What there is to know of a dynamic secret; its payload can be written and not read.
fn details(secret: &DynamicSecret) -> Value {
    json!({
        "dynamic_secret_id": secret.id,
        "dynamic_secret_name": secret.name,
        "dynamic_secret_type": "custom",
        "active": true,
        "create_sync_url": secret.create_sync_url,
        "revoke_sync_url": secret.revoke_sync_url,
        "rotate_sync_url": secret.rotate_sync_url.as_ref().map(ToString::to_string).unwrap_or_default(),
        "timeout_seconds": secret.timeout_sec,
        "user_ttl": secret.user_ttl,
        "tags": secret.tags,
        "description": secret.description,
        "delete_protection": secret.delete_protection,
        "enable_admin_rotation": false,
    })
}

#[derive(Deserialize)]
struct Delete {
    name: ItemName,
}

/// `/dynamic-secret-delete`.
pub(super) async fn delete(call: Call) -> Answer {
    Ok(json!({"dynamic_secret_name": deleted(&call).await?}))
}

/// `/gateway-delete-producer`.
pub(super) async fn delete_old(call: Call) -> Answer {
    Ok(json!({"producer_name": deleted(&call).await?}))
}

async fn deleted(call: &Call) -> Result<ItemName, ApiError> {
    let Delete { name } = call.fields()?;
    let secret = call.parts.catalog.delete(&name).await?;
    // The item is gone, durably; its leases go with it, now if the producer can be reached, else as soon as it can.
    if let Some(engine) = &call.parts.engine
        && let Err(error) = engine.revoke_all(secret.id).await
    {
        tracing::warn!(item = %name, %error, "leases of a deleted item wait for their producer");
    }
    call.parts.catalog.forget(secret.id).await?;
    Ok(name)
}

#[derive(Deserialize)]
struct GetValue {
    name: ItemName,
    #[serde(default)]
    args: Option<Vec<String>>,
}

/// `/get-dynamic-secret-value`: the producer's response, as it came.
pub(super) async fn get_value(call: Call) -> Answer {
    let GetValue { name, args } = call.fields()?;
    let input = input(&args.unwrap_or_default())?;
    let identity = &call.identity;
    let holder =
        Holder { access_id: identity.access_id.to_string(), sub_claims: identity.sub_claims.clone() };
    let issued = engine(&call.parts)?.issue(&name, holder, input).await?;
    Ok(Value::Object(issued.response))
}

/// Each argument is `name=value` or a JSON object; together they are the producer's input.
fn input(args: &[String]) -> Result<Map<String, Value>, Invalid> {
    let mut input = Map::new();
    for (index, arg) in args.iter().enumerate() {
        if let Ok(Value::Object(fields)) = gateward_model::from_admin(arg.as_bytes()) {
            input.extend(fields);
        } else if let Some((name, value)) = arg.split_once('=') {
            input.insert(name.to_owned(), Value::from(value));
        } else {
            return Err(Invalid::new(format!("args[{index}]"), "is name=value or a JSON object"));
        }
    }
    Ok(input)
}

/// The engine, where there is one.
pub(super) fn engine(parts: &ControlParts) -> Result<&Arc<Engine>, ApiError> {
    parts.engine.as_ref().ok_or_else(|| {
        let text = "this gateway cannot revoke on time what it would issue: its store is not durable here";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })
}

fn minute() -> u64 {
    60
}

fn hour() -> GoDuration {
    GoDuration::minutes(60)
}

/// A Lambda function's longest life, in seconds; nothing that answers a call takes longer.
const LONGEST_TIMEOUT: u64 = 900;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_pairs_or_json_and_later_ones_win() {
        let args = ["a=b".to_owned(), "{\"c\":1,}".to_owned(), "a=c=d".to_owned()];
        assert_eq!(input(&args).map(Value::Object), Ok(json!({"a": "c=d", "c": 1})));
        assert!(input(&["nonsense".to_owned()]).is_err());
        assert!(input(&["[1]".to_owned()]).is_err());
    }
}
