//! What every resource may say about itself, and nothing is served by.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Invalid;

/// What a resource says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// What people call it.
    pub name: Option<String>,
    /// A sentence about it.
    pub desc: Option<String>,
    /// Words to find it by.
    pub labels: Map<String, Value>,
}

impl Description {
    /// Takes the description out of a resource; what is left are the fields that something is served by.
    fn split(json: &Value) -> Result<(Self, Value), Invalid> {
        let Value::Object(fields) = json else {
            return Err(Invalid::new("", "a resource is a JSON object"));
        };
        let (mut described, mut rest) = (Map::new(), Map::new());
        for (name, value) in fields {
            let part = if FIELDS.contains(&name.as_str()) { &mut described } else { &mut rest };
            part.insert(name.clone(), value.clone());
        }
        let fields: Fields = crate::parse(&Value::Object(described))?;
        let limited = |field: &str, text: Option<String>, most: usize| match text {
            Some(text) if text.chars().count() > most => {
                Err(Invalid::new(field, format!("has at most {most} characters")))
            }
            text => Ok(text),
        };
        let labels = fields.labels.unwrap_or_default();
        if let Some((name, _)) = labels.iter().find(|(_, value)| !value.is_string()) {
            return Err(Invalid::new(format!("labels.{name}"), "a label is a string"));
        }
        let description = Self {
            name: limited("name", fields.name, 100)?,
            desc: limited("desc", fields.desc, 256)?,
            labels,
        };
        Ok((description, Value::Object(rest)))
    }

    /// The description of a resource, and the fields that something is served by.
    pub(super) fn and<T: DeserializeOwned>(json: &Value) -> Result<(Self, T), Invalid> {
        let (description, rest) = Self::split(json)?;
        let fields = crate::parse(&rest).map_err(|mut error| {
            // The fields of a description may stand beside those that were looked for.
            if error.problem.starts_with("unknown field") && error.problem.contains(", expected ") {
                error.problem.push_str(", `id`, `name`, `desc`, `labels`");
            }
            error
        })?;
        Ok((description, fields))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<String>,
    desc: Option<String>,
    labels: Option<Map<String, Value>>,
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "create_time")]
    _create_time: Option<u64>,
    #[serde(rename = "update_time")]
    _update_time: Option<u64>,
}

const FIELDS: [&str; 6] = ["id", "name", "desc", "labels", "create_time", "update_time"];
