//! Kong's form bodies: dots nest, `[]` makes lists, and the field decides the type.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::error::KongError;

/// The fields of a form; `config.region=x` is the field `region` of `config`.
pub(super) fn fields(form: &[u8]) -> Result<Map<String, Value>, KongError> {
    let form = std::str::from_utf8(form).map_err(|_| KongError::Unreadable("Cannot parse form body"))?;
    let mut fields = Map::new();
    for pair in form.trim().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let path: Vec<&str> = name.split('.').collect();
        // Each level is a call within a call; no vault has more than two.
        if path.len() > DEEPEST {
            return Err(KongError::Unreadable("Cannot parse form body"));
        }
        place(&mut fields, &path, value)?;
    }
    Ok(fields)
}

fn place(fields: &mut Map<String, Value>, path: &[&str], value: String) -> Result<(), KongError> {
    match path {
        [name] => {
            if let Some(list) = name.strip_suffix("[]") {
                match fields.entry(list).or_insert_with(|| Value::Array(Vec::new())) {
                    Value::Array(elements) => elements.push(Value::from(value)),
                    _ => return Err(KongError::field(list, "expected a list")),
                }
            } else {
                fields.insert((*name).to_owned(), typed(name, value));
            }
            Ok(())
        }
        [outer, inner @ ..] => match fields.entry(*outer).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(nested) => place(nested, inner, value),
            _ => Err(KongError::field(*outer, "expected a record")),
        },
        [] => Ok(()),
    }
}

/// An empty value is null; what is a number in every vault's schema is a number here.
fn typed(name: &str, value: String) -> Value {
    if value.is_empty() {
        return Value::Null;
    }
    match value.parse::<u64>() {
        Ok(number) if NUMBERS.contains(&name) => Value::from(number),
        _ => Value::from(value),
    }
}

fn decode(text: &str) -> Result<String, KongError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| KongError::Unreadable("Cannot parse form body"))
}

const DEEPEST: usize = 8;

const NUMBERS: [&str; 3] = ["ttl", "neg_ttl", "resurrect_ttl"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_nests_on_dots_and_types_its_values() {
        let form = b"name=aws&description=Storing+secrets%21&config.region=us-east-1&config.ttl=60&tags[]=a&tags[]=b";
        let expected = json!({
            "name": "aws", "description": "Storing secrets!",
            "config": {"region": "us-east-1", "ttl": 60}, "tags": ["a", "b"],
        });
        assert_eq!(fields(form).map(Value::Object).ok(), Some(expected));
    }

    #[test]
    fn a_field_cannot_be_two_things() {
        assert!(fields(b"config=a&config.region=b").is_err());
        assert!(fields(b"tags=a&tags[]=b").is_err());
        assert!(fields(b"a=%ff").is_err());
        assert!(fields(format!("{}a=1", "a.".repeat(700_000)).as_bytes()).is_err());
    }
}
