//! The text that names a secret: `{vault://name/path/of/it/field?ttl=60#2}`.
//!
//! The grammar is Kong's where that is sane. Where Kong decodes twice, turns `+` into a space, drops what follows a
//! `;` or takes no notice of what it does not know, a reference here means what it says or is refused.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::Vault;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::settings::seconds;

pub(crate) const START: &str = "{vault://";
pub(crate) const END: char = '}';

/// A secret, by its vault and its place in there. It is no secret itself. Copies share one text.
#[derive(Clone, Debug)]
pub struct Reference(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    text: Box<str>,
    vault: Box<str>,
    path: Vec<String>,
    has_field: bool,
    version: Version,
    overrides: Overrides,
    /// When it was last said of this reference that its value seems wrong, in milliseconds.
    doubted: AtomicU64,
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Reference {}

impl Hash for Reference {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

/// Which of a secret's versions is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// The one that is in force: `#1`, or nothing.
    #[default]
    Current,
    /// The one before it: `#2`.
    Previous,
}

/// What a reference says otherwise than its vault. Only times: whoever may write a reference may not redirect a
/// vault's credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Overrides {
    /// How long a value is good.
    pub ttl: Option<Duration>,
    /// How long a miss is remembered.
    pub neg_ttl: Option<Duration>,
    /// How long a value is used after its ttl while no new one can be had.
    pub resurrect_ttl: Option<Duration>,
}

/// What is wrong with a reference.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the reference {reference} cannot be read: {problem}")]
pub struct ReferenceError {
    reference: String,
    problem: String,
}

impl ReferenceError {
    /// What is wrong, without the reference: for whoever may not be told what stands there.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl Reference {
    /// Reads `text`. `None` if it is no reference but text that stands for itself.
    pub fn parse(text: &str) -> Result<Option<Self>, ReferenceError> {
        let Some(rest) = text.strip_prefix(START) else {
            return Ok(None);
        };
        let parsed = match rest.strip_suffix(END) {
            Some(inner) => Self::parse_inner(text, inner),
            None => Err("it does not end with }; nothing may stand after a reference".to_owned()),
        };
        parsed.map(Some).map_err(|problem| ReferenceError { reference: presentable(text), problem })
    }

    fn parse_inner(text: &str, inner: &str) -> Result<Self, String> {
        if let Some(stray) = inner.chars().find(|stray| matches!(stray, '{' | '}') || stray.is_control()) {
            let stray = stray.escape_default();
            return Err(format!("{stray} cannot stand in it; write it percent-encoded if the name has it"));
        }
        let (rest, version) = match inner.split_once('#') {
            Some((rest, version)) => (rest, read_version(version)?),
            None => (inner, Version::default()),
        };
        let (place, options) = match rest.split_once('?') {
            Some((place, options)) => (place, Some(options)),
            None => (rest, None),
        };
        let (vault, path) = place.split_once('/').unwrap_or((place, ""));
        check_vault_name(vault)?;
        let has_field = !path.ends_with('/');
        // Split before decoding, so that a name may have a slash in it.
        let path = path.split('/').filter(|segment| !segment.is_empty());
        let path = path.map(decode).collect::<Result<Vec<_>, _>>()?;
        if path.is_empty() {
            return Err(format!("it names no secret; write {START}{vault}/the-secret{END}"));
        }
        let has_field = has_field && path.len() > 1;
        let overrides = options.map(read_options).transpose()?.unwrap_or_default();
        let (text, vault, doubted) = (text.into(), vault.into(), AtomicU64::new(0));
        Ok(Self(Arc::new(Parsed { text, vault, path, has_field, version, overrides, doubted })))
    }

    /// The vault: an entity's prefix, or the name of a backend.
    pub fn vault(&self) -> &str {
        &self.0.vault
    }

    /// The name of the secret, if the last segment names a field in it.
    pub fn secret(&self) -> String {
        self.0.path[..self.0.path.len() - usize::from(self.0.has_field)].join("/")
    }

    /// The field in the secret's JSON.
    pub fn field(&self) -> Option<&str> {
        self.0.path.last().filter(|_| self.0.has_field).map(String::as_str)
    }

    /// The whole path as the name of a secret: what a reference with a field means where there is no such field.
    pub fn whole(&self) -> String {
        self.0.path.join("/")
    }

    /// Which version of the secret is meant.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// What it says otherwise than its vault.
    pub fn overrides(&self) -> Overrides {
        self.0.overrides
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Takes note that its value seems wrong. False if that was said less than `span` ago.
    pub(crate) fn doubt(&self, now: Timestamp, span: Duration) -> bool {
        let before = self.0.doubted.load(Ordering::Relaxed);
        let again = before == 0 || now.saturating_since(Timestamp::from_millis(before)) >= span;
        again && {
            let exchanged =
                self.0.doubted.compare_exchange(before, now.millis(), Ordering::Relaxed, Ordering::Relaxed);
            exchanged.is_ok()
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.text)
    }
}

fn check_vault_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("it names no vault; write {START}the-vault/the-secret{END}"));
    }
    if name.contains('@') {
        return Err("a user cannot stand before the vault's name".to_owned());
    }
    if name.contains(':') {
        return Err(format!("{name:?} is no vault's name; a port cannot stand after it"));
    }
    Vault::check_prefix(name).map_err(|_| {
        format!("{name:?} is no vault's name: those are two or more of a-z, 0-9 and -, begin with a letter and do not end with -")
    })
}

/// Decodes a segment, once. A `+` is a plus.
fn decode(segment: &str) -> Result<String, String> {
    for (at, _) in segment.match_indices('%') {
        let digits = segment.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            let escape: String = segment[at..].chars().take(3).collect();
            return Err(format!(
                "{escape:?} in {segment:?} is no percent-encoding; a percent sign is written %25"
            ));
        }
    }
    let decoded = percent_decode_str(segment).decode_utf8();
    let decoded = decoded.map_err(|_| format!("{segment:?} is not UTF-8 when decoded"))?;
    if decoded.contains(char::is_control) {
        return Err(format!("{segment:?} stands for a control character, which no name has"));
    }
    Ok(decoded.into_owned())
}

fn read_version(version: &str) -> Result<Version, String> {
    match version {
        "1" => Ok(Version::Current),
        "2" => Ok(Version::Previous),
        _ if version.contains('?') => Err("options stand before the #: write ?ttl=60#2".to_owned()),
        _ => Err(format!("there is no version {version:?}; #1 is the current one, #2 the one before it")),
    }
}

fn read_options(options: &str) -> Result<Overrides, String> {
    let mut overrides = Overrides::default();
    for option in options.split('&') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let place = match name {
            "ttl" => &mut overrides.ttl,
            "neg_ttl" => &mut overrides.neg_ttl,
            "resurrect_ttl" => &mut overrides.resurrect_ttl,
            "" => {
                return Err("an option is missing; after ? comes ttl=, neg_ttl= or resurrect_ttl=".to_owned());
            }
            other => {
                return Err(format!(
                    "the option {other:?} cannot be set here; only ttl, neg_ttl and resurrect_ttl can"
                ));
            }
        };
        let span = value.parse().ok().and_then(seconds);
        let span = span.ok_or_else(|| format!("the option {name} wants seconds between 0 and 100000000"))?;
        if place.replace(span).is_some() {
            return Err(format!("the option {name} stands twice"));
        }
    }
    Ok(overrides)
}

/// The text for an error, without what may be a password.
fn presentable(text: &str) -> String {
    let place_end = text[START.len()..].find(['/', '?', '#']).map_or(text.len(), |end| end + START.len());
    match text[START.len()..place_end].rfind('@') {
        Some(at) => format!("{START}…{}", &text[START.len() + at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
