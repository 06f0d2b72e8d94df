//! Who besides the administrator may do what: entries of access ids, what must be known of them, and permissions.

use std::collections::{BTreeMap, BTreeSet};

use gateward_model::Invalid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::aws_iam::is_arn;
use crate::{AccessId, Identity, Permission, wildcard};

/// What an auth method says of whoever logged in: names, and values of each.
pub type SubClaims = BTreeMap<String, Vec<String>>;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedAccess {
    /// For people.
    pub name: String,
    /// Whom it is about.
    pub access_id: AccessId,
    /// What must be known of them: of each name at least one value.
    #[serde(default)]
    pub sub_claims: SubClaims,
    /// Whether `A` is `a` there.
    #[serde(default)]
    pub case_insensitive: bool,
    /// What they may.
    pub permissions: BTreeSet<Permission>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// When it was made and changed, in seconds since 1970; 0 for one of the deployment.
    #[serde(default)]
    pub created: u64,
    /// The same for its last change.
    #[serde(default)]
    pub modified: u64,
}

/// Why a list of entries cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowedError {
    /// Not the form of a list.
    #[error(
        "allowed access permissions are JSON: [{{\"name\": \"\", \"access_id\": \"p-…\", \"permissions\": [\"admin\"]}}]"
    )]
    Form,
    /// No JSON, or a key stands twice in it.
    #[error("allowed access permissions are JSON: {0}")]
    Json(Invalid),
    /// An entry is wrong.
    #[error("allowed access permissions, entry {entry}: {problem}")]
    Entry {
        /// Which one, from 1.
        entry: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl AllowedAccess {
    /// Reads a deployment's list: JSON, or JSON in a JSON string. The access id stands under `access_id`, or is itself a
    /// name with an empty value, as the vendor's page has it.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, AllowedError> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let read = |text: &str| gateward_model::from_admin(text.as_bytes()).map_err(AllowedError::Json);
        let mut list = read(text)?;
        if let Value::String(inner) = &list {
            list = if inner.trim().is_empty() { Value::Array(Vec::new()) } else { read(inner)? };
        }
        let Value::Array(entries) = list else { return Err(AllowedError::Form) };
        let entry = |(place, entry)| {
            entry_of(entry).map_err(|problem| AllowedError::Entry { entry: place + 1, problem })
        };
        entries.into_iter().enumerate().map(entry).collect()
    }

    /// Whether this is about `identity`: its access id, and of each name one of the values.
    pub fn is_about(&self, identity: &Identity) -> bool {
        let matches = |name: &str, pattern: &str, value: &str| match name {
            // A pattern of fewer parts could be spelt out by the path that a user of any account may have.
            "arn" if value.starts_with("arn:") => {
                pattern == "*" || pattern.splitn(6, ':').count() == 6 && is_arn(pattern, value)
            }
            _ => wildcard::matches(pattern, value),
        };
        let same = |name: &str, pattern: &str, value: &str| match self.case_insensitive {
            true => matches(name, &pattern.to_lowercase(), &value.to_lowercase()),
            false => matches(name, pattern, value),
        };
        self.access_id == identity.access_id
            && self.sub_claims.iter().all(|(name, wanted)| {
                let known = identity.sub_claims.get(name);
                known.is_some_and(|known| {
                    wanted.iter().any(|wanted| known.iter().any(|known| same(name, wanted, known)))
                })
            })
    }
}

fn entry_of(entry: Value) -> Result<AllowedAccess, String> {
    let Value::Object(mut fields) = entry else { return Err("it is no object".to_owned()) };
    let name = text(&mut fields, "name")?.unwrap_or_default();
    let description = text(&mut fields, "description")?.unwrap_or_default();
    let permissions = match fields.remove("permissions") {
        None => return Err("permissions is missing".to_owned()),
        Some(sent) => permissions(&sent)?,
    };
    let sub_claims =
        fields.remove("sub_claims").map(|sent| sub_claims(&sent)).transpose()?.unwrap_or_default();
    let case_insensitive =
        match fields.remove("case_insensitive").or(fields.remove("sub_claims_case_insensitive")) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => return Err("case_insensitive is true or false".to_owned()),
        };
    let mut access_id = text(&mut fields, "access_id")?.filter(|id| !id.is_empty());
    for (key, value) in fields {
        let stands_for_itself = value.as_str().is_some_and(str::is_empty);
        if !stands_for_itself || access_id.is_some() {
            return Err(format!("there is no field {key:?} in it"));
        }
        access_id = Some(key);
    }
    let access_id = access_id.ok_or("access_id is missing")?;
    let access_id = access_id.parse().map_err(|error| format!("access_id {access_id:?}: {error}"))?;
    Ok(AllowedAccess {
        name,
        access_id,
        sub_claims,
        case_insensitive,
        permissions,
        description,
        created: 0,
        modified: 0,
    })
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is a text")),
    }
}

/// Permissions, as a list or as one text with commas.
pub fn permissions(sent: &Value) -> Result<BTreeSet<Permission>, String> {
    let names = values(sent).ok_or("permissions is a list of names")?;
    let named = |name: &String| {
        Permission::named(name).ok_or_else(|| {
            let known = Permission::ALL.map(Permission::name).join(", ");
            format!("there is no permission {name:?}; there are {known}")
        })
    };
    let permissions = names.iter().map(named).collect::<Result<BTreeSet<_>, _>>()?;
    if permissions.is_empty() { Err("permissions is empty".to_owned()) } else { Ok(permissions) }
}

/// Sub-claims: of each name a list of values, or one text with commas.
pub fn sub_claims(sent: &Value) -> Result<SubClaims, String> {
    let wrong = || "sub_claims is an object of names with lists of values".to_owned();
    let fields = match sent {
        Value::Null => return Ok(SubClaims::new()),
        sent => sent.as_object().ok_or_else(wrong)?,
    };
    let claim = |(name, sent): (&String, &Value)| {
        let values = values(sent).filter(|values| !values.is_empty()).ok_or_else(wrong)?;
        Ok((name.clone(), values))
    };
    fields.iter().map(claim).collect()
}

fn values(sent: &Value) -> Option<Vec<String>> {
    let texts: Vec<String> = match sent {
        Value::String(text) => text.split(',').map(str::to_owned).collect(),
        Value::Array(list) => {
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let trimmed = texts.iter().map(|text| text.trim().to_owned());
    Some(trimmed.filter(|text| !text.is_empty()).collect())
}

#[cfg(test)]
mod tests;
