//! Secrets can be written and not read, by nobody.
//!
//! Where one stands, whoever reads sees `***`; and who sends `***` back there keeps what stands. A reference is no
//! secret, and is shown. The keys of certificates are not even hinted at: APISIX leaves them out, and so do we.

use gateward_model::apisix::{Kind, Upstream};
use gateward_vaults::Reference;
use serde_json::Value;

use super::problem::Problem;

/// Hides the secrets in a resource that goes out. The `id` of plugin metadata says whose they are.
pub(super) fn hide(kind: Kind, id: &str, json: &mut Value) {
    if kind == Kind::Ssls
        && let Some(fields) = json.as_object_mut()
    {
        fields.shift_remove("key");
        fields.shift_remove("keys");
    }
    for pointer in secrets(kind, id, json) {
        if let Some(secret) = json.pointer_mut(&pointer)
            && !secret.as_str().is_some_and(is_reference)
        {
            *secret = Value::from(MASK);
        }
    }
}

/// Puts back what `***` stands for in a resource that comes in.
pub(super) fn restore(kind: Kind, id: &str, json: &mut Value, before: Option<&Value>) -> Result<(), Problem> {
    for pointer in secrets(kind, id, json) {
        let Some(secret) = json.pointer_mut(&pointer).filter(|secret| secret.as_str() == Some(MASK)) else {
            continue;
        };
        let Some(standing) = before.and_then(|before| before.pointer(&pointer)) else {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            return Err(Problem::bad(format!(
                "property \"{field}\": {MASK} hides a secret; send the secret"
            )));
        };
        *secret = standing.clone();
    }
    Ok(())
}

/// Where secrets stand in a resource, as JSON pointers.
fn secrets(kind: Kind, id: &str, json: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    match kind {
        Kind::Ssls => {
            pointers.push("/key".to_owned());
            let more = json["keys"].as_array().map_or(0, Vec::len);
            pointers.extend((0..more).map(|at| format!("/keys/{at}")));
        }
        Kind::Upstreams => {
            Upstream::SECRETS.iter().for_each(|secret| fields(secret, json, String::new(), &mut pointers));
        }
        Kind::Routes | Kind::Services => {
            let upstream = json.get("upstream").unwrap_or(&Value::Null);
            Upstream::SECRETS
                .iter()
                .for_each(|secret| fields(secret, upstream, "/upstream".to_owned(), &mut pointers));
        }
        Kind::PluginMetadata => match gateward_plugins::kind(id) {
            Some(plugin) => {
                let secrets = plugin.metadata.as_ref().map_or(&[][..], |metadata| metadata.secrets);
                secrets.iter().for_each(|secret| fields(secret, json, String::new(), &mut pointers));
            }
            None => texts(json, "", &mut pointers),
        },
        Kind::Consumers
        | Kind::Credentials
        | Kind::ConsumerGroups
        | Kind::GlobalRules
        | Kind::PluginConfigs => {}
    }
    let is_consumer = matches!(kind, Kind::Consumers | Kind::Credentials);
    for (name, settings) in json.get("plugins").and_then(Value::as_object).into_iter().flatten() {
        let at = format!("/plugins/{}", name.replace('~', "~0").replace('/', "~1"));
        match gateward_plugins::kind(name) {
            Some(plugin) => {
                let shown = plugin.consumer.as_ref().filter(|_| is_consumer);
                let of_consumers = shown.map_or(&[][..], |consumer| consumer.secrets);
                let all = plugin.secrets.iter().chain(of_consumers);
                pointers.extend(all.map(|secret| format!("{at}{secret}")));
            }
            // Written by a version that knew it: whatever it says may be a secret.
            None => texts(settings, &at, &mut pointers),
        }
    }
    pointers.retain(|pointer| json.pointer(pointer).is_some());
    pointers.sort();
    pointers.dedup();
    pointers
}

/// The fields of `json` that `pattern` stands for, in which a part `*` is any. `at` is where `json` stands.
fn fields(pattern: &str, json: &Value, at: String, pointers: &mut Vec<String>) {
    let Some(rest) = pattern.strip_prefix('/') else { return pointers.push(at) };
    let (part, rest) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    for (name, field) in json.as_object().into_iter().flatten() {
        let name = name.replace('~', "~0").replace('/', "~1");
        if part == "*" || part == name {
            fields(rest, field, format!("{at}/{name}"), pointers);
        }
    }
    for (index, element) in json.as_array().into_iter().flatten().enumerate().filter(|_| part == "*") {
        fields(rest, element, format!("{at}/{index}"), pointers);
    }
}

fn texts(json: &Value, at: &str, pointers: &mut Vec<String>) {
    match json {
        Value::String(_) => pointers.push(at.to_owned()),
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                texts(element, &format!("{at}/{index}"), pointers);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                texts(field, &format!("{at}/{name}"), pointers);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether `text` is a reference and nothing else: what stands beside one may be half of the secret.
fn is_reference(text: &str) -> bool {
    matches!(Reference::parse(text), Ok(Some(_)))
}

const MASK: &str = "***";

#[cfg(test)]
mod tests;
