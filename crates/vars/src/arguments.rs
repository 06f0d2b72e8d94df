//! Arguments as forms and queries write them: `a=1&b=two+words`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The value of the first argument called `name`, decoded. An argument without `=` has an empty one.
pub(crate) fn first<'a>(arguments: &'a str, name: &str) -> Option<Cow<'a, str>> {
    for argument in arguments.split('&') {
        let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
        if argument.is_empty() {
            continue;
        }
        // A name that is encoded is at least as long as what it stands for.
        if key == name || (key.len() >= name.len() && decoded(key) == name) {
            return Some(decoded(value));
        }
    }
    None
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&text).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts_and_all_is_decoded() {
        let arguments = "a=1&a=2&&b=x+y%2Fz&c&%64=%C3%A9&e=%ff&=n&f=a=b";
        for (name, value) in [
            ("a", Some("1")),
            ("b", Some("x y/z")),
            ("c", Some("")),
            ("d", Some("\u{e9}")),
            ("e", Some("\u{fffd}")),
            ("f", Some("a=b")),
            ("", Some("n")),
            ("g", None),
        ] {
            assert_eq!(first(arguments, name).as_deref(), value, "{name}");
        }
    }
}
