//! What the gateway tells of itself and of whoever asks: its configuration, its customer fragments, permissions.

use gateward_access::Permission;
use gateward_items::{ItemError, ItemKind};
use gateward_model::ItemName;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, ApiError, Call, allowed_access, fields, item};
use crate::permissions;

/// `/gateway-get-config`. Who may do what, only administrators see.
pub(super) async fn config(call: Call) -> Answer {
    let authenticator = &call.parts.authenticator;
    let admin = authenticator.admin();
    let is_admin = authenticator.has(&call.identity, Permission::Admin);
    let allowed = if is_admin { allowed_access::by_name(&call.parts)? } else { Map::new() };
    Ok(json!({
        "admins": {
            "admin_access_id": admin.access_id(),
            "admin_access_type": admin.access_type(),
            "allowed_access": allowed,
        },
        // The vendor's `version` counts changes of the configuration.
        "gateward_version": env!("CARGO_PKG_VERSION"),
    })
    .into())
}

/// `/gateway-list-customer-fragments`: what they are called.
pub(super) async fn fragments(call: Call) -> Answer {
    let shown = |fragment: &gateward_seal::Fragment| {
        json!({
            "id": fragment.id(), "cf_name": fragment.name(), "description": fragment.description(),
            "hash": fragment.hash(),
        })
    };
    let default = call.parts.sealer.default_fragment();
    let fragments: Vec<Value> = call.parts.fragments.iter().map(shown).collect();
    Ok(json!({"customer_fragments": fragments, "default_customer_fragment": default}).into())
}

/// `/gateway-download-customer-fragments`: never.
pub(super) async fn download_fragments(_: Call) -> Answer {
    let problem =
        "customer fragments never leave the gateway that they were given to; keep them where you made them";
    Err(ApiError::new(StatusCode::FORBIDDEN, problem))
}

/// `/gen-customer-fragment`: never here. A fragment that a gateway has made and sent is one that others may have seen.
pub(super) async fn make_fragment(_: Call) -> Answer {
    let problem = "customer fragments are made where they are kept, and not sent: `gateward gen-customer-fragment` makes one";
    Err(ApiError::new(StatusCode::FORBIDDEN, problem))
}

/// `/describe-sub-claims`: what the caller's auth method says of the caller.
pub(super) async fn sub_claims(call: Call) -> Answer {
    Ok(json!({"access_id": call.identity.access_id, "sub_claims": call.identity.sub_claims}).into())
}

#[derive(Deserialize)]
struct Place {
    #[serde(default, rename = "type", deserialize_with = "fields::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    path: Option<String>,
}

/// `/describe-permissions`: what the caller may, and what of it with what stands at a path, in the vendor's words.
pub(super) async fn permissions(call: Call) -> Answer {
    let Place { kind, path } = call.fields()?;
    let wanted: &[Permission] = match (kind.as_deref().unwrap_or("item"), path) {
        ("item", Some(path)) => kinds_at(&call, &path).await?,
        ("item", None) => permissions::ITEMS,
        ("target", _) => &[Permission::Targets],
        // Roles, auth methods and whatever else: the administrator's.
        _ => &[Permission::Admin],
    };
    let may = wanted.iter().any(|wanted| call.parts.authenticator.has(&call.identity, *wanted));
    let capabilities: &[&str] = if may { CAPABILITIES } else { &[] };
    let has = |permission: &Permission| call.parts.authenticator.has(&call.identity, *permission);
    let names: Vec<&str> =
        Permission::ALL.iter().filter(|has_it| has(has_it)).map(|one| one.name()).collect();
    let access_id = &call.identity.access_id;
    Ok(json!({"access_id": access_id, "permissions": names, "client_permissions": capabilities}).into())
}

/// One of which it takes for the item at `path`, or, where there is none, for some item.
async fn kinds_at(call: &Call, path: &str) -> Result<&'static [Permission], ApiError> {
    let standing = match ItemName::parse(path) {
        Ok(name) => item::tree(&call.parts).get(&name).await,
        // A folder, or a pattern of names.
        Err(_) => return Ok(permissions::ITEMS),
    };
    match standing {
        Ok(standing) => Ok(match standing.item.record.kind {
            ItemKind::StaticSecret => &[Permission::StaticSecret],
            ItemKind::DynamicSecret => &[Permission::DynamicSecret],
            ItemKind::RotatedSecret => &[Permission::RotatedSecret],
            ItemKind::Target => &[Permission::Targets],
            ItemKind::Key => permissions::ITEMS,
        }),
        Err(ItemError::Missing(_)) => Ok(permissions::ITEMS),
        Err(error) => Err(error.into()),
    }
}

/// What the vendor calls what one may do with an item. A permission of a gateway gives all of it or nothing.
const CAPABILITIES: &[&str] = &["create", "read", "update", "delete", "list"];
