//! Secrets that are planted to see whether they get out.
//!
//! A canary is a text that occurs nowhere else. Whatever a system under test printed, answered or wrote is searched
//! for it, in the clear and in the encodings in which secrets usually travel.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A text that occurs nowhere else.
pub struct Canary {
    text: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

/// A canary that got out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The haystack's name.
    pub place: String,
    /// The encoding it was found in.
    pub form: &'static str,
}

impl fmt::Display for Leak {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.place, self.form)
    }
}

impl Canary {
    /// A new one. Letters and digits only, so that no quoting changes it; `label` says in a finding which it was.
    pub fn new(label: &str) -> Self {
        let label: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
        // The standard library's only source of randomness.
        let random = || RandomState::new().hash_one(&label);
        let text = format!("canary{label}{:016x}{:016x}", random(), random());
        let forms = forms_of(&text);
        Self { text, forms }
    }

    /// The text to plant.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is, among haystacks that each have a name.
    pub fn search<'a>(&self, haystacks: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for (place, haystack) in haystacks {
            for (form, needle) in &self.forms {
                if contains(haystack, needle) {
                    leaks.push(Leak { place: place.to_owned(), form });
                }
            }
        }
        leaks
    }

    /// Where it is, among all files under `folder`.
    #[track_caller]
    pub fn search_dir(&self, folder: &Path) -> Vec<Leak> {
        let files = files_under(folder);
        self.search(files.iter().map(|(place, bytes)| (place.as_str(), bytes.as_slice())))
    }
}

/// All files under `folder`: their names, and what is in them up to the zeros that a file may be filled up with. For
/// searching the same files for many canaries.
#[track_caller]
pub fn files_under(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => panic!("{} cannot be searched: {error}", folder.display()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() && !path.is_symlink() {
            files.extend(files_under(&path));
        } else if path.is_file() {
            let mut bytes = std::fs::read(&path).expect("a file can be read");
            while bytes.ends_with(&[0; BLOCK]) {
                bytes.truncate(bytes.len() - BLOCK);
            }
            files.push((path.to_string_lossy().into_owned(), bytes));
        }
    }
    files
}

const BLOCK: usize = 4096;

/// `text` as it is, in hexadecimal, and in base64 at each of the three places where it can stand in a longer text.
fn forms_of(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("in the clear", text.as_bytes().to_vec()),
        ("hexadecimal", hex.to_uppercase().into_bytes()),
        ("hexadecimal", hex.into_bytes()),
    ];
    for before in 0..3 {
        // The first and last few characters also depend on the neighbours, so they are left out.
        let framed = [&b"\0\0"[..before], text.as_bytes()].concat();
        for (name, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            let encoded = engine.encode(&framed).into_bytes();
            let inner = encoded[(before * 8).div_ceil(6)..framed.len() * 8 / 6].to_vec();
            if !forms.iter().any(|(_, known)| *known == inner) {
                forms.push((name, inner));
            }
        }
    }
    forms
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests;
