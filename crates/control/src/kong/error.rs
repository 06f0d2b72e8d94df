//! Kong's errors: a number, a name, a sentence, and the fields.

use std::collections::BTreeMap;

use axum::response::Response;
use gateward_model::Invalid;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::authenticate::Refusal;
use crate::request::{BodyRefused, json_answer};
use crate::resources::ResourceError;

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum KongError {
    /// Fields are wrong.
    Schema(Violations),
    /// There is another vault with this id.
    TakenId(String),
    /// There is another vault with this prefix.
    TakenPrefix(String),
    /// What the URL names can be no prefix.
    Prefix(String),
    /// Something refers to the vault.
    InUse { kind: &'static str, id: String },
    /// The page cannot be told where it begins.
    Offset(String),
    /// The page cannot be so large.
    Size(&'static str),
    /// The tags cannot be read.
    Tags,
    /// There is no such backend.
    NoKind(String),
    /// The body is no JSON, or no form.
    Unreadable(&'static str),
    /// The body is no JSON that can be read: where, or which key stands twice.
    NoJson(Invalid),
    /// The body is of a kind that is not read here.
    MediaType,
    /// The body cannot be had.
    Body(BodyRefused),
    /// There is no such vault.
    NotFound,
    /// Not with this method.
    MethodNotAllowed,
    /// Vaults stand in a declarative file.
    Declared,
    /// No token, or a wrong one.
    Refused(Refusal),
    /// The store failed, or somebody else was faster.
    Resource(ResourceError),
}

/// What is wrong with the fields of a vault: at most one sentence for each.
#[derive(Debug, Default)]
pub(super) struct Violations {
    of_entity: Vec<String>,
    of_fields: BTreeMap<String, String>,
}

impl Violations {
    /// Adds what is wrong with `field`; what was found first stays.
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.of_fields.entry(field.into()).or_insert_with(|| problem.into());
    }

    /// Adds something that was found elsewhere.
    pub(super) fn add_invalid(&mut self, invalid: Invalid) {
        match invalid.field.is_empty() {
            true => self.of_entity.push(invalid.problem),
            false => self.add(invalid.field, invalid.problem),
        }
    }

    /// An error, if there are any.
    pub(super) fn into_result(self) -> Result<(), KongError> {
        let none = self.of_entity.is_empty() && self.of_fields.is_empty();
        if none { Ok(()) } else { Err(KongError::Schema(self)) }
    }

    fn message(&self) -> String {
        let of_fields = self.of_fields.iter().map(|(field, problem)| format!("{field}: {problem}"));
        let all: Vec<String> = self.of_entity.iter().cloned().chain(of_fields).collect();
        match &all[..] {
            [one] => format!("schema violation ({one})"),
            more => format!("{} schema violations ({})", more.len(), more.join("; ")),
        }
    }

    /// `config.region` is the field `region` of the field `config`.
    fn fields(&self) -> Value {
        let mut fields = Map::new();
        if !self.of_entity.is_empty() {
            fields.insert("@entity".to_owned(), self.of_entity.clone().into());
        }
        for (path, problem) in &self.of_fields {
            let names: Vec<&str> = path.split('.').collect();
            insert(&mut fields, &names, problem);
        }
        Value::Object(fields)
    }
}

fn insert(fields: &mut Map<String, Value>, names: &[&str], problem: &str) {
    match names {
        [] => {}
        [name] => drop(fields.insert((*name).to_owned(), Value::from(problem))),
        [outer, inner @ ..] => {
            let nested = fields.entry(*outer).or_insert_with(|| Value::Object(Map::new()));
            // What is wrong with the whole of a field says enough of its parts.
            if let Some(nested) = nested.as_object_mut() {
                insert(nested, inner, problem);
            }
        }
    }
}

impl KongError {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        let mut violations = Violations::default();
        violations.add(field, problem);
        Self::Schema(violations)
    }

    pub(super) fn answer(self) -> Response {
        let message = |status, text: String| json_answer(status, &json!({"message": text}));
        let coded = |status, code: u8, name: &str, message: &str| {
            json_answer(status, &json!({"code": code, "name": name, "message": message}))
        };
        let with = |status, code: u8, name: &str, message: &str, (details, fields): (&str, Value)| {
            json_answer(status, &json!({"code": code, "name": name, "message": message, details: fields}))
        };
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Schema(violations) => {
                let fields = ("fields", violations.fields());
                with(bad, 2, "schema violation", &violations.message(), fields)
            }
            Self::TakenId(id) => {
                let message = format!("primary key violation on key '{{id=\"{id}\"}}'");
                with(bad, 3, "primary key violation", &message, ("fields", json!({"id": id})))
            }
            Self::InUse { kind, id } => {
                let message = format!(
                    "an existing '{kind}' entity references this 'vaults' entity: {id}; change that first, or say \
                     ?force=true, and what refers to it has no value any more"
                );
                let fields = ("fields", json!({"@referenced_by": kind}));
                with(bad, 4, "foreign key violation", &message, fields)
            }
            Self::TakenPrefix(prefix) => {
                let message = format!("UNIQUE violation detected on '{{prefix=\"{prefix}\"}}'");
                let fields = ("fields", json!({"prefix": prefix}));
                with(StatusCode::CONFLICT, 5, "unique constraint violation", &message, fields)
            }
            Self::Offset(problem) => coded(bad, 7, "invalid offset", &problem),
            Self::Size(problem) => coded(bad, 9, "invalid size", problem),
            Self::Prefix(problem) => coded(bad, 10, "invalid unique prefix", &problem),
            Self::Tags => {
                let options = ("options", json!({"tags": "invalid filter syntax"}));
                with(bad, 11, "invalid options", "invalid option (tags: invalid filter syntax)", options)
            }
            Self::Declared => {
                let text = "cannot create or update 'vaults' entities: they stand in the declarative file, and can only \
                            be read here; change the file";
                coded(StatusCode::METHOD_NOT_ALLOWED, 12, "operation unsupported", text)
            }
            Self::NoKind(name) => message(StatusCode::NOT_FOUND, format!("No vault named '{name}'")),
            Self::Unreadable(what) => message(bad, what.to_owned()),
            Self::NoJson(error) => message(bad, format!("Cannot parse JSON body: {error}")),
            Self::MediaType => {
                let text = "send application/json, application/x-www-form-urlencoded or multipart/form-data";
                message(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned())
            }
            Self::Body(refused) => message(refused.status(), refused.to_string()),
            Self::NotFound => message(StatusCode::NOT_FOUND, "Not found".to_owned()),
            Self::MethodNotAllowed => {
                message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".to_owned())
            }
            Self::Refused(refusal) => message(refusal.status(), refusal.to_string()),
            Self::Resource(error @ ResourceError::Changed) => {
                message(StatusCode::CONFLICT, error.to_string())
            }
            Self::Resource(error) => message(error.status(), error.to_string()),
        }
    }
}

impl From<BodyRefused> for KongError {
    fn from(refused: BodyRefused) -> Self {
        Self::Body(refused)
    }
}

impl From<ResourceError> for KongError {
    fn from(error: ResourceError) -> Self {
        Self::Resource(error)
    }
}
