//! What a function returns that speaks HTTP: a status, headers and a body, as API Gateway's proxy integration has it.
//!
//! ```json
//! {"statusCode": 200, "headers": {"a": "b"}, "multiValueHeaders": {"c": ["d", "e"]}, "cookies": ["f=g"],
//!  "body": "text, or bytes in base64", "isBase64Encoded": false}
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An answer that a function has put together.
#[derive(Debug)]
pub(super) struct Integrated {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Each field by itself, so that what is wrong can be said of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    status_code: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    multi_value_headers: Option<&'a RawValue>,
    #[serde(borrow)]
    cookies: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    is_base64_encoded: Option<&'a RawValue>,
}

impl Integrated {
    /// Reads what a function returned. If `infer`, what has no `statusCode` is a body by itself, as HTTP APIs take it.
    /// The error says what is wrong, and repeats nothing of it.
    pub(super) fn read(returned: &Bytes, infer: bool) -> Result<Self, Cow<'static, str>> {
        let json = serde_json::from_slice::<&RawValue>(returned).map_err(|error| {
            Cow::from(format!("not JSON at line {} column {}", error.line(), error.column()))
        })?;
        // A list would be taken for the fields in their order.
        let fields = if json.get().starts_with('{') { serde_json::from_str(json.get()).ok() } else { None };
        let fields: Fields<'_> = match fields {
            None if infer => return Ok(Self::inferred(json, returned)),
            None => return Err("proxy response must be json format".into()),
            Some(Fields { status_code, .. }) if infer && present(status_code).is_none() => {
                return Ok(Self::inferred(json, returned));
            }
            Some(fields) => fields,
        };
        let status = status(fields.status_code).ok_or("statusCode validation failed")?;
        let headers = headers(&fields)?;
        let text: Cow<'_, str> = match present(fields.body) {
            None => Cow::Borrowed(""),
            Some(body) => {
                serde_json::from_str::<Text<'_>>(body.get()).map_err(|_| "body must be a string")?.0
            }
        };
        let is_base64 =
            present(fields.is_base64_encoded).map(|json| serde_json::from_str::<bool>(json.get()));
        let body = match is_base64.transpose().map_err(|_| "isBase64Encoded must be a boolean")? {
            Some(true) => STANDARD
                .decode(text.as_bytes())
                .map_err(|_| "body is not base64, though isBase64Encoded says so")?,
            _ => text.into_owned().into_bytes(),
        };
        Ok(Self { status, headers, body: body.into() })
    }

    /// A body by itself: a string's text, or any other JSON as it was written.
    fn inferred(json: &RawValue, returned: &Bytes) -> Self {
        let body = match serde_json::from_str::<Text<'_>>(json.get()) {
            Ok(Text(text)) => Bytes::from(text.into_owned()),
            Err(_) => returned.clone(),
        };
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A number, or text that is one.
fn status(json: Option<&RawValue>) -> Option<StatusCode> {
    let json = present(json)?.get();
    let code = match serde_json::from_str::<Text<'_>>(json) {
        Ok(Text(text)) => text.trim().parse().ok()?,
        Err(_) => serde_json::from_str::<f64>(json).ok()?,
    };
    // What informs only, and what HTTP does not know, cannot be the answer.
    let is_status = code.fract() == 0.0 && (200.0..=599.0).contains(&code);
    is_status.then(|| StatusCode::from_u16(code as u16).ok())?
}

fn headers(fields: &Fields<'_>) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    if let Some(json) = present(fields.headers) {
        let named: BTreeMap<String, &RawValue> =
            serde_json::from_str(json.get()).map_err(|_| "headers must be a table")?;
        for (name, value) in named {
            add(&mut headers, &name, value)?;
        }
    }
    if let Some(json) = present(fields.multi_value_headers) {
        let named: BTreeMap<String, &RawValue> =
            serde_json::from_str(json.get()).map_err(|_| "multiValueHeaders must be a table")?;
        for (name, values) in named {
            if let Ok(name) = HeaderName::try_from(name.as_str()) {
                headers.remove(name);
            }
            add(&mut headers, &name, values)?;
        }
    }
    if let Some(json) = present(fields.cookies) {
        let cookies: Vec<Cow<'_, str>> =
            serde_json::from_str(json.get()).map_err(|_| "cookies must be a list of strings")?;
        for cookie in cookies {
            headers.append(SET_COOKIE, HeaderValue::try_from(&*cookie).map_err(|_| "a cookie is not valid")?);
        }
    }
    gateward_net::remove_hop_by_hop(&mut headers);
    // What is sent has the length that it has.
    headers.remove(CONTENT_LENGTH);
    Ok(headers)
}

/// Adds a field: text, a number or a truth value as it is written, or a list of these.
fn add(headers: &mut HeaderMap, name: &str, json: &RawValue) -> Result<(), &'static str> {
    const NOT_A_HEADER: &str = "a header is not valid";
    let name = HeaderName::try_from(name).map_err(|_| NOT_A_HEADER)?;
    let json = json.get();
    match json.as_bytes().first() {
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(json).map_err(|_| NOT_A_HEADER)?;
            for value in values {
                if value.get().starts_with(['[', '{']) {
                    return Err(NOT_A_HEADER);
                }
                add(headers, name.as_str(), value)?;
            }
            return Ok(());
        }
        Some(b'{') => return Err(NOT_A_HEADER),
        Some(b'n') => return Ok(()),
        _ => {}
    }
    let value = match serde_json::from_str::<Text<'_>>(json) {
        Ok(Text(text)) => HeaderValue::try_from(&*text),
        Err(_) => HeaderValue::try_from(json),
    };
    headers.append(name, value.map_err(|_| NOT_A_HEADER)?);
    Ok(())
}

/// null is as good as nothing.
fn present(json: Option<&RawValue>) -> Option<&RawValue> {
    json.filter(|json| json.get() != "null")
}

#[cfg(test)]
mod tests;
