//! The name of a function: plain, with its account, or as an ARN, each perhaps with a version or an alias behind it.
//!
//! ```text
//! orders    orders:live    123456789012:function:orders    arn:aws:lambda:eu-west-1:123456789012:function:orders:live
//! ```

use gateward_model::Invalid;
use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The name of a function, and what it says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function<'n> {
    name: &'n str,
    /// The region that it says.
    pub(super) region: Option<&'n str>,
    /// The account that it says.
    pub(super) account: Option<&'n str>,
}

impl<'n> Function<'n> {
    /// Takes `name` apart.
    pub(super) fn parse(name: &'n str) -> Result<Self, Invalid> {
        let wrong = || {
            let problem = "must be a function's name, such as orders, ACCOUNT:function:orders, or its ARN, perhaps with :QUALIFIER behind it";
            Invalid::new("function_name", problem)
        };
        if name.len() > LONGEST_NAME {
            return Err(Invalid::new("function_name", "has at most 170 characters"));
        }
        let parts: Vec<&str> = name.split(':').collect();
        let (region, account, own) = match parts.as_slice() {
            ["arn", partition, "lambda", region, account, "function", own @ ..] if is_word(partition) => {
                (Some(*region), Some(*account), own)
            }
            [account, "function", own @ ..] if is_account(account) => (None, Some(*account), own),
            own => (None, None, own),
        };
        let fits = match own {
            [name] => is_word(name),
            [name, qualifier] => is_word(name) && is_qualifier(qualifier),
            _ => false,
        };
        let known = region.is_none_or(is_word) && account.is_none_or(is_account);
        if fits && known { Ok(Self { name, region, account }) } else { Err(wrong()) }
    }

    /// Where calls of it go.
    pub(super) fn target(&self, qualifier: Option<&str>, is_streamed: bool) -> Result<Uri, Invalid> {
        let name = utf8_percent_encode(self.name, &NOT_UNRESERVED);
        let path = match is_streamed {
            false => format!("/2015-03-31/functions/{name}/invocations"),
            true => format!("/2021-11-15/functions/{name}/response-streaming-invocations"),
        };
        let target = match qualifier {
            Some(qualifier) => {
                format!("{path}?Qualifier={}", utf8_percent_encode(qualifier, &NOT_UNRESERVED))
            }
            None => path,
        };
        let target = PathAndQuery::try_from(target);
        target.map(Uri::from).map_err(|_| Invalid::new("function_name", "cannot stand in an address"))
    }
}

/// Checks a version or an alias.
pub(super) fn check_qualifier(qualifier: &str) -> Result<(), Invalid> {
    match is_qualifier(qualifier) && qualifier.len() <= LONGEST_QUALIFIER {
        true => Ok(()),
        false => Err(Invalid::new("qualifier", "must be a version, an alias or $LATEST")),
    }
}

fn is_qualifier(text: &str) -> bool {
    text == "$LATEST" || is_word(text)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// All that stands for itself in a path and a query, by the rules of signatures.
const NOT_UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const LONGEST_NAME: usize = 170;
const LONGEST_QUALIFIER: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_region_and_account_if_it_has_them() {
        for (name, region, account) in [
            ("orders", None, None),
            ("orders:live", None, None),
            ("orders:$LATEST", None, None),
            ("123456789012:function:orders", None, Some("123456789012")),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:orders:7",
                Some("eu-west-1"),
                Some("123456789012"),
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:orders",
                Some("cn-north-1"),
                Some("123456789012"),
            ),
        ] {
            let function = Function::parse(name).unwrap();
            assert_eq!((function.region, function.account), (region, account), "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in [
            "",
            "a b",
            "a/b",
            "a?b",
            "orders:",
            "orders:a:b",
            "12:function:orders",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:12:function:orders",
            "arn:aws:lambda::123456789012:function:orders",
        ] {
            assert!(Function::parse(name).is_err(), "{name}");
        }
        assert!(Function::parse(&"a".repeat(171)).is_err());
    }

    #[test]
    fn an_arn_stands_encoded_in_the_path() {
        let function = Function::parse("arn:aws:lambda:eu-west-1:123456789012:function:a.b").unwrap();
        let target = function.target(Some("$LATEST"), false).unwrap();
        assert_eq!(
            target.to_string(),
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aa.b/invocations?Qualifier=%24LATEST"
        );
        let target = Function::parse("f").unwrap().target(None, true).unwrap();
        assert_eq!(target.to_string(), "/2021-11-15/functions/f/response-streaming-invocations");
    }
}
