//! What a request's body says, for the variables that ask for it.

use std::borrow::Cow;
use std::cell::OnceCell;

use gateward_model::apisix::Scalar;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::arguments;

/// A request's body, whole. It is parsed once, when something in it is asked for first.
#[derive(Debug)]
pub struct RequestBody<'a> {
    bytes: &'a [u8],
    json: OnceCell<Option<Value>>,
}

/// Where in a body a value stands: `model.name`, `messages[0].role`, `tools[*].name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BodyPath {
    /// As it was written; a form has its arguments by such names.
    name: Box<str>,
    steps: Box<[BodyStep]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum BodyStep {
    Key(Box<str>),
    Index(usize),
    Every,
}

impl<'a> RequestBody<'a> {
    /// The body that `bytes` are.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, json: OnceCell::new() }
    }

    /// Whether a body that comes with `headers` is of a kind that says anything: a form, or JSON.
    pub fn is_spoken_by(headers: &HeaderMap) -> bool {
        media_type(headers).is_some()
    }

    /// The first argument called `name`, if the body is a form.
    pub(crate) fn argument(&self, headers: &HeaderMap, name: &str) -> Option<Cow<'_, str>> {
        if media_type(headers)? != MediaType::Form {
            return None;
        }
        arguments::first(std::str::from_utf8(self.bytes).ok()?, name)
    }

    /// What stands at `path`, as text; structures as JSON.
    pub(crate) fn at(&self, headers: &HeaderMap, path: &BodyPath) -> Option<Cow<'_, str>> {
        if media_type(headers)? == MediaType::Form {
            return self.argument(headers, &path.name);
        }
        let found = self.values(path);
        match (path.every(), found.as_slice()) {
            (_, []) | (false, [Value::Null]) => None,
            (false, [Value::String(text)]) => Some(Cow::Borrowed(text)),
            (false, [value]) => Some(Cow::Owned(value.to_string())),
            (_, values) => {
                let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
                Some(Cow::Owned(format!("[{}]", texts.join(","))))
            }
        }
    }

    /// Whether a list stands at `path` that has `wanted` in it.
    pub(crate) fn has(&self, headers: &HeaderMap, path: &BodyPath, wanted: &Scalar) -> bool {
        if media_type(headers) != Some(MediaType::Json) {
            return false;
        }
        match (path.every(), self.values(path).as_slice()) {
            (false, [Value::Array(members)]) => members.iter().any(|member| is(member, wanted)),
            (false, _) => false,
            (true, members) => members.iter().any(|member| is(member, wanted)),
        }
    }

    fn values(&self, path: &BodyPath) -> Vec<&Value> {
        let json = self.json.get_or_init(|| serde_json::from_slice(self.bytes).ok());
        let mut values: Vec<&Value> = json.iter().collect();
        for step in &path.steps {
            values = match step {
                BodyStep::Key(key) => values.into_iter().filter_map(|value| value.get(&**key)).collect(),
                BodyStep::Index(index) => values.into_iter().filter_map(|value| value.get(index)).collect(),
                BodyStep::Every => values.into_iter().flat_map(members).collect(),
            };
        }
        values
    }
}

impl BodyPath {
    /// The path that `text` writes.
    pub(crate) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, brackets) = part.split_at(part.find('[').unwrap_or(part.len()));
            match key {
                "" => {}
                "*" => steps.push(BodyStep::Every),
                key => steps.push(BodyStep::Key(key.into())),
            }
            for bracket in brackets.split(['[', ']']).filter(|bracket| !bracket.is_empty()) {
                steps.push(match (bracket, bracket.parse()) {
                    ("*", _) => BodyStep::Every,
                    (_, Ok(index)) => BodyStep::Index(index),
                    (key, Err(_)) => BodyStep::Key(key.trim_matches(['"', '\'']).into()),
                });
            }
        }
        Self { name: text.into(), steps: steps.into() }
    }

    /// Whether it stands for a list of values, however many there are.
    fn every(&self) -> bool {
        self.steps.contains(&BodyStep::Every)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Form,
    Json,
}

fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Some(MediaType::Form);
    }
    let json =
        essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json");
    json.then_some(MediaType::Json)
}

fn members(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(members) => Box::new(members.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn is(value: &Value, wanted: &Scalar) -> bool {
    match (value, wanted) {
        (Value::String(text), Scalar::Text(wanted)) => text == wanted,
        (Value::Number(number), Scalar::Number(wanted)) => number.as_f64() == Some(*wanted),
        (Value::Bool(flag), Scalar::Flag(wanted)) => flag == wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(media_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))])
    }

    #[test]
    fn a_form_has_arguments_and_nothing_else_has() {
        let body = RequestBody::new(b"a=1&b.c=x+y");
        for form in ["application/x-www-form-urlencoded", "APPLICATION/x-www-form-urlencoded; charset=utf-8"]
        {
            let headers = headers(form);
            assert_eq!(body.argument(&headers, "a").as_deref(), Some("1"));
            assert_eq!(body.at(&headers, &BodyPath::parse("b.c")).as_deref(), Some("x y"));
        }
        assert_eq!(body.argument(&headers("text/plain"), "a"), None);
        assert_eq!(body.argument(&HeaderMap::new(), "a"), None);
    }

    #[test]
    fn json_has_values_at_paths() {
        let json = br#"{"model": {"name": "m", "size": 7, "on": true, "off": null},
                        "list": [{"role": "a"}, {"role": "b"}], "tags": ["x", 1]}"#;
        let body = RequestBody::new(json);
        let headers = headers("application/json; charset=utf-8");
        for (path, value) in [
            ("model.name", Some("m")),
            ("model.size", Some("7")),
            ("model.on", Some("true")),
            ("model.off", None),
            ("model.none", None),
            ("list[1].role", Some("b")),
            ("list[2].role", None),
            ("list[0]", Some(r#"{"role":"a"}"#)),
            ("list[*].role", Some(r#"["a","b"]"#)),
            ("list.*.role", Some(r#"["a","b"]"#)),
            ("list[*].none", None),
            ("model['name']", Some("m")),
        ] {
            assert_eq!(body.at(&headers, &BodyPath::parse(path)).as_deref(), value, "{path}");
        }
        let has = |path: &str, wanted: Scalar| body.has(&headers, &BodyPath::parse(path), &wanted);
        assert!(has("tags", Scalar::Text("x".to_owned())) && has("tags", Scalar::Number(1.0)));
        assert!(has("list[*].role", Scalar::Text("b".to_owned())));
        assert!(!has("list[*].role", Scalar::Text("c".to_owned())));
        assert!(!has("model.name", Scalar::Text("m".to_owned())) && !has("none", Scalar::Null));
    }

    #[test]
    fn what_is_no_json_has_nothing() {
        let headers = headers("application/problem+json");
        assert_eq!(RequestBody::new(b"{").at(&headers, &BodyPath::parse("a")), None);
        let body = RequestBody::new(br#"{"a": 1}"#);
        assert_eq!(body.at(&headers, &BodyPath::parse("a")).as_deref(), Some("1"));
    }
}
