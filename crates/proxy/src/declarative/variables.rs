//! Variables of the environment in a file: `${{NAME}}`, and `${{NAME:=what it is otherwise}}`.
//!
//! As in APISIX: they stand anywhere in a text, or in the name of a field, and a text that is a number, `true` or
//! `false` once they are replaced becomes that. What a variable holds is never looked at again, so that nothing that
//! stands in the environment can bring in another variable.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use super::node::{Content, Node, Place};

/// Puts the variables of `environment` into `node` and all that is in it; tells those that are not there.
pub(super) fn replace(
    node: &mut Node,
    environment: &BTreeMap<String, String>,
    missing: &mut Vec<(Place, String)>,
) {
    let place = node.place;
    match &mut node.content {
        Content::Scalar(Value::String(text)) => {
            if let Some(text) = replaced(text, place, environment, missing) {
                node.content = Content::Scalar(typed(text));
            }
        }
        Content::Scalar(_) => {}
        Content::List(elements) => {
            for element in elements {
                replace(element, environment, missing);
            }
        }
        Content::Map(fields) => {
            for field in fields {
                if let Some(name) = replaced(&field.name, field.place, environment, missing) {
                    field.name = name;
                }
                replace(&mut field.value, environment, missing);
            }
        }
    }
}

/// `text`, which stands at `place`, with the variables in it replaced; none if nothing is replaced.
fn replaced(
    text: &str,
    place: Place,
    environment: &BTreeMap<String, String>,
    missing: &mut Vec<(Place, String)>,
) -> Option<String> {
    match substitute(text, environment) {
        Ok(replaced) => replaced,
        Err(problem) => {
            missing.push((place, problem));
            None
        }
    }
}

fn substitute(text: &str, environment: &BTreeMap<String, String>) -> Result<Option<String>, String> {
    let mut whole = String::new();
    let (mut rest, mut any) = (text, false);
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((inside, after)) = after.split_once(CLOSE) else { break };
        let (name, otherwise) = match inside.split_once(":=") {
            Some((name, otherwise)) => (name.trim(), Some(unquoted(otherwise.trim()))),
            None => (inside.trim(), None),
        };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err("between ${{ and }} stands the name of a variable: letters, digits and _".to_owned());
        }
        let value = environment.get(name).map(String::as_str).or(otherwise);
        let value = value.ok_or_else(|| {
            format!("the environment has no variable {name}; set it, or write ${{{{{name}:=…}}}} with what it is otherwise")
        })?;
        whole.push_str(before);
        whole.push_str(value);
        (rest, any) = (after, true);
    }
    whole.push_str(rest);
    Ok(any.then_some(whole))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// What a text is that came out of variables.
fn typed(text: String) -> Value {
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        digits => match digits.trim().parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(text),
        },
    }
}

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_variables(yaml: &str) -> Result<Value, Vec<(Place, String)>> {
        let environment = [("HOST", "10.0.0.7"), ("PORT", "80"), ("ON", "true"), ("NESTED", "${{HOST}}")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut node = Node::parse(yaml).unwrap();
        let mut missing = Vec::new();
        replace(&mut node, &BTreeMap::from(environment), &mut missing);
        if missing.is_empty() { Ok(node.to_json()) } else { Err(missing) }
    }

    #[test]
    fn a_variable_stands_in_texts_and_in_names_and_becomes_what_it_looks_like() {
        let yaml = "nodes: {'${{HOST}}:${{PORT}}': '${{ PORT }}'}\non: ${{ON}}\nnone: ${{NONE:=\"a b\"}}\n\
                    empty: ${{NONE:=}}\nnested: ${{NESTED}}\nplain: ${HOST} $HOST ${{HOST\n";
        let expected = json!({
            "nodes": {"10.0.0.7:80": 80}, "on": true, "none": "a b", "empty": "", "nested": "${{HOST}}",
            "plain": "${HOST} $HOST ${{HOST",
        });
        assert_eq!(with_variables(yaml), Ok(expected));
    }

    #[test]
    fn a_variable_that_is_not_there_is_told_with_its_place() {
        let missing = with_variables("a: 1\nb:\n  - x\n  - y ${{NONE}}\nc: ${{a b}}\n").unwrap_err();
        let places: Vec<(u64, u64)> = missing.iter().map(|(place, _)| (place.line, place.column)).collect();
        assert_eq!(places, [(4, 5), (5, 4)]);
        assert!(missing[0].1.contains("NONE"), "{missing:?}");
    }
}
