//! Lays JSON out for people, without reading it: a number of thirty digits stays what it was.

/// `json`, which must be JSON, on many lines.
pub(super) fn indent(json: &str) -> String {
    let mut laid_out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    for character in json.chars() {
        if in_string {
            laid_out.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(character, '}' | ']');
        if closes {
            depth -= 1;
        }
        // Nothing stands between the brackets of an empty object or list.
        if opened != closes {
            new_line(&mut laid_out, depth);
        }
        opened = false;
        match character {
            '{' | '[' => {
                depth += 1;
                opened = true;
                laid_out.push(character);
            }
            ',' => {
                laid_out.push(',');
                new_line(&mut laid_out, depth);
            }
            ':' => laid_out.push_str(": "),
            _ => {
                in_string = character == '"';
                laid_out.push(character);
            }
        }
    }
    laid_out
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lays_out_as_serde_does() {
        for json in [
            r#"{"user":"a","list":[1,2,{"x":null}],"none":{},"empty":[],"deep":[[[]],[{}]]}"#,
            r#"{"tricky":"a\"b{[,:]}\\","b":"\\\""}"#,
            "[]",
            "{}",
            "\"text\"",
            "-1.5e3",
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let expected = serde_json::to_string_pretty(&value).unwrap();
            if json != "-1.5e3" {
                assert_eq!(indent(json), expected);
            }
            assert_eq!(indent(&indent(json)), indent(json));
        }
    }

    #[test]
    fn a_long_number_keeps_its_digits() {
        let json = r#"{"n": 123456789012345678901234567890, "f": 1.10}"#;
        assert_eq!(indent(json), "{\n  \"n\": 123456789012345678901234567890,\n  \"f\": 1.10\n}");
    }
}
