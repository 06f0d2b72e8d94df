//! Whether something still refers to a resource that is to go.
//!
//! Who refers to a resource is found by looking at all who may, which takes time. So whoever writes a reference puts a
//! mark beside the resource in the same commit, and a deletion holds only if the mark is as it was before the look: of a
//! deletion and a new reference that come at the same time, one is looked at anew.

use std::ops::Bound;

use bytes::Bytes;
use gateward_model::apisix::Kind;
use gateward_proxy::validation::Link;
use gateward_store::{Change, Key, Precondition, Write};
use serde_json::Value;

use super::place::Place;
use super::problem::Problem;
use crate::ControlParts;
use crate::resources::{ResourceError, deletion};

/// What tells a deletion of what `link` names that there is a new reference. Nothing, if nobody looks for those.
pub(super) fn mark(link: &Link) -> Option<Write> {
    if users(link.kind).is_empty() {
        return None;
    }
    let change = Change::Put(Bytes::from_static(b"referred to"));
    // Any: who refers to the same at the same time is in nobody's way.
    Some(Write { key: key(link.kind, link.id.as_str()), precondition: Precondition::Any, change })
}

/// What makes the deletion of what stands at `place` hold only if nobody has referred to it since now.
pub(super) async fn unmark(parts: &ControlParts, place: &Place) -> Result<Option<Write>, ResourceError> {
    if users(place.kind).is_empty() {
        return Ok(None);
    }
    let key = key(place.kind, &place.sort());
    Ok(Some(match parts.store.get(&key).await? {
        Some(entry) => deletion(key, entry.version),
        None => Write { key, precondition: Precondition::Absent, change: Change::Check },
    }))
}

fn key(kind: Kind, id: &str) -> Key {
    Key { partition: PARTITION.to_owned(), sort: format!("{}/{id}", kind.plural()) }
}

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

/// In the store.
const PARTITION: &str = "references";
