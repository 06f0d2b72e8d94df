//! Reading JSON that a person wrote.

mod once;
mod words;

use once::Once;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Invalid;

pub use once::stands_twice;

/// Reads the JSON body of an administrator's request.
///
/// A comma before a closing bracket is tolerated, because documents that people paste from have it. A key that stands
/// twice in one map is refused by its name. Else the error tells the line and column, never the text: a body may hold
/// secrets.
pub fn from_admin(body: &[u8]) -> Result<Value, Invalid> {
    let tolerated = without_trailing_commas(body);
    serde_json::from_slice(&tolerated).map(|Once(json)| json).map_err(|error| {
        let problem = match error.classify() {
            // Only a key that stands twice is wrong in what is JSON; these words name it and the place.
            serde_json::error::Category::Data => error.to_string(),
            serde_json::error::Category::Eof => at("it ends too early", &error),
            _ => at("it is not JSON", &error),
        };
        Invalid::new("", problem)
    })
}

fn at(what: &str, error: &serde_json::Error) -> String {
    format!("{what} at line {} column {}", error.line(), error.column())
}

/// Reads a `T` out of `json`; the error names the field by its path.
pub fn parse<T: DeserializeOwned>(json: &Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => String::new(),
            path => path.to_owned(),
        };
        Invalid::new(path, words::for_people(&error.into_inner().to_string()))
    })
}

/// Blanks each comma that only white space parts from a closing bracket. Positions stay as they were.
fn without_trailing_commas(body: &[u8]) -> Vec<u8> {
    let mut json = body.to_vec();
    let mut in_string = false;
    let mut escaped = false;
    let mut comma = None;
    for (position, byte) in body.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    json[comma] = b' ';
                }
            }
            b',' => comma = Some(position),
            b' ' | b'\t' | b'\r' | b'\n' => {}
            other => {
                in_string = *other == b'"';
                comma = None;
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_comma_before_a_closing_bracket_is_tolerated() {
        let body = br#"{"a": ["x,]", "\",}" , ], "b": {"c": 1, }, }"#;
        assert_eq!(from_admin(body), Ok(json!({"a": ["x,]", "\",}"], "b": {"c": 1}})));
    }

    #[test]
    fn what_is_wrong_otherwise_stays_wrong() {
        for body in ["{,}x", "[1,,]", "{\"a\" 1}", "", "[1,", "{\"a\":1}}"] {
            assert!(from_admin(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_in_one_map_is_refused_by_its_name() {
        for body in [
            r#"{"plugins": {"key-auth": {}}, "plugins": {}}"#,
            r#"{"routes": [{"uri": "/a", "plugins": 1, "x": 2, "plugins": 1}]}"#,
            r#"{"plugins": 1, "plu\u0067ins": 2}"#,
        ] {
            let error = from_admin(body.as_bytes()).unwrap_err();
            assert!(
                error.problem.starts_with("the key \"plugins\" stands twice in one map at line 1"),
                "{error}"
            );
        }
        let apart = br#"{"a": {"b": 1}, "b": {"a": 1, "A": 2}}"#;
        assert_eq!(from_admin(apart), Ok(json!({"a": {"b": 1}, "b": {"a": 1, "A": 2}})));
    }

    #[test]
    fn every_kind_of_value_is_read_as_it_was() {
        let body = br#"[null, true, -1, 18446744073709551615, 1.5, 1e400000000, "a\n", [], {}]"#;
        assert!(from_admin(body).is_err(), "a number that no number is");
        let body = br#"[null, true, -1, 18446744073709551615, 1.5, "a\n", [], {}]"#;
        assert_eq!(from_admin(body), Ok(serde_json::from_slice(body).unwrap()));
    }

    #[test]
    fn an_error_tells_the_place_and_never_the_text() {
        let error = from_admin(b"{\"key\": \"canary\" oops}").unwrap_err();
        assert_eq!(error.problem, "it is not JSON at line 1 column 18");
    }

    #[test]
    fn a_wrong_type_names_the_field_and_never_the_value() {
        #[derive(Debug, serde::Deserialize)]
        struct Outer {
            #[expect(dead_code, reason = "only its type matters here")]
            inner: Vec<u32>,
        }
        let error = parse::<Outer>(&json!({"inner": [1, "canary"]})).unwrap_err();
        assert_eq!(error.field, "inner[1]");
        assert!(!error.problem.contains("canary"), "{error}");
        assert!(error.problem.contains("expected a whole number"), "{error}");
        let error = parse::<Outer>(&json!({"inner": "{\"a\":\"canary\"}"})).unwrap_err();
        assert!(!error.problem.contains("canary"), "{error}");
    }

    #[test]
    fn an_unknown_word_is_not_repeated_and_an_unknown_field_is() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase", deny_unknown_fields)]
        enum Scheme {
            #[expect(dead_code, reason = "only its name matters here")]
            Http { port: u16 },
        }
        let error = parse::<Scheme>(&json!("a`canary")).unwrap_err();
        assert!(!error.problem.contains("canary") && error.problem.contains("http"), "{error}");
        let error = parse::<Scheme>(&json!({"http": {"prot": 1}})).unwrap_err();
        assert!(error.problem.contains("unknown field `prot`"), "{error}");
    }
}
