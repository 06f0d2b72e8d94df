//! Texts with variables: every text is one, one without a dollar sign is itself, and so is any that is made a literal.

use gateward_vars::{Template, literal, plain};
use http::Uri;

use crate::request::facts;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let itself = literal(text);
    assert_eq!(Template::parse(&itself).as_literal(), Some(text));
    assert_eq!(plain(&itself), text);
    let template = Template::parse(text);
    facts(&Uri::from_static("/a/b?a=1&b=x%20y"), "h", |facts| {
        let rendered = template.render(facts);
        if !text.contains('$') {
            assert_eq!(rendered, plain(text));
        }
        let with_value = template.render_if_any(facts);
        assert!(with_value.is_none_or(|text| text == rendered));
    });
}
