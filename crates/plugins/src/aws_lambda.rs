//! `aws-lambda`: answers a request with what a function answers.
//!
//! There are two ways to call a function, and the settings say which: by the URL that API Gateway or Lambda has given it
//! ([`by_url`], APISIX's settings), where the request goes out as it came in; or by its name ([`by_name`], Kong's
//! settings), where the request becomes an event for Lambda's Invoke API, and what the function returns an answer.
//!
//! ```text
//! by_url ──────────────────────────────► sign ─► call ─► the answer as it comes
//! by_name ─► event (kong, rest, http) ─► sign ─► call ─► answer (plain, integration, streamed)
//! ```

mod answer;
mod body;
mod by_name;
mod by_url;
#[cfg(test)]
mod double;
mod event;
mod event_stream;
mod failures;
mod identity;
mod integration;
mod limit;
mod schema;
mod settings;
mod streamed;

use std::sync::Arc;

use gateward_model::Invalid;
use serde_json::Value;

use crate::{Built, Kind, Phases, Site};
use by_name::ByName;
use by_url::ByUrl;

pub(crate) const KIND: Kind = Kind {
    name: "aws-lambda",
    priority: -1899,
    secrets: &[
        "/authorization/apikey",
        "/authorization/iam/secretkey",
        "/authorization/iam/secret_key",
        "/authorization/iam/session_token",
        "/aws_secret",
        "/authorization/iam/role_external_id",
        "/aws_session_token",
        "/aws_role_external_id",
        "/proxy_url",
    ],
    phases: Phases { rewrite: false, access: true, respond: false, log: false },
    check,
    build,
    schema: schema::schema,
    consumer: None,
    metadata: None,
};

/// How a function is called.
enum Way {
    ByUrl,
    ByName,
}

impl Way {
    fn of(settings: &Value) -> Result<Self, Invalid> {
        let Some(fields) = settings.as_object() else { return Err(Invalid::new("", "must be an object")) };
        match (fields.contains_key("function_uri"), fields.contains_key("function_name")) {
            (true, false) => Ok(Self::ByUrl),
            (false, true) => Ok(Self::ByName),
            (true, true) => {
                Err(Invalid::new("function_name", "a function has either function_uri or function_name"))
            }
            (false, false) => {
                let problem = "is required, or function_name: a function is called by its URL or by its name";
                Err(Invalid::new("function_uri", problem))
            }
        }
    }
}

fn check(settings: &Value) -> Result<(), Invalid> {
    match Way::of(settings)? {
        Way::ByUrl => by_url::Settings::read(settings)?.check(),
        Way::ByName => by_name::Settings::read(settings)?.check(),
    }
}

fn build(settings: &Value, site: &Site<'_>) -> Built {
    Ok(match Way::of(settings)? {
        Way::ByUrl => Arc::new(ByUrl::build(settings, site)?),
        Way::ByName => Arc::new(ByName::build(settings, site)?),
    })
}
