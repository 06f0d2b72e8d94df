//! `create_time` and `update_time`: ours to write, and nobody else's.

use gateward_clock::Timestamp;
use serde_json::Value;

use super::problem::Problem;

/// Refuses a resource that brings them.
pub(super) fn refuse(json: &Value) -> Result<(), Problem> {
    for field in ["create_time", "update_time"] {
        if json.get(field).is_some() {
            return Err(Problem::bad(format!("the property is forbidden:  {field}")));
        }
    }
    Ok(())
}

/// Writes them; the time of creation survives changes.
pub(super) fn write(json: &mut Value, before: Option<&Value>, now: Timestamp) {
    let created = before.and_then(|before| before["create_time"].as_u64()).unwrap_or(now.secs());
    json["create_time"] = Value::from(created);
    json["update_time"] = Value::from(now.secs());
}
