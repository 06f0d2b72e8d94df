mod greeting;

use serde_json::{Map, json};

use super::*;

type Check = fn(&Value) -> Result<(), Invalid>;

/// What can be checked, of every kind: its name, its schema and the check.
fn checkable() -> Vec<(String, Value, Check)> {
    let mut all = Vec::new();
    for kind in kinds() {
        all.push((kind.name.to_owned(), (kind.schema)(), kind.check));
        if let Some(consumer) = &kind.consumer {
            all.push((format!("{} of a consumer", kind.name), (consumer.schema)(), consumer.check));
        }
        if let Some(metadata) = &kind.metadata {
            all.push((format!("{}'s metadata", kind.name), (metadata.schema)(), metadata.check));
        }
    }
    all
}

/// Some value of the type that `schema` has.
fn value_of(schema: &Value) -> Value {
    if let Some(value) = schema.get("default").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    let first = ["oneOf", "anyOf"].into_iter().find_map(|choice| schema[choice].get(0));
    match (schema["type"].as_str(), first) {
        (Some("string"), _) => json!("x"),
        (Some("integer" | "number"), _) => schema.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(false),
        (Some("array"), _) => match schema.get("items") {
            Some(items) => json!([value_of(items)]),
            None => json!([]),
        },
        (Some("object"), _) => object_of(schema),
        (_, Some(first)) => value_of(first),
        (other, None) => panic!("{other:?}"),
    }
}

fn object_of(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, schema)| (name.clone(), value_of(schema))).collect::<Map<_, _>>().into()
}

#[test]
fn every_property_in_a_schema_is_known_to_the_check() {
    for (name, schema, check) in checkable() {
        // All at once may contradict each other; no field may be an unknown one or of the wrong type.
        let Err(invalid) = check(&object_of(&schema)) else { continue };
        let stranger = invalid.problem.starts_with("unknown") || invalid.problem.starts_with("expected");
        assert!(!stranger, "{name}: {invalid}");
    }
}

#[test]
fn no_check_takes_a_property_that_its_schema_does_not_have() {
    for (name, schema, check) in checkable() {
        let mut settings = object_of(&schema);
        settings["nonsense"] = json!(1);
        assert!(check(&settings).is_err(), "{name}");
    }
}

#[test]
fn plugins_have_the_priorities_of_apisix() {
    let expected = [
        ("aws-lambda", -1899),
        ("cors", 4000),
        ("fault-injection", 11_000),
        ("ip-restriction", 3000),
        ("jwt-auth", 2510),
        ("key-auth", 2500),
        ("limit-count", 1002),
        ("opentelemetry", 12_009),
        ("prometheus", 500),
        ("proxy-rewrite", 1008),
        ("real-ip", 23_000),
        ("request-id", 12_015),
    ];
    for kind in kinds() {
        if let Some((_, priority)) = expected.iter().find(|(name, _)| *name == kind.name) {
            assert_eq!(kind.priority, *priority, "{}", kind.name);
        }
    }
}

#[tokio::test]
async fn the_plugin_that_the_documentation_shows_works_as_printed() {
    let documentation = include_str!("../../../docs/plugins.md");
    assert!(documentation.contains(include_str!("tests/greeting.rs")));
    let bench = testing::Bench::new();
    let plugin = bench.build(&greeting::KIND, &json!({"text": "hello"}));
    bench
        .try_request(&*plugin, http::Request::new(Body::empty()), |exchange, _| {
            let mut response = Response::new(Body::empty());
            plugin.respond(exchange, &mut response);
            assert_eq!(response.headers()["x-greeting"], "hello");
        })
        .await;
}

#[test]
fn every_property_of_a_plugin_is_documented() {
    for (name, schema, _) in checkable() {
        let documentation = match name.as_str() {
            "aws-lambda" => include_str!("../../../docs/functions.md"),
            _ => include_str!("../../../docs/plugins.md"),
        };
        for property in schema["properties"].as_object().into_iter().flatten().map(|(property, _)| property) {
            assert!(documentation.contains(&format!("`{property}`")), "{name}: {property}");
        }
    }
}
