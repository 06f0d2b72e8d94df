//! What a vault's entity says of all its secrets: how long they count, which may be had, and how they are written.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use zeroize::Zeroizing;

use crate::reference::Overrides;
use crate::settings::{ON_DELETED, Settings};
use crate::unresolved::{Miss, MissKind};

/// What a vault's entity says of all its secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) times: Overrides,
    /// A secret that the vault has no longer is gone at once.
    pub(crate) fails_when_deleted: bool,
    /// A value is written in base64.
    pub(crate) is_base64: bool,
    /// The names that may be had; all, if nothing is said.
    pub(crate) allow: Option<Vec<String>>,
}

impl Rules {
    pub(crate) fn read(settings: &Settings<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            times: settings.times()?,
            fails_when_deleted: settings.word("on_deleted", ON_DELETED)? == Some("fail"),
            is_base64: settings.flag("base64_decode")?.unwrap_or(false),
            allow: settings.texts("allow")?,
        })
    }

    /// Refuses the name of a secret that the entity does not give.
    pub(crate) fn admit(&self, vault: &str, name: &str) -> Result<(), Miss> {
        let Some(allow) = &self.allow else { return Ok(()) };
        // Whatever a vault makes of dots, a name does not leave the place that a pattern names.
        let wanders = name.split('/').any(|segment| matches!(segment, "." | ".."));
        if !wanders && allow.iter().any(|pattern| matches(pattern, name)) {
            return Ok(());
        }
        let problem = format!(
            "the vault {vault:?} does not give it: none of the patterns in its allow matches the name"
        );
        Err(Miss::new(MissKind::Denied, problem))
    }

    /// The value that `text` stands for.
    pub(crate) fn decode(&self, text: SecretValue) -> Result<SecretValue, Miss> {
        if !self.is_base64 {
            return Ok(text);
        }
        let wrong = |problem| Miss::new(MissKind::Garbage, problem);
        // Tools break long lines.
        let mut joined = Zeroizing::new(Vec::with_capacity(text.expose().len()));
        joined.extend(text.expose().bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let bytes = BASE64.decode(&*joined).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| wrong("base64_decode is set, and the value is not base64"))?;
        match std::str::from_utf8(&bytes) {
            Ok("") => Err(wrong("the value is empty when decoded")),
            Ok(text) => Ok(SecretValue::from(text)),
            Err(_) => Err(wrong("the value is binary when decoded, and not text")),
        }
    }
}

/// Whether `pattern`, in which a `*` stands for any characters, matches the whole of `name`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowing(patterns: &[&str]) -> Rules {
        let allow = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Rules { allow: Some(allow), ..Rules::default() }
    }

    #[test]
    fn a_star_stands_for_any_characters_and_everything_else_for_itself() {
        for (pattern, name, admitted) in [
            ("team/*", "team/db", true),
            ("team/*", "team/a/b", true),
            ("team/*", "team", false),
            ("team/*", "teams/db", false),
            ("team/*", "Team/db", false),
            ("*", "anything/at all", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("*-ro", "db-ro", true),
            ("*-ro", "db-rw", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("ab*ba", "aba", false),
            ("", "x", false),
            ("team/*", "team/../admin", false),
            ("team/*", "team/./x", false),
            ("team/*", "team/..x", true),
        ] {
            assert_eq!(allowing(&[pattern]).admit("v", name).is_ok(), admitted, "{pattern} {name}");
        }
        assert!(allowing(&["a", "b*"]).admit("v", "bc").is_ok());
        assert!(allowing(&[]).admit("v", "a").is_err(), "an empty list gives nothing");
        assert!(Rules::default().admit("v", "a/../b").is_ok());
        let denied = allowing(&["a"]).admit("team-vault", "b").unwrap_err();
        assert!(
            denied.kind == MissKind::Denied && denied.problem.contains("\"team-vault\" does not give it")
        );
    }

    #[test]
    fn base64_is_decoded_with_or_without_padding_and_line_breaks() {
        let rules = Rules { is_base64: true, ..Rules::default() };
        let decoded = |text: &str| rules.decode(text.into()).map(|value| value.expose().to_owned());
        for text in ["c2VjcmV0IQ==", "c2VjcmV0IQ", "c2Vj\ncmV0IQ==\n"] {
            assert_eq!(decoded(text).as_deref(), Ok("secret!"), "{text}");
        }
        for wrong in ["canary!", "gICAgICA", "=", "c2VjcmV0I"] {
            let miss = decoded(wrong).unwrap_err();
            assert!(miss.kind == MissKind::Garbage && !miss.problem.contains("canary"), "{wrong}: {miss:?}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_the_same_regular_language_does(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            // By hand, the slow way: every way to share the name out among the stars.
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|skip| slow(rest, &name[skip..])),
                    Some((byte, rest)) => name.split_first().is_some_and(|(one, left)| one == byte && slow(rest, left)),
                }
            }
            prop_assert_eq!(matches(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
