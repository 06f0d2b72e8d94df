//! Which lists are taken, and whom an entry is about.

use super::*;

fn identity(id: &str, claims: &[(&str, &str)]) -> Identity {
    let claim =
        |(name, values): &(&str, &str)| ((*name).to_owned(), values.split(',').map(str::to_owned).collect());
    Identity { access_id: id.parse().unwrap(), sub_claims: claims.iter().map(claim).collect() }
}

#[test]
fn the_list_is_read_in_each_of_its_spellings() {
    let plain = r#"[{"name": "n", "access_id": "p-1", "permissions": ["admin"]}]"#;
    let key = r#"[{"name": "n", "p-1": "", "permissions": "admin"}]"#;
    let string = serde_json::to_string(plain).unwrap();
    for text in [plain, key, &string] {
        let [entry] = &AllowedAccess::parse_list(text).unwrap()[..] else { panic!("{text}") };
        assert_eq!((entry.name.as_str(), entry.access_id.as_str()), ("n", "p-1"));
        assert_eq!(entry.permissions, BTreeSet::from([Permission::Admin]));
    }
    for nothing in ["", "[]", r#""""#] {
        assert_eq!(AllowedAccess::parse_list(nothing).unwrap(), [], "{nothing}");
    }
}

#[test]
fn what_is_no_list_is_refused_by_its_entry() {
    let cases = [
        ("{", "are JSON"),
        ("{}", "are JSON"),
        (
            r#"[{"access_id": "p-1", "permissions": ["targets"], "permissions": ["admin"]}]"#,
            "the key \"permissions\" stands twice",
        ),
        (
            r#"[{"access_id": "p-1", "permissions": ["admin"], "sub_claims": {"a": "b", "a": "*"}}]"#,
            "the key \"a\" stands twice",
        ),
        (
            r#""[{\"access_id\": \"p-1\", \"permissions\": \"admin\", \"access_id\": \"p-2\"}]""#,
            "the key \"access_id\" stands twice",
        ),
        ("[1]", "entry 1: it is no object"),
        (r#"[{"access_id": "p-1"}]"#, "permissions is missing"),
        (r#"[{"access_id": "p-1", "permissions": []}]"#, "permissions is empty"),
        (r#"[{"access_id": "p-1", "permissions": ["root"]}]"#, "no permission \"root\""),
        (r#"[{"permissions": ["admin"]}]"#, "access_id is missing"),
        (r#"[{"<Access ID>": "", "permissions": ["admin"]}]"#, "\"<Access ID>\""),
        (r#"[{"access_id": "p-1", "p-2": "", "permissions": ["admin"]}]"#, "no field \"p-2\""),
        (r#"[{"access_id": "p-1", "sub_claim": {}, "permissions": ["admin"]}]"#, "no field \"sub_claim\""),
        (r#"[{"access_id": "p-1", "sub_claims": {"a": []}, "permissions": ["admin"]}]"#, "sub_claims"),
    ];
    for (text, says) in cases {
        let error = AllowedAccess::parse_list(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn each_name_must_match_and_of_its_values_one() {
    let list = r#"[{"access_id": "p-1", "permissions": ["admin"], "sub_claims": {"group": "dev,ops", "arn": ["*/ann"]}}]"#;
    let [entry] = &AllowedAccess::parse_list(list).unwrap()[..] else { panic!() };
    assert!(entry.is_about(&identity("p-1", &[("group", "x,ops"), ("arn", "user/ann")])));
    let others = [
        identity("p-2", &[("group", "ops"), ("arn", "user/ann")]),
        identity("p-1", &[("group", "ops")]),
        identity("p-1", &[("arn", "user/ann")]),
        identity("p-1", &[("group", "OPS"), ("arn", "user/ann")]),
        identity("p-1", &[("group", "ops"), ("arn", "user/annie")]),
        identity("p-1", &[]),
    ];
    for other in others {
        assert!(!entry.is_about(&other), "{other:?}");
    }
    let loose = AllowedAccess { case_insensitive: true, ..entry.clone() };
    assert!(loose.is_about(&identity("p-1", &[("group", "OPS"), ("arn", "user/Ann")])));
}

#[test]
fn a_star_in_an_arn_takes_no_other_part_of_it_along() {
    let is_let_in = |pattern: &str, arn: &str| {
        let entry = r#"[{"access_id": "p-1", "permissions": ["admin"], "sub_claims": {"arn": ["PATTERN"]}}]"#;
        let entries = AllowedAccess::parse_list(&entry.replace("PATTERN", pattern)).unwrap();
        entries[0].is_about(&identity("p-1", &[("arn", arn)]))
    };
    let (ann, forged) = (
        "arn:aws:sts::123456789012:assumed-role/admin/ann",
        "arn:aws:iam::999999999999:user/x:123456789012:assumed-role/admin/ann",
    );
    for (pattern, lets_ann_in) in [
        ("arn:aws:sts::123456789012:assumed-role/admin/*", true),
        ("arn:*:*:*:123456789012:assumed-role/admin/*", true),
        // It has five parts, and an ARN six.
        ("arn:aws:*:123456789012:assumed-role/admin/*", false),
        ("*:123456789012:assumed-role/admin/*", false),
    ] {
        assert_eq!((is_let_in(pattern, ann), is_let_in(pattern, forged)), (lets_ann_in, false), "{pattern}");
    }
    assert!(is_let_in("*", forged), "whoever says anybody means it");
}
