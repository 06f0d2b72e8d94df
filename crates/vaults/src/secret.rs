//! A field of a secret: one name in a JSON object, its value a text, a number or a boolean.

use std::fmt;

use gateward_seal::SecretValue;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// Why a secret has no such field. Never says what the secret is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FieldError {
    /// The secret is not a JSON object.
    #[error("it is not a JSON object, so it has no fields")]
    NoObject,
    /// It has other fields.
    #[error("it has no field of that name")]
    Absent,
    /// The field holds what cannot be a value.
    #[error("the field is {0}, and only a text, a number or a boolean can be a value")]
    Kind(&'static str),
    /// An empty value is none.
    #[error("the field is empty")]
    Empty,
}

/// The value of `field` in `secret`. A number is what was written, digit by digit; of two fields with one name, the
/// last counts.
pub(crate) fn field(secret: &SecretValue, field: &str) -> Result<SecretValue, FieldError> {
    let mut json = serde_json::Deserializer::from_str(secret.expose());
    let found = json.deserialize_map(Pick(field)).and_then(|found| json.end().map(|()| found));
    // The parser's own words quote the secret.
    let raw = found.map_err(|_| FieldError::NoObject)?.ok_or(FieldError::Absent)?;
    let text = raw.get();
    let value = match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map_err(|_| FieldError::NoObject)?,
        Some(b'{') => return Err(FieldError::Kind("an object")),
        Some(b'[') => return Err(FieldError::Kind("a list")),
        Some(b'n') => return Err(FieldError::Kind("null")),
        _ => SecretValue::from(text),
    };
    if value.is_empty() { Err(FieldError::Empty) } else { Ok(value) }
}

/// Takes one field out of an object, and looks at no other.
struct Pick<'a>(&'a str);

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = fields.next_key_seed(IsNamed(self.0))? {
            if wanted {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is the one that is looked for; the other names are not kept either.
struct IsNamed<'a>(&'a str);

impl<'de> de::DeserializeSeed<'de> for IsNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNamed<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(secret: &str, name: &str) -> Result<String, FieldError> {
        field(&SecretValue::from(secret), name).map(|value| value.expose().to_owned())
    }

    #[test]
    fn a_text_a_number_and_a_boolean_are_values_as_they_were_written() {
        let secret = r#" {"user": "b\u00e9a \"x\"", "port": 5432, "long": 1234567890123456789012, "price": 1.50,
            "tls": true, "a.b": "dotted", "": "nameless", "twice": "old", "twice": "new", "deep": {"x": 1}} "#;
        for (name, value) in [
            ("user", "béa \"x\""),
            ("port", "5432"),
            ("long", "1234567890123456789012"),
            ("price", "1.50"),
            ("tls", "true"),
            ("a.b", "dotted"),
            ("", "nameless"),
            ("twice", "new"),
        ] {
            assert_eq!(of(secret, name).as_deref(), Ok(value), "{name}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_without_repeating_it() {
        let secret = r#"{"object": {"canary": 1}, "list": ["canary"], "nothing": null, "empty": ""}"#;
        assert_eq!(of(secret, "object"), Err(FieldError::Kind("an object")));
        assert_eq!(of(secret, "list"), Err(FieldError::Kind("a list")));
        assert_eq!(of(secret, "nothing"), Err(FieldError::Kind("null")));
        assert_eq!(of(secret, "empty"), Err(FieldError::Empty));
        assert_eq!(of(secret, "absent"), Err(FieldError::Absent));
        for bare in
            ["canary", "\"canary\"", "123", "[\"canary\"]", "", "{\"a\":1", "{\"a\":1} canary", "null"]
        {
            let error = of(bare, "a").unwrap_err();
            assert_eq!(error, FieldError::NoObject, "{bare}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}
