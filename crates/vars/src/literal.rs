//! What stands for itself in a text with variables, whatever dollar signs are in it: the value of a secret, say.
//!
//! It stands between two characters that mean nothing in Unicode and that nobody writes. They are never rendered.

use std::borrow::Cow;

/// `value` as a part of a text with variables that stands for itself.
pub fn literal(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + START.len_utf8() + END.len_utf8());
    text.push(START);
    for char in value.chars() {
        text.push(char);
        if char == END {
            text.push(END);
        }
    }
    text.push(END);
    text
}

/// A part of a text with variables.
#[derive(Debug, PartialEq, Eq)]
pub enum Segment<'t> {
    /// As somebody wrote it.
    Written(&'t str),
    /// What stands for itself.
    Literal(Cow<'t, str>),
}

/// The parts of `text`, in order. None of them is empty.
pub fn segments(text: &str) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let Some(inside) = rest.strip_prefix(START) else {
                let (written, after) = rest.split_at(rest.find(START).unwrap_or(rest.len()));
                rest = after;
                return (!written.is_empty()).then_some(Segment::Written(written));
            };
            let (literal, after) = until_end(inside);
            rest = after;
            if !literal.is_empty() {
                return Some(Segment::Literal(literal));
            }
        }
    })
}

/// `text` as it is without what says where parts of it stand for themselves.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(START) {
        return Cow::Borrowed(text);
    }
    let part = |segment| match segment {
        Segment::Written(text) => Cow::Borrowed(text),
        Segment::Literal(text) => text,
    };
    Cow::Owned(segments(text).map(part).collect())
}

/// What stands before the end that ends it, and what stands behind that. An end within it is written twice.
fn until_end(text: &str) -> (Cow<'_, str>, &str) {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once(END) {
        let Some(goes_on) = after.strip_prefix(END) else {
            return match whole.is_empty() {
                true => (Cow::Borrowed(part), after),
                false => (Cow::Owned(whole + part), after),
            };
        };
        whole.push_str(part);
        whole.push(END);
        rest = goes_on;
    }
    (Cow::Owned(whole + rest), "")
}

const START: char = '\u{10FFFE}';
const END: char = '\u{10FFFF}';

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<(bool, String)> {
        let part = |segment| match segment {
            Segment::Written(text) => (false, text.to_owned()),
            Segment::Literal(text) => (true, text.into_owned()),
        };
        segments(text).map(part).collect()
    }

    #[test]
    fn parts_come_back_as_they_went_in_whatever_is_in_them() {
        let values = ["$a", "", "x", "\u{10FFFF}", "a\u{10FFFF}\u{10FFFE}b\u{10FFFF}", "\u{10FFFE}"];
        for one in values {
            for other in values {
                let text = format!("$w{}{}end", literal(one), literal(other));
                let mut expected = vec![(false, "$w".to_owned())];
                expected.extend(
                    [one, other].iter().filter(|one| !one.is_empty()).map(|one| (true, (*one).to_owned())),
                );
                expected.push((false, "end".to_owned()));
                assert_eq!(parts(&text), expected);
                assert_eq!(plain(&text), format!("$w{one}{other}end"));
            }
        }
        assert_eq!(parts(""), []);
        assert_eq!(parts("$a"), [(false, "$a".to_owned())]);
        assert_eq!(parts("a\u{10FFFE}b"), [(false, "a".to_owned()), (true, "b".to_owned())]);
    }
}
