//! A backend's settings: what the entity says, else what the environment says for every vault of that kind.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use gateward_model::Invalid;
use gateward_seal::SecretValue;
use serde_json::{Map, Value, json};

use crate::backend::Kind;
use crate::reference::{Overrides, START};
use crate::template::Template;
use crate::vault::{Referred, Referring};

/// The longest time that can be set, about three years (Kong's limit).
const MAX_SECONDS: f64 = 1e8;

/// One setting of a kind of vault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
}

/// What a setting can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Text,
    /// Text that no reading API shows. These settings say where it is sent.
    Secret(&'static [&'static str]),
    /// One of these words.
    OneOf(&'static [&'static str]),
    Flag,
    /// A whole number between these two.
    Whole(u64, u64),
    Seconds,
    /// Several texts.
    Texts,
}

impl Field {
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, form: Form::Text }
    }

    /// A secret that is sent to where the settings `address` say.
    pub(crate) const fn secret(name: &'static str, address: &'static [&'static str]) -> Self {
        Self { name, form: Form::Secret(address) }
    }

    pub(crate) const fn flag(name: &'static str) -> Self {
        Self { name, form: Form::Flag }
    }

    pub(crate) const fn one_of(name: &'static str, words: &'static [&'static str]) -> Self {
        Self { name, form: Form::OneOf(words) }
    }

    pub(crate) const fn whole(name: &'static str, least: u64, most: u64) -> Self {
        Self { name, form: Form::Whole(least, most) }
    }

    const fn seconds(name: &'static str) -> Self {
        Self { name, form: Form::Seconds }
    }

    const fn texts(name: &'static str) -> Self {
        Self { name, form: Form::Texts }
    }

    /// Whether it is any text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.form, Form::Text | Form::Secret(_))
    }

    /// Whether no reading API shows it.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.form, Form::Secret(_))
    }

    /// The settings that say where it is sent, if it is a secret.
    pub(crate) fn sent_to(&self) -> &'static [&'static str] {
        match self.form {
            Form::Secret(address) => address,
            _ => &[],
        }
    }

    /// What Kong's schema of a vault says of it.
    pub(crate) fn schema(&self) -> Value {
        match self.form {
            Form::Text => json!({"type": "string", "referenceable": true}),
            Form::Secret(_) => json!({"type": "string", "referenceable": true, "encrypted": true}),
            Form::OneOf(words) => json!({"type": "string", "one_of": words}),
            Form::Flag => json!({"type": "boolean"}),
            Form::Whole(least, most) => json!({"type": "integer", "between": [least, most]}),
            Form::Seconds => json!({"type": "number", "between": [0, 100_000_000]}),
            Form::Texts => json!({"type": "array", "elements": {"type": "string"}}),
        }
    }
}

/// The settings that vaults of every kind have.
pub(crate) const COMMON: &[Field] = &[Field::flag("base64_decode"), Field::texts("allow")];

/// The settings that vaults of every kind have whose secrets may change.
pub(crate) const CHANGING: &[Field] = &[
    Field::seconds("ttl"),
    Field::seconds("neg_ttl"),
    Field::seconds("resurrect_ttl"),
    Field::one_of("on_deleted", ON_DELETED),
];

/// What to do with a value whose secret the vault has no longer: use it as in an outage, or take it away at once.
pub(crate) const ON_DELETED: &[&str] = &["keep", "fail"];

/// Reads a vault's settings by name.
pub(crate) struct Settings<'a> {
    /// The backend's name.
    pub(crate) kind: &'static str,
    /// What the entity says.
    pub(crate) config: &'a Map<String, Value>,
    /// The process's environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// The values of settings that refer to other vaults.
    pub(crate) referred: &'a Referred,
}

impl Settings<'_> {
    /// Refuses, in Kong's words, a setting that is none of `kind`'s, and one that is not of its form.
    pub(crate) fn check(&self, kind: &Kind) -> Result<(), Invalid> {
        let fields = || kind.all_fields();
        if let Some(unknown) = self.config.keys().find(|name| !fields().any(|field| field.name == *name)) {
            return Err(Invalid::new(unknown, "unknown field"));
        }
        COMMON.iter().chain(CHANGING).try_for_each(|field| self.takes_none(field))?;
        fields().try_for_each(|field| match field.form {
            Form::Text | Form::Secret(_) => self.text(field.name).map(|_| ()),
            Form::OneOf(words) => self.word(field.name, words).map(|_| ()),
            Form::Flag => self.flag(field.name).map(|_| ()),
            Form::Whole(least, most) => self.whole(field.name, least, most).map(|_| ()),
            Form::Seconds => self.seconds(field.name).map(|_| ()),
            Form::Texts => self.texts(field.name).map(|_| ()),
        })
    }

    /// Refuses a text where the entity must say a number or a flag, as Kong does. (A form has only text, and is given types
    /// before it comes here; the environment has only text, and is no entity.) A reference is a text that may become one.
    pub(crate) fn check_types(&self, kind: &Kind) -> Result<(), Invalid> {
        let said = |field: &Field| self.config.get(field.name).and_then(Value::as_str);
        let texts = kind.all_fields().filter(|field| said(field).is_some_and(|text| !text.contains(START)));
        for field in texts {
            let expected = match field.form {
                Form::Flag => "expected a boolean",
                Form::Whole(..) => "expected an integer",
                Form::Seconds => "expected a number",
                Form::Texts => "expected an array",
                Form::Text | Form::Secret(_) | Form::OneOf(_) => continue,
            };
            return Err(Invalid::new(field.name, expected));
        }
        Ok(())
    }

    /// Refuses a reference in what says how values are kept: that is wanted before the vault can be opened, and while it
    /// cannot be.
    fn takes_none(&self, field: &Field) -> Result<(), Invalid> {
        let holds_one = |text: &str| text.contains(START);
        let holds_one = match self.said(field.name) {
            Said::Text(text) => holds_one(text),
            Said::Json(Value::Array(elements)) => elements.iter().filter_map(Value::as_str).any(holds_one),
            Said::Nothing | Said::Json(_) => false,
        };
        match holds_one {
            true => Err(Invalid::new(field.name, TAKES_NONE)),
            false => Ok(()),
        }
    }

    /// The settings of `kind` that refer to other vaults, as they are written.
    pub(crate) fn templates(&self, kind: &Kind) -> Result<Vec<Referring>, Invalid> {
        let mut templates = Vec::new();
        for field in kind.fields {
            let Said::Text(text) = self.said(field.name) else { continue };
            let template = Template::parse(text);
            let template = template.map_err(|error| Invalid::new(field.name, error.problem()))?;
            templates.extend(template.map(|template| (field.name, template)));
        }
        Ok(templates)
    }

    /// A setting without which the vault cannot be opened.
    pub(crate) fn required(&self, name: &str) -> Result<String, Invalid> {
        self.text(name)?.ok_or_else(|| Invalid::new(name, "required field missing"))
    }

    /// A setting that is secret text.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<SecretValue>, Invalid> {
        match self.referred.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None => Ok(self.text(name)?.map(SecretValue::new)),
        }
    }

    /// A secret that is sent to where the fields of `address` say. The environment's own goes nowhere but where the
    /// environment says: whoever writes an entity must not be able to have it sent to himself.
    pub(crate) fn secret_for(&self, name: &str, address: &[&str]) -> Result<Option<SecretValue>, Invalid> {
        let secret = self.secret(name)?;
        let is_said = |field: &str| self.config.get(field).is_some_and(|value| !value.is_null());
        let elsewhere = address.iter().find(|field| is_said(field));
        if let (Some(field), Some(_)) = (elsewhere, &secret)
            && !is_said(name)
        {
            let problem = format!(
                "the environment's own is sent only to where the environment says; set it here too, or leave {field} out"
            );
            return Err(Invalid::new(name, problem));
        }
        Ok(secret)
    }

    /// A setting that is one of `words`.
    pub(crate) fn word(&self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>, Invalid> {
        let Some(text) = self.text(name)?.filter(|text| !self.is_unknown(name, text)) else {
            return Ok(None);
        };
        let word = words.iter().find(|word| **word == text);
        let unknown = || Invalid::new(name, format!("expected one of: {}", words.join(", ")));
        word.map(|word| Some(*word)).ok_or_else(unknown)
    }

    /// A setting that is true or false, as text too (a form has only text).
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        let text = match self.said(name) {
            Said::Nothing => return Ok(None),
            Said::Json(Value::Bool(flag)) => return Ok(Some(*flag)),
            Said::Json(_) => return Err(Invalid::new(name, "expected a boolean")),
            Said::Text(text) if self.is_unknown(name, text) => return Ok(None),
            Said::Text(text) => text.trim(),
        };
        match text {
            "true" | "on" => Ok(Some(true)),
            "false" | "off" => Ok(Some(false)),
            _ => Err(Invalid::new(name, "expected a boolean")),
        }
    }

    /// A setting that is a whole number between `least` and `most`, as text too.
    pub(crate) fn whole(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Invalid> {
        let number = match self.said(name) {
            Said::Nothing => return Ok(None),
            Said::Text(text) if self.is_unknown(name, text) => return Ok(None),
            Said::Text(text) => text.trim().parse().ok(),
            Said::Json(json) => json.as_u64(),
        };
        let number = number.ok_or_else(|| Invalid::new(name, "expected an integer"))?;
        let between = || Invalid::new(name, format!("value should be between {least} and {most}"));
        (least..=most).contains(&number).then_some(Some(number)).ok_or_else(between)
    }

    /// A setting that is text. Empty is as good as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Invalid> {
        match self.said(name) {
            Said::Nothing => Ok(None),
            Said::Text(text) => Ok(Some(text).filter(|text| !text.is_empty()).map(str::to_owned)),
            Said::Json(_) => Err(Invalid::new(name, "expected a string")),
        }
    }

    /// A setting that is a list of texts; one text (a form, or the environment) is parted at its commas.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Invalid> {
        let wrong = || Invalid::new(name, "expected an array of strings");
        let parted = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        match self.said(name) {
            Said::Nothing => Ok(None),
            Said::Text(text) => Ok(Some(parted(text))),
            Said::Json(Value::Array(elements)) => {
                let text = |element: &Value| element.as_str().map(str::to_owned).ok_or_else(wrong);
                elements.iter().map(text).collect::<Result<_, _>>().map(Some)
            }
            Said::Json(_) => Err(wrong()),
        }
    }

    /// A setting that is a number of seconds, written as a number or as text (a form has only text).
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, Invalid> {
        let number = match self.said(name) {
            Said::Nothing => return Ok(None),
            Said::Text(text) => text.trim().parse().ok(),
            Said::Json(json) => json.as_f64(),
        };
        let number = number.ok_or_else(|| Invalid::new(name, "expected a number"))?;
        let span = seconds(number);
        span.map(Some).ok_or_else(|| Invalid::new(name, "value should be between 0 and 100000000"))
    }

    /// `ttl`, `neg_ttl` and `resurrect_ttl`.
    pub(crate) fn times(&self) -> Result<Overrides, Invalid> {
        Ok(Overrides {
            ttl: self.seconds("ttl")?,
            neg_ttl: self.seconds("neg_ttl")?,
            resurrect_ttl: self.seconds("resurrect_ttl")?,
        })
    }

    /// What is said of a setting: the value of its references, what the entity says, or what the environment does.
    fn said(&self, name: &str) -> Said<'_> {
        if let Some(value) = self.referred.get(name) {
            return Said::Text(value.expose());
        }
        match self.config.get(name) {
            Some(Value::String(text)) => Said::Text(text),
            None | Some(Value::Null) => self.default_of(name).map_or(Said::Nothing, |text| Said::Text(text)),
            Some(json) => Said::Json(json),
        }
    }

    /// Whether `text`, which is said of the setting `name`, refers to what is not known yet.
    fn is_unknown(&self, name: &str, text: &str) -> bool {
        !self.referred.contains_key(name) && text.contains(START)
    }

    /// `GATEWARD_VAULT_AWS_REGION`, or `KONG_VAULT_AWS_REGION`.
    fn default_of(&self, name: &str) -> Option<&String> {
        // Most processes have none, and each start asks for all of them.
        let are_there = |prefix: &str| {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let mut next = self.environment.range::<str, _>(from);
            next.next().is_some_and(|(name, _)| name.starts_with(prefix))
        };
        if !are_there("GATEWARD_VAULT_") && !are_there("KONG_VAULT_") {
            return None;
        }
        let variable = format!("VAULT_{}_{}", self.kind, name).to_ascii_uppercase();
        let ours = self.environment.get(&format!("GATEWARD_{variable}"));
        ours.or_else(|| self.environment.get(&format!("KONG_{variable}"))).filter(|value| !value.is_empty())
    }
}

/// What is said of a setting.
enum Said<'a> {
    Nothing,
    Text(&'a str),
    Json(&'a Value),
}

/// Why a setting refers to nothing.
pub(crate) const TAKES_NONE: &str =
    "a reference cannot stand here: this says how values are kept, also while the vault cannot be opened";

/// A time of `number` seconds, if that is one that can be set.
pub(crate) fn seconds(number: f64) -> Option<Duration> {
    (0.0..=MAX_SECONDS).contains(&number).then(|| Duration::from_secs_f64(number))
}
