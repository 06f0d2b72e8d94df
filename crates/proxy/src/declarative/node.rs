//! A file as it was written: each value with the line and the column where it stands.
//!
//! A value that is wrong is most often found long after it was read. To name its line then, the tree keeps the places,
//! and [`Node::place_of`] follows the path of a field as far as the file has it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

/// Where something stands; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// A value, and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) place: Place,
}

/// What a value is.
pub(super) enum Content {
    /// Anything that holds no other values.
    Scalar(Value),
    List(Vec<Node>),
    /// In the order of the file. No name stands there twice.
    Map(Vec<Field>),
}

/// A field of a map.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Of the name.
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Place {
    /// Where a file begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl Node {
    /// Reads the tree of `text`, which is YAML or JSON.
    pub(super) fn parse(text: &str) -> Result<Self, (Place, String)> {
        let options = serde_saphyr::options! {
            // A file of 100 000 routes has millions of nodes. What a small text may swell to is bounded by the limits
            // of aliases, which stay as they are.
            budget: serde_saphyr::budget! { max_events: 50_000_000, max_nodes: 25_000_000 },
            // YAML 1.2: `on`, `no` and the like are texts.
            strict_booleans: true,
            with_snippet: false,
        };
        let root: Spanned<Content> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| refused(&error))?;
        Ok(root.into())
    }

    /// The field `name`, if this is a map that has it.
    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        match &self.content {
            Content::Map(fields) => fields.iter().find(|field| field.name == name),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    /// The value without the places.
    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(elements) => elements.iter().map(Self::to_json).collect(),
            Content::Map(fields) => {
                let fields = fields.iter().map(|field| (field.name.clone(), field.value.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// Where the field at `path` stands (`upstream.nodes[0].weight`), or what of its path there is.
    pub(super) fn place_of(&self, path: &str) -> Place {
        let (mut node, mut place, mut rest) = (self, self.place, path);
        while let Some((field_place, value, after)) = node.step(rest) {
            (node, place, rest) = (value, field_place, after);
        }
        place
    }

    /// One step along `path`: where that field stands, what it is, and the path from there on.
    fn step<'p>(&self, path: &'p str) -> Option<(Place, &Self, &'p str)> {
        let path = path.trim_start_matches('.');
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(elements) => {
                let digits = path.trim_start_matches('[');
                let end = digits.find(|other: char| !other.is_ascii_digit()).unwrap_or(digits.len());
                let element = elements.get(digits[..end].parse::<usize>().ok()?)?;
                Some((element.place, element, digits[end..].trim_start_matches(']')))
            }
            Content::Map(fields) => {
                // A name may hold dots itself, as those of nodes do.
                let begins = |field: &&Field| {
                    let rest = path.strip_prefix(field.name.as_str());
                    !field.name.is_empty()
                        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                };
                let field = fields.iter().filter(begins).max_by_key(|field| field.name.len())?;
                Some((field.place, &field.value, &path[field.name.len()..]))
            }
        }
    }
}

/// Never what it says: it may be a secret.
impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(_) => formatter.write_str("Scalar"),
            Self::List(elements) => write!(formatter, "List({})", elements.len()),
            Self::Map(fields) => write!(formatter, "Map({})", fields.len()),
        }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        Self { content: spanned.value, place: spanned.referenced.into() }
    }
}

/// What the parser found wrong. Its own words are used only where they quote nothing of the file.
fn refused(error: &serde_saphyr::Error) -> (Place, String) {
    let place = error.location().map_or(Place::START, Place::from);
    let problem = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => gateward_model::stands_twice(key),
        serde_saphyr::Error::DuplicateMappingKey { key: None, .. } => {
            "a key stands twice in one map".to_owned()
        }
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "there is a second document (`---`), and only one is read".to_owned()
        }
        serde_saphyr::Error::Eof { .. } => "the file is empty".to_owned(),
        serde_saphyr::Error::Budget { .. } | serde_saphyr::Error::AliasReplayLimitExceeded { .. } => {
            "this is too large to be read: too many values, or too deep".to_owned()
        }
        serde_saphyr::Error::NonFiniteFloat { .. } => NOT_A_NUMBER.to_owned(),
        _ => "this is no YAML; look at the indentation and the quotes here and on the line before".to_owned(),
    };
    (place, problem)
}

const NOT_A_NUMBER: &str = "infinity and not-a-number are no values of a resource";

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyContent)
    }
}

struct AnyContent;

impl<'de> Visitor<'de> for AnyContent {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Content, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom(NOT_A_NUMBER))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Content, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Scalar(Value::String(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element::<Spanned<Content>>()? {
            elements.push(element.into());
        }
        Ok(Content::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Content>>()? {
            let place = key.referenced.into();
            let name = match key.value {
                Content::Scalar(Value::String(name)) => name,
                Content::Scalar(name @ (Value::Number(_) | Value::Bool(_))) => name.to_string(),
                _ => return Err(A::Error::custom("a key is a text")),
            };
            fields.push(Field { name, place, value: map.next_value::<Spanned<Content>>()?.into() });
        }
        Ok(Content::Map(fields))
    }
}
