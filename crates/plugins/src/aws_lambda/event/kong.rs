//! The event of Kong's own making.
//!
//! With one of `forward_request_*` it has the parts of the request that these ask for. Without any, it is what the client
//! meant to say: the query's arguments, and over them the members of the body, if that is a JSON object or a form; any
//! other JSON is the event by itself.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use gateward_model::{ErrorStatus, Failure, Origin};
use http::StatusCode;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::arguments::{Arguments, How, Shown};
use super::content::{Content, media_type};
use super::fields::{self, Fields};
use super::{Encode, Source, json};

/// Which parts of a request are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Forward {
    pub(in super::super) method: bool,
    pub(in super::super) uri: bool,
    pub(in super::super) headers: bool,
    pub(in super::super) body: bool,
}

/// The event for `source`.
pub(super) fn write(source: &Source<'_>, forward: Forward, encode: Encode) -> Result<Vec<u8>, Failure> {
    match forward == Forward::default() {
        true => merged(source),
        false => Ok(json(source, &Parts::of(source, forward, encode))),
    }
}

/// The parts that are forwarded.
#[derive(Serialize)]
struct Parts<'s> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_method: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_headers: Option<Fields<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_uri: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_uri_args: Option<Owned<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Content<'s>>,
    #[serde(skip_serializing_if = "is_false")]
    request_body_base64: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body_args: Option<BodyArguments<'s>>,
}

/// What there is in a body that can be taken apart.
enum BodyArguments<'s> {
    Form(Owned<'s>),
    Json(&'s RawValue),
}

struct Owned<'s>(Arguments<'s>);

impl<'s> Parts<'s> {
    fn of(source: &'s Source<'_>, forward: Forward, encode: Encode) -> Self {
        // `base64_encode_body` is on in Kong, and means there: what is no text.
        let encode = if encode == Encode::Always { Encode::AsNeeded } else { encode };
        let body = forward.body.then(|| Content::of(source.headers(), source.body, encode));
        let body = body.map(|body| body.unwrap_or(Content::Text("")));
        Self {
            request_method: forward.method.then(|| source.head.method.as_str()),
            request_headers: forward.headers.then(|| Fields(source.headers(), fields::How::Kong)),
            request_uri: forward
                .uri
                .then(|| source.head.uri.path_and_query().map_or("/", |target| target.as_str())),
            request_uri_args: forward.uri.then(|| Owned(Arguments::of(source.query()))),
            request_body: body,
            request_body_base64: body.is_some_and(Content::is_base64),
            request_body_args: forward.body.then(|| BodyArguments::of(source)),
        }
    }
}

impl<'s> BodyArguments<'s> {
    fn of(source: &'s Source<'_>) -> Self {
        let none = Self::Form(Owned(Arguments::default()));
        match kind(source) {
            Kind::Json => serde_json::from_slice(source.body).map_or(none, Self::Json),
            Kind::Form => {
                std::str::from_utf8(source.body).map_or(none, |form| Self::Form(Owned(Arguments::of(form))))
            }
            Kind::None | Kind::Other => none,
        }
    }
}

/// The query's arguments, and over them what the body holds.
fn merged(source: &Source<'_>) -> Result<Vec<u8>, Failure> {
    let query = || Arguments::of(source.query());
    match kind(source) {
        Kind::None => Ok(json(source, &Owned(query()))),
        Kind::Form => {
            let text = std::str::from_utf8(source.body).map_err(|_| not_readable("is not a form"))?;
            let form = Arguments::of(text);
            let names: HashSet<&str> = form.names().collect();
            let query = query().without(|name| names.contains(name));
            Ok(json(source, &Both(&query, Over::Form(&form))))
        }
        Kind::Json => {
            let body = serde_json::from_slice::<&RawValue>(source.body);
            let body = body.map_err(|_| not_readable("is not JSON"))?.get();
            if source.query().is_empty() || !body.starts_with('{') {
                return Ok(body.as_bytes().to_vec());
            }
            let members: Members<'_> = serde_json::from_str(body).map_err(|_| not_readable("is not JSON"))?;
            let names: HashSet<&str> = members.0.iter().map(|(name, _)| &**name).collect();
            let query = query().without(|name| names.contains(name));
            Ok(json(source, &Both(&query, Over::Members(&members))))
        }
        Kind::Other => {
            let status = ErrorStatus::new(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            let message =
                "the function takes JSON or a form; other bodies need forward_request_body on its route";
            let status = status.unwrap_or(ErrorStatus::BAD_REQUEST);
            Err(Failure::new(status, Origin::Client, "body_not_forwarded", message))
        }
    }
}

/// What a body is, by its content type.
enum Kind {
    None,
    Json,
    Form,
    Other,
}

fn kind(source: &Source<'_>) -> Kind {
    if source.body.is_empty() {
        return Kind::None;
    }
    let media_type = media_type(source.headers());
    match media_type.as_str() {
        "application/json" => Kind::Json,
        "application/x-www-form-urlencoded" => Kind::Form,
        other if other.ends_with("+json") => Kind::Json,
        _ => Kind::Other,
    }
}

fn not_readable(problem: &str) -> Failure {
    let message = format!("the request's body {problem}, though its content type says so");
    Failure::new(ErrorStatus::BAD_REQUEST, Origin::Client, "request_body_invalid", message)
}

/// The members of an object, each value as it was written.
struct Members<'b>(Vec<(Cow<'b, str>, &'b RawValue)>);

impl<'de: 'b, 'b> Deserialize<'de> for Members<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// What is left of the query, and what the body says.
struct Both<'a>(&'a Arguments<'a>, Over<'a>);

enum Over<'a> {
    Form(&'a Arguments<'a>),
    Members(&'a Members<'a>),
}

impl Serialize for Both<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        Shown(self.0, How::Kong).write_into(&mut map)?;
        match &self.1 {
            Over::Form(form) => Shown(form, How::Kong).write_into(&mut map)?,
            Over::Members(members) => {
                for (name, value) in &members.0 {
                    map.serialize_entry(name, value)?;
                }
            }
        }
        map.end()
    }
}

impl Serialize for Owned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown(&self.0, How::Kong).serialize(serializer)
    }
}

impl Serialize for BodyArguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Form(arguments) => arguments.serialize(serializer),
            Self::Json(json) => json.serialize(serializer),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
