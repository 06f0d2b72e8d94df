//! References where a schema wants something else than any text.
//!
//! Whatever a vault gives is text. A reference that is the whole of a text may all the same stand where a schema wants a
//! number, a boolean, or one of some words: it is checked with a stand-in until its value is there, and its value is then
//! read as what the schema wants. A value that cannot be read so is as good as none.
//!
//! And where a schema says that a text is read for variables, the value of a reference is none: it stands for itself.

use std::borrow::Cow;
use std::ops::Deref;

use gateward_model::Invalid;
use gateward_model::apisix::{Kind, Upstream};
use gateward_seal::SecretValue;
use gateward_vaults::{Reference, Template};
use serde_json::{Number, Value, json};

/// What a schema wants in the place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Number,
    Boolean,
    NumberOrBoolean,
    /// One of the words that the schema lists.
    Word,
}

/// `written` with `values` in the places of its references, in their order, each of the type that `schema` wants.
pub(crate) fn fill(
    written: &Value,
    values: &[SecretValue],
    schema: fn() -> Value,
) -> Result<Filled, Invalid> {
    let mut filled = Filled(written.clone());
    let mut values = values.iter();
    // A text is read for variables only where a dollar sign may begin one.
    match holds_dollar(written) || values.clone().any(|value| value.expose().contains('$')) {
        true => substitute(&mut filled.0, &[&schema()], &mut values),
        false => substitute(&mut filled.0, &[], &mut values),
    }
    coerce(written, &mut filled.0, schema)?;
    Ok(filled)
}

/// JSON with secrets in it. It wipes itself.
pub(crate) struct Filled(Value);

impl Deref for Filled {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        gateward_seal::wipe(&mut self.0);
    }
}

fn substitute<'v>(json: &mut Value, schemas: &[&Value], values: &mut impl Iterator<Item = &'v SecretValue>) {
    let schemas = expanded(schemas);
    match json {
        Value::String(text) => {
            let Ok(Some(template)) = Template::parse(text) else { return };
            let own: Vec<&SecretValue> = values.take(template.references().count()).collect();
            let has_dollar = text.contains('$') || own.iter().any(|value| value.expose().contains('$'));
            let reads_variables =
                has_dollar && schemas.iter().any(|schema| schema.get("x-variables").is_some());
            let filled = match reads_variables {
                true => {
                    let literal =
                        |value: &&SecretValue| SecretValue::new(gateward_vars::literal(value.expose()));
                    let own: Vec<SecretValue> = own.iter().map(literal).collect();
                    template.fill(&mut own.iter())
                }
                false => template.fill(&mut own.into_iter()),
            };
            if let Some(value) = filled {
                value.expose().clone_into(text);
            }
        }
        Value::Array(elements) => {
            let items: Vec<&Value> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
            elements.iter_mut().for_each(|element| substitute(element, &items, values));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let own: Vec<&Value> = schemas.iter().filter_map(|schema| of_field(schema, name)).collect();
                substitute(field, &own, values);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn holds_dollar(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains('$'),
        Value::Array(elements) => elements.iter().any(holds_dollar),
        Value::Object(fields) => fields.values().any(holds_dollar),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The schema of an upstream.
pub(crate) fn upstream() -> Value {
    json!({"type": "object", "properties": Upstream::schema_of_fields()})
}

/// `json`, a resource of `kind`, in a form that can be parsed though values are not there yet. Plugins go by schemas of
/// their own.
pub(crate) fn parsable(kind: Kind, json: &Value) -> Cow<'_, Value> {
    let own = match kind {
        Kind::Upstreams => Some(json),
        Kind::Routes | Kind::Services => json.get("upstream"),
        _ => None,
    };
    let Some(own) = own.filter(|own| holds_whole(own)) else { return Cow::Borrowed(json) };
    let parsed = |own: &Value| Upstream::parse(own).map(|_| own.clone());
    // What cannot be parsed whatever its values may be is left for others to say.
    let own = fitting(own, upstream, parsed).unwrap_or_else(|_| own.clone());
    if kind == Kind::Upstreams {
        return Cow::Owned(own);
    }
    let mut parsable = json.clone();
    parsable["upstream"] = own;
    Cow::Owned(parsable)
}

/// What `fits` makes of `json`, with a value of the right type for each reference that stands where `schema` wants no text, or
/// not any. Where a word is wanted, one that fits will do: which one it is will be known when its value is there.
pub(crate) fn fitting<T>(
    json: &Value,
    schema: fn() -> Value,
    fits: impl Fn(&Value) -> Result<T, Invalid>,
) -> Result<T, Invalid> {
    if !holds_whole(json) {
        return fits(json);
    }
    let schema = schema();
    let (usual, most) = with_stand_ins(json, &schema, None);
    let usual = fits(&usual);
    if usual.is_ok() {
        return usual;
    }
    let other = (0..most).find_map(|nth| fits(&with_stand_ins(json, &schema, Some(nth)).0).ok());
    other.map_or(usual, Ok)
}

/// `json` with stand-ins, the `nth` where there are several; and how many there are at most.
fn with_stand_ins(json: &Value, schema: &Value, nth: Option<usize>) -> (Value, usize) {
    let (mut checked, mut most) = (json.clone(), 0);
    let visited = visit(json, &mut checked, &[schema], "", &mut |wanted, schemas, _, place| {
        let others = match wanted {
            Wanted::Word => schemas.iter().find_map(|schema| schema.get("enum")?.as_array()).cloned(),
            Wanted::NumberOrBoolean => Some(vec![Value::Bool(true)]),
            Wanted::Number | Wanted::Boolean => None,
        };
        let others = others.unwrap_or_default();
        most = most.max(others.len());
        let other = nth.and_then(|nth| others.into_iter().nth(nth));
        *place = other.unwrap_or_else(|| stand_in(wanted, schemas));
        Ok(())
    });
    debug_assert!(visited.is_ok(), "nothing above fails");
    (checked, most)
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
        let number = || text.trim().parse::<Number>().ok().map(Value::Number);
        let boolean = || text.trim().parse::<bool>().ok().map(Value::Bool);
        let (read, what) = match wanted {
            Wanted::Number => (number(), "a number"),
            Wanted::Boolean => (boolean(), "true or false"),
            Wanted::NumberOrBoolean => (boolean().or_else(number), "a number, true or false"),
            // Whether it is one of the words is asked by whoever reads the whole.
            Wanted::Word => return Ok(()),
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
    let takes_any_text = |schema: &&&Value| schema["type"] == "string" && schema.get("enum").is_none();
    match (is(&["string"]), is(&["number", "integer"]), is(&["boolean"])) {
        (false, true, true) => Some(Wanted::NumberOrBoolean),
        (false, true, false) => Some(Wanted::Number),
        (false, false, true) => Some(Wanted::Boolean),
        (true, false, false) if !schemas.iter().any(|schema| takes_any_text(&schema)) => Some(Wanted::Word),
        _ => None,
    }
}

/// A value that `schemas` most likely take.
fn stand_in(wanted: Wanted, schemas: &[&Value]) -> Value {
    let said = |name: &str| schemas.iter().find_map(|schema| schema.get(name));
    let first = said("default").or_else(|| said("enum").and_then(|values| values.get(0)));
    match wanted {
        Wanted::Boolean => Value::Bool(first.and_then(Value::as_bool).unwrap_or_default()),
        Wanted::Word => first.cloned().unwrap_or_default(),
        Wanted::Number | Wanted::NumberOrBoolean => match first.filter(|value| value.is_number()) {
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
                "word": {"type": "string", "enum": ["one", "two", "three"], "default": "two"},
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
        let stand_in = |json: &Value| fitting(json, schema, |json| Ok(json.clone()));
        assert_eq!(stand_in(&written()), Ok(expected));
        let inside = json!({"count": "1{vault://env/a}"});
        assert_eq!(stand_in(&inside).as_ref(), Ok(&inside), "a text with one in it stays a text");
    }

    #[test]
    fn of_words_one_that_fits_stands_in_and_without_one_the_first_complaint_counts() {
        let word = json!({"word": "{vault://env/a}"});
        let is = |wanted: &'static str| {
            move |json: &Value| match json["word"] == wanted {
                true => Ok(()),
                false => Err(Invalid::new("word", format!("is {}", json["word"]))),
            }
        };
        for wanted in ["one", "two", "three"] {
            assert_eq!(fitting(&word, schema, is(wanted)), Ok(()));
        }
        assert_eq!(fitting(&word, schema, is("four")), Err(Invalid::new("word", "is \"two\"")));
        let literal = json!({"word": "one"});
        assert!(fitting(&literal, schema, is("two")).is_err(), "a word that was written is what it is");
    }

    #[test]
    fn a_value_stands_for_itself_where_a_text_is_read_for_variables_and_is_itself_elsewhere() {
        let texts = || {
            let read = json!({"type": "string", "x-variables": true});
            let list = json!({"type": "array", "items": read});
            json!({"properties": {"text": {"type": "string"}, "read": {"oneOf": [{"type": "number"}, read]}, "list": list}})
        };
        let reference = "$a{vault://env/a}";
        let written =
            json!({"text": reference, "read": reference, "list": ["x", reference], "other": reference});
        let values = ["$1", "$2", "$3", "$4"].map(SecretValue::from);
        let filled = fill(&written, &values, texts).unwrap();
        let literal = gateward_vars::literal;
        let expected = json!({
            "text": "$a$1", "read": format!("$a{}", literal("$2")), "list": ["x", format!("$a{}", literal("$3"))],
            "other": "$a$4",
        });
        assert_eq!(*filled, expected);
        let without = json!({"read": "{vault://env/a}"});
        assert_eq!(*fill(&without, &["5".into()], texts).unwrap(), json!({"read": "5"}));
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
