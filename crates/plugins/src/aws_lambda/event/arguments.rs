//! The arguments of a query or of a form, in an event: decoded, and those of one name together.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde::ser::{SerializeMap, SerializeSeq as _};
use serde::{Serialize, Serializer};

/// Arguments by name, in the order in which the names first came.
#[derive(Debug, Default)]
pub(super) struct Arguments<'q>(Vec<(Cow<'q, str>, Vec<Value<'q>>)>);

/// What an argument says.
#[derive(Debug, PartialEq, Eq)]
enum Value<'q> {
    /// Nothing: it is only there, without so much as a `=`.
    There,
    Text(Cow<'q, str>),
}

/// Arguments, with what an event shows of several of one name.
pub(super) struct Shown<'a>(pub(super) &'a Arguments<'a>, pub(super) How);

/// What an event shows of several arguments of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The first.
    First,
    /// A list of all.
    All,
    /// All, with commas between them.
    Joined,
    /// As Kong does: one as it is, several as a list, and `true` for one that is only there.
    Kong,
}

impl<'q> Arguments<'q> {
    /// The arguments in `text`, which is a query or a form.
    pub(super) fn of(text: &'q str) -> Self {
        let mut arguments: Vec<(Cow<'q, str>, Vec<Value<'q>>)> = Vec::new();
        let mut places: HashMap<Cow<'q, str>, usize> = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (decoded(name), Value::Text(decoded(value))),
                None => (decoded(pair), Value::There),
            };
            let place = *places.entry(name.clone()).or_insert_with(|| {
                arguments.push((name, Vec::with_capacity(1)));
                arguments.len() - 1
            });
            arguments[place].1.push(value);
        }
        Self(arguments)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Without those whose names are told to go.
    pub(super) fn without(mut self, goes: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|(name, _)| !goes(name));
        self
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_into(&mut map)?;
        map.end()
    }
}

impl Shown<'_> {
    /// Writes them into an object that may have other members.
    pub(super) fn write_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Self(Arguments(arguments), how) = self;
        for (name, values) in arguments {
            map.serialize_key(name)?;
            match (how, values.as_slice()) {
                (How::First, [first, ..]) => map.serialize_value(first.text())?,
                (How::Joined, [one]) => map.serialize_value(one.text())?,
                (How::Joined, several) => {
                    let texts: Vec<&str> = several.iter().map(Value::text).collect();
                    map.serialize_value(&texts.join(","))?;
                }
                (How::Kong, [Value::There]) => map.serialize_value(&true)?,
                (How::Kong, [one]) => map.serialize_value(one.text())?,
                (how, several) => map.serialize_value(&List(several, *how))?,
            }
        }
        Ok(())
    }
}

/// Several values.
struct List<'v>(&'v [Value<'v>], How);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            match value {
                Value::There if self.1 == How::Kong => list.serialize_element(&true)?,
                value => list.serialize_element(value.text())?,
            }
        }
        list.end()
    }
}

impl Value<'_> {
    fn text(&self) -> &str {
        match self {
            Self::There => "",
            Self::Text(text) => text,
        }
    }
}

/// What `text` stands for in a query.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}
