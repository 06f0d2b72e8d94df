//! Which fragments are taken, and what is sealed with one.

use super::*;
use crate::{OpenError, Place, RootKey, Sealer};

const PLACE: Place<'static> = Place { table: "t", key: "k", version: 1 };

fn value(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn fragments(list: &[(&str, u8)]) -> Fragments {
    let entries: Vec<_> =
        list.iter().map(|(id, byte)| serde_json::json!({"id": id, "value": value(*byte)})).collect();
    Fragments::parse(&serde_json::json!({"customer_fragments": entries}).to_string()).unwrap()
}

fn sealer(root: u8, list: &[(&str, u8)], default: Option<&str>) -> Sealer {
    let root = RootKey::from_bytes(&[root; 32]).unwrap();
    let default = default.map(|id| id.parse().unwrap());
    Sealer::with_fragments(root, &fragments(list), default.as_ref()).unwrap()
}

#[test]
fn the_vendors_form_and_the_bare_list_are_read() {
    let list = format!(r#"[{{"id": "cf-a", "value": "{}", "description": "d", "name": "n"}}]"#, value(1));
    let forms = [
        list.clone(),
        format!(r#"{{"customer_fragments": {list}}}"#),
        format!(r#"{{"customer_fragements": {list}}}"#),
    ];
    for form in forms {
        let read = Fragments::parse(&form).unwrap();
        let [fragment] = &read.0[..] else { panic!("there is one") };
        assert_eq!((fragment.id().as_str(), fragment.name(), fragment.description()), ("cf-a", "n", "d"));
        assert!(!format!("{read:?}").contains(&value(1)));
    }
    for nothing in ["", " ", "{}", "[]", r#"{"customer_fragments": []}"#] {
        assert_eq!(Fragments::parse(nothing).unwrap().iter().count(), 0, "{nothing:?}");
    }
}

#[test]
fn what_is_no_fragment_is_refused_by_its_id_and_never_quoted() {
    let entry = |id: &str, value: &str| format!(r#"{{"id": "{id}", "value": "{value}"}}"#);
    let short = STANDARD.encode([1; 31]);
    let cases = [
        ("canary".to_owned(), "customer fragments are JSON"),
        (r#"{"canary": []}"#.to_owned(), "customer fragments are JSON"),
        (format!("[{}]", entry("canary", &value(1))), "number 1"),
        (format!("[{}]", entry("cf-a", "canary!")), "cf-a: the value"),
        (format!("[{}]", entry("cf-a", &short)), "cf-a: the value"),
        (format!("[{0},{0}]", entry("cf-a", &value(1))), "cf-a: there are two"),
    ];
    for (text, says) in cases {
        let error = Fragments::parse(&text).unwrap_err();
        assert!(error.to_string().contains(says), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(&value(1)), "{error:?}");
    }
}

#[test]
fn what_is_sealed_with_a_fragment_opens_with_it_and_in_no_other_way() {
    let sealed = sealer(1, &[("cf-a", 1), ("cf-b", 2)], Some("cf-a")).seal("p", &PLACE, b"canary");
    let opens = |sealer: &Sealer| sealer.open("p", &PLACE, &sealed).map(|text| text.to_vec());
    assert_eq!(opens(&sealer(1, &[("cf-b", 2), ("cf-a", 1)], None)).unwrap(), b"canary");
    let id: FragmentId = "cf-a".parse().unwrap();
    let missing = OpenError::MissingFragment { fragment: id.clone() };
    assert!(missing.to_string().contains("cf-a"));
    assert_eq!(opens(&sealer(1, &[("cf-b", 1)], Some("cf-b"))), Err(missing.clone()));
    assert_eq!(opens(&sealer(1, &[], None)), Err(missing));
    let other = opens(&sealer(1, &[("cf-a", 2)], None));
    assert_eq!(other, Err(OpenError::OtherFragment { fragment: id }));
    assert!(matches!(opens(&sealer(2, &[("cf-a", 1)], None)), Err(OpenError::OtherRootKey { .. })));
}

#[test]
fn a_record_without_a_fragment_opens_wherever_the_root_key_is() {
    let plain = sealer(1, &[], None).seal("p", &PLACE, b"x");
    assert_eq!(sealer(1, &[("cf-a", 1)], Some("cf-a")).open("p", &PLACE, &plain).unwrap().as_slice(), b"x");
    let own = sealer(1, &[("cf-a", 1)], Some("cf-a")).seal_without_fragment("p", &PLACE, b"x");
    assert_eq!(sealer(1, &[], None).open("p", &PLACE, &own).unwrap().as_slice(), b"x");
}

#[test]
fn a_record_that_names_another_fragment_than_it_was_sealed_with_does_not_open() {
    let sealer = sealer(1, &[("cf-a", 1), ("cf-b", 1)], Some("cf-a"));
    let mut sealed = sealer.seal("p", &PLACE, b"canary");
    let at = sealed.windows(4).position(|bytes| bytes == b"cf-a").unwrap();
    sealed[at + 3] = b'b';
    assert!(sealer.open("p", &PLACE, &sealed).is_err());
    for length in 0..sealed.len() {
        assert!(sealer.open("p", &PLACE, &sealed[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_default_that_was_not_given_is_refused() {
    let root = RootKey::from_bytes(&[1; 32]).unwrap();
    let id: FragmentId = "cf-z".parse().unwrap();
    let refusal = Sealer::with_fragments(root, &fragments(&[("cf-a", 1)]), Some(&id));
    assert_eq!(refusal.err(), Some(FragmentsError::NoDefault(id)));
}

#[test]
fn a_made_fragment_can_be_given() {
    let made = Fragment::generate("n", "d");
    let json = serde_json::json!([{"id": made.id().as_str(), "value": made.value_text().expose()}]);
    let read = Fragments::parse(&json.to_string()).unwrap();
    assert_eq!(read.0[0].value(), made.value());
    assert_ne!(made.hash(), Fragment::generate("n", "d").hash());
}

#[test]
fn with_a_default_fragment_tokens_have_a_key_that_the_root_key_alone_does_not_give() {
    let key = |list: &[(&str, u8)], default| sealer(7, list, default).derive_from_both("access token");
    let bare = sealer(7, &[], None).derive("access token");
    assert_eq!(key(&[], None), bare);
    assert_eq!(key(&[("cf-a", 1)], None), bare, "a fragment that seals nothing by itself changes nothing");
    let both = key(&[("cf-a", 1)], Some("cf-a"));
    assert!(both != bare && both != key(&[("cf-a", 2)], Some("cf-a")));
    assert_eq!(both, key(&[("cf-b", 2), ("cf-a", 1)], Some("cf-a")));
}
