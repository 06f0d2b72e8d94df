use proptest::prelude::*;
use serde_json::json;

use super::*;

fn merged(json: &Value, change: &Value) -> Value {
    let mut json = json.clone();
    merge(&mut json, change);
    json
}

#[test]
fn objects_are_merged_arrays_replaced_and_nulls_take_away() {
    let before = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
    assert_eq!(
        merged(&before, &json!({"a": {"b": null, "c": [3], "e": {"f": null, "g": 1}}})),
        json!({"a": {"c": [3], "e": {"g": 1}}, "d": "x"})
    );
    assert_eq!(merged(&before, &json!({"d": {"x": 1}})), json!({"a": {"b": 1, "c": [1, 2]}, "d": {"x": 1}}));
}

#[test]
fn a_path_inside_is_replaced_whole() {
    let cases = [
        (
            "upstream/nodes",
            json!({"b:1": 1}),
            json!({"upstream": {"nodes": {"b:1": 1}}, "uris": ["/a", "/b"]}),
        ),
        ("uris/1", json!("/c"), json!({"upstream": {"nodes": {"a:1": 1}}, "uris": ["/a", "/c"]})),
        ("uris/0", json!(null), json!({"upstream": {"nodes": {"a:1": 1}}, "uris": ["/b"]})),
        ("upstream", json!(null), json!({"uris": ["/a", "/b"]})),
        (
            "plugins/x/y",
            json!(1),
            json!({"upstream": {"nodes": {"a:1": 1}}, "uris": ["/a", "/b"], "plugins": {"x": {"y": 1}}}),
        ),
    ];
    for (path, change, expected) in cases {
        let mut json = json!({"upstream": {"nodes": {"a:1": 1}}, "uris": ["/a", "/b"]});
        let inside: Vec<String> = path.split('/').map(str::to_owned).collect();
        assert!(replace(&mut json, &inside, &change).is_ok(), "{path}");
        assert_eq!(json, expected, "{path}");
    }
    for (path, named) in [("uris/2", "/uris/2"), ("uris/0/x", "/uris/0"), ("uris/x/y", "/uris/x")] {
        let mut json = json!({"uris": ["/a", "/b"]});
        let inside: Vec<String> = path.split('/').map(str::to_owned).collect();
        let problem = replace(&mut json, &inside, &json!(1)).unwrap_err();
        assert!(format!("{problem:?}").contains(&format!("invalid sub-path: {named}\"")), "{problem:?}");
    }
}

/// JSON without nulls inside objects, as stored resources are.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What turns `from` into `to`.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else { return to.clone() };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = new.iter().map(|(name, new)| {
        let change = old.get(name).map_or_else(|| new.clone(), |old| difference(old, new));
        (name.clone(), change)
    });
    Value::Object(gone.chain(changed).collect())
}

proptest! {
    #[test]
    fn merging_a_document_into_itself_changes_nothing(json in document()) {
        prop_assert_eq!(merged(&json, &json), json);
    }

    #[test]
    fn merging_the_difference_makes_one_document_the_other(from in document(), to in document()) {
        prop_assert_eq!(merged(&from, &difference(&from, &to)), to);
    }
}
