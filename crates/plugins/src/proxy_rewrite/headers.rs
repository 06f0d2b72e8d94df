//! Other header fields for a request.

use gateward_model::{ErrorStatus, Failure, Invalid, Origin};
use gateward_vars::{Segment, Template, literal, plain, segments};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::target::{Captures, group};
use crate::{Exchange, holds_reference};

/// Other header fields for a request: first some are added, then some set, then some removed.
#[derive(Debug, Default)]
pub(super) struct HeaderRewrite {
    add: Vec<(HeaderName, Vec<Text>)>,
    set: Vec<(HeaderName, Vec<Text>)>,
    remove: Vec<HeaderName>,
}

/// A value, or how to make it of a request.
#[derive(Debug)]
enum Text {
    Fixed(HeaderValue),
    Made(Vec<Part>),
}

#[derive(Debug)]
enum Part {
    Template(Template),
    /// What a group of the pattern matched that the path was rewritten by.
    Group(usize),
}

impl HeaderRewrite {
    /// Reads the setting `headers`, in the new form (`add`, `set`, `remove`) or in the old one, which only sets.
    pub(super) fn read(json: Option<&Value>) -> Result<Self, Invalid> {
        let Some(json) = json else { return Ok(Self::default()) };
        let fields = object("headers", json)?;
        let is_new = fields.iter().any(|(name, value)| match name.as_str() {
            "add" | "set" => value.is_object(),
            "remove" => value.is_array(),
            _ => false,
        });
        if !is_new {
            return Ok(Self { set: values("headers", fields, false)?, ..Self::default() });
        }
        let mut rewrite = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "add" => rewrite.add = values("headers.add", object("headers.add", value)?, true)?,
                "set" => rewrite.set = values("headers.set", object("headers.set", value)?, true)?,
                "remove" => rewrite.remove = names(value)?,
                other => {
                    let problem = "is not known here; expected add, set and remove";
                    return Err(Invalid::new(format!("headers.{other}"), problem));
                }
            }
        }
        if rewrite.add.iter().any(|(name, _)| *name == HOST) {
            return Err(Invalid::new("headers.add", "a request has one Host; set it"));
        }
        if rewrite.remove.contains(&HOST) {
            return Err(Invalid::new("headers.remove", "a request has one Host; set it to another one"));
        }
        Ok(rewrite)
    }

    /// Checks the setting `headers`, in which a name to remove may be a reference: which one it is will be known later.
    pub(super) fn check(json: Option<&Value>) -> Result<(), Invalid> {
        let mut json = json.cloned();
        let names = json.as_mut().and_then(|json| json.get_mut("remove")?.as_array_mut());
        for name in names.into_iter().flatten() {
            if name.as_str().is_some_and(holds_reference) {
                *name = "x-reference".into();
            }
        }
        Self::read(json.as_ref()).map(drop)
    }

    /// Changes the request of `exchange`.
    pub(super) fn apply(&self, exchange: &mut Exchange<'_>, captures: &Captures) -> Result<(), Failure> {
        for (name, texts) in &self.add {
            for text in texts {
                let value = text.value(exchange, captures)?;
                exchange.request.headers_mut().append(name, value);
            }
        }
        for (name, texts) in &self.set {
            let values: Result<Vec<_>, _> = texts.iter().map(|text| text.value(exchange, captures)).collect();
            let values = values?;
            if *name == HOST {
                exchange.upstream_host = values.into_iter().next();
                continue;
            }
            let headers = exchange.request.headers_mut();
            headers.remove(name);
            for value in values {
                headers.append(name, value);
            }
        }
        for name in &self.remove {
            exchange.request.headers_mut().remove(name);
        }
        Ok(())
    }
}

impl Text {
    fn read(field: &str, text: &str) -> Result<Self, Invalid> {
        let wrong = |_| Invalid::new(field, "holds characters that cannot stand in a header");
        let fixed = HeaderValue::from_bytes(plain(text).as_bytes()).map_err(wrong)?;
        let mut parts = Vec::new();
        for segment in segments(text) {
            match segment {
                Segment::Literal(value) => parts.push(Part::Template(Template::parse(&literal(&value)))),
                Segment::Written(text) => Self::read_written(text, &mut parts),
            }
        }
        let is_literal =
            |part: &Part| matches!(part, Part::Template(template) if template.as_literal().is_some());
        Ok(if parts.iter().all(is_literal) { Self::Fixed(fixed) } else { Self::Made(parts) })
    }

    fn read_written(text: &str, parts: &mut Vec<Part>) {
        let (mut literal, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once('$') {
            literal.push_str(before);
            let found = group(after).filter(|_| !before.ends_with('\\'));
            match found {
                Some((number, length)) => {
                    parts.push(Part::Template(Template::parse(&std::mem::take(&mut literal))));
                    parts.push(Part::Group(number));
                    rest = &after[length..];
                }
                None => {
                    literal.push('$');
                    rest = after;
                }
            }
        }
        literal.push_str(rest);
        parts.push(Part::Template(Template::parse(&literal)));
    }

    fn value(&self, exchange: &Exchange<'_>, captures: &Captures) -> Result<HeaderValue, Failure> {
        let parts = match self {
            Self::Fixed(value) => return Ok(value.clone()),
            Self::Made(parts) => parts,
        };
        let facts = exchange.facts();
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Template(template) => text.push_str(&template.render(&facts)),
                Part::Group(number) => text.push_str(captures.get(*number)),
            }
        }
        HeaderValue::try_from(text).map_err(|_| {
            let problem = "the request would put control characters into a header";
            Failure::new(ErrorStatus::BAD_REQUEST, Origin::Client, "rewrite_refused", problem)
        })
    }
}

fn object<'j>(field: &str, json: &'j Value) -> Result<&'j Map<String, Value>, Invalid> {
    match json.as_object() {
        Some(fields) if !fields.is_empty() => Ok(fields),
        _ => Err(Invalid::new(field, "must be an object with at least one header")),
    }
}

fn values(
    field: &str,
    fields: &Map<String, Value>,
    lists: bool,
) -> Result<Vec<(HeaderName, Vec<Text>)>, Invalid> {
    let value = |field: &str, json: &Value| match json {
        Value::String(text) => Text::read(field, text),
        Value::Number(number) => Text::read(field, &number.to_string()),
        _ => Err(Invalid::new(field, "must be a string or a number")),
    };
    let mut all = Vec::new();
    for (name, json) in fields {
        let field = format!("{field}.{name}");
        let texts = match json {
            Value::Array(items) if lists && !items.is_empty() => {
                items.iter().map(|item| value(&field, item)).collect::<Result<_, _>>()?
            }
            json => vec![value(&field, json)?],
        };
        all.push((header_name(&field, name)?, texts));
    }
    Ok(all)
}

fn names(json: &Value) -> Result<Vec<HeaderName>, Invalid> {
    let field = "headers.remove";
    let names = json.as_array().filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| Invalid::new(field, "must be a list of at least one name"))?;
    let name = |(index, name): (usize, &Value)| {
        let field = format!("{field}[{index}]");
        let name = name.as_str().ok_or_else(|| Invalid::new(&field, "must be a string"))?;
        header_name(&field, name)
    };
    names.iter().enumerate().map(name).collect()
}

/// The name of a field that may be changed. How long a body is, is not for settings to say.
fn header_name(field: &str, name: &str) -> Result<HeaderName, Invalid> {
    let name = crate::authentication::header_name(field, name)?;
    match name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
        true => Err(Invalid::new(field, "is written by the gateway alone, as it frames the body")),
        false => Ok(name),
    }
}
