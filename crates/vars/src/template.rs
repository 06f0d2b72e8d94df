//! Texts with variables in them: `$remote_addr ${http_x}`.
//!
//! `$name` and `${name}` stand for the value of a variable, or for nothing if it has none; `${name ?? text}` stands for
//! the text then. A dollar sign after a backslash means itself, and so does one that no name follows, and whatever is in
//! what was made a [`literal`](crate::literal).

use std::borrow::Cow;

use crate::{Facts, Segment, Variable, segments};

/// A text with variables in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// A variable, and what stands for it where it has no value.
    Variable(Variable, Option<Box<str>>),
}

impl Template {
    /// Takes `text` apart.
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        for segment in segments(text) {
            match segment {
                Segment::Literal(text) => literal.push_str(&text),
                Segment::Written(text) => parse_written(text, &mut literal, &mut pieces),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Self(pieces.into())
    }

    /// The text, if there are no variables in it.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for the request that `facts` are about.
    pub fn render<'a>(&'a self, facts: &Facts<'a>) -> Cow<'a, str> {
        self.render_escaped(facts, |value| value)
    }

    /// The same, with `escape` made of each value: for a place where a value could mean more than itself.
    pub fn render_escaped<'a>(
        &'a self,
        facts: &Facts<'a>,
        escape: impl Fn(Cow<'a, str>) -> Cow<'a, str>,
    ) -> Cow<'a, str> {
        let piece = |piece: &'a Piece| match piece {
            Piece::Literal(text) => Cow::Borrowed(&**text),
            Piece::Variable(variable, otherwise) => match facts.get(variable) {
                Some(value) => escape(value),
                None => Cow::Borrowed(otherwise.as_deref().unwrap_or_default()),
            },
        };
        match &*self.0 {
            [] => Cow::Borrowed(""),
            // Most templates are one text or one variable, and need no copy.
            [only] => piece(only),
            pieces => Cow::Owned(pieces.iter().map(piece).collect()),
        }
    }

    /// The same, if it has variables and at least one of them has a value.
    pub fn render_if_any<'a>(&'a self, facts: &Facts<'a>) -> Option<Cow<'a, str>> {
        let has_value = |piece: &Piece| match piece {
            Piece::Literal(_) => false,
            Piece::Variable(variable, otherwise) => otherwise.is_some() || facts.get(variable).is_some(),
        };
        self.0.iter().any(has_value).then(|| self.render(facts))
    }

    /// The variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(variable, _) => Some(variable),
            Piece::Literal(_) => None,
        })
    }

    /// Whether something in the request's body is wanted.
    pub fn needs_body(&self) -> bool {
        self.variables().any(Variable::needs_body)
    }
}

/// Takes `text` apart, which goes on behind `literal`.
fn parse_written(text: &str, literal: &mut String, pieces: &mut Vec<Piece>) {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from_dollar) = rest.split_at(dollar);
        literal.push_str(before);
        let name = match before.ends_with('\\') {
            true => None,
            false => name(&from_dollar[1..]),
        };
        let Some((name, otherwise, length)) = name else {
            literal.push('$');
            rest = &from_dollar[1..];
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(literal).into()));
        }
        pieces.push(Piece::Variable(Variable::parse(name), otherwise.map(Into::into)));
        rest = &from_dollar[1 + length..];
    }
    literal.push_str(rest);
}

/// The name of a variable at the beginning of `text`, what stands for it otherwise, and how much of it that takes.
fn name(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (name, otherwise, length) = match text.strip_prefix('{') {
        Some(braced) => {
            let inside = &braced[..braced.find('}')?];
            let (name, otherwise) = match inside.split_once("??") {
                Some((name, otherwise)) => (name.trim(), Some(otherwise.trim())),
                None => (inside.trim(), None),
            };
            // Paths into bodies have dots and brackets; only braces can tell where such a name ends.
            let fits = name.bytes().all(|byte| word(byte) || b".-[]*".contains(&byte));
            (fits.then_some(name)?, otherwise, inside.len() + 2)
        }
        None => {
            let end = text.bytes().position(|byte| !word(byte)).unwrap_or(text.len());
            (&text[..end], None, end)
        }
    };
    (!name.is_empty()).then_some((name, otherwise, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Request;

    fn render(template: &str) -> String {
        let request = Request::get("/a?x=1&y=2").header("x-y", "v");
        Template::parse(template).render(&request.facts()).into_owned()
    }

    #[test]
    fn variables_are_replaced_by_their_values() {
        for (template, text) in [
            ("", ""),
            ("plain", "plain"),
            ("$arg_x", "1"),
            ("${arg_x}", "1"),
            ("a$arg_x-${arg_y}z", "a1-2z"),
            ("$arg_x$arg_y", "12"),
            ("${arg_x}0", "10"),
            ("$arg_none|$nonsense|$http_x_y", "||v"),
            ("${arg_none ?? 7}|${ arg_x ?? 7 }|${arg_none??}|", "7|1||"),
        ] {
            assert_eq!(render(template), text, "{template}");
        }
    }

    #[test]
    fn what_is_no_variable_stays() {
        for text in ["$", "$$", "a$ b", "${", "${}", "${arg_x", "${a b}", r"\$arg_x", "100 $"] {
            assert_eq!(render(text), text);
        }
        assert_eq!(render("$$arg_x"), "$1");
    }

    #[test]
    fn what_was_made_a_literal_is_itself_and_lengthens_no_name() {
        let literal = crate::literal;
        for (template, text) in [
            (literal("$arg_x"), "$arg_x"),
            (format!("$arg_x{}$arg_y", literal("y$arg_x${arg_y}")), "1y$arg_x${arg_y}2"),
            (format!("${}", literal("arg_x")), "$arg_x"),
            (format!("$arg_{}", literal("x")), "x"),
            (format!("${{arg_x{}}}", literal("}")), "${arg_x}}"),
            (format!("\\{}", literal("$arg_x")), "\\$arg_x"),
        ] {
            assert_eq!(render(&template), text, "{template:?}");
        }
        assert_eq!(Template::parse(&literal("$a")).as_literal(), Some("$a"));
        assert_eq!(Template::parse("$a").as_literal(), None);
    }

    #[test]
    fn values_can_be_escaped_and_literals_stay() {
        let request = Request::get("/a?x=1%2F2");
        let template = Template::parse("/p/$arg_x");
        let escape = |value: Cow<'_, str>| Cow::Owned(value.replace('/', "%2F"));
        assert_eq!(template.render_escaped(&request.facts(), escape), "/p/1%2F2");
    }

    #[test]
    fn without_any_value_there_may_be_no_text() {
        let request = Request::get("/a?x=1");
        let render =
            |template: &str| Template::parse(template).render_if_any(&request.facts()).map(Cow::into_owned);
        assert_eq!(render("$arg_x$arg_y").as_deref(), Some("1"));
        assert_eq!(render("a$arg_y"), None);
        assert_eq!(render("plain"), None);
        assert_eq!(render("${arg_y ?? none}").as_deref(), Some("none"));
    }

    #[test]
    fn it_tells_whether_it_needs_the_body() {
        assert!(Template::parse("a ${post_arg.model.name}").needs_body());
        assert!(!Template::parse("$arg_x").needs_body());
    }
}
