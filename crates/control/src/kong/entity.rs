//! A vault out of the fields that somebody sent, with all that is wrong with them; and a vault as it is shown.

use gateward_model::{Invalid, Vault};
use gateward_vaults::{Reference, Resolver};
use serde_json::{Map, Value};

use super::error::{KongError, Violations};
use super::form::config_types;
use super::uuid;

/// What the gateway says of a vault, and not who sends it.
pub(super) struct Stamp {
    pub(super) id: String,
    pub(super) created_at: u64,
    pub(super) updated_at: u64,
}

/// Reads a vault. `before` is the one whose secrets `***` stands for.
pub(super) fn read(
    mut fields: Map<String, Value>,
    before: Option<&Vault>,
    stamp: Stamp,
) -> Result<Vault, KongError> {
    let mut wrong = Violations::default();
    for name in fields.keys().filter(|name| !KNOWN.contains(&name.as_str())) {
        match is_word(name) {
            true => wrong.add(name, "unknown field"),
            // A value that was sent in the place of a name, which is nobody's to repeat.
            false => wrong.add_invalid(Invalid::new("", "there is a field whose name is no name of a field")),
        }
    }
    let name = text(&fields, "name", true, &mut wrong);
    let prefix = text(&fields, "prefix", true, &mut wrong);
    let description = text(&fields, "description", false, &mut wrong);
    if fields.get("id").and_then(Value::as_str).is_some_and(|id| !uuid::is_one(id)) {
        wrong.add("id", "expected a valid UUID");
    }
    let tags = match fields.get("tags") {
        None | Some(Value::Null) => None,
        Some(Value::Array(tags)) => Some(tags.iter().filter_map(|tag| read_tag(tag, &mut wrong)).collect()),
        Some(_) => {
            wrong.add("tags", "expected a set");
            None
        }
    };
    let mut config = match fields.remove("config") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(config)) => config,
        Some(_) => {
            wrong.add("config", "expected a record");
            Map::new()
        }
    };
    // Null is as good as unset.
    config.retain(|_, setting| !setting.is_null());
    if let Some(name) = &name {
        restore(name, &mut config, before, &mut wrong);
    }
    let mut vault = Vault {
        id: stamp.id,
        prefix: prefix.unwrap_or_default(),
        name: name.unwrap_or_default(),
        description,
        config,
        tags,
        created_at: stamp.created_at,
        updated_at: stamp.updated_at,
    };
    violations(&vault, &mut wrong);
    wrong.into_result()?;
    vault.tags.iter_mut().for_each(|tags: &mut Vec<String>| {
        let mut seen = std::collections::BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
    });
    Ok(vault)
}

/// Whether `name` could be the name of a field.
fn is_word(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-@".contains(&byte))
}

/// `vault` as the API shows it: what is unset is null, and a secret `***`. A reference is no secret.
pub(super) fn shown(vault: &Vault) -> Value {
    let mut config = vault.config.clone();
    hide(&vault.name, &mut config);
    for (name, _) in config_types(Some(&vault.name)) {
        config.entry(name).or_insert(Value::Null);
    }
    let mut json = serde_json::to_value(vault).unwrap_or_default();
    json["config"] = Value::Object(config);
    json
}

/// Puts `***` in the place of each secret in the settings of a vault of `kind`.
fn hide(kind: &str, config: &mut Map<String, Value>) {
    for secret in Resolver::secret_fields(kind) {
        if let Some(setting) = config.get_mut(secret).filter(|setting| is_hidden(setting)) {
            *setting = Value::from(MASK);
        }
    }
}

/// Whether a secret setting is shown to nobody. A reference is no secret.
fn is_hidden(setting: &Value) -> bool {
    !setting.as_str().is_some_and(|text| matches!(Reference::parse(text), Ok(Some(_))))
}

/// `fields` over those of `vault`: records are merged, lists and all else replaced. A secret that is not sent is `***`, as
/// if what was read had been sent back.
pub(super) fn merged(vault: &Vault, fields: Map<String, Value>) -> Map<String, Value> {
    let mut merged = match serde_json::to_value(vault) {
        Ok(Value::Object(standing)) => standing,
        _ => Map::new(),
    };
    if let Some(Value::Object(config)) = merged.get_mut("config") {
        hide(&vault.name, config);
    }
    for (name, value) in fields {
        match (merged.get_mut(&name), value) {
            (Some(Value::Object(standing)), Value::Object(changes)) => standing.extend(changes),
            (_, value) => drop(merged.insert(name, value)),
        }
    }
    merged
}

/// Puts back what `***` stands for. A secret of another kind of vault is another secret; and one that nobody may read is
/// told to nobody else either: where it would be sent to another place than before, it has to be given again.
fn restore(kind: &str, config: &mut Map<String, Value>, before: Option<&Vault>, wrong: &mut Violations) {
    let before = before.filter(|before| before.name == kind);
    for secret in Resolver::secret_fields(kind) {
        if config.get(secret).and_then(Value::as_str) != Some(MASK) {
            continue;
        }
        let Some((before, standing)) = before.and_then(|before| Some((before, before.config.get(secret)?)))
        else {
            wrong.add(format!("config.{secret}"), format!("{MASK} hides a secret; send the secret"));
            continue;
        };
        let address = Resolver::sent_to(kind, secret).iter();
        let moved =
            address.copied().find(|field| is_elsewhere(before.config.get(*field), config.get(*field)));
        match moved.filter(|_| is_hidden(standing)) {
            Some(field) => wrong.add(
                format!("config.{secret}"),
                format!("config.{field} is another one, where the secret is sent only if it is given again"),
            ),
            None => drop(config.insert(secret.to_owned(), standing.clone())),
        }
    }
}

/// Whether a setting that says where a secret is sent says another place than before. That from now on a certificate
/// must be trusted takes a secret nowhere else.
fn is_elsewhere(before: Option<&Value>, now: Option<&Value>) -> bool {
    before != now && now != Some(&Value::Bool(true))
}

/// Adds all that is wrong with the prefix and the settings of `vault`.
fn violations(vault: &Vault, wrong: &mut Violations) {
    if !vault.prefix.is_empty() {
        if let Err(invalid) = Vault::check_prefix(&vault.prefix) {
            wrong.add_invalid(invalid);
        } else if Resolver::has_backend(&vault.prefix) {
            wrong.add("prefix", format!("must not be one of: {}", Resolver::kinds().join(", ")));
        }
    }
    if vault.name.is_empty() {
        return;
    }
    // The check stops at the first thing that is wrong: what it names is taken away, and the rest is checked again.
    let mut rest = Vault { prefix: A_PREFIX.to_owned(), ..vault.clone() };
    while let Err(invalid) = Resolver::check_vault(&rest) {
        let setting = invalid.field.strip_prefix("config.").unwrap_or_default().to_owned();
        wrong.add_invalid(invalid);
        if rest.config.shift_remove(&setting).is_none() {
            return;
        }
    }
}

fn text(
    fields: &Map<String, Value>,
    name: &str,
    is_required: bool,
    wrong: &mut Violations,
) -> Option<String> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => return Some(text.clone()),
        Some(Value::String(_)) => wrong.add(name, "length must be at least 1"),
        None | Some(Value::Null) if is_required => wrong.add(name, "required field missing"),
        None | Some(Value::Null) => {}
        Some(_) => wrong.add(name, "expected a string"),
    }
    None
}

fn read_tag(tag: &Value, wrong: &mut Violations) -> Option<String> {
    match tag.as_str() {
        None => wrong.add("tags", "expected a string"),
        Some(tag) if tag.is_empty() || tag.contains([',', '/']) || tag.contains(char::is_control) => {
            wrong.add(
                "tags",
                "invalid tag: expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
            );
        }
        Some(tag) => return Some(tag.to_owned()),
    }
    None
}

const KNOWN: [&str; 8] =
    ["id", "prefix", "name", "description", "config", "tags", "created_at", "updated_at"];
const MASK: &str = "***";
/// A prefix that is right, so that only the rest is checked.
const A_PREFIX: &str = "a-prefix";
