//! Which origins are allowed, and what an allowed one is told.

use gateward_model::Invalid;
use http::HeaderValue;
use regex::RegexSet;

use crate::holds_reference;

/// Which origins are allowed.
#[derive(Debug)]
pub(super) struct Origins {
    /// Lists that count first, and are told back the origin itself.
    lists: Vec<Listed>,
    /// What counts for the others; None for nothing.
    own: Option<Own>,
}

#[derive(Debug)]
enum Own {
    Listed(Listed),
    Patterns(RegexSet),
}

#[derive(Debug)]
enum Listed {
    /// `*`
    Any,
    /// `**`: any, and each is told that it is the one.
    Each,
    /// One, which everybody is told.
    One(HeaderValue),
    Several(Box<[Box<str>]>),
}

impl Origins {
    /// Those that `text` lists, or, if there are patterns, only those that one of them matches somewhere.
    pub(super) fn new(field: &str, text: &str, by_regex: Option<&[String]>) -> Result<Self, Invalid> {
        let own = match by_regex {
            Some(texts) => Own::Patterns(patterns(&format!("{field}_by_regex"), texts)?),
            None => Own::Listed(Listed::parse(text)),
        };
        Ok(Self { lists: Vec::new(), own: Some(own) })
    }

    /// Those of `lists` as well; `only`: in place of one's own.
    pub(super) fn with_lists<'l>(mut self, lists: impl Iterator<Item = &'l str>, only: bool) -> Self {
        self.lists = lists.map(Listed::parse).collect();
        if only {
            self.own = None;
        }
        self
    }

    /// What a page of `origin` is told; None if it is not allowed.
    pub(super) fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        if let Some(origin) = origin
            && self.lists.iter().any(|list| list.has(origin))
        {
            return Some(origin.clone());
        }
        match self.own.as_ref()? {
            Own::Listed(Listed::Any) => Some(HeaderValue::from_static("*")),
            Own::Listed(Listed::Each) => Some(origin.cloned().unwrap_or(HeaderValue::from_static("*"))),
            Own::Listed(Listed::One(one)) => Some(one.clone()),
            Own::Listed(several @ Listed::Several(_)) => origin.filter(|origin| several.has(origin)).cloned(),
            Own::Patterns(patterns) => {
                origin.filter(|origin| origin.to_str().is_ok_and(|text| patterns.is_match(text))).cloned()
            }
        }
    }

    /// The same, but nothing where the origin asked is not the one that would be told.
    pub(super) fn told(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        self.allowed(origin).filter(|allowed| allowed == "*" || Some(allowed) == origin)
    }

    /// Whether two origins may be told different things.
    pub(super) fn varies(&self) -> bool {
        !self.lists.is_empty() || !matches!(self.own, Some(Own::Listed(Listed::Any)))
    }
}

impl Listed {
    fn parse(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            "**" => Self::Each,
            text if text.contains(',') => Self::Several(text.split(',').map(Into::into).collect()),
            text => match HeaderValue::try_from(text) {
                Ok(one) => Self::One(one),
                // It was checked, so this is nobody; and nobody is what it allows.
                Err(_) => Self::Several(Box::default()),
            },
        }
    }

    fn has(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any | Self::Each => true,
            Self::One(one) => one == origin,
            Self::Several(several) => several.iter().any(|one| **one == *origin),
        }
    }
}

/// Compiles patterns.
pub(super) fn patterns(field: &str, texts: &[String]) -> Result<RegexSet, Invalid> {
    RegexSet::new(texts).map_err(|_| {
        Invalid::new(
            field,
            "holds a pattern that is no regular expression; look-around and back-references are none",
        )
    })
}

/// Checks a list of texts.
pub(super) fn check_list(field: &str, texts: Option<&[String]>) -> Result<(), Invalid> {
    let Some(texts) = texts else { return Ok(()) };
    let problem = if texts.is_empty() {
        "must not be empty"
    } else if texts.iter().any(|text| !(1..=4096).contains(&text.len())) {
        "has texts of 1 to 4096 bytes"
    } else if texts.iter().enumerate().any(|(index, text)| texts[..index].contains(text)) {
        "must not hold a text twice"
    } else {
        return Ok(());
    };
    Err(Invalid::new(field, problem))
}

/// Checks a text that lists origins, if it is not a reference yet to be replaced.
pub(super) fn check_origins(field: &str, text: &str) -> Result<(), Invalid> {
    let is_origin = |text: &str| {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let fits = |byte: u8| (b'!'..=b'~').contains(&byte);
        !scheme.is_empty() && scheme.bytes().all(is_word) && !rest.is_empty() && rest.bytes().all(fits)
    };
    if matches!(text, "*" | "**" | "null") || holds_reference(text) || text.split(',').all(is_origin) {
        return Ok(());
    }
    let problem = "is *, **, null, or origins such as https://a.example, with commas between them";
    Err(Invalid::new(field, problem))
}
