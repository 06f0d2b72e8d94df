//! What must not be written down of an address: keys and tokens that stand in its query.
//!
//! Some names say by themselves that a secret follows; others do because a plugin that authenticates was told to look
//! there. A name that has ever meant a secret in this process goes on to mean one: what was a key yesterday may still
//! be sent today.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use crate::query;

/// The names of arguments whose values are secrets.
#[derive(Debug, Default)]
pub struct Confidential {
    named: RwLock<BTreeSet<Box<str>>>,
}

impl Confidential {
    /// From now on the values of arguments called `name` are secrets.
    pub fn add(&self, name: &str) {
        self.named.write().unwrap_or_else(PoisonError::into_inner).insert(name.into());
    }

    /// `address` without the secrets in its query, nor those in front of its host. Not for the way of a request: it
    /// takes a lock.
    pub fn redact<'a>(&self, address: &'a str) -> Cow<'a, str> {
        let address = without_user(address);
        let Some((path, query)) = address.split_once('?') else { return address };
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let is_secret = |pair: &str| {
            let name = query::name(pair);
            named.contains(&*name) || says_secret(&name)
        };
        if !query.split('&').any(is_secret) {
            return address;
        }
        let mut redacted = path.to_owned();
        let mut mark = '?';
        for pair in query.split('&') {
            redacted.push(mark);
            mark = '&';
            match pair.split_once('=') {
                Some((name, _)) if is_secret(pair) => {
                    redacted.push_str(name);
                    redacted.push_str("=***");
                }
                // A secret may have been put where its name should be.
                _ => redacted.push_str(pair),
            }
        }
        Cow::Owned(redacted)
    }
}

/// Whether what is called `name` (an argument, a header field) is a secret by all that one can tell.
pub(crate) fn says_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|character: char| !character.is_ascii_alphanumeric());
    words.any(|word| SECRET_WORDS.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end)))
}

/// `https://user:password@host/` without the user.
fn without_user(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else { return Cow::Borrowed(address) };
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host_ends].rfind('@') {
        Some(at) if !scheme.contains(['/', '?', '#']) => {
            Cow::Owned(format!("{scheme}://{}", &rest[at + 1..]))
        }
        _ => Cow::Borrowed(address),
    }
}

/// Words that are secrets' names.
const SECRET_WORDS: [&str; 14] = [
    "sig",
    "auth",
    "authorization",
    "jwt",
    "pwd",
    "sid",
    "session",
    "cookie",
    "otp",
    "code",
    "assertion",
    "samlresponse",
    "credential",
    "credentials",
];

/// Ends of words that are secrets' names: `apikey`, `accesstoken`.
const SECRET_ENDS: [&str; 8] =
    ["key", "token", "secret", "password", "passwd", "passphrase", "signature", "sessionid"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_a_secret_is_not_written_down() {
        let confidential = Confidential::default();
        for (given, written) in [
            ("/a?b=1&c", "/a?b=1&c"),
            ("/a?apikey=s&b=1", "/a?apikey=***&b=1"),
            ("/a?b=1&api_key=s&accessToken=s", "/a?b=1&api_key=***&accessToken=***"),
            ("/a?%61pikey=s", "/a?%61pikey=***"),
            ("/a?X-Amz-Signature=s&X-Amz-Date=1", "/a?X-Amz-Signature=***&X-Amz-Date=1"),
            ("/a?keyword=x&tokens=y", "/a?keyword=x&tokens=y"),
            ("/a?jwt=s?s=1&id=1", "/a?jwt=***&id=1"),
            ("https://u:s@h.example/a?b=1", "https://h.example/a?b=1"),
            ("https://u:s@h.example", "https://h.example"),
            ("/to/http://u@h", "/to/http://u@h"),
        ] {
            assert_eq!(confidential.redact(given), written);
        }
    }

    #[test]
    fn a_name_that_a_plugin_looks_for_keys_under_is_one_from_then_on() {
        let confidential = Confidential::default();
        assert_eq!(confidential.redact("/a?k=s&kk=1"), "/a?k=s&kk=1");
        confidential.add("k");
        assert_eq!(confidential.redact("/a?k=s&kk=1&%6B=s&k"), "/a?k=***&kk=1&%6B=***&k");
    }
}
