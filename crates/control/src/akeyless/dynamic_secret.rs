//! Dynamic secrets: definitions of those with a custom producer, and getting a credential from any.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_items::ItemState;
use gateward_leases::rotation::{Every, MINUTES_A_DAY};
use gateward_leases::{DynamicSecretChange, Engine, IssueError, Issued, KnownSecret, NewDynamicSecret, Wish};
use gateward_model::{
    CustomSettings, DynamicSecret, GoDuration, Invalid, ItemName, ProducerCapabilities, ProducerSettings,
    ProducerUrl,
};
use gateward_seal::SecretValue;
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::rotated_secret::look_again;
use super::terms::{LONGEST_TIMEOUT, Terms};
use super::{Answer, ApiError, Call, Told, fields, native, protection, repointing};
use crate::ControlParts;

/// What a dynamic secret is created with, or changed to; what is not there has its default, or stays.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Definition {
    name: ItemName,
    #[serde(default)]
    new_name: Option<ItemName>,
    #[serde(default)]
    create_sync_url: Option<ProducerUrl>,
    #[serde(default)]
    revoke_sync_url: Option<ProducerUrl>,
    #[serde(default, deserialize_with = "fields::text")]
    rotate_sync_url: Option<String>,
    #[serde(default)]
    payload: Option<SecretValue>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    timeout_sec: Option<u64>,
    #[serde(default, deserialize_with = "fields::maybe_duration")]
    user_ttl: Option<GoDuration>,
    #[serde(default, deserialize_with = "fields::maybe_texts")]
    tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    delete_protection: Option<bool>,
    #[serde(default, deserialize_with = "fields::flag")]
    skip_dry_run: bool,
    #[serde(default, deserialize_with = "fields::maybe_flag")]
    enable_admin_rotation: Option<bool>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    admin_rotation_interval_days: Option<u64>,
    #[serde(
        default,
        alias = "producer-encryption-key",
        alias = "protection-key",
        alias = "key",
        deserialize_with = "fields::text"
    )]
    producer_encryption_key_name: Option<String>,
    /// Ours: how many credentials may live at once; 0 is no bound.
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    max_leases: Option<u64>,
}

/// `/dynamic-secret-create-custom`, and `/gateway-create-producer-custom`; they differ in the answer's `wrapper`.
pub(super) async fn create(call: Call, wrapper: &str) -> Answer {
    let sent: Definition = call.fields()?;
    let secret = sent.applied_to(None, &call.parts)?;
    let name = secret.name.clone();
    if call.parts.catalog.exists(&name).await? {
        return Err(gateward_leases::CatalogError::Exists(name).into());
    }
    let protection =
        protection::chosen(&call, KEY_FIELD, sent.producer_encryption_key_name.as_deref()).await?;
    let mut new = NewDynamicSecret {
        protection,
        description: sent.description.clone(),
        tags: sent.tags.clone().unwrap_or_default(),
        delete_protection: sent.delete_protection.unwrap_or_default(),
        every: sent.every(&secret)?.flatten(),
        ..NewDynamicSecret::new(secret, sent.payload.clone().unwrap_or_default())
    };
    if let Some(can) = tried(&call, sent.skip_dry_run, &new.secret, &new.payload, "created").await? {
        new.secret.capabilities = can;
    }
    call.parts.catalog.create(&new).await?;
    look_again(&call.parts);
    wrapped(&call, &name, wrapper).await
}

/// `/dynamic-secret-update-custom`, and `/gateway-update-producer-custom`.
pub(super) async fn update(call: Call, wrapper: &str) -> Answer {
    let sent: Definition = call.fields()?;
    let before = call.parts.catalog.get(&sent.name).await?;
    let mut secret = sent.applied_to(Some(before.clone()), &call.parts)?;
    let standing = call.parts.catalog.producer(secret.id).await?.map(|(_, payload)| payload);
    if sent.payload.is_none() && !call.is_by_an_admin() {
        repointing::check_payload(&before.producer, &secret.producer, standing.as_ref())?;
    }
    if secret.producer != before.producer {
        // Another producer; what it can, a dry run tells.
        secret.capabilities = ProducerCapabilities::default();
    }
    let protection =
        protection::chosen(&call, KEY_FIELD, sent.producer_encryption_key_name.as_deref()).await?;
    let mut change = DynamicSecretChange {
        protection,
        payload: sent.payload.clone(),
        description: sent.description.clone(),
        tags: sent.tags.clone(),
        delete_protection: sent.delete_protection,
        every: sent.every(&secret)?,
        found: before.producer,
        secret,
    };
    let payload = sent.payload.clone().or(standing).unwrap_or_default();
    if let Some(can) = tried(&call, sent.skip_dry_run, &change.secret, &payload, "changed").await? {
        change.secret.capabilities = can;
    }
    call.parts.catalog.update(&sent.name, &change).await?;
    look_again(&call.parts);
    wrapped(&call, &change.secret.name, wrapper).await
}

pub(super) async fn wrapped(call: &Call, name: &ItemName, wrapper: &str) -> Answer {
    let details = details(&call.parts.catalog.known(name).await?);
    Ok(Value::Object(Map::from_iter([(wrapper.to_owned(), details)])).into())
}

/// The field that chooses what a payload is sealed with.
pub(super) const KEY_FIELD: &str = "producer-encryption-key-name";

/// Has the producer of `secret` tried out, unless that is to be skipped.
pub(super) async fn tried(
    call: &Call,
    skipped: bool,
    secret: &DynamicSecret,
    payload: &SecretValue,
    done: &str,
) -> Result<Option<ProducerCapabilities>, ApiError> {
    if skipped {
        return Ok(None);
    }
    let outcome = match &call.parts.engine {
        Some(engine) => engine.dry_run(secret, payload.clone()).await,
        None => call.parts.producers.of(secret, payload.clone()).dry_run().await,
    };
    outcome
        .map(Some)
        .map_err(|why| ApiError::bad(format!("the dry run failed, and nothing was {done}: {why}")))
}

impl Definition {
    /// The secret as this makes it, out of the one `before` if there is one.
    fn applied_to(
        &self,
        before: Option<DynamicSecret>,
        parts: &ControlParts,
    ) -> Result<DynamicSecret, Invalid> {
        let missing = |field: &str| Invalid::new(field, "is missing");
        let (create, revoke) = (self.create_sync_url.clone(), self.revoke_sync_url.clone());
        let rotate = self
            .rotate_sync_url
            .as_deref()
            .map(|url| ProducerUrl::parse(url).map_err(|error| error.within("rotate-sync-url")))
            .transpose()?;
        let standing = match before.as_ref().map(|before| &before.producer) {
            None => None,
            Some(ProducerSettings::Custom(urls)) => Some(urls.clone()),
            Some(other) => {
                let problem = format!("has a producer of another type: {}", other.kind());
                return Err(Invalid::new("name", problem));
            }
        };
        let urls = match standing {
            None => CustomSettings {
                create_sync_url: create.ok_or_else(|| missing("create-sync-url"))?,
                revoke_sync_url: revoke.ok_or_else(|| missing("revoke-sync-url"))?,
                rotate_sync_url: rotate,
            },
            Some(standing) => CustomSettings {
                create_sync_url: create.unwrap_or(standing.create_sync_url),
                revoke_sync_url: revoke.unwrap_or(standing.revoke_sync_url),
                rotate_sync_url: rotate.or(standing.rotate_sync_url),
            },
        };
        let terms = Terms {
            name: &self.name,
            new_name: self.new_name.as_ref(),
            timeout: self.timeout_sec,
            usual_timeout: 60,
            user_ttl: self.user_ttl.as_ref(),
            max_leases: self.max_leases,
        };
        let secret = terms.applied_to(before, ProducerSettings::Custom(urls.clone()))?;
        permitted(parts, "create-sync-url", &urls.create_sync_url)?;
        permitted(parts, "revoke-sync-url", &urls.revoke_sync_url)?;
        if let Some(url) = &urls.rotate_sync_url {
            permitted(parts, "rotate-sync-url", url)?;
        }
        Ok(secret)
    }

    /// How often the payload of `secret` is to be rotated by itself, if ever; none if that is not said.
    fn every(&self, secret: &DynamicSecret) -> Result<Option<Option<Every>>, Invalid> {
        match self.enable_admin_rotation {
            None => Ok(None),
            Some(false) => Ok(Some(None)),
            Some(true) if secret.rotate_sync_url().is_none() => {
                Err(Invalid::new("rotate-sync-url", "is missing; enable-admin-rotation has it called"))
            }
            Some(true) => match self.admin_rotation_interval_days {
                Some(days) if (1..=365).contains(&days) => Ok(Some(Some(Every::days(days)))),
                _ => Err(Invalid::new("admin-rotation-interval-days", "is days, from 1 to 365")),
            },
        }
    }
}

/// Refuses an address at which the administrator lets no producer stand.
pub(super) fn permitted(parts: &ControlParts, field: &str, url: &ProducerUrl) -> Result<(), Invalid> {
    parts.producers.check(url).map_err(|error| Invalid::new(field, error.to_string()))
}

/// What there is to know of a dynamic secret; its payload can be written and not read.
fn details(known: &KnownSecret) -> Value {
    let KnownSecret { item, secret, rotation, is_on_trial } = known;
    let mut details = json!({
        "dynamic_secret_id": secret.id,
        "dynamic_secret_name": secret.name,
        "dynamic_secret_type": secret.producer.kind(),
        "active": item.record.state == ItemState::Enabled,
        "timeout_seconds": secret.timeout_sec,
        "user_ttl": secret.user_ttl,
        "tags": item.record.tags,
        "description": item.record.description,
        "delete_protection": item.record.delete_protection,
        "enable_admin_rotation": rotation.every.is_some(),
        "admin_rotation_interval_days": rotation.every.map_or(0, |every| every.minutes / MINUTES_A_DAY),
        "last_admin_rotation": rotation.last_at.map_or(0, Timestamp::secs),
        "next_admin_rotation": rotation.next_at.map(Timestamp::rfc3339),
        "payload_on_trial": is_on_trial,
        "failure_message": rotation.failure,
        "max_leases": secret.max_leases.unwrap_or_default(),
        "capabilities": secret.capabilities,
    });
    if let (Value::Object(all), Value::Object(producer)) = (&mut details, native::described(&secret.producer))
    {
        all.extend(producer);
    }
    details
}

#[derive(Deserialize)]
struct Named {
    name: ItemName,
}

/// `/dynamic-secret-get`, and `/gateway-get-producer`.
pub(super) async fn get(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    Ok(details(&call.parts.catalog.known(&name).await?).into())
}

/// `/dynamic-secret-list`, and `/gateway-list-producers`.
pub(super) async fn list(call: Call) -> Answer {
    let (mut producers, mut errors) = (Vec::new(), Vec::new());
    for secret in call.parts.catalog.list().await? {
        match secret {
            Ok(known) => {
                let mut details = details(&known);
                // A list has other names for these three.
                details["id"] = details["dynamic_secret_id"].clone();
                details["name"] = details["dynamic_secret_name"].clone();
                details["type"] = details["dynamic_secret_type"].clone();
                details["init"] = true.into();
                producers.push(details);
            }
            Err((name, error)) => errors.push(json!({"name": name, "error": error.to_string()})),
        }
    }
    Ok(json!({"producers": producers, "producers_errors": errors}).into())
}

/// `/gateway-start-producer` and `/gateway-stop-producer`: the same as the item's state.
pub(super) async fn switch(call: Call, state: ItemState) -> Answer {
    let Named { name } = call.fields()?;
    let now = call.parts.clock.now().millis();
    call.parts
        .catalog
        .edit(&name, |item| {
            item.record.state = state;
            item.record.modified = now;
            Ok(())
        })
        .await?;
    Ok(json!({"producer_name": name}).into())
}

/// `/dynamic-secret-delete`, and `/gateway-delete-producer`.
pub(super) async fn delete(call: Call, field: &str) -> Answer {
    let Named { name } = call.fields()?;
    deleted(&call.parts, &name).await?;
    Ok(Value::Object(Map::from_iter([(field.to_owned(), name.as_str().into())])).into())
}

/// Deletes a dynamic secret, and its leases with it, where any are issued.
pub(super) async fn deleted(parts: &ControlParts, name: &ItemName) -> Result<DynamicSecret, ApiError> {
    if let Some(engine) = &parts.engine {
        return Ok(engine.delete(name).await?);
    }
    let secret = parts.catalog.delete(name).await?;
    parts.catalog.forget(secret.id).await?;
    Ok(secret)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct GetValue {
    name: ItemName,
    #[serde(default, deserialize_with = "fields::texts")]
    args: Vec<String>,
    #[serde(default, deserialize_with = "fields::text")]
    host: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    target: Option<String>,
    /// For how many seconds the caller waits.
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    timeout: Option<u64>,
    /// How long the credential is to live; the header `X-Gateward-Ttl` says it too.
    #[serde(default, deserialize_with = "fields::text_or_whole")]
    ttl: Option<String>,
    /// The same again is the same wish; the header `Idempotency-Key` says it too.
    #[serde(default, deserialize_with = "fields::text")]
    idempotency_key: Option<String>,
}

/// `/get-dynamic-secret-value`: the producer's response, as it came; what is ours to say stands in headers.
pub(super) async fn get_value(call: Call) -> Answer {
    let GetValue { name, args, host, target, timeout, ttl, idempotency_key } = call.fields()?;
    for (field, value) in [("host", host), ("target", target)] {
        if value.is_some() {
            let problem = "a dynamic secret has no linked target; leave it out";
            return Err(Invalid::new(field, problem).into());
        }
    }
    let input = input(&args)?;
    let ttl = ttl.or_else(|| call.header(&TTL)).map(|text| ttl_of(&text)).transpose()?;
    let idempotency_key = idempotency_key.or_else(|| call.header(&IDEMPOTENCY_KEY));
    if idempotency_key.as_ref().is_some_and(|key| key.len() > LONGEST_KEY) {
        let problem = format!("has at most {LONGEST_KEY} characters");
        return Err(Invalid::new("idempotency-key", problem).into());
    }
    // Who has a key asks again with it, and is given what came too late.
    let is_asked_again = idempotency_key.is_some();
    let given_up = Arc::new(AtomicBool::new(false));
    let wish = Wish { input, ttl, idempotency_key, given_up: Arc::clone(&given_up) };
    let holder = call.holder();
    let engine = Arc::clone(engine(&call.parts)?);
    let secret = call.parts.catalog.get(&name).await?;
    native::check_input(&secret.producer, &wish.input)?;
    let issuing = {
        let (engine, name) = (Arc::clone(&engine), name.clone());
        Handle::current().spawn(async move { engine.issue(&name, holder, wish).await })
    };
    let given_up = (!is_asked_again).then_some(given_up);
    let issued = issued_within(engine, secret.id, issuing, timeout, given_up).await?;
    Ok(Told::from(Value::Object(issued.response))
        .with_header(LEASE_ID, &issued.lease_id.to_string())
        .with_header(LEASE_EXPIRES, &issued.expires_at.rfc3339()))
}

/// `90s`, `10m`, `1h30m`, or a number of seconds.
fn ttl_of(text: &str) -> Result<Duration, Invalid> {
    let span = GoDuration::parse_or_seconds(text).map_err(|error| error.within("ttl"))?.span();
    if span.as_secs() == 0 {
        return Err(Invalid::new("ttl", "is at least one second"));
    }
    Ok(span)
}

/// Waits as long as the caller does. A credential that comes later is nobody's, and is revoked, unless the caller can
/// ask for it again.
async fn issued_within(
    engine: Arc<Engine>,
    secret_id: u64,
    mut issuing: JoinHandle<Result<Issued, IssueError>>,
    timeout: Option<u64>,
    given_up: Option<Arc<AtomicBool>>,
) -> Result<Issued, ApiError> {
    let seconds = timeout.filter(|seconds| *seconds > 0).unwrap_or(LONGEST_TIMEOUT).min(LONGEST_TIMEOUT);
    match tokio::time::timeout(Duration::from_secs(seconds), &mut issuing).await {
        Ok(issued) => Ok(issued.unwrap_or(Err(IssueError::Stopping))?),
        Err(_elapsed) => {
            let late = format!("the producer has not answered within the {seconds} seconds of `timeout`");
            let Some(given_up) = given_up else {
                let text = format!("{late}; ask again with the same idempotency key");
                return Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, text));
            };
            given_up.store(true, Ordering::Release);
            // One that has come at this very moment.
            Handle::current().spawn(async move {
                if let Ok(Ok(issued)) = issuing.await
                    && let Err(error) = engine.revoke(secret_id, issued.lease_id).await
                {
                    tracing::warn!(lease = %issued.lease_id, %error, "a credential that came too late is not revoked yet");
                }
            });
            let text = format!("{late}; what it makes is revoked");
            Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, text))
        }
    }
}

/// Each argument is `name=value` or a JSON object; together they are the producer's input, in which no name stands twice.
fn input(args: &[String]) -> Result<Map<String, Value>, Invalid> {
    let mut input = Map::new();
    for (index, arg) in args.iter().enumerate() {
        let wrong = |problem: String| Invalid::new(format!("args[{index}]"), problem);
        let said = if arg.trim_start().starts_with('{') {
            match gateward_model::from_admin(arg.as_bytes()) {
                Ok(Value::Object(fields)) => fields,
                Ok(_) => Map::new(),
                Err(error) => return Err(wrong(format!("is no JSON object: {error}"))),
            }
        } else if let Some((name, value)) = arg.split_once('=') {
            Map::from_iter([(name.to_owned(), Value::from(value))])
        } else {
            return Err(wrong("is name=value or a JSON object".to_owned()));
        };
        for (name, value) in said {
            if input.contains_key(&name) {
                return Err(wrong(format!("{name:?} is given twice")));
            }
            input.insert(name, value);
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

/// Says how long the credential is to live.
const TTL: HeaderName = HeaderName::from_static("x-gateward-ttl");

/// Names a wish, so that the same one again is not another.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const LONGEST_KEY: usize = 255;

/// Names the lease of the credential in the body.
const LEASE_ID: HeaderName = HeaderName::from_static("x-gateward-lease-id");

/// Says when the credential in the body is revoked (RFC 3339).
const LEASE_EXPIRES: HeaderName = HeaderName::from_static("x-gateward-lease-expires");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_pairs_or_json_and_none_is_given_twice() {
        let read = |args: &[&str]| input(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["a=b=c", "{\"c\":1,}"]).map(Value::Object), Ok(json!({"a": "b=c", "c": 1})));
        for wrong in [&["nonsense"][..], &["[1]"], &["{\"a\": \"x=y\", \"a\": 1}"], &["{a=b"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
        for twice in [["a=1", "a=2"], ["{\"a\": 1}", "a=2"]] {
            let error = read(&twice).unwrap_err().to_string();
            assert!(error.contains("args[1]") && error.contains("\"a\" is given twice"), "{error}");
        }
    }
}
