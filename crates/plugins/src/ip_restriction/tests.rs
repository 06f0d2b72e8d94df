use gateward_net::Body;
use http::Request;

use super::*;
use crate::Flow;
use crate::testing::{Bench, text};

/// The status and body that a client at `address` gets; None if it may pass.
async fn answer(settings: Value, address: &str) -> Option<(u16, String)> {
    let mut bench = Bench::new();
    let plugin = bench.build(&KIND, &settings);
    bench.conn.client = (address.parse::<std::net::IpAddr>().unwrap(), 1).into();
    match bench.flow(&*plugin, Request::new(Body::empty())).await {
        Flow::Continue => None,
        Flow::Answer(response) | Flow::Function(response) => {
            Some((response.status().as_u16(), text(*response).await))
        }
        Flow::Fail(failure) => panic!("{failure}"),
    }
}

#[tokio::test]
async fn only_those_on_a_whitelist_pass() {
    let settings = json!({"whitelist": ["192.0.2.1", "10.0.0.0/8", "2001:db8::/32"]});
    for passes in ["192.0.2.1", "10.9.9.9", "2001:db8::7", "::ffff:10.1.1.1"] {
        assert_eq!(answer(settings.clone(), passes).await, None, "{passes}");
    }
    for refused in ["192.0.2.2", "11.0.0.1", "2001:db9::1"] {
        let refusal = (403, "{\"message\":\"Your IP address is not allowed\"}\n".to_owned());
        assert_eq!(answer(settings.clone(), refused).await, Some(refusal), "{refused}");
    }
}

#[tokio::test]
async fn those_on_a_blacklist_do_not_pass() {
    let settings = json!({"blacklist": ["192.0.2.0/24"]});
    assert!(answer(settings.clone(), "192.0.2.200").await.is_some());
    assert!(answer(settings, "192.0.3.1").await.is_none());
}

#[tokio::test]
async fn the_refusal_can_be_worded() {
    let settings = json!({"blacklist": ["0.0.0.0/0"], "message": "nothing \"here\"", "response_code": 404});
    let refusal = (404, "{\"message\":\"nothing \\\"here\\\"\"}\n".to_owned());
    assert_eq!(answer(settings, "192.0.2.1").await, Some(refusal));
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({}), ""),
        (json!({"whitelist": ["10.0.0.1"], "blacklist": ["10.0.0.2"]}), ""),
        (json!({"whitelist": []}), "whitelist"),
        (json!({"blacklist": ["10.0.0.1", "10.0.0.0/40"]}), "blacklist[1]"),
        (json!({"whitelist": ["10.0.0.1"], "message": ""}), "message"),
        (json!({"whitelist": ["10.0.0.1"], "response_code": 200}), "response_code"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
    (KIND.check)(&json!({"whitelist": ["{vault://env/office}"]})).unwrap();
    assert!(Settings::read(&json!({"whitelist": ["{vault://env/office}"]})).unwrap().build().is_err());
}
