//! Kong's forms: dots nest, `[]` and `[1]` make lists, and the schema decides the type.

use gateward_vaults::Resolver;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Number, Value};

use super::error::KongError;

/// The fields of a form; `config.region=x` is the field `region` of `config`.
#[derive(Debug, Default)]
pub(super) struct Form(pub(super) Map<String, Value>);

/// One step of a field's path.
#[derive(Clone, Copy, Debug)]
enum Step<'n> {
    Field(&'n str),
    /// At the end of a list, or in a place of it, which count from 1.
    Element(Option<usize>),
}

impl Form {
    /// Reads `name=value&…`.
    pub(super) fn of_urlencoded(text: &[u8]) -> Result<Self, KongError> {
        let text = std::str::from_utf8(text).map_err(|_| UNREADABLE)?;
        let mut form = Self::default();
        for pair in text.trim().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            form.add(&decode(name)?, Value::from(decode(value)?))?;
        }
        Ok(form)
    }

    /// Adds a field by the name that it has in a form.
    pub(super) fn add(&mut self, name: &str, value: Value) -> Result<(), KongError> {
        let steps = steps(name);
        // Each level is a call within a call; no vault has more than three.
        let [Step::Field(first), rest @ ..] = &steps[..] else { return Err(UNREADABLE) };
        if rest.len() > DEEPEST || steps.iter().any(|step| matches!(step, Step::Field(""))) {
            return Err(UNREADABLE);
        }
        let empty = value.as_str() == Some("");
        let in_list = matches!(steps.last(), Some(Step::Element(_)));
        // Empty is null, and in a list nothing.
        let value = match (empty, in_list) {
            (true, true) => None,
            (true, false) => Some(Value::Null),
            (false, _) => Some(value),
        };
        put(self.0.entry(*first), rest, value).map_err(|problem| KongError::field(name, problem))
    }
}

/// Gives the texts of a form the types that they have in the schema of a vault of `kind`.
pub(super) fn infer(fields: &mut Map<String, Value>, kind: Option<&str>) {
    if let Some(tags) = fields.get_mut("tags") {
        infer_one(tags, "set");
    }
    let Some(Value::Object(config)) = fields.get_mut("config") else { return };
    for (name, wanted) in config_types(kind) {
        if let Some(setting) = config.get_mut(&name) {
            infer_one(setting, &wanted);
        }
    }
}

/// The settings of a vault of `kind`, each with its type in Kong's words.
pub(super) fn config_types(kind: Option<&str>) -> Vec<(String, String)> {
    let schema = kind.and_then(Resolver::schema).unwrap_or_default();
    let fields = schema.pointer("/fields/0/config/fields").and_then(Value::as_array);
    let fields = fields.into_iter().flatten().filter_map(Value::as_object).flatten();
    let types = fields.filter_map(|(name, field)| Some((name.clone(), field["type"].as_str()?.to_owned())));
    types.collect()
}

fn infer_one(value: &mut Value, wanted: &str) {
    let Value::String(text) = &*value else { return };
    let inferred = match wanted {
        "number" | "integer" => text.trim().parse::<Number>().ok().map(Value::Number),
        "boolean" => text.parse().ok().map(Value::Bool),
        "array" | "set" => Some(Value::Array(vec![value.clone()])),
        _ => None,
    };
    if let Some(inferred) = inferred {
        *value = inferred;
    }
}

/// Takes `config.tags[1]` apart. What stands in brackets and is no number is a field's name.
fn steps(name: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in name.split('.') {
        let (field, brackets) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        steps.push(Step::Field(field));
        let inner = brackets.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        for index in inner.into_iter().flat_map(|inner| inner.split("][")) {
            steps.push(match (index, index.parse()) {
                ("", _) => Step::Element(None),
                (_, Ok(place)) => Step::Element(Some(place)),
                (field, Err(_)) => Step::Field(field),
            });
        }
    }
    steps
}

fn put(
    place: serde_json::map::Entry<'_>,
    steps: &[Step<'_>],
    value: Option<Value>,
) -> Result<(), &'static str> {
    use serde_json::map::Entry;
    match steps {
        [] => {
            let Some(value) = value else { return Ok(()) };
            match place {
                Entry::Vacant(vacant) => drop(vacant.insert(value)),
                // A name that stands twice is a list.
                Entry::Occupied(mut taken) => match taken.get_mut() {
                    Value::Array(elements) => elements.push(value),
                    Value::Object(_) => return Err("expected a record"),
                    first => *first = Value::Array(vec![first.take(), value]),
                },
            }
            Ok(())
        }
        [Step::Element(at)] => match place.or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(elements) => {
                let at = at.map_or(elements.len(), |at| at.saturating_sub(1).min(elements.len()));
                value.into_iter().for_each(|value| elements.insert(at, value));
                Ok(())
            }
            _ => Err("expected a list"),
        },
        [Step::Field(name), rest @ ..] => match place.or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(nested) => put(nested.entry(*name), rest, value),
            _ => Err("expected a record"),
        },
        [Step::Element(_), ..] => Err("expected a list of texts"),
    }
}

fn decode(text: &str) -> Result<String, KongError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| UNREADABLE)
}

const UNREADABLE: KongError = KongError::Unreadable("Cannot parse form body");

const DEEPEST: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(form: &str, kind: &str) -> Value {
        let mut fields = Form::of_urlencoded(form.as_bytes()).unwrap().0;
        infer(&mut fields, Some(kind));
        Value::Object(fields)
    }

    #[test]
    fn a_form_nests_on_dots_and_types_its_values_by_the_schema() {
        let form =
            "name=aws&description=Storing+secrets%21&config.region=123&config.ttl=60&tags[]=a&tags[]=b";
        let expected = json!({
            "name": "aws", "description": "Storing secrets!",
            "config": {"region": "123", "ttl": 60}, "tags": ["a", "b"],
        });
        assert_eq!(read(form, "aws"), expected);
        let form =
            "config[ttl]=1.5&config.base64_decode=true&tags[2]=b&tags[1]=a&config.allow=team/*&description=";
        let expected = json!({
            "config": {"ttl": 1.5, "base64_decode": true, "allow": ["team/*"]}, "tags": ["a", "b"],
            "description": null,
        });
        let mut typed = read(form, "aws");
        typed["tags"].as_array_mut().unwrap().sort_by_key(|tag| tag.as_str().unwrap().to_owned());
        assert_eq!(typed, expected);
        assert_eq!(read("tags=a", "aws"), json!({"tags": ["a"]}));
        assert_eq!(read("tags=a&tags=b", "aws"), json!({"tags": ["a", "b"]}));
        assert_eq!(read("tags[]=", "aws"), json!({"tags": []}));
        assert_eq!(
            read("config.ttl=soon", "aws"),
            json!({"config": {"ttl": "soon"}}),
            "the check says what is wrong"
        );
    }

    #[test]
    fn a_field_cannot_be_two_things() {
        for wrong in
            ["config=a&config.region=b", "config.region=b&config=a", "config=a&config[]=b", "a=%ff", "[]=1"]
        {
            assert!(Form::of_urlencoded(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Form::of_urlencoded(format!("{}a=1", "a.".repeat(700_000)).as_bytes()).is_err());
        assert!(Form::of_urlencoded(format!("a{}=1", "[x]".repeat(400_000)).as_bytes()).is_err());
    }
}
