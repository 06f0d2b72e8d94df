//! Whether the plugins of a resource are there, and their settings right.

use gateward_model::Invalid;
use gateward_model::apisix::{Expression, PluginEntry, PluginSet};
use serde_json::Value;

use super::{Fault, Shown, texts};
use crate::typed;

/// Checks the plugins of anything but a consumer.
pub(super) fn check(plugins: &PluginSet) -> Result<(), Fault> {
    plugins.iter().try_for_each(|entry| check_one(entry))
}

fn check_one(entry: &PluginEntry) -> Result<(), Fault> {
    let kind = kind(&entry.name)?;
    of_plugin(entry, kind.check, kind.schema)
}

/// Checks the plugins of `consumer`: what it shows, and what is done with its requests.
pub(super) fn check_of_consumer(plugins: &PluginSet, consumer: &str) -> Result<Vec<Shown>, Fault> {
    let mut shown = Vec::new();
    for entry in plugins.iter() {
        match &kind(&entry.name)?.consumer {
            Some(_) => shown.extend(credential(entry, consumer)?),
            None => check_one(entry)?,
        }
    }
    Ok(shown)
}

/// Checks the plugin of a credential of `consumer`.
pub(super) fn check_of_credential(plugins: &PluginSet, consumer: &str) -> Result<Vec<Shown>, Fault> {
    let mut shown = Vec::new();
    for entry in plugins.iter() {
        if kind(&entry.name)?.consumer.is_none() {
            let problem = "a credential takes only plugins that authenticate, such as key-auth";
            return Err(Fault::Schema(Invalid::new(format!("plugins.{}", entry.name), problem)));
        }
        shown.extend(credential(entry, consumer)?);
    }
    Ok(shown)
}

/// Checks the metadata of the plugin `name`.
pub(super) fn check_metadata(name: &str, json: &Value) -> Result<(), Fault> {
    let kind = kind(name)?;
    let Some(metadata) = &kind.metadata else {
        let problem = format!("the plugin {name} has no metadata");
        return Err(Fault::Schema(Invalid::new("", problem)));
    };
    let mut settings = json.clone();
    if let Some(fields) = settings.as_object_mut() {
        for ours in ["id", "name", "create_time", "update_time"] {
            fields.shift_remove(ours);
        }
    }
    let wrong = |error| Fault::Plugin { name: name.to_owned(), error };
    texts::check_references(&settings, "").map_err(wrong)?;
    typed::fitting(&settings, metadata.schema, metadata.check).map_err(wrong)
}

/// What `consumer` shows to the plugin of `entry`; nothing, if that stands in a vault.
fn credential(entry: &PluginEntry, consumer: &str) -> Result<Option<Shown>, Fault> {
    let kind = kind(&entry.name)?;
    let Some(authenticates) = &kind.consumer else { return Ok(None) };
    of_plugin(entry, authenticates.check, authenticates.schema)?;
    if texts::has_reference(&entry.settings) {
        return Ok(None);
    }
    let credential = (authenticates.build)(&entry.settings).map_err(|error| wrong(entry, error))?;
    Ok(Some(Shown { plugin: kind.name, consumer: consumer.to_owned(), key: credential.key }))
}

fn of_plugin(
    entry: &PluginEntry,
    check: fn(&Value) -> Result<(), Invalid>,
    schema: fn() -> Value,
) -> Result<(), Fault> {
    meta(entry).map_err(|error| wrong(entry, error.within("_meta")))?;
    texts::check_references(&entry.settings, "").map_err(|error| wrong(entry, error))?;
    typed::fitting(&entry.settings, schema, check).map_err(|error| wrong(entry, error))
}

fn meta(entry: &PluginEntry) -> Result<(), Invalid> {
    let meta = &entry.meta;
    match &meta.error_response {
        None | Some(Value::String(_) | Value::Object(_)) => {}
        Some(_) => return Err(Invalid::new("error_response", "is a text or a JSON object")),
    }
    for (field, json) in [("error_response", &meta.error_response), ("filter", &meta.filter)] {
        if json.as_ref().is_some_and(texts::has_reference) {
            return Err(Invalid::new(field, "a reference to a vault cannot stand here"));
        }
    }
    match &meta.filter {
        Some(filter) => Expression::parse(filter).map(drop).map_err(|error| error.within("filter")),
        None => Ok(()),
    }
}

fn wrong(entry: &PluginEntry, error: Invalid) -> Fault {
    Fault::Plugin { name: entry.name.clone(), error }
}

fn kind(name: &str) -> Result<&'static gateward_plugins::Kind, Fault> {
    gateward_plugins::kind(name).ok_or_else(|| Fault::UnknownPlugin { name: name.to_owned() })
}
