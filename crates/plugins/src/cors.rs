//! `cors`: tells browsers which pages of other origins may call, and read what they get.
//!
//! Every OPTIONS request is answered here, before anybody asks who calls: browsers ask without credentials. All other
//! answers get the same fields, whoever gave them, for a page may read an error too.

mod origins;

use std::sync::Arc;

use gateward_model::Invalid;
use gateward_net::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::bare;
use crate::{Exchange, Kind, MetadataKind, Phases, Plugin, Step, holds_reference};
use origins::{Origins, check_origins};

pub(crate) const KIND: Kind = Kind {
    name: "cors",
    priority: 4000,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: true, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, site| Ok(Arc::new(Settings::read(json)?.build(&Metadata::read(site.metadata)?)?)),
    schema,
    consumer: None,
    metadata: Some(MetadataKind {
        secrets: &[],
        check: |json| Metadata::read(Some(json)).map(drop),
        schema: || {
            json!({
                "type": "object",
                "properties": {
                    "allow_origins": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            })
        },
    }),
};

/// What browsers are told.
#[derive(Debug)]
struct Cors {
    origins: Origins,
    timing: Option<Origins>,
    methods: HeaderValue,
    /// The fields that pages may send; None for whichever they ask for.
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    max_age: HeaderValue,
    credentials: bool,
    /// Whether two origins may get different answers.
    varies: bool,
}

/// What a request said of the page that it comes from.
struct Page {
    origin: Option<HeaderValue>,
    asks_for: Option<HeaderValue>,
}

impl Plugin for Cors {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let headers = exchange.request.headers();
        let origin = headers.get(ORIGIN).cloned();
        // Other plugins may change these before there is an answer.
        if origin.is_some() {
            let asks_for = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            exchange.notes.put(Page { origin, asks_for });
        }
        match *exchange.request.method() == Method::OPTIONS {
            true => bare(StatusCode::OK).into(),
            false => Step::CONTINUE,
        }
    }

    fn respond(&self, exchange: &mut Exchange<'_>, response: &mut Response<Body>) {
        let page = exchange.notes.get::<Page>();
        // A plugin that has its turns earlier may have answered before this one saw the request.
        let origin = page.and_then(|page| page.origin.as_ref()).or(exchange.request.headers().get(ORIGIN));
        let headers = response.headers_mut();
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(allowed) = self.origins.allowed(origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            let asked = || page.and_then(|page| page.asks_for.clone());
            if let Some(names) = self.headers.clone().or_else(asked) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
            }
            if let Some(names) = &self.exposed {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
            }
            if self.credentials {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
        }
        if let Some(allowed) = self.timing.as_ref().and_then(|timing| timing.told(origin)) {
            headers.insert(&TIMING_ALLOW_ORIGIN, allowed);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    #[serde(default = "any")]
    allow_origins: String,
    #[serde(default = "any")]
    allow_methods: String,
    #[serde(default = "any")]
    allow_headers: String,
    expose_headers: Option<String>,
    #[serde(default = "default_max_age")]
    max_age: i64,
    #[serde(default)]
    allow_credential: bool,
    allow_origins_by_regex: Option<Vec<String>>,
    allow_origins_by_metadata: Option<Vec<String>>,
    timing_allow_origins: Option<String>,
    timing_allow_origins_by_regex: Option<Vec<String>>,
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    fn check(&self) -> Result<(), Invalid> {
        self.check_credential()?;
        check_origins("allow_origins", &self.allow_origins)?;
        if let Some(origins) = &self.timing_allow_origins {
            check_origins("timing_allow_origins", origins)?;
        }
        let texts = [
            ("allow_methods", Some(&self.allow_methods)),
            ("allow_headers", Some(&self.allow_headers)),
            ("expose_headers", self.expose_headers.as_ref()),
        ];
        for (field, text) in texts {
            if let Some(text) = text.filter(|text| !holds_reference(text)) {
                value(field, text)?;
            }
        }
        origins::check_list("allow_origins_by_metadata", self.allow_origins_by_metadata.as_deref())?;
        let patterns = [
            ("allow_origins_by_regex", &self.allow_origins_by_regex),
            ("timing_allow_origins_by_regex", &self.timing_allow_origins_by_regex),
        ];
        for (field, patterns) in patterns {
            origins::check_list(field, patterns.as_deref())?;
            for pattern in patterns.iter().flatten().filter(|pattern| !holds_reference(pattern)) {
                origins::patterns(field, std::slice::from_ref(pattern))?;
            }
        }
        Ok(())
    }

    /// Browsers take no `*` for an answer to a request with credentials.
    fn check_credential(&self) -> Result<(), Invalid> {
        let fields = [
            ("allow_origins", Some(&self.allow_origins)),
            ("allow_methods", Some(&self.allow_methods)),
            ("allow_headers", Some(&self.allow_headers)),
            ("expose_headers", self.expose_headers.as_ref()),
            ("timing_allow_origins", self.timing_allow_origins.as_ref()),
        ];
        let any = fields.into_iter().find(|(_, text)| text.is_some_and(|text| text == "*"));
        match any.filter(|_| self.allow_credential) {
            Some((field, _)) => Err(Invalid::new(
                field,
                "you can not set '*' for other option when 'allow_credential' is true",
            )),
            None => Ok(()),
        }
    }

    fn build(self, metadata: &Metadata) -> Result<Cors, Invalid> {
        self.check()?;
        let patterns = self.allow_origins_by_regex.as_deref();
        let mut origins = Origins::new("allow_origins", &self.allow_origins, patterns)?;
        if let Some(names) = &self.allow_origins_by_metadata {
            let lists = names.iter().filter_map(|name| metadata.allow_origins.get(name)?.as_str());
            origins = origins.with_lists(lists, self.allow_origins == "*");
        }
        let text = self.timing_allow_origins.as_deref();
        let patterns = self.timing_allow_origins_by_regex.as_deref();
        let timing = match text.is_some() || patterns.is_some() {
            true => Some(Origins::new("timing_allow_origins", text.unwrap_or("*"), patterns)?),
            false => None,
        };
        let methods = match &*self.allow_methods {
            "**" => "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE",
            methods => methods,
        };
        let headers = Some(&self.allow_headers).filter(|names| *names != "**");
        let exposed = self.expose_headers.as_ref().filter(|names| !names.is_empty());
        Ok(Cors {
            methods: value("allow_methods", methods)?,
            headers: headers.map(|names| value("allow_headers", names)).transpose()?,
            exposed: exposed.map(|names| value("expose_headers", names)).transpose()?,
            max_age: HeaderValue::from(self.max_age),
            credentials: self.allow_credential,
            varies: origins.varies() || timing.as_ref().is_some_and(Origins::varies),
            origins,
            timing,
        })
    }
}

/// Lists of origins that several routes refer to by name.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Metadata {
    #[serde(default)]
    allow_origins: Map<String, Value>,
}

impl Metadata {
    fn read(json: Option<&Value>) -> Result<Self, Invalid> {
        let Some(json) = json else { return Ok(Self::default()) };
        let metadata: Self = gateward_model::parse(json)?;
        for (name, origins) in &metadata.allow_origins {
            let field = format!("allow_origins.{name}");
            let origins = origins.as_str().ok_or_else(|| Invalid::new(&field, "must be a string"))?;
            check_origins(&field, origins)?;
        }
        Ok(metadata)
    }
}

fn value(field: &str, text: &str) -> Result<HeaderValue, Invalid> {
    HeaderValue::try_from(text)
        .map_err(|_| Invalid::new(field, "holds characters that cannot stand in a header"))
}

fn any() -> String {
    "*".to_owned()
}

fn default_max_age() -> i64 {
    5
}

static TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

fn schema() -> Value {
    let list = json!({
        "type": "array", "minItems": 1, "uniqueItems": true,
        "items": {"type": "string", "minLength": 1, "maxLength": 4096},
    });
    json!({
        "type": "object",
        "properties": {
            "allow_origins": {"type": "string", "default": "*"},
            "allow_methods": {"type": "string", "default": "*"},
            "allow_headers": {"type": "string", "default": "*"},
            "expose_headers": {"type": "string"},
            "max_age": {"type": "integer", "default": 5},
            "allow_credential": {"type": "boolean", "default": false},
            "allow_origins_by_regex": list,
            "allow_origins_by_metadata": list,
            "timing_allow_origins": {"type": "string"},
            "timing_allow_origins_by_regex": list,
        },
    })
}

#[cfg(test)]
mod tests;
