//! `ip-restriction`: lets pass whose address is on a list, or whose is not.

use std::sync::Arc;

use gateward_model::Invalid;
use gateward_model::apisix::AddressRange;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{message, status};
use crate::{Exchange, Kind, Phases, Plugin, Step, holds_reference};

pub(crate) const KIND: Kind = Kind {
    name: "ip-restriction",
    priority: 3000,
    secrets: &[],
    phases: Phases { rewrite: false, access: true, respond: false, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, _site| Ok(Arc::new(Settings::read(json)?.build()?)),
    schema,
    consumer: None,
    metadata: None,
};

/// Who may pass.
#[derive(Debug)]
struct IpRestriction {
    list: Box<[AddressRange]>,
    /// Whether those on the list pass, or all others.
    listed_pass: bool,
    status: StatusCode,
    message: String,
}

impl Plugin for IpRestriction {
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let listed = self.list.iter().any(|range| range.contains(exchange.client));
        match listed == self.listed_pass {
            true => Step::CONTINUE,
            false => message(self.status, &self.message).into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    whitelist: Option<Vec<String>>,
    blacklist: Option<Vec<String>>,
    #[serde(default = "default_message")]
    message: String,
    #[serde(default = "default_code")]
    response_code: u16,
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    fn check(&self) -> Result<(), Invalid> {
        let (field, list) = self.list()?;
        for (index, text) in list.iter().enumerate().filter(|(_, text)| !holds_reference(text)) {
            range(field, index, text)?;
        }
        if !holds_reference(&self.message) && !(1..=1024).contains(&self.message.chars().count()) {
            return Err(Invalid::new("message", "is 1 to 1024 characters"));
        }
        status("response_code", self.response_code, 403, 404).map(drop)
    }

    fn build(self) -> Result<IpRestriction, Invalid> {
        self.check()?;
        let (field, list) = self.list()?;
        let list = list.iter().enumerate().map(|(index, text)| range(field, index, text));
        Ok(IpRestriction {
            list: list.collect::<Result<_, _>>()?,
            listed_pass: self.whitelist.is_some(),
            status: status("response_code", self.response_code, 403, 404)?,
            message: self.message,
        })
    }

    /// The one list that there is, and its name.
    fn list(&self) -> Result<(&'static str, &[String]), Invalid> {
        let (field, list) = match (&self.whitelist, &self.blacklist) {
            (Some(list), None) => ("whitelist", list),
            (None, Some(list)) => ("blacklist", list),
            _ => return Err(Invalid::new("", "needs one of whitelist and blacklist, and not both")),
        };
        match list.is_empty() {
            true => Err(Invalid::new(field, "must name at least one address")),
            false => Ok((field, list)),
        }
    }
}

fn range(field: &str, index: usize, text: &str) -> Result<AddressRange, Invalid> {
    text.parse().map_err(|error: Invalid| error.within(&format!("{field}[{index}]")))
}

fn default_message() -> String {
    "Your IP address is not allowed".to_owned()
}

fn default_code() -> u16 {
    403
}

fn schema() -> Value {
    let list = json!({"type": "array", "minItems": 1, "items": {"type": "string"}});
    json!({
        "type": "object",
        "oneOf": [{"required": ["whitelist"]}, {"required": ["blacklist"]}],
        "properties": {
            "whitelist": list,
            "blacklist": list,
            "message": {
                "type": "string", "minLength": 1, "maxLength": 1024, "default": "Your IP address is not allowed",
            },
            "response_code": {"type": "integer", "minimum": 403, "maximum": 404, "default": 403},
        },
    })
}

#[cfg(test)]
mod tests;
