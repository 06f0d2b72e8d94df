use std::collections::HashMap;

use gateward_net::Body;
use http::{Request, Response};

use super::*;
use crate::testing::{Bench, text};
use crate::{Consumer, Consumers, ConsumersBuilder, Flow};

/// Consumers who each show a key; `ann` also has a credential of its own, and an id elsewhere.
fn consumers() -> Consumers {
    let shows = |key: &str| (KIND.consumer.as_ref().unwrap().build)(&json!({ "key": key })).unwrap();
    let named = |name: &str| Consumer { username: name.into(), ..Consumer::default() };
    let mut ann = named("ann");
    ann.labels.insert("custom_id".to_owned(), json!("4711"));
    let credential = Consumer { credential: Some("c1".into()), ..ann.clone() };
    let mut builder = ConsumersBuilder::default();
    builder.add(NAME, Arc::new(ann), shows("ann-key")).unwrap();
    builder.add(NAME, Arc::new(credential), shows("ann's second")).unwrap();
    builder.add(NAME, Arc::new(named("bob")), shows("bob-key")).unwrap();
    builder.name(Arc::new(named("stranger")));
    builder.build()
}

/// What an upstream would get of `request`, or what the client gets.
async fn try_at(
    settings: Value,
    request: Request<Body>,
) -> Result<HashMap<String, String>, Box<Response<Body>>> {
    let bench = Bench { consumers: consumers(), ..Bench::new() };
    let plugin = bench.build(&KIND, &settings);
    bench
        .try_request(&*plugin, request, |exchange, flow| match flow {
            Flow::Continue => {
                let headers = exchange.request.headers().iter();
                let mut told: HashMap<_, _> = headers
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect();
                told.insert("target".to_owned(), exchange.request.uri().to_string());
                told.insert("caller".to_owned(), exchange.consumer.as_ref().unwrap().username.to_string());
                Ok(told)
            }
            Flow::Answer(response) | Flow::Function(response) => Err(response),
            Flow::Fail(failure) => panic!("{failure}"),
        })
        .await
}

fn get(target: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::get(target);
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(Body::empty())
        .unwrap()
}

async fn refusal(settings: Value, request: Request<Body>) -> String {
    let response = try_at(settings, request).await.unwrap_err();
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("www-authenticate"));
    text(*response).await
}

#[tokio::test]
async fn a_consumer_is_recognised_by_its_key_in_the_header_or_in_the_query() {
    for request in [get("/", &[("apikey", "bob-key")]), get("/?apikey=bob-key", &[])] {
        assert_eq!(try_at(json!({}), request).await.unwrap()["caller"], "bob");
    }
    let elsewhere = json!({"header": "X-Key", "query": "key"});
    for request in [get("/", &[("x-key", "bob-key")]), get("/?key=bob%2Dkey", &[])] {
        assert_eq!(try_at(elsewhere.clone(), request).await.unwrap()["caller"], "bob");
    }
    let usual = get("/?apikey=bob-key", &[("apikey", "bob-key")]);
    assert!(refusal(elsewhere, usual).await.contains("Missing API key"));
}

#[tokio::test]
async fn who_shows_no_key_or_a_wrong_one_is_told_so() {
    assert_eq!(refusal(json!({}), get("/", &[])).await, "{\"message\":\"Missing API key in request\"}\n");
    for wrong in ["bob-keY", ""] {
        let request = get("/?apikey=bob-key", &[("apikey", wrong)]);
        assert_eq!(refusal(json!({}), request).await, "{\"message\":\"Invalid API key in request\"}\n");
    }
}

#[tokio::test]
async fn the_challenge_names_the_realm() {
    for (settings, challenge) in
        [(json!({}), "apikey realm=\"key\""), (json!({"realm": "the shop"}), "apikey realm=\"the shop\"")]
    {
        let response = try_at(settings, get("/", &[])).await.unwrap_err();
        assert_eq!(response.headers()["www-authenticate"], challenge);
    }
}

#[tokio::test]
async fn hidden_credentials_do_not_reach_the_upstream() {
    let both = || get("/a?x=1&apikey=ann-key&y", &[("apikey", "ann-key")]);
    let told = try_at(json!({"hide_credentials": true}), both()).await.unwrap();
    assert_eq!((told.get("apikey"), &*told["target"]), (None, "/a?x=1&y"));
    let told = try_at(json!({}), both()).await.unwrap();
    assert_eq!((&*told["apikey"], &*told["target"]), ("ann-key", "/a?x=1&apikey=ann-key&y"));
    let stranger = json!({"hide_credentials": true, "anonymous_consumer": "stranger"});
    let told = try_at(stranger, get("/a?apikey=wrong", &[])).await.unwrap();
    assert_eq!(told["target"], "/a");
}

#[tokio::test]
async fn the_upstream_hears_who_calls_from_nobody_else() {
    let forged =
        [("x-consumer-username", "root"), ("x-consumer-custom-id", "0"), ("x-credential-identifier", "root")];
    let with = |key: &'static str| get("/", &[&forged[..], &[("apikey", key)]].concat());
    let told = try_at(json!({}), with("ann's second")).await.unwrap();
    assert_eq!(
        (&*told["x-consumer-username"], &*told["x-consumer-custom-id"], &*told["x-credential-identifier"]),
        ("ann", "4711", "c1")
    );
    let told = try_at(json!({}), with("bob-key")).await.unwrap();
    assert_eq!(told["x-consumer-username"], "bob");
    assert!(!told.contains_key("x-consumer-custom-id") && !told.contains_key("x-credential-identifier"));
    let told = try_at(json!({"anonymous_consumer": "stranger"}), with("wrong")).await.unwrap();
    assert_eq!(told["x-consumer-username"], "stranger");
    assert!(!told.contains_key("x-consumer-custom-id") && !told.contains_key("x-credential-identifier"));
}

#[tokio::test]
async fn strangers_pass_in_the_name_of_a_consumer_who_exists() {
    for request in [get("/", &[]), get("/", &[("apikey", "wrong")])] {
        let told = try_at(json!({"anonymous_consumer": "stranger"}), request).await.unwrap();
        assert_eq!(told["caller"], "stranger");
    }
    let nobody = json!({"anonymous_consumer": "nobody"});
    assert!(refusal(nobody, get("/", &[])).await.contains("Invalid user authorization"));
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({"header": 1}), "header"),
        (json!({"header": "a b"}), "header"),
        (json!({"hide_credentials": "yes"}), "hide_credentials"),
        (json!({"realm": ""}), "realm"),
        (json!({"realm": "a\"b"}), "realm"),
        (json!({"anonymous_consumer": ""}), "anonymous_consumer"),
        (json!({"headers": "apikey"}), "headers"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
    (KIND.check)(&json!({"header": "{vault://env/h}", "realm": "{vault://env/r}"})).unwrap();
    let consumer = KIND.consumer.as_ref().unwrap();
    for wrong in [json!({}), json!({"key": 1}), json!({"key": ""})] {
        assert!((consumer.check)(&wrong).is_err(), "{wrong}");
    }
    (consumer.check)(&json!({"key": "{vault://env/key}"})).unwrap();
}
