//! Fields as client libraries send them: `_` for `-` in names, booleans as text, numbers as text, one text where a list
//! may stand.

use gateward_model::{GoDuration, Invalid};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The fields of a body, each with `-` in its name where `_` may have stood. A name that stands in both spellings is
/// refused: one of the two would count, and nobody could tell which.
pub(super) fn in_kebab_case(sent: Map<String, Value>) -> Result<Map<String, Value>, Invalid> {
    let mut fields = Map::with_capacity(sent.len());
    for (name, value) in sent {
        let name = name.replace('_', "-");
        if fields.contains_key(&name) {
            let problem = "is given twice: - and _ are one and the same in the name of a field";
            return Err(Invalid::new(name, problem));
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

/// Whether a field says anything: clients send empty ones and false for what nobody said.
pub(super) fn is_said(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty() && text != "false",
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// `true`, `"true"`, `false`, `"false"` or `""`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(maybe_flag(deserializer)?.unwrap_or_default())
}

/// The same, where nothing is not the same as false.
pub(super) fn maybe_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "true or false")]
    enum Sent {
        Flag(bool),
        Text(Text),
    }
    #[derive(Deserialize)]
    enum Text {
        #[serde(rename = "true")]
        True,
        #[serde(rename = "false")]
        False,
        #[serde(rename = "")]
        Nothing,
    }
    Ok(match Option::<Sent>::deserialize(deserializer)? {
        None | Some(Sent::Text(Text::Nothing)) => None,
        Some(sent) => Some(matches!(sent, Sent::Flag(true) | Sent::Text(Text::True))),
    })
}

/// A whole number, or one in quotes; nothing, if it is empty.
pub(super) fn maybe_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let wrong = |_| serde::de::Error::custom("expected a whole number");
    maybe_integer(deserializer)?.map(u64::try_from).transpose().map_err(wrong)
}

/// The same with a sign.
pub(super) fn maybe_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a whole number")]
    enum Sent {
        Number(i64),
        Text(String),
    }
    match Option::<Sent>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Sent::Number(number)) => Ok(Some(number)),
        Some(Sent::Text(text)) if text.is_empty() => Ok(None),
        Some(Sent::Text(text)) => {
            text.parse().map(Some).map_err(|_| serde::de::Error::custom("expected a whole number"))
        }
    }
}

/// Text that is not there when it is empty.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Text, or a whole number in its place; nothing, if it is empty.
pub(super) fn text_or_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a duration as text, such as 90s or 1h30m, or a whole number of seconds")]
    enum Sent {
        Number(u64),
        Text(String),
    }
    Ok(match Option::<Sent>::deserialize(deserializer)? {
        None => None,
        Some(Sent::Number(number)) => Some(number.to_string()),
        Some(Sent::Text(text)) => Some(text).filter(|text| !text.is_empty()),
    })
}

/// A duration: `90s`, `1h30m`, or seconds, as a number or in quotes.
pub(super) fn maybe_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<GoDuration>, D::Error> {
    let text = text_or_whole(deserializer)?;
    text.map(|text| GoDuration::parse_or_seconds(&text)).transpose().map_err(serde::de::Error::custom)
}

/// A list of texts, or one text; empty ones are left out.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum Sent {
        One(String),
        Many(Vec<String>),
    }
    let sent = match Option::<Sent>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Sent::One(text)) => vec![text],
        Some(Sent::Many(texts)) => texts,
    };
    Ok(sent.into_iter().filter(|text| !text.is_empty()).collect())
}

/// The same, where nothing is not the same as an empty list. Clients send `[]` and `""` for what nobody said, so an empty
/// list is one in which an empty text stands.
pub(super) fn maybe_texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum Sent {
        One(String),
        Many(Vec<String>),
    }
    let sent = match Option::<Sent>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Sent::One(text)) => Some(vec![text]).filter(|texts| texts != &[""]),
        Some(Sent::Many(texts)) => Some(texts).filter(|texts| !texts.is_empty()),
    };
    Ok(sent.map(|texts| texts.into_iter().filter(|text| !text.is_empty()).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct All {
        #[serde(default, deserialize_with = "maybe_flag")]
        flag: Option<bool>,
        #[serde(default, deserialize_with = "maybe_integer")]
        integer: Option<i64>,
        #[serde(default, deserialize_with = "texts")]
        texts: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Said {
        #[serde(default, deserialize_with = "maybe_duration")]
        ttl: Option<GoDuration>,
        #[serde(default, deserialize_with = "maybe_texts")]
        tags: Option<Vec<String>>,
    }

    fn said(json: &serde_json::Value) -> Result<Said, gateward_model::Invalid> {
        gateward_model::parse(json)
    }

    #[test]
    fn a_duration_is_one_with_units_or_seconds_as_a_number_or_in_quotes() {
        for ttl in [json!(90), json!("90"), json!("90s"), json!("1m30s")] {
            let read = said(&json!({"ttl": ttl})).unwrap().ttl.unwrap();
            assert_eq!(read.span().as_secs(), 90, "{ttl}");
        }
        for nothing in [json!(null), json!("")] {
            assert_eq!(said(&json!({"ttl": nothing})).unwrap().ttl, None);
        }
        for wrong in [json!("canary"), json!(-1), json!(1.5), json!(true), json!("9 0"), json!([90])] {
            let error = said(&json!({"ttl": wrong})).unwrap_err().to_string();
            assert!(error.contains("\"ttl\"") && error.contains("seconds"), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_list_is_emptied_by_an_empty_text_in_it_and_by_nothing_that_clients_send_unasked() {
        let tags = |tags: serde_json::Value| said(&json!({"tags": tags})).unwrap().tags;
        assert_eq!(tags(json!([""])), Some(Vec::new()));
        assert_eq!(tags(json!(["a", ""])), Some(vec!["a".to_owned()]));
        assert_eq!(tags(json!("a")), Some(vec!["a".to_owned()]));
        for nothing in [json!(null), json!([]), json!("")] {
            assert_eq!(tags(nothing), None);
        }
    }

    fn read(json: &serde_json::Value) -> Result<All, gateward_model::Invalid> {
        gateward_model::parse(json)
    }

    #[test]
    fn what_clients_send_is_understood_in_each_of_its_forms() {
        let nothing = All { flag: None, integer: None, texts: Vec::new() };
        assert_eq!(read(&json!({})), Ok(nothing));
        assert_eq!(read(&json!({"flag": null, "integer": "", "texts": ""})), read(&json!({"texts": null})));
        for flag in [json!(true), json!("true")] {
            assert_eq!(read(&json!({"flag": flag})).unwrap().flag, Some(true));
        }
        for integer in [json!(-2), json!("-2")] {
            assert_eq!(read(&json!({"integer": integer})).unwrap().integer, Some(-2));
        }
        for texts in [json!("a"), json!(["a", ""])] {
            assert_eq!(read(&json!({"texts": texts})).unwrap().texts, ["a"]);
        }
    }

    #[test]
    fn what_is_none_of_them_is_refused_without_repeating_it() {
        for json in [json!({"flag": "canary"}), json!({"integer": "canary"}), json!({"texts": {"canary": 1}})]
        {
            let error = read(&json).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
