//! Lists of allowed access: what was taken is taken again in the plainest spelling, and in a JSON string; a refusal has a
//! sentence; an entry is about nobody but its own access id.

use gateward_access::{AllowedAccess, Identity, SubClaims};
use serde_json::{Value, json};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let entries = match AllowedAccess::parse_list(text) {
        Ok(entries) => entries,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let plain: Vec<Value> = entries.iter().map(plain).collect();
    let plain = Value::from(plain).to_string();
    assert_eq!(AllowedAccess::parse_list(&plain).as_ref(), Ok(&entries));
    let string = Value::from(plain).to_string();
    assert_eq!(AllowedAccess::parse_list(&string).as_ref(), Ok(&entries));
    for entry in &entries {
        assert!(!entry.permissions.is_empty());
        let access_id = format!("{}x", &entry.access_id.as_str()[..entry.access_id.as_str().len().min(60)]);
        let other = Identity {
            access_id: access_id.parse().expect("an access id"),
            sub_claims: entry.sub_claims.clone(),
        };
        assert!(other.access_id == entry.access_id || !entry.is_about(&other));
        let unknown = Identity { access_id: entry.access_id.clone(), sub_claims: SubClaims::new() };
        assert_eq!(entry.is_about(&unknown), entry.sub_claims.is_empty());
    }
}

fn plain(entry: &AllowedAccess) -> Value {
    let permissions: Vec<&str> = entry.permissions.iter().map(|permission| permission.name()).collect();
    json!({
        "name": entry.name, "access_id": entry.access_id, "sub_claims": entry.sub_claims,
        "case_insensitive": entry.case_insensitive, "permissions": permissions, "description": entry.description,
    })
}
