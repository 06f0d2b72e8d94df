//! A text with references in it: `Bearer {vault://aws/token}`.
//!
//! Wherever `{vault://` stands, a reference begins, which the next `}` ends. A reference that cannot be read makes the
//! whole text unreadable: its text must never be used in the secret's place.

use gateward_seal::SecretValue;
use zeroize::Zeroizing;

use crate::reference::{END, Reference, ReferenceError, START};

/// A text with at least one reference in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Reference(Reference),
}

impl Template {
    /// Reads `text`. `None` if no reference stands in it.
    pub fn parse(text: &str) -> Result<Option<Self>, ReferenceError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find(START) {
            if start > 0 {
                pieces.push(Piece::Text(rest[..start].to_owned()));
            }
            let from = &rest[start..];
            let end = from.find(END).map_or(from.len(), |end| end + END.len_utf8());
            pieces.extend(Reference::parse(&from[..end])?.map(Piece::Reference));
            rest = &from[end..];
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Some(Self { pieces }))
    }

    /// Its references, in the order in which they stand.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        })
    }

    /// The text with `values` in the places of its references, which take one each. `None` if there are too few.
    pub fn fill<'v>(&self, values: &mut impl Iterator<Item = &'v SecretValue>) -> Option<SecretValue> {
        let mut filled = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            filled.push(match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Reference(_) => values.next()?.expose(),
            });
        }
        // Made at its full length, so that no shorter copy of a secret is left behind.
        let mut text = Zeroizing::new(String::with_capacity(filled.iter().map(|piece| piece.len()).sum()));
        filled.iter().for_each(|piece| text.push_str(piece));
        Some(SecretValue::from(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, values: &[&str]) -> Option<String> {
        let values: Vec<_> = values.iter().map(|value| SecretValue::from(*value)).collect();
        let template = Template::parse(text).unwrap().unwrap();
        template.fill(&mut values.iter()).map(|value| value.expose().to_owned())
    }

    #[test]
    fn references_may_stand_anywhere_in_a_text() {
        assert_eq!(filled("{vault://env/a}", &["x"]).as_deref(), Some("x"));
        assert_eq!(filled("Bearer {vault://env/a}", &["x"]).as_deref(), Some("Bearer x"));
        let two = "https://{vault://env/a}:{vault://env/b#2}@host";
        assert_eq!(filled(two, &["u", "p"]).as_deref(), Some("https://u:p@host"));
        assert_eq!(filled(two, &["u"]), None);
    }

    #[test]
    fn a_value_that_looks_like_a_reference_is_a_value() {
        assert_eq!(filled("{vault://env/a}", &["{vault://env/b}"]).as_deref(), Some("{vault://env/b}"));
    }

    #[test]
    fn a_text_without_references_is_none_and_a_wrong_one_is_refused() {
        assert_eq!(Template::parse("").unwrap(), None);
        assert_eq!(Template::parse("vault://env/a {vault:/env}").unwrap(), None);
        for wrong in [
            "x {vault://env/a",
            "{vault://}",
            "{vault://env/a}{vault://env/a#3}",
            "{vault://env/{vault://env/b}}",
        ] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
