//! Tokens that consumers show to `jwt-auth`: it lets those pass that a plain reading of the rules lets pass, and no
//! others. Every token here is signed with the consumer's secret, but for its last byte where the input says so.
//!
//! The input is lines: whether the signature is right, the header, the claims. It stands in the header as it is if it is
//! no such lines.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_net::Body;
use gateward_plugins::{
    Consumer, Consumers, ConsumersBuilder, Exchange, Flow, Kind, Notes, Plugin, Site, Step,
};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Uri};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::request::conn;
use crate::says_all_once;
use crate::stage::{NOW, with_stage};

const SECRET: &str = "a secret that nobody guesses";

static KIND: LazyLock<&Kind> = LazyLock::new(|| gateward_plugins::kind("jwt-auth").expect("it is there"));

static CONSUMERS: LazyLock<Consumers> = LazyLock::new(|| {
    let shown = KIND.consumer.as_ref().expect("consumers show something to it");
    let credential = (shown.build)(&json!({"key": "ann", "secret": SECRET})).expect("the settings are right");
    let mut builder = ConsumersBuilder::default();
    let ann = Consumer { username: "ann".into(), ..Consumer::default() };
    builder.add(KIND.name, Arc::new(ann), credential).expect("she is alone");
    builder.build()
});

thread_local! {
    static PLUGIN: Arc<dyn Plugin> = with_stage(|stage| {
        let site = Site { owner: "route/1", metadata: None, shared: &stage.shared };
        (KIND.build)(&json!({}), &site).expect("the usual settings are right")
    });
}

pub(crate) fn run(input: &[u8]) {
    let Some(lines) = lines(input) else {
        assert!(!passes(input), "nobody guesses the secret");
        return;
    };
    let [is_right, header, claims] = lines;
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mut signature = hmac::sign(&key, message.as_bytes()).as_ref().to_vec();
    if is_right != b"right" {
        signature[31] ^= 1;
    }
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    let is_right =
        token.len() <= 16 * 1024 && is_right == b"right" && is_good(header, claims).unwrap_or(false);
    let passes = passes(token.as_bytes());
    assert!(is_right || !passes);
    // JSON that says a thing twice may be refused.
    assert!(passes || !is_right || !says_all_once(header));
}

fn lines(input: &[u8]) -> Option<[&[u8]; 3]> {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    Some([lines.next()?, lines.next()?, lines.next()?])
}

/// Whether a token with a right signature may pass.
fn is_good(header: &[u8], claims: &[u8]) -> Option<bool> {
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(claims).ok()?;
    let now = NOW as f64;
    let is_named = header.get("alg")? == "HS256" && header.get("crit").is_none_or(Value::is_null);
    let is_known = claims.get("key")? == "ann";
    let has_ended = claims.get("exp").is_some_and(|until| until.as_f64().is_none_or(|until| until <= now));
    let is_early = claims.get("nbf").is_some_and(|from| from.as_f64().is_none_or(|from| from > now));
    Some(is_named && is_known && !has_ended && !is_early)
}

/// Whether the plugin lets a request pass that shows `token`.
fn passes(token: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(token) else { return false };
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert(AUTHORIZATION, value);
    let (target, conn) = (Uri::from_static("/"), conn());
    with_stage(|stage| {
        let mut exchange = Exchange {
            request,
            target: &target,
            host: "h",
            body: None,
            conn: &conn,
            client: conn.client.ip(),
            client_port: None,
            request_id: HeaderValue::from_static("1"),
            route: None,
            rest: None,
            matched: None,
            params: None,
            upstream_host: None,
            consumer: None,
            consumers: &CONSUMERS,
            pool: &stage.pool,
            clock: &*stage.clock,
            notes: Notes::default(),
        };
        let plugin = PLUGIN.with(Arc::clone);
        let passes = match plugin.rewrite(&mut exchange) {
            Step::Now(Flow::Continue) => true,
            Step::Now(Flow::Answer(answer) | Flow::Function(answer)) => {
                assert_eq!(answer.status(), 401);
                false
            }
            Step::Now(Flow::Fail(failure)) => panic!("{failure}"),
            Step::Later(_) => panic!("there is nothing to wait for"),
        };
        assert_eq!(exchange.consumer.is_some(), passes, "who passes is somebody, and nobody else is");
        passes
    })
}
