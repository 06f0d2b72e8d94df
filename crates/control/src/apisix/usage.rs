//! Whether something still refers to a resource that is to go.

use std::ops::Bound;

use gateward_model::apisix::Kind;
use serde_json::Value;

use super::place::Place;
use super::problem::Problem;
use crate::ControlParts;

/// Refuses to let go of what something refers to.
pub(super) async fn refuse(parts: &ControlParts, place: &Place) -> Result<(), Problem> {
    for (kind, pointer) in users(place.kind) {
        let mut user = None;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        parts
            .each(kind.plural(), everything, |document| {
                if names(document.json.pointer(pointer), place.id.as_str()) {
                    user = Some(document.id);
                }
                user.is_none()
            })
            .await?;
        if let Some(user) = user {
            // APISIX's words, which its clients look for.
            let what = match place.kind {
                Kind::Services => "service directly".to_owned(),
                other => other.singular().to_owned(),
            };
            let by = kind.singular();
            return Err(Problem::bad(format!(
                "can not delete this {what}, {by} [{user}] is still using it now"
            )));
        }
    }
    Ok(())
}

/// Who may refer to resources of `kind`, and in which field.
fn users(kind: Kind) -> &'static [(Kind, &'static str)] {
    match kind {
        Kind::Upstreams => &[(Kind::Routes, "/upstream_id"), (Kind::Services, "/upstream_id")],
        Kind::Services => &[(Kind::Routes, "/service_id")],
        Kind::PluginConfigs => &[(Kind::Routes, "/plugin_config_id")],
        Kind::ConsumerGroups => &[(Kind::Consumers, "/group_id")],
        Kind::Ssls => &[
            (Kind::Upstreams, "/tls/client_cert_id"),
            (Kind::Services, "/upstream/tls/client_cert_id"),
            (Kind::Routes, "/upstream/tls/client_cert_id"),
        ],
        _ => &[],
    }
}

fn names(field: Option<&Value>, id: &str) -> bool {
    match field {
        Some(Value::String(text)) => text == id,
        Some(Value::Number(number)) => number.to_string() == id,
        _ => false,
    }
}
