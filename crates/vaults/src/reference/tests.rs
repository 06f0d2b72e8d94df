use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Reference {
    Reference::parse(text).unwrap().unwrap()
}

fn problem(text: &str) -> String {
    Reference::parse(text).unwrap_err().to_string()
}

#[test]
fn a_path_is_a_secret_and_perhaps_a_field_in_it() {
    for (text, secret, field, whole) in [
        ("{vault://aws/name}", "name", None, "name"),
        ("{vault://aws/name/}", "name", None, "name"),
        ("{vault://aws/a/b/}", "a/b", None, "a/b"),
        ("{vault://aws/a/b/c/d}", "a/b/c", Some("d"), "a/b/c/d"),
        ("{vault://aws/a//b}", "a", Some("b"), "a/b"),
        ("{vault://aws/%2Fsecret/key}", "/secret", Some("key"), "/secret/key"),
        ("{vault://aws/secret/path/%2Faaa/key}", "secret/path//aaa", Some("key"), "secret/path//aaa/key"),
        ("{vault://aws/a%252Fb}", "a%2Fb", None, "a%2Fb"),
        ("{vault://aws/a+b}", "a+b", None, "a+b"),
        ("{vault://aws/a%2Bb}", "a+b", None, "a+b"),
        ("{vault://aws/a;b/c}", "a;b", Some("c"), "a;b/c"),
        (
            "{vault://env/arn:aws:sm:x:secret:n-AbC}",
            "arn:aws:sm:x:secret:n-AbC",
            None,
            "arn:aws:sm:x:secret:n-AbC",
        ),
        ("{vault://env/../../etc/passwd}", "../../etc", Some("passwd"), "../../etc/passwd"),
        ("{vault://my-env/x%3F%23%7D}", "x?#}", None, "x?#}"),
    ] {
        let reference = parsed(text);
        let read = (reference.secret(), reference.field(), reference.whole());
        assert_eq!(read, (secret.to_owned(), field, whole.to_owned()), "{text}");
        assert_eq!(reference.to_string(), text);
    }
}

#[test]
fn what_does_not_begin_as_a_reference_stands_for_itself() {
    for text in [
        "",
        "x",
        "{vault:/",
        "{VAULT://aws/a}",
        " {vault://aws/a}",
        "Bearer {vault://aws/a}",
        "vault://aws/a",
    ] {
        assert_eq!(Reference::parse(text), Ok(None), "{text}");
    }
}

#[test]
fn only_times_can_be_overridden() {
    let reference = parsed("{vault://aws/a/b?ttl=60&neg_ttl=0&resurrect_ttl=1.5}");
    assert_eq!((reference.secret().as_str(), reference.field()), ("a", Some("b")));
    let overrides = reference.overrides();
    assert_eq!(overrides.ttl, Some(Duration::from_secs(60)));
    assert_eq!(overrides.neg_ttl, Some(Duration::ZERO));
    assert_eq!(overrides.resurrect_ttl, Some(Duration::from_millis(1500)));
    assert!(problem("{vault://env/key?prefix=AWS_}").contains("the option \"prefix\" cannot be set here"));
    assert!(problem("{vault://env/key?ttl=soon}").contains("the option ttl wants seconds"));
    assert!(problem("{vault://env/key?ttl=1&ttl=2}").contains("stands twice"));
    for options in ["", "&", "ttl=1&", "ttl=-1", "ttl=1e9", "ttl=inf", "ttl=NaN", "ttl"] {
        assert!(Reference::parse(&format!("{{vault://env/key?{options}}}")).is_err(), "{options}");
    }
}

#[test]
fn a_version_is_the_current_one_or_the_one_before() {
    for (text, version) in [
        ("{vault://aws/a}", Version::Current),
        ("{vault://aws/a#1}", Version::Current),
        ("{vault://aws/a/b?ttl=10#2}", Version::Previous),
    ] {
        assert_eq!(parsed(text).version(), version, "{text}");
    }
    assert_eq!(parsed("{vault://aws/a%232}").secret(), "a#2");
}

#[test]
fn every_wrong_form_has_its_own_sentence() {
    for (text, part) in [
        ("{vault://aws/a", "does not end with }"),
        ("{vault://aws/a} ", "does not end with }"),
        ("{vault://}", "names no vault"),
        ("{vault:///a}", "names no vault"),
        ("{vault://aws}", "names no secret"),
        ("{vault://aws/}", "names no secret"),
        ("{vault://aws//?ttl=1}", "names no secret"),
        ("{vault://AWS/a}", "\"AWS\" is no vault's name"),
        ("{vault://aws:8443/a}", "a port cannot stand after it"),
        ("{vault://u:p@aws/a}", "a user cannot stand before"),
        ("{vault://aws/a#3}", "there is no version \"3\""),
        ("{vault://aws/a#}", "there is no version \"\""),
        ("{vault://aws/a#1.5}", "there is no version"),
        ("{vault://aws/a#2?ttl=10}", "options stand before the #"),
        ("{vault://aws/a%zz}", "\"%zz\" in \"a%zz\" is no percent-encoding"),
        ("{vault://aws/a%4}", "\"%4\""),
        ("{vault://aws/a%}", "\"%\""),
        ("{vault://aws/a%é}", "\"%é\""),
        ("{vault://aws/%FF}", "not UTF-8"),
        ("{vault://aws/a%0A}", "control character"),
        ("{vault://aws/a\nb}", "\\n cannot stand in it"),
        ("{vault://env/{vault://env/b}}", "{ cannot stand in it"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(part), "{text}: {problem}");
    }
}

#[test]
fn an_error_shows_the_reference_but_no_password_in_it() {
    assert!(problem("{vault://aws/a#3}").contains("{vault://aws/a#3}"));
    let problem = problem("{vault://user:canary@aws/a}");
    assert!(problem.contains("{vault://…@aws/a}") && !problem.contains("canary"), "{problem}");
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        path in proptest::collection::vec("[^\\p{Cc}]{1,8}", 1..5),
        slash in any::<bool>(),
        ttl in proptest::option::of(0_u32..100_000_000),
    ) {
        let encoded: Vec<String> =
            path.iter().map(|segment| utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()).collect();
        let options = ttl.map_or(String::new(), |ttl| format!("?ttl={ttl}"));
        let text = format!("{{vault://my-vault/{}{}{options}}}", encoded.join("/"), if slash { "/" } else { "" });
        let reference = parsed(&text);
        prop_assert_eq!(reference.whole(), path.join("/"));
        let field = path.last().filter(|_| path.len() > 1 && !slash);
        prop_assert_eq!(reference.field(), field.map(String::as_str));
        prop_assert_eq!(reference.overrides().ttl, ttl.map(|ttl| Duration::from_secs(ttl.into())));
        prop_assert_eq!(parsed(&reference.to_string()), reference);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\{vault://)?([a-z%/?#&=+;:@{}. ]|\\PC|\\p{Cc}){0,30}\\}?") {
        if let Ok(Some(reference)) = Reference::parse(&text) {
            prop_assert_eq!(parsed(&reference.to_string()), reference);
        }
    }
}
