//! Tries a vault: reads one reference and says what happened. The value is never told, nor how long it is.

use gateward_vaults::Reference;
use serde_json::{Value, json};

use super::body::Fields;
use super::error::KongError;
use crate::ControlParts;

/// Asks the vault `name`, an entity or a backend, for what `fields` refer to.
pub(super) async fn test(parts: &ControlParts, name: &str, fields: &Fields) -> Result<Value, KongError> {
    let text = match fields.get("reference") {
        Some(Value::String(text)) if !text.is_empty() => text,
        Some(Value::Null | Value::String(_)) | None => {
            return Err(KongError::field("reference", "required field missing"));
        }
        Some(_) => return Err(KongError::field("reference", "expected a string")),
    };
    let prefix = match super::find(parts, name).await? {
        Some(found) => found.prefix,
        None if gateward_vaults::Resolver::has_backend(name) => name.to_owned(),
        None => return Err(KongError::NotFound),
    };
    let whole = if text.starts_with("{vault://") {
        text.to_owned()
    } else {
        format!("{{vault://{prefix}/{}}}", text.trim_start_matches('/'))
    };
    let wrong = |problem: &str| KongError::field("reference", problem);
    let reference = Reference::parse(&whole).map_err(|error| wrong(error.problem()))?;
    let reference =
        reference.ok_or_else(|| wrong("write {vault://the-vault/the-secret}, or the-secret alone"))?;
    if reference.vault() != prefix {
        return Err(wrong("names another vault than the URL"));
    }
    Ok(match parts.resolver.ask(&reference).await {
        Ok(_) => json!({"result": "ok", "reference": reference.to_string(), "vault": prefix}),
        Err(unresolved) => json!({
            "result": "failed", "reference": reference.to_string(), "vault": prefix,
            "kind": unresolved.kind.word(), "problem": unresolved.problem,
        }),
    })
}
