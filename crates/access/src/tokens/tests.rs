//! Which tokens are taken, and all that are not.

use gateward_clock::ManualClock;
use gateward_seal::RootKey;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

#[test]
fn a_token_says_whose_it_is() {
    let tokens = tokens("11", ManualClock::at(NOW));
    let token = tokens.issue(&access_id());
    assert!(token.text.expose().starts_with("t-"));
    assert_eq!(token.expires, NOW + Tokens::DEFAULT_TTL);
    let identity = tokens.verify(token.text.expose()).expect("a token of ours");
    assert_eq!(identity, Identity { access_id: access_id(), sub_claims: BTreeMap::new() });
    assert_ne!(token, tokens.issue(&access_id()));
}

#[test]
fn another_instance_with_the_same_root_key_takes_it() {
    let token = tokens("11", ManualClock::at(NOW)).issue(&access_id());
    assert!(tokens("11", ManualClock::at(NOW)).verify(token.text.expose()).is_ok());
}

#[test]
fn under_another_root_key_it_is_invalid() {
    let token = tokens("11", ManualClock::at(NOW)).issue(&access_id());
    let elsewhere = tokens("22", ManualClock::at(NOW));
    assert_eq!(elsewhere.verify(token.text.expose()), Err(TokenError::Invalid));
}

#[test]
fn it_is_taken_until_it_expires_and_not_from_then_on() {
    let clock = ManualClock::at(NOW);
    let tokens = tokens("11", clock.clone());
    let token = tokens.issue(&access_id());
    clock.advance(Tokens::DEFAULT_TTL - Duration::from_millis(1));
    assert!(tokens.verify(token.text.expose()).is_ok());
    clock.advance(Duration::from_millis(1));
    assert_eq!(tokens.verify(token.text.expose()), Err(TokenError::Expired));
}

#[test]
fn a_token_with_any_character_changed_is_invalid() {
    let tokens = tokens("11", ManualClock::at(NOW));
    let token = tokens.issue(&access_id());
    let text = token.text.expose();
    for at in 0..text.len() {
        for other in ["A", "b", "0", "-", ".", "=", "\n"] {
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if changed != text {
                assert_eq!(tokens.verify(&changed), Err(TokenError::Invalid), "{other:?} at {at}");
            }
        }
    }
}

#[test]
fn a_token_that_is_cut_or_longer_is_invalid() {
    let tokens = tokens("11", ManualClock::at(NOW));
    let token = tokens.issue(&access_id());
    let text = token.text.expose();
    for length in 0..text.len() {
        assert_eq!(tokens.verify(&text[..length]), Err(TokenError::Invalid), "{length}");
        assert_eq!(tokens.verify(&text[text.len() - length..]), Err(TokenError::Invalid), "{length}");
    }
    for longer in [format!("{text}A"), format!("{text}=="), format!(" {text}"), format!("{text}.{text}")] {
        assert_eq!(tokens.verify(&longer), Err(TokenError::Invalid));
    }
}

#[test]
fn a_payload_with_a_mac_of_its_own_making_is_invalid() {
    let payload = format!("{{\"access_id\":\"p-1234\",\"issued\":0,\"expires\":{},\"id\":\"x\"}}", u64::MAX);
    let signed = format!("t-{}", URL_SAFE_NO_PAD.encode(payload));
    let made_up = hmac::Key::new(hmac::HMAC_SHA256, &[]);
    let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&made_up, signed.as_bytes()));
    for forged in [format!("{signed}.{mac}"), format!("{signed}."), signed] {
        assert_eq!(tokens("11", ManualClock::at(NOW)).verify(&forged), Err(TokenError::Invalid));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let tokens = tokens("11", ManualClock::at(NOW));
    let token = tokens.issue(&access_id());
    let printed = format!("{token:?} {tokens:?}");
    assert!(printed.contains("***"));
    assert!(!printed.contains("t-"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_taken_for_a_token(text in "(t-)?[A-Za-z0-9_.=-]{0,200}|.*") {
        prop_assert_eq!(tokens("11", ManualClock::at(NOW)).verify(&text), Err(TokenError::Invalid));
    }
}

fn tokens(root_key_byte: &str, clock: ManualClock) -> Tokens {
    let root_key = RootKey::from_text(&root_key_byte.repeat(32)).expect("a root key");
    Tokens::new(&Sealer::new(root_key), Arc::new(clock), Tokens::DEFAULT_TTL)
}

fn access_id() -> AccessId {
    "p-1234".parse().expect("an access id")
}
