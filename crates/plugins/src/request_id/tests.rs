use std::collections::HashSet;

use http::Request;

use super::*;
use crate::testing::{Bench, NOW};

/// The ids that the upstream, the client and the logs get.
async fn ids(
    settings: Value,
    header: &str,
    sent: Option<&str>,
    answered: Option<&str>,
) -> [Option<String>; 3] {
    let bench = Bench::new();
    let plugin = bench.build(&KIND, &settings);
    let mut request = Request::get("/");
    if let Some(sent) = sent {
        request = request.header(header, sent);
    }
    let request = request.body(Body::empty()).unwrap();
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    bench
        .try_request(&*plugin, request, |exchange, _| {
            let upstream = exchange.request.headers().get(header).map(text);
            let mut response = Response::new(Body::empty());
            if let Some(answered) = answered {
                response
                    .headers_mut()
                    .insert(HeaderName::try_from(header).unwrap(), HeaderValue::try_from(answered).unwrap());
            }
            plugin.respond(exchange, &mut response);
            [upstream, response.headers().get(header).map(text), Some(text(&exchange.request_id))]
        })
        .await
}

async fn id(settings: Value) -> String {
    ids(settings, "x-request-id", None, None).await[0].clone().unwrap()
}

#[tokio::test]
async fn the_id_of_the_request_is_made_by_the_plugin() {
    let [upstream, _, logged] = ids(json!({}), "x-request-id", None, None).await;
    assert_eq!(upstream, logged);
    assert_eq!(upstream.unwrap().len(), 36);
    // The gateway has taken the client's own.
    let [upstream, _, logged] = ids(json!({}), "x-request-id", Some("test"), None).await;
    assert_eq!((upstream.as_deref(), logged.as_deref()), (Some("test"), Some("test")));
    // It has not.
    let [upstream, _, logged] = ids(json!({}), "x-request-id", Some("<script>"), None).await;
    assert!(upstream == logged && upstream.unwrap().len() == 36);
}

#[tokio::test]
async fn another_field_has_an_id_of_its_own() {
    let settings = json!({"header_name": "Trace"});
    let [upstream, client, logged] = ids(settings.clone(), "trace", None, None).await;
    assert!(upstream.is_some() && upstream == client && logged.as_deref() == Some("test"));
    let [upstream, client, _] = ids(settings.clone(), "trace", Some("own"), None).await;
    assert_eq!((upstream.as_deref(), client.as_deref()), (Some("own"), Some("own")));
    let [upstream, client, _] = ids(settings, "trace", None, Some("the upstream's")).await;
    assert!(upstream.is_some() && client.as_deref() == Some("the upstream's"));
    let quiet = json!({"header_name": "Trace", "include_in_response": false});
    let [upstream, client, _] = ids(quiet, "trace", None, None).await;
    assert!(upstream.is_some() && client.is_none());
}

#[tokio::test]
async fn ids_have_the_form_of_their_algorithm() {
    for (algorithm, version) in [("uuid", '4'), ("uuidv7", '7')] {
        let id = id(json!({"algorithm": algorithm})).await;
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(id.chars().nth(14), Some(version));
        assert!("89ab".contains(id.chars().nth(19).unwrap()));
    }
    let v7 = id(json!({"algorithm": "uuidv7"})).await.replace('-', "");
    assert_eq!(u64::from_str_radix(&v7[..12], 16), Ok(NOW.millis()));
    assert_eq!(id(json!({"algorithm": "nanoid"})).await.len(), 21);
    let ksuid = id(json!({"algorithm": "ksuid"})).await;
    assert!(ksuid.len() == 27 && ksuid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let range = id(json!({"algorithm": "range_id"})).await;
    assert!(range.len() == 16 && range.bytes().all(|byte| CHARACTERS.as_bytes().contains(&byte)));
    let own = json!({"algorithm": "range_id", "range_id": {"length": 40, "char_set": "abcdef"}});
    let range = id(own).await;
    assert!(range.len() == 40 && range.bytes().all(|byte| b"abcdef".contains(&byte)));
}

#[test]
fn a_ksuid_is_the_number_that_its_bytes_are() {
    let begin = Timestamp::from_secs(1_400_000_000);
    // 4 bytes of nothing leave at most 128 bits: 22 digits.
    assert!(ksuid(begin).starts_with("00000"));
    assert!(ksuid(begin) < ksuid(Timestamp::from_secs(1_400_000_001)));
    assert!(ksuid(Timestamp::from_secs(1_400_000_000 + u64::from(u32::MAX))).starts_with("aW"));
}

#[test]
fn ids_do_not_repeat() {
    for ids in [Ids::Uuid, Ids::UuidV7, Ids::NanoId, Ids::Ksuid] {
        let made: HashSet<_> = (0..1000).map(|_| ids.next(NOW)).collect();
        assert_eq!(made.len(), 1000, "{ids:?}");
    }
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({"header_name": "a b"}), "header_name"),
        (json!({"include_in_response": 1}), "include_in_response"),
        (json!({"algorithm": "snowflake"}), "algorithm"),
        (json!({"range_id": {"length": 5}}), "range_id.length"),
        (json!({"range_id": {"char_set": "abc"}}), "range_id.char_set"),
        (json!({"range_id": {"char_set": "abcde\n"}}), "range_id.char_set"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
}
