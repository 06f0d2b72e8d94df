//! The settings of `limit-count`, and what is wrong with some.

use gateward_model::Invalid;
use gateward_vars::{Template, Variable};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::counters::Counters;
use super::{Key, LimitCount, Names, Number, Rejected, Rule};
use crate::answer::status;
use crate::authentication::{check_name, header_name};
use crate::{Site, holds_reference};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Settings {
    count: Option<Value>,
    time_window: Option<Value>,
    #[serde(default)]
    window_type: WindowType,
    rules: Option<Vec<RuleSettings>>,
    group: Option<String>,
    #[serde(default = "default_key")]
    key: String,
    #[serde(default)]
    key_type: KeyType,
    #[serde(default = "default_code")]
    rejected_code: u16,
    rejected_msg: Option<String>,
    #[serde(default, rename = "policy")]
    _policy: Policy,
    #[serde(default)]
    allow_degradation: bool,
    #[serde(default = "yes")]
    show_limit_quota_header: bool,
    #[serde(default = "never")]
    sync_interval: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct RuleSettings {
    count: Value,
    time_window: Value,
    key: String,
    header_prefix: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WindowType {
    #[default]
    Fixed,
    Sliding,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyType {
    #[default]
    Var,
    VarCombination,
    Constant,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    #[default]
    Local,
}

impl Settings {
    pub(super) fn read(json: &Value) -> Result<Self, Invalid> {
        // Said first, for such settings have more fields.
        if let Some(policy) = json["policy"].as_str()
            && policy != "local"
        {
            let problem = match policy.starts_with("redis") {
                true => "is not available in this gateway yet; with local each process counts for itself",
                false => "must be local",
            };
            return Err(Invalid::new("policy", problem));
        }
        gateward_model::parse(json)
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        match (&self.count, &self.time_window, &self.rules) {
            (Some(count), Some(window), None) => {
                number("count", count)?;
                number("time_window", window)?;
            }
            (None, None, Some(rules)) => check_rules(rules, self.group.as_deref())?,
            (None, None, None) => return Err(Invalid::new("", "needs count and time_window, or rules")),
            (_, _, Some(_)) => {
                let problem = "count/time_window and rules cannot be specified at the same time";
                return Err(Invalid::new("rules", problem));
            }
            (Some(_), None, None) => return Err(Invalid::new("time_window", "is required beside count")),
            (None, Some(_), None) => return Err(Invalid::new("count", "is required beside time_window")),
        }
        status("rejected_code", self.rejected_code, 200, 599)?;
        if self.rejected_msg.as_deref() == Some("") {
            return Err(Invalid::new("rejected_msg", "must not be empty"));
        }
        match self.sync_interval == never() {
            true => Ok(()),
            false => Err(Invalid::new("sync_interval", "only means something with redis; drop it")),
        }
    }

    pub(super) fn build(self, site: &Site<'_>) -> Result<LimitCount, Invalid> {
        self.check()?;
        let names = Metadata::read(site.metadata)?.names()?;
        let counters = site.shared.get_or(|_| Counters::new());
        let slides = self.window_type == WindowType::Sliding;
        let whose = match &self.group {
            Some(group) => ("group", group.as_str()),
            None => ("owner", site.owner),
        };
        let rule = |key: Key, spec: (&str, u8), count: &Value, window: &Value, names: Names| {
            let (limit, window) = (number("count", count)?, number("time_window", window)?);
            let seconds = if let Number::Known(seconds) = window { seconds } else { 0 };
            let told = if let Number::Known(limit) = limit { Some(HeaderValue::from(limit)) } else { None };
            let base = counters.key((whose, spec, seconds, slides));
            Ok(Rule { base, key, limit, window, names, told })
        };
        let rules: Result<Box<[Rule]>, Invalid> = match (&self.count, &self.time_window, &self.rules) {
            (Some(count), Some(window), _) => {
                let key = self.key_type.key(&self.key);
                rule(key, (&self.key, self.key_type as u8), count, window, names).map(|rule| [rule].into())
            }
            _ => self
                .rules
                .iter()
                .flatten()
                .enumerate()
                .map(|(index, settings)| {
                    let template = Template::parse(&settings.key);
                    let has_variables = template.variables().next().is_some();
                    let key = match has_variables {
                        true => Key::IfAny(template),
                        false => Key::Constant(settings.key.as_str().into()),
                    };
                    let prefix = settings.header_prefix.clone().unwrap_or_else(|| (index + 1).to_string());
                    let spec = (settings.key.as_str(), u8::MAX);
                    rule(key, spec, &settings.count, &settings.time_window, names.with_prefix(&prefix)?)
                })
                .collect(),
        };
        Ok(LimitCount {
            rules: rules?,
            slides,
            rejected: Rejected {
                status: status("rejected_code", self.rejected_code, 200, 599)?,
                message: self.rejected_msg.map(Into::into),
            },
            degrades: self.allow_degradation,
            tells: self.show_limit_quota_header,
            counters,
        })
    }
}

impl KeyType {
    fn key(self, text: &str) -> Key {
        match self {
            Self::Var if text == "remote_addr" => Key::Client,
            Self::Var => Key::Variable(Variable::parse(text)),
            Self::VarCombination => Key::Combination(Template::parse(text)),
            Self::Constant => Key::Constant(text.into()),
        }
    }
}

fn check_rules(rules: &[RuleSettings], group: Option<&str>) -> Result<(), Invalid> {
    if rules.is_empty() {
        return Err(Invalid::new("rules", "must not be empty"));
    }
    if group.is_some() {
        return Err(Invalid::new("group", "group and rules cannot be specified at the same time"));
    }
    for (index, rule) in rules.iter().enumerate() {
        let at = |error: Invalid| error.within(&format!("rules[{index}]"));
        number("count", &rule.count).map_err(at)?;
        number("time_window", &rule.time_window).map_err(at)?;
        if rules[..index].iter().any(|other| other.key == rule.key) {
            return Err(at(Invalid::new("key", "is the key of another rule, and would be counted twice")));
        }
        if let Some(prefix) = &rule.header_prefix {
            check_name("header_prefix", prefix).map_err(at)?;
        }
    }
    Ok(())
}

/// A number above 0, or a text that a request has one for. A reference is taken for a text that has.
fn number(field: &str, json: &Value) -> Result<Number, Invalid> {
    let wrong = || Invalid::new(field, "must be a whole number above 0, or a text with variables for one");
    match json {
        Value::Number(number) => {
            number.as_u64().filter(|number| *number > 0).map(Number::Known).ok_or_else(wrong)
        }
        Value::String(text) => match text.trim().parse::<u64>() {
            Ok(number) if number > 0 => Ok(Number::Known(number)),
            Ok(_) => Err(wrong()),
            Err(_) => {
                let template = Template::parse(text);
                let may_be_one = holds_reference(text) || template.variables().next().is_some();
                may_be_one.then_some(Number::Computed(template)).ok_or_else(wrong)
            }
        },
        _ => Err(wrong()),
    }
}

/// What all instances have in common: the headers that they tell of limits with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Metadata {
    #[serde(default = "limit_header")]
    limit_header: String,
    #[serde(default = "remaining_header")]
    remaining_header: String,
    #[serde(default = "reset_header")]
    reset_header: String,
}

impl Metadata {
    pub(super) fn read(json: Option<&Value>) -> Result<Self, Invalid> {
        let none = json!({});
        let metadata: Self = gateward_model::parse(json.unwrap_or(&none))?;
        check_name("limit_header", &metadata.limit_header)?;
        check_name("remaining_header", &metadata.remaining_header)?;
        check_name("reset_header", &metadata.reset_header)?;
        Ok(metadata)
    }

    fn names(&self) -> Result<Names, Invalid> {
        Ok(Names {
            limit: header_name("limit_header", &self.limit_header)?,
            remaining: header_name("remaining_header", &self.remaining_header)?,
            reset: header_name("reset_header", &self.reset_header)?,
        })
    }
}

impl Names {
    /// The names for one of several rules: `X-1-RateLimit-Limit`.
    fn with_prefix(&self, prefix: &str) -> Result<Self, Invalid> {
        let prefix = prefix.to_ascii_lowercase();
        let with = |name: &HeaderName| {
            let name = name.as_str().replacen("ratelimit-", &format!("{prefix}-ratelimit-"), 1);
            header_name("header_prefix", &name)
        };
        Ok(Self { limit: with(&self.limit)?, remaining: with(&self.remaining)?, reset: with(&self.reset)? })
    }
}

fn default_key() -> String {
    "remote_addr".to_owned()
}

fn default_code() -> u16 {
    503
}

fn yes() -> bool {
    true
}

/// What says that counters are not kept in step with a store.
fn never() -> f64 {
    -1.0
}

fn limit_header() -> String {
    "X-RateLimit-Limit".to_owned()
}

fn remaining_header() -> String {
    "X-RateLimit-Remaining".to_owned()
}

fn reset_header() -> String {
    "X-RateLimit-Reset".to_owned()
}

/// The JSON schema of the settings.
pub(super) fn schema() -> Value {
    let text = json!({"type": "string", "x-variables": true});
    let number = json!({"oneOf": [{"type": "integer", "exclusiveMinimum": 0}, text]});
    json!({
        "type": "object",
        "oneOf": [{"required": ["count", "time_window"]}, {"required": ["rules"]}],
        "properties": {
            "count": number,
            "time_window": number,
            "window_type": {"type": "string", "enum": ["fixed", "sliding"], "default": "fixed"},
            "rules": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["count", "time_window", "key"],
                    "properties": {
                        "count": number,
                        "time_window": number,
                        "key": text,
                        "header_prefix": {"type": "string"},
                    },
                },
            },
            "group": {"type": "string"},
            "key": {"type": "string", "default": "remote_addr", "x-variables": true},
            "key_type": {"type": "string", "enum": ["var", "var_combination", "constant"], "default": "var"},
            "rejected_code": {"type": "integer", "minimum": 200, "maximum": 599, "default": 503},
            "rejected_msg": {"type": "string", "minLength": 1},
            "policy": {"type": "string", "enum": ["local"], "default": "local"},
            "allow_degradation": {"type": "boolean", "default": false},
            "show_limit_quota_header": {"type": "boolean", "default": true},
            "sync_interval": {"type": "number", "default": -1},
        },
    })
}

/// The JSON schema of the metadata.
pub(super) fn metadata_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "limit_header": {"type": "string", "default": "X-RateLimit-Limit"},
            "remaining_header": {"type": "string", "default": "X-RateLimit-Remaining"},
            "reset_header": {"type": "string", "default": "X-RateLimit-Reset"},
        },
    })
}
