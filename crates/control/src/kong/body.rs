//! The three kinds of bodies that Kong reads: JSON, and two kinds of forms.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, header};
use serde_json::{Map, Value};

use super::error::KongError;
use super::form::Form;
use crate::request;

/// What a request says in its body.
pub(super) enum Fields {
    /// Typed by whoever wrote it.
    Json(Map<String, Value>),
    /// All texts, which the schema gives types.
    Form(Map<String, Value>),
}

impl Fields {
    /// Reads the body of `request`.
    pub(super) async fn read(request: Request<Body>) -> Result<Self, KongError> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or(JSON).to_owned();
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let bytes = request::read(request.into_body()).await?;
        match media_type.as_str() {
            // Nothing at all is as good as nothing in it.
            JSON if bytes.trim_ascii().is_empty() => Ok(Self::Json(Map::new())),
            JSON => match gateward_model::from_admin(&bytes) {
                Ok(Value::Object(fields)) => Ok(Self::Json(fields)),
                Ok(_) => Err(KongError::Unreadable("Cannot parse JSON body")),
                Err(error) => Err(KongError::NoJson(error)),
            },
            // Without a content type curl says that it sends a form. Read as one, all of it would be the name of a field.
            "application/x-www-form-urlencoded" if bytes.trim_ascii_start().starts_with(b"{") => {
                Err(KongError::Unreadable(JSON_AS_FORM))
            }
            "application/x-www-form-urlencoded" => Form::of_urlencoded(&bytes).map(|form| Self::Form(form.0)),
            "multipart/form-data" => parts(&content_type, bytes).await.map(|form| Self::Form(form.0)),
            _ => Err(KongError::MediaType),
        }
    }

    /// The field `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Json(fields) | Self::Form(fields) => fields.get(name),
        }
    }

    /// The field `name`, if it is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// The fields, with the types that a vault of `kind` wants.
    pub(super) fn typed(self, kind: Option<&str>) -> Map<String, Value> {
        match self {
            Self::Json(fields) => fields,
            Self::Form(mut fields) => {
                super::form::infer(&mut fields, kind);
                fields
            }
        }
    }
}

/// What `curl -F` sends. A part that says that it is JSON is taken for the value that it is.
async fn parts(content_type: &str, bytes: Bytes) -> Result<Form, KongError> {
    let unreadable = |_| KongError::Unreadable("Cannot parse multipart body");
    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        let Some(name) = part.name().map(str::to_owned) else { continue };
        let is_json = part.content_type().is_some_and(|kind| kind.essence_str() == JSON);
        let bytes = part.bytes().await.map_err(unreadable)?;
        let value = match is_json {
            true => Some(gateward_model::from_admin(&bytes).map_err(KongError::NoJson)?),
            false => std::str::from_utf8(&bytes).ok().map(Value::from),
        };
        form.add(&name, value.ok_or(KongError::Unreadable("Cannot parse multipart body"))?)?;
    }
    Ok(form)
}

const JSON: &str = "application/json";

const JSON_AS_FORM: &str =
    "Cannot parse form body: it is JSON; send it with -H 'content-type: application/json'";
