//! Leases, which this API calls temporary credentials: seeing them, and revoking them before their time.

use std::time::Duration;

use gateward_leases::{Lease, LeaseId, LeaseState};
use gateward_model::{Invalid, ItemName};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dynamic_secret::engine;
use super::{Answer, ApiError, Call, fields};

#[derive(Deserialize)]
struct Named {
    name: ItemName,
}

/// `/dynamic-secret-tmp-creds-get`: every lease that is not revoked, UNKNOWN ones too.
pub(super) async fn list(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let secret = call.parts.catalog.get(&name).await?;
    let leases = engine(&call.parts)?.leases(secret.id).await?;
    Ok(leases.iter().map(|lease| described(lease, secret.producer.kind())).collect::<Value>().into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Delete {
    name: ItemName,
    #[serde(default, deserialize_with = "fields::text")]
    tmp_creds_id: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    revoke_all: bool,
    #[serde(default, deserialize_with = "fields::flag")]
    soft_delete: bool,
}

/// `/dynamic-secret-tmp-creds-delete`: answered when the producer has confirmed that the credentials are gone.
pub(super) async fn delete(call: Call) -> Answer {
    let Delete { name, tmp_creds_id, revoke_all, soft_delete } = call.fields()?;
    if soft_delete {
        let text = "soft-delete: a lease is not forgotten while its credential may work; leave it out";
        return Err(ApiError::bad(text));
    }
    let secret = call.parts.catalog.get(&name).await?;
    let engine = engine(&call.parts)?;
    match (tmp_creds_id, revoke_all) {
        (Some(id), false) => engine.revoke(secret.id, own_lease(&call, secret.id, &id).await?).await?,
        (None, true) => {
            check_all(&call, &name).await?;
            engine.revoke_all(secret.id).await?;
        }
        _ => return Err(ApiError::bad("tmp-creds-id: give either tmp-creds-id or revoke-all")),
    }
    Ok(json!({}).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Renew {
    name: ItemName,
    #[serde(default)]
    tmp_creds_id: String,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    new_ttl_min: Option<u64>,
}

/// `/dynamic-secret-tmp-creds-update`: the lease ends so many minutes from now, at most as many as the item gives.
pub(super) async fn renew(call: Call) -> Answer {
    let Renew { name, tmp_creds_id, new_ttl_min } = call.fields()?;
    let minutes = new_ttl_min.filter(|minutes| *minutes > 0);
    let minutes = minutes.ok_or_else(|| Invalid::new("new-ttl-min", "is minutes, one at least"))?;
    let secret = call.parts.catalog.get(&name).await?;
    let lease = own_lease(&call, secret.id, &tmp_creds_id).await?;
    let ttl = Duration::from_secs(minutes.saturating_mul(60));
    let ends = engine(&call.parts)?.renew(secret.id, lease, Some(ttl)).await?;
    Ok(json!({"id": lease, "expires_at": ends.rfc3339()}).into())
}

/// Refuses who may not have all leases of an item revoked: it takes what it takes to delete the item, which does the same.
async fn check_all(call: &Call, name: &ItemName) -> Result<(), ApiError> {
    let is_protected = call.parts.catalog.known(name).await?.item.record.delete_protection;
    if is_protected && !call.is_by_an_admin() {
        let text = "revoke-all: the item is protected from deletion (delete_protection), so its leases are revoked all at once \
                    by administrators alone; give the tmp-creds-id of one that you hold";
        return Err(ApiError::new(StatusCode::FORBIDDEN, text));
    }
    Ok(())
}

/// The lease that `id` names, if the caller may do something with it.
async fn own_lease(call: &Call, secret_id: u64, id: &str) -> Result<LeaseId, ApiError> {
    let missing = || ApiError::new(StatusCode::NOT_FOUND, format!("there is no lease {id} of this item"));
    let lease_id = LeaseId::parse(id).ok_or_else(missing)?;
    let lease = engine(&call.parts)?.lease(secret_id, lease_id).await?.ok_or_else(missing)?;
    call.check_holder(&lease.holder)?;
    Ok(lease_id)
}

/// What is told of a lease of a secret of that `kind`.
pub(super) fn described(lease: &Lease, kind: &str) -> Value {
    let mut json = json!({
        "id": lease.id,
        "access_id": lease.holder.access_id,
        "creation_date": lease.created_at.rfc3339(),
        // The minutes that `tmp-creds-update` gave; the item's own time is none of its own.
        "custom_ttl": lease.renewed_millis.map_or(0, |millis| millis.div_ceil(60_000)),
        "dynamic_secret_type": kind,
        "encrypted_secret": "",
        "host": "",
        "sub_claims": lease.holder.sub_claims,
        "producer_id": lease.producer_id(),
    });
    match &lease.state {
        LeaseState::Intent { .. } => json["state"] = "INTENT".into(),
        LeaseState::Active { expires_at, .. } => {
            json["state"] = "ACTIVE".into();
            json["expires_at"] = expires_at.rfc3339().into();
        }
        LeaseState::Revoking(work) | LeaseState::Parked(work) => {
            let parked = matches!(lease.state, LeaseState::Parked(_));
            json["state"] = if parked { "PARKED" } else { "REVOKING" }.into();
            json["attempts"] = work.attempts.into();
            json["last_error"] = work.last_error.clone().into();
        }
        LeaseState::Revoked { .. } => json["state"] = "REVOKED".into(),
        LeaseState::Abandoned { .. } => json["state"] = "ABANDONED".into(),
        LeaseState::Settled { .. } => json["state"] = "SETTLED".into(),
        LeaseState::Unknown { reason, .. } => {
            json["state"] = "UNKNOWN".into();
            json["last_error"] = reason.clone().into();
        }
    }
    json
}
