//! Where in a resource a reference to a vault may stand, and whether it can be read.
//!
//! In any text but ids, names, what is matched on and what is for people only. What cannot be read as a reference and
//! looks like one is refused: its text must never be used in the secret's place. So are the forms in which APISIX
//! itself writes references, which mean nothing here.

use std::collections::BTreeSet;

use gateward_model::Invalid;
use gateward_model::apisix::Kind;
use gateward_vaults::{ReferenceError, Resolver, Template};
use serde_json::Value;

/// Checks every text of a resource but those of its plugins, which are checked with their settings.
pub(super) fn check(kind: Kind, json: &Value) -> Result<(), Invalid> {
    match kind {
        Kind::Ssls => check_what_a_certificate_is(json)?,
        Kind::Routes | Kind::Services => check_switches(json)?,
        _ => {}
    }
    check_fields(json)
}

fn check_fields(json: &Value) -> Result<(), Invalid> {
    let Some(fields) = json.as_object() else { return Ok(()) };
    for (name, field) in fields {
        let name = name.as_str();
        if name == "plugins" || FOR_PEOPLE.contains(&name) {
            continue;
        }
        if name == "upstream" {
            check_fields(field).map_err(|error| error.within("upstream"))?;
        } else if MATCHED.contains(&name) {
            if has_reference(field) {
                let problem = "a reference to a vault cannot stand in an id, a name, or what is matched on";
                return Err(Invalid::new(name, problem));
            }
        } else {
            check_references(field, name)?;
        }
    }
    Ok(())
}

/// Refuses references in the numbers and switches of a route or a service itself: by them it is found, or not.
fn check_switches(json: &Value) -> Result<(), Invalid> {
    let switches = ["priority", "status", "enable_websocket", "timeout"];
    match switches.into_iter().find(|name| json.get(name).is_some_and(has_reference)) {
        None => Ok(()),
        Some(name) => {
            let problem =
                "a reference to a vault cannot stand in a number or a switch of the route or service itself";
            Err(Invalid::new(name, problem))
        }
    }
}

/// Refuses references in what says for which handshakes a certificate is: that is decided before its values are there.
fn check_what_a_certificate_is(json: &Value) -> Result<(), Invalid> {
    for place in ["/type", "/ssl_protocols", "/client/skip_mtls_uri_regex"] {
        if json.pointer(place).is_some_and(has_reference) {
            let field = place[1..].replace('/', ".");
            let problem =
                "a reference to a vault cannot stand in what says for which handshakes a certificate is";
            return Err(Invalid::new(field, problem));
        }
    }
    Ok(())
}

/// Checks that each text in `json`, which stands at `path`, is a reference that can be read or none at all.
pub(super) fn check_references(json: &Value, path: &str) -> Result<(), Invalid> {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match json {
        Value::String(text) => check_text(text).map_err(|problem| Invalid::new(path, problem)),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .try_for_each(|(index, element)| check_references(element, &inner(&index.to_string()))),
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, field)| check_references(field, &inner(name)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// The names of the vaults that references in `json`, a resource, name and that are no backends: there must be such
/// entities. Where texts are for people only, nobody looks.
pub(super) fn vaults(json: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_vaults(json, &mut names);
    names.retain(|name| !Resolver::has_backend(name));
    names
}

fn collect_vaults(json: &Value, names: &mut BTreeSet<String>) {
    match json {
        Value::String(text) => {
            if let Ok(Some(template)) = Template::parse(text) {
                names.extend(template.references().map(|reference| reference.vault().to_owned()));
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect_vaults(element, names)),
        Value::Object(fields) => {
            let looked_at = fields.iter().filter(|(name, _)| !FOR_PEOPLE.contains(&name.as_str()));
            looked_at.for_each(|(_, field)| collect_vaults(field, names));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a text in `json` is a reference, or looks like one.
pub(super) fn has_reference(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains(START),
        Value::Array(elements) => elements.iter().any(has_reference),
        Value::Object(fields) => fields.values().any(has_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn check_text(text: &str) -> Result<(), String> {
    let foreign =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if foreign("$secret://") || foreign("$env://") {
        return Err(
            "this form of reference is APISIX's; write {vault://…}, as docs/vaults.md shows".to_owned()
        );
    }
    // What cannot be read as a reference may be anything, a secret too.
    let unreadable = |error: ReferenceError| format!("the reference cannot be read: {}", error.problem());
    Template::parse(text).map(drop).map_err(unreadable)
}

const START: &str = "{vault://";

/// Ids, names, and what requests are matched on or sent by.
const MATCHED: &[&str] = &[
    "id",
    "name",
    "username",
    "uri",
    "uris",
    "host",
    "hosts",
    "methods",
    "remote_addr",
    "remote_addrs",
    "vars",
    "upstream_id",
    "service_id",
    "plugin_config_id",
    "group_id",
    "sni",
    "snis",
    "nodes",
];

/// Nothing is done with these.
pub(crate) const FOR_PEOPLE: &[&str] = &["desc", "labels"];
