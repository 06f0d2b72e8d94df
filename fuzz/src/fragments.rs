//! Customer fragments: what was taken is taken again as it is written out, and no refusal repeats a value.

use gateward_seal::{Fragments, RootKey, Sealer};
use serde_json::{Value, json};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let fragments = match Fragments::parse(text) {
        Ok(fragments) => fragments,
        Err(error) => {
            let told = format!("{error} {error:?}");
            for value in values(text) {
                assert!(value.len() < 16 || !told.contains(&value), "{told}");
            }
            return;
        }
    };
    let written: Vec<Value> = fragments
        .iter()
        .map(|fragment| {
            json!({
                "id": fragment.id().as_str(), "value": fragment.value_text().expose(), "name": fragment.name(),
                "description": fragment.description(),
            })
        })
        .collect();
    let seen = |fragments: &Fragments| -> Vec<(String, String, String)> {
        let seen = fragments.iter().map(|fragment| {
            (
                fragment.id().to_string(),
                fragment.hash(),
                format!("{} {}", fragment.name(), fragment.description()),
            )
        });
        seen.collect()
    };
    for form in [Value::from(written.clone()), json!({"customer_fragments": written})] {
        let again = Fragments::parse(&form.to_string()).expect("what was taken is taken again");
        assert_eq!(seen(&again), seen(&fragments));
    }
    let mut ids: Vec<String> = fragments.iter().map(|fragment| fragment.id().to_string()).collect();
    assert!(ids.iter().all(|id| id.starts_with("cf-")));
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id stands for one fragment");
    let default = fragments.iter().next().map(|fragment| fragment.id().clone());
    let root = RootKey::from_bytes(&[1; 32]).expect("a root key");
    assert!(Sealer::with_fragments(root, &fragments, default.as_ref()).is_ok());
}

/// What stands as a value anywhere in `text`, but for what is its own name too.
fn values(text: &str) -> Vec<String> {
    fn gather(json: &Value, values: &mut Vec<String>) {
        match json {
            Value::Object(fields) => {
                let id = fields.get("id").and_then(Value::as_str).unwrap_or_default();
                let value = fields.get("value").and_then(Value::as_str).unwrap_or_default();
                if !value.is_empty() && !id.contains(value) {
                    values.push(value.to_owned());
                }
                fields.values().for_each(|inner| gather(inner, values));
            }
            Value::Array(list) => list.iter().for_each(|inner| gather(inner, values)),
            _ => {}
        }
    }
    let mut values = Vec::new();
    if let Ok(json) = serde_json::from_str(text) {
        gather(&json, &mut values);
    }
    let ids = text.to_owned();
    values.retain(|value| ids.matches(value.as_str()).count() == 1 && !value.starts_with("cf-"));
    values
}
