//! What the gateway tells of itself and of whoever asks: its configuration, its customer fragments, permissions.

use gateward_access::Permission;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, ApiError, Call, allowed_access};

/// `/gateway-get-config`. Who may do what, only administrators see.
pub(super) async fn config(call: Call) -> Answer {
    let authenticator = &call.parts.authenticator;
    let admin = authenticator.admin();
    let is_admin = authenticator.has(&call.identity, Permission::Admin);
    let allowed = if is_admin { allowed_access::all(&call.parts) } else { Vec::new() };
    Ok(json!({
        "admins": {
            "admin_access_id": admin.access_id(),
            "admin_access_type": admin.access_type(),
            "allowed_access": allowed,
        },
        "version": env!("CARGO_PKG_VERSION"),
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

/// `/describe-permissions`: what the caller may.
pub(super) async fn permissions(call: Call) -> Answer {
    let has = |permission: &Permission| call.parts.authenticator.has(&call.identity, *permission);
    let names: Vec<&str> =
        Permission::ALL.iter().filter(|has_it| has(has_it)).map(|one| one.name()).collect();
    Ok(json!({"access_id": call.identity.access_id, "permissions": names}).into())
}
