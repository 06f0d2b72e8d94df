//! References where a schema wants a number, `true` or `false`.
//!
//! Whatever a vault gives is text. A reference that is the whole of a text may all the same stand where a plugin's schema
//! wants a number or a boolean and no text: it is checked with a stand-in until its value is there, and its value is then
//! read as what the schema wants. A value that cannot be read so is as good as none.

use std::borrow::Cow;

use gateward_model::Invalid;
use gateward_vaults::Reference;
use serde_json::{Number, Value};

/// What a schema wants in the place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Number,
    Boolean,
}

/// `json` with a value of the right type for each reference that stands where `schema` wants no text.
pub(crate) fn with_stand_ins<'j>(json: &'j Value, schema: fn() -> Value) -> Cow<'j, Value> {
    if !holds_whole(json) {
        return Cow::Borrowed(json);
    }
    let schema = schema();
    let mut checked = json.clone();
    visit(json, &mut checked, &[&schema], "", &mut |wanted, schemas, _, place| {
        *place = stand_in(wanted, schemas);
        Ok(())
    })
    // Nothing above fails.
    .map_or(Cow::Borrowed(json), |()| Cow::Owned(checked))
}

/// Makes numbers and booleans of the texts in `resolved` that stand in the places of references in `written`, where
/// `schema` wants them. The error names the first that is none.
pub(crate) fn coerce(written: &Value, resolved: &mut Value, schema: fn() -> Value) -> Result<(), Invalid> {
    if !holds_whole(written) {
        return Ok(());
    }
    let schema = schema();
    visit(written, resolved, &[&schema], "", &mut |wanted, _, path, place| {
        let Some(text) = place.as_str() else { return Ok(()) };
        let read = match wanted {
            Wanted::Number => text.trim().parse::<Number>().ok().map(Value::Number),
            Wanted::Boolean => text.trim().parse::<bool>().ok().map(Value::Bool),
        };
        let what = match wanted {
            Wanted::Number => "a number",
            Wanted::Boolean => "true or false",
        };
        let read =
            read.ok_or_else(|| Invalid::new(path, format!("what its reference stands for is not {what}")))?;
        gateward_seal::wipe(place);
        *place = read;
        Ok(())
    })
}

/// Hears of a place where a reference stands and another type is wanted: which, by which schemas, at which path.
type Visitor<'v> = dyn FnMut(Wanted, &[&Value], &str, &mut Value) -> Result<(), Invalid> + 'v;

/// Visits each place of `other` where `written` has a reference and `schemas` want no text.
fn visit(
    written: &Value,
    other: &mut Value,
    schemas: &[&Value],
    path: &str,
    visitor: &mut Visitor<'_>,
) -> Result<(), Invalid> {
    let schemas = expanded(schemas);
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (written, other) {
        (Value::String(text), other) if is_whole(text) => match wanted(&schemas) {
            Some(wanted) => visitor(wanted, &schemas, path, other),
            None => Ok(()),
        },
        (Value::Array(written), Value::Array(other)) => {
            let items: Vec<&Value> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
            let pairs = written.iter().zip(other).enumerate();
            pairs.into_iter().try_for_each(|(at, (written, other))| {
                visit(written, other, &items, &format!("{path}[{at}]"), visitor)
            })
        }
        (Value::Object(written), Value::Object(other)) => {
            for (name, written) in written {
                let Some(other) = other.get_mut(name) else { continue };
                let own: Vec<&Value> = schemas.iter().filter_map(|schema| of_field(schema, name)).collect();
                visit(written, other, &own, &inner(name), visitor)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The schema that `schema`, one of an object, has for the field `name`.
fn of_field<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(name));
    named.or_else(|| schema.get("additionalProperties"))
}

/// `schemas`, and those that they are made of.
fn expanded<'s>(schemas: &[&'s Value]) -> Vec<&'s Value> {
    let mut all: Vec<&Value> = schemas.to_vec();
    let mut at = 0;
    while let Some(schema) = all.get(at) {
        let parts = ["anyOf", "oneOf", "allOf"].map(|name| schema.get(name).and_then(Value::as_array));
        let parts: Vec<&Value> = parts.into_iter().flatten().flatten().collect();
        all.extend(parts);
        at += 1;
    }
    all
}

/// What `schemas` want, if all that they allow is something else than a text.
fn wanted(schemas: &[&Value]) -> Option<Wanted> {
    let types = schemas.iter().filter_map(|schema| schema.get("type"));
    let names: Vec<&str> = types
        .flat_map(|types| match types {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect::<Vec<_>>(),
        })
        .collect();
    let is = |wanted: &[&str]| names.iter().any(|name| wanted.contains(name));
    match (is(&["string"]), is(&["number", "integer"]), is(&["boolean"])) {
        (false, true, _) => Some(Wanted::Number),
        (false, false, true) => Some(Wanted::Boolean),
        _ => None,
    }
}

/// A value that `schemas` most likely take.
fn stand_in(wanted: Wanted, schemas: &[&Value]) -> Value {
    let said = |name: &str| schemas.iter().find_map(|schema| schema.get(name));
    let first = said("default").or_else(|| said("enum").and_then(|values| values.get(0)));
    match wanted {
        Wanted::Boolean => Value::Bool(first.and_then(Value::as_bool).unwrap_or_default()),
        Wanted::Number => match first.filter(|value| value.is_number()) {
            Some(number) => number.clone(),
            None => {
                let bound = |name: &str| said(name).and_then(Value::as_i64);
                Value::from(
                    USUAL.clamp(bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX)),
                )
            }
        },
    }
}

/// As milliseconds, seconds or a number of things hardly ever too few or too many.
const USUAL: i64 = 1000;

/// Whether a text in `json` is a reference and nothing else.
fn holds_whole(json: &Value) -> bool {
    match json {
        Value::String(text) => is_whole(text),
        Value::Array(elements) => elements.iter().any(holds_whole),
        Value::Object(fields) => fields.values().any(holds_whole),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_whole(text: &str) -> bool {
    matches!(Reference::parse(text), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "minimum": 3, "maximum": 5000},
                "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "flag": {"type": "boolean", "default": true},
                "deep": {"oneOf": [{"properties": {"list": {"type": "array", "items": {"type": "number"}}}}]},
                "text": {"type": "string"},
            },
        })
    }

    fn written() -> Value {
        let reference = "{vault://env/a}";
        json!({
            "count": reference, "either": reference, "flag": reference, "deep": {"list": [1, reference]},
            "text": reference, "unknown": reference,
        })
    }

    #[test]
    fn a_reference_where_no_text_is_wanted_is_checked_with_a_stand_in() {
        let reference = "{vault://env/a}";
        let expected = json!({
            "count": 1000, "either": reference, "flag": true, "deep": {"list": [1, 1000]}, "text": reference,
            "unknown": reference,
        });
        assert_eq!(*with_stand_ins(&written(), schema), expected);
        let inside = json!({"count": "1{vault://env/a}"});
        assert_eq!(*with_stand_ins(&inside, schema), inside, "a text with one in it stays a text");
    }

    #[test]
    fn its_value_is_read_as_what_is_wanted_or_is_none() {
        let resolved = |count: &str, flag: &str| {
            let mut resolved = written();
            resolved["count"] = count.into();
            resolved["flag"] = flag.into();
            resolved["deep"]["list"][1] = "2.5".into();
            coerce(&written(), &mut resolved, schema).map(|()| resolved)
        };
        let read = resolved("42", "false").unwrap();
        assert_eq!((&read["count"], &read["flag"]), (&json!(42), &json!(false)));
        assert_eq!(read["deep"]["list"], json!([1, 2.5]));
        for (count, flag, field) in
            [("canary", "true", "count"), ("1", "canary", "flag"), ("", "true", "count")]
        {
            let error = resolved(count, flag).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
