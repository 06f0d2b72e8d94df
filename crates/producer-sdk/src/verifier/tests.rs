//! Verification with a gateway at the other end of a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::*;
use crate::protocol::Operation;
use crate::testing::Gateway;
use crate::token::tests::{NOW, claims, header};

const BODY: &[u8] = b"{}";

/// A control listener that gives its answers in turn, the last one for ever, and keeps what it was asked.
struct Control {
    url: Uri,
    asked: Arc<StdMutex<Vec<String>>>,
}

impl Control {
    fn answering(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/there", listener.local_addr().unwrap()).parse().unwrap();
        let asked = Arc::new(StdMutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (turn, stream) in listener.incoming().enumerate() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap() > 2 {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                log.lock().unwrap().push(String::from_utf8(body).unwrap());
                let (status, answer) = &answers[turn.min(answers.len() - 1)];
                let length = answer.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                reader.get_mut().write_all((head + answer).as_bytes()).unwrap();
            }
        });
        Self { url, asked }
    }

    fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn published(gateway: &Gateway) -> (u16, String) {
    (200, serde_json::to_string(&gateway.jwks()).unwrap())
}

fn signed_by(gateway: &Gateway) -> String {
    gateway.sign(&header(), &claims(BODY))
}

async fn verify(verifier: &Verifier, token: &str) -> Result<(), VerifyError> {
    let origins = ["http://127.0.0.1:9".to_owned()];
    verifier.verify(token, Call { origins: &origins, operation: Operation::Create, body: BODY }).await
}

#[tokio::test]
async fn published_keys_are_fetched_once() {
    let gateway = Gateway::new();
    let control = Control::answering(vec![published(&gateway)]);
    let verifier = Verifier::with_jwks_url(control.url.clone(), "p-gateway").clock(|| NOW);
    for _ in 0..3 {
        verify(&verifier, &signed_by(&gateway)).await.unwrap();
    }
    let forged = verify(&verifier, &signed_by(&Gateway::new())).await;
    assert!(matches!(forged, Err(VerifyError::Refused(Refused::Signature))));
    assert_eq!(control.times_asked(), 1);
}

#[tokio::test]
async fn an_unknown_key_has_the_keys_fetched_again_but_not_at_every_call() {
    let gateway = Gateway::new();
    let empty = (200, r#"{"keys": []}"#.to_owned());
    let control = Control::answering(vec![empty, published(&gateway)]);
    let now = Arc::new(AtomicU64::new(NOW));
    let clock = Arc::clone(&now);
    let verifier = Verifier::with_jwks_url(control.url.clone(), "p-gateway")
        .clock(move || clock.load(Ordering::Relaxed));
    for _ in 0..2 {
        let unknown = verify(&verifier, &signed_by(&gateway)).await;
        assert!(matches!(unknown, Err(VerifyError::Refused(Refused::UnknownKey))));
    }
    assert_eq!(control.times_asked(), 1);
    now.fetch_add(PAUSE_SECONDS, Ordering::Relaxed);
    verify(&verifier, &signed_by(&gateway)).await.unwrap();
    assert_eq!(control.times_asked(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_stops_to_count() {
    let gateway = Gateway::new();
    let control = Control::answering(vec![published(&gateway), (200, r#"{"keys": []}"#.to_owned())]);
    let now = Arc::new(AtomicU64::new(NOW - FRESH_SECONDS));
    let clock = Arc::clone(&now);
    let verifier = Verifier::with_jwks_url(control.url.clone(), "p-gateway")
        .clock(move || clock.load(Ordering::Relaxed));
    let early = verify(&verifier, &signed_by(&gateway)).await;
    assert!(matches!(early, Err(VerifyError::Refused(Refused::NotYetValid))));
    now.store(NOW, Ordering::Relaxed);
    let withdrawn = verify(&verifier, &signed_by(&gateway)).await;
    assert!(matches!(withdrawn, Err(VerifyError::Refused(Refused::UnknownKey))));
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_makes_no_token_wrong_and_no_known_key_useless() {
    let gateway = Gateway::new();
    let control = Control::answering(vec![(500, String::new()), published(&gateway), (500, String::new())]);
    let now = Arc::new(AtomicU64::new(NOW - FRESH_SECONDS));
    let clock = Arc::clone(&now);
    let verifier = Verifier::with_jwks_url(control.url.clone(), "p-gateway")
        .clock(move || clock.load(Ordering::Relaxed));
    for _ in 0..2 {
        let unavailable = verify(&verifier, &signed_by(&gateway)).await;
        assert!(matches!(unavailable, Err(VerifyError::Unavailable(_))));
    }
    assert_eq!(control.times_asked(), 1);
    now.fetch_add(PAUSE_AFTER_FAILURE_SECONDS, Ordering::Relaxed);
    assert!(matches!(verify(&verifier, &signed_by(&gateway)).await, Err(VerifyError::Refused(_))));
    now.store(NOW + 1, Ordering::Relaxed);
    verify(&verifier, &signed_by(&gateway)).await.unwrap();
    assert_eq!(control.times_asked(), 3);
}

#[tokio::test]
async fn the_gateway_is_asked_about_a_token_in_the_published_form() {
    let gateway = Gateway::new();
    let vouched = (200, r#"{"access_id": "p-gateway", "attaches": "{}"}"#.to_owned());
    let control = Control::answering(vec![vouched]);
    let verifier = Verifier::with_validate_url(control.url.clone(), "p-gateway")
        .item_name(Gateway::ITEM_NAME)
        .clock(|| NOW);
    let token = signed_by(&gateway);
    verify(&verifier, &token).await.unwrap();
    let asked: Value = serde_json::from_str(&control.asked.lock().unwrap()[0]).unwrap();
    let expected =
        json!({"creds": token, "expected_access_id": "p-gateway", "expected_item_name": Gateway::ITEM_NAME});
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_token_that_the_gateway_does_not_vouch_for_is_refused() {
    let gateway = Gateway::new();
    for (answer, text) in [
        ((401, r#"{"error": "Unauthorized"}"#), "refused"),
        ((200, r#"{"access_id": "p-other"}"#), "refused"),
        ((200, "vouched"), "refused"),
        ((302, r#"{"access_id": "p-gateway"}"#), "refused"),
        ((503, ""), "unavailable"),
    ] {
        let control = Control::answering(vec![(answer.0, answer.1.to_owned())]);
        let verifier = Verifier::with_validate_url(control.url.clone(), "p-gateway").clock(|| NOW);
        let outcome = match verify(&verifier, &signed_by(&gateway)).await {
            Err(VerifyError::Refused(Refused::NotVouchedFor)) => "refused",
            Err(VerifyError::Unavailable(_)) => "unavailable",
            _ => "something else",
        };
        assert_eq!(outcome, text, "{answer:?}");
    }
}

#[tokio::test]
async fn a_token_that_the_gateway_vouches_for_must_still_be_for_this_body_and_address() {
    let gateway = Gateway::new();
    let control = Control::answering(vec![(200, r#"{"access_id": "p-gateway"}"#.to_owned())]);
    let verifier = Verifier::with_validate_url(control.url.clone(), "p-gateway").clock(|| NOW);
    let other_body = gateway.sign(&header(), &claims(b"another"));
    let refused = verify(&verifier, &other_body).await;
    assert!(matches!(refused, Err(VerifyError::Refused(Refused::Body))));
    // A token of a gateway whose claims are not public: its word is all there is.
    verify(&verifier, "opaque").await.unwrap();
}
