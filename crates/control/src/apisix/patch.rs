//! PATCH: changes a part of a resource and leaves the rest.
//!
//! A patch of the whole resource is merged into it: objects field by field, `null` takes a field away, and everything
//! else (arrays too) takes the place of what stands. A patch of a path inside it takes the place of what stands there.

use std::time::Duration;

use serde_json::{Map, Value};

use super::place::Place;
use super::problem::Problem;
use super::write::{TRIES, Written, write};
use super::{Answer, written};
use crate::ControlParts;
use crate::resources::{ResourceError, Standing};

pub(super) async fn patch(
    parts: &ControlParts,
    place: &Place,
    inside: &[String],
    change: &Value,
    ttl: Option<Duration>,
) -> Answer {
    if inside.is_empty() {
        if !change.is_object() {
            return Err(Problem::bad(
                "invalid configuration: a patch of the whole resource is a JSON object",
            ));
        }
        place.check_body(change)?;
    }
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let standing = parts.standing(place.kind.plural(), &place.sort()).await?;
        let Some(Standing { version, json }) = standing else { return Err(Problem::missing()) };
        let before = json?;
        let mut json = before.clone();
        if inside.is_empty() {
            merge(&mut json, change);
        } else {
            replace(&mut json, inside, change)?;
        }
        place.check_body(&json)?;
        let standing = Standing { version, json: Ok(before) };
        match write(parts, place, &mut json, Some(&standing), ttl).await? {
            Written::Done => return Ok(written(place, false, json)),
            Written::Overtaken if tries > 0 => {}
            Written::Overtaken => return Err(ResourceError::Changed.into()),
        }
    }
}

/// Merges `change` into `json`.
fn merge(json: &mut Value, change: &Value) {
    let Value::Object(changes) = change else {
        *json = change.clone();
        return;
    };
    if !json.is_object() {
        *json = Value::Object(Map::new());
    }
    let Some(fields) = json.as_object_mut() else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.shift_remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

/// Puts `change` in the place of what stands at the path `inside`. Objects on the way are made, elements are not.
fn replace(json: &mut Value, inside: &[String], change: &Value) -> Result<(), Problem> {
    let Some((last, way)) = inside.split_last() else { return Ok(()) };
    let wrong = |depth: usize| Problem::bad(format!("invalid sub-path: /{}", inside[..depth].join("/")));
    let mut at = json;
    for (depth, name) in way.iter().enumerate() {
        at = match at {
            Value::Object(fields) => fields.entry(name).or_insert_with(|| Value::Object(Map::new())),
            Value::Array(elements) => element(elements, name).ok_or_else(|| wrong(depth + 1))?,
            _ => return Err(wrong(depth)),
        };
    }
    match at {
        Value::Object(fields) if change.is_null() => {
            fields.shift_remove(last);
        }
        Value::Object(fields) => {
            fields.insert(last.clone(), change.clone());
        }
        Value::Array(elements) if change.is_null() => {
            let index = index(elements, last).ok_or_else(|| wrong(inside.len()))?;
            elements.remove(index);
        }
        Value::Array(elements) => {
            *element(elements, last).ok_or_else(|| wrong(inside.len()))? = change.clone();
        }
        _ => return Err(wrong(way.len())),
    }
    Ok(())
}

fn element<'e>(elements: &'e mut [Value], name: &str) -> Option<&'e mut Value> {
    let index = index(elements, name)?;
    elements.get_mut(index)
}

fn index(elements: &[Value], name: &str) -> Option<usize> {
    name.parse().ok().filter(|index| *index < elements.len())
}

#[cfg(test)]
mod tests;
