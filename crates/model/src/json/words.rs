//! What is wrong with a value, in the words of those who write JSON, and not in those of the program that reads it.
//!
//! serde says `invalid type: string "…", expected struct Listed`. Here that becomes `expected an object, not text`: the
//! one place where it does. The value itself is left out, for it may be a secret.

/// serde's `message` as a sentence for people.
pub(super) fn for_people(message: &str) -> String {
    let message = without_values(message);
    if let Some(words) = message.strip_prefix("unknown variant, ") {
        return words.to_owned();
    }
    if message.starts_with("data did not match any variant") {
        return "has none of the forms that it may have".to_owned();
    }
    let Some((found, expected)) = message.split_once(", expected ") else { return message };
    let expected = wanted(expected);
    match found.split_once(": ") {
        Some(("invalid type", found)) => format!("expected {expected}, not {}", met(found)),
        Some(("invalid value", _)) => format!("expected {expected}"),
        None if found.starts_with("invalid length") && expected == "an object" => {
            format!("expected {expected}, not a list")
        }
        None if found.starts_with("invalid length") => format!("expected {expected}"),
        _ => message,
    }
}

/// What was expected.
fn wanted(expected: &str) -> String {
    if let Some(size) = expected.strip_prefix("a tuple of size ") {
        return format!("a list of {size}");
    }
    let words = match expected {
        "a string" | "string" | "a borrowed string" | "str" | "a character" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" | "map" => "an object",
        "string or map" => "text or an object",
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number from 0 on",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "i128" | "isize" => "a whole number",
        "a nonzero u8" => "a whole number from 1 to 255",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "a whole number from 1 on",
        words if words.starts_with("struct ") => "an object",
        words if words.starts_with("tuple struct ") => "a list",
        words if words.starts_with("enum ") => "text or an object",
        // Words that somebody here has chosen.
        words => words,
    };
    words.to_owned()
}

/// What stood there.
fn met(found: &str) -> &str {
    match found {
        "integer" => "a whole number",
        "floating point" => "a number with a point",
        "boolean" => "true or false",
        "string" | "character" => "text",
        "sequence" => "a list",
        "map" => "an object",
        "unit value" | "Option value" => "null",
        words => words,
    }
}

/// serde quotes the offending value (`invalid type: string "…"`); a value may be a secret, so its kind is enough.
fn without_values(message: &str) -> String {
    // Only the name of an unknown or missing field may stand in backticks; else what stands there is a value.
    let named = message.starts_with("unknown field") || message.starts_with("missing field");
    let message = match (message.find('`'), message.rfind("`, expected")) {
        (Some(start), Some(end)) if !named && start < end => {
            format!("{}{}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    };
    let mut words = String::with_capacity(message.len());
    let (mut quoted, mut escaped) = (false, false);
    for character in message.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            character => words.push(character),
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ,", ",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU16;

    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its types matter here")]
    struct Node {
        host: String,
        port: u16,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its words matter here")]
    enum Word {
        Http,
        Https,
        Other { port: u16 },
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its forms matter here")]
    enum Either {
        Flag(bool),
        Texts(Vec<String>),
    }

    fn said<T: DeserializeOwned>(value: &Value) -> String {
        match crate::parse::<T>(value) {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_form_of_what_serde_says_is_a_sentence_for_people() {
        let said = [
            said::<Node>(&json!("canary")),
            said::<Node>(&json!([])),
            said::<Node>(&json!({"host": 1, "port": 1})),
            said::<Node>(&json!({"host": null, "port": 1})),
            said::<Node>(&json!({"host": "h", "port": "canary"})),
            said::<Node>(&json!({"host": "h", "port": 70_000})),
            said::<Node>(&json!({"host": "h", "port": -1})),
            said::<Node>(&json!({"host": "h", "port": 1.5})),
            said::<Node>(&json!({"host": "h"})),
            said::<Node>(&json!({"host": "h", "prot": 1})),
            said::<Vec<u32>>(&json!({"canary": 1})),
            said::<Vec<u32>>(&json!([1, "canary"])),
            said::<(u8, u8)>(&json!([1])),
            said::<Vec<Node>>(&json!(["canary:1"])),
            said::<BTreeMap<String, f64>>(&json!(true)),
            said::<BTreeMap<String, f64>>(&json!({"a": "canary"})),
            said::<bool>(&json!("canary")),
            said::<u64>(&json!([])),
            said::<i64>(&json!("canary")),
            said::<NonZeroU16>(&json!(0)),
            said::<Word>(&json!("canary")),
            said::<Word>(&json!(1)),
            said::<Word>(&json!({"other": "canary"})),
            said::<Either>(&json!({"canary": 1})),
        ]
        .join("\n");
        assert!(!said.contains("canary"), "{said}");
        insta::assert_snapshot!(said, @r#"
        expected an object, not text
        expected an object, not a list
        property "host": expected text, not a whole number
        property "host": expected text, not null
        property "port": expected a whole number from 0 to 65535, not text
        property "port": expected a whole number from 0 to 65535
        property "port": expected a whole number from 0 to 65535
        property "port": expected a whole number from 0 to 65535, not a number with a point
        missing field `port`
        property "prot": unknown field `prot`, expected `host` or `port`
        expected a list, not an object
        property "[1]": expected a whole number from 0 to 4294967295, not text
        expected a list of 2
        property "[0]": expected an object, not text
        expected an object, not true or false
        property "a": expected a number, not text
        expected true or false, not text
        expected a whole number from 0 on, not a list
        expected a whole number, not text
        expected a whole number from 1 to 65535
        expected one of `http`, `https`, `other`
        expected text or an object, not a whole number
        property "other": expected an object, not text
        has none of the forms that it may have
        "#);
    }
}
