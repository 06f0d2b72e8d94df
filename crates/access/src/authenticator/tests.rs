use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gateward_clock::ManualClock;
use gateward_seal::{RootKey, Sealer};
use gateward_store::{MemoryStore, Watched};

use super::*;
use crate::{AwsBounds, MethodKind};

#[tokio::test]
async fn the_right_key_gives_a_token_that_is_taken() {
    let authenticator = authenticator("p-1234");
    let token = authenticator.login("p-1234", &SecretValue::from("canary")).await.expect("a token");
    let identity = authenticator.verify(token.text.expose()).expect("an identity");
    assert_eq!(identity.access_id.as_str(), "p-1234");
}

#[tokio::test]
async fn every_failed_login_says_the_same() {
    let authenticator = authenticator("p-1234");
    let wrong = [
        ("p-1234", "canarY"),
        ("p-1234", "canary "),
        ("p-1234", ""),
        ("p-1235", "canary"),
        ("p-1234 ", "canary"),
        ("", ""),
        ("canary", "p-1234"),
    ];
    for (access_id, access_key) in wrong {
        let refusal = authenticator.login(access_id, &SecretValue::from(access_key)).await;
        assert_eq!(refusal, Err(LoginError::Wrong), "{access_id:?}");
    }
    assert_eq!(LoginError::Wrong.to_string(), "the access id or the access key is wrong");
}

#[tokio::test]
async fn logins_that_are_refused_again_and_again_are_told_of_whatever_they_show() {
    let told = Arc::new(Told::default());
    let authenticator = authenticator("p-1234").with_alarm(told.clone());
    let wrong = SecretValue::from("wrong");
    for _ in 0..2 {
        for _ in 0..2 {
            assert!(authenticator.login("p-1234", &wrong).await.is_err());
            assert!(authenticator.login_with_aws("p-1234", &wrong).await.is_err());
        }
        authenticator.login("p-1234", &SecretValue::from("canary")).await.expect("a token");
    }
    assert!(told.times().is_empty(), "right ones came in between");
    for _ in 0..5 {
        assert!(authenticator.login("p-nobody", &wrong).await.is_err());
    }
    assert_eq!(told.times(), ["p-nobody 5"]);
}

#[tokio::test]
async fn where_the_store_does_not_say_who_there_is_nobody_is_told_that_they_are_wrong() {
    let clock = Arc::new(ManualClock::at(NOW));
    let is_out = Arc::new(AtomicBool::new(false));
    let is_refused = Arc::clone(&is_out);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |_| {
        if is_refused.load(Relaxed) { Err("out of order".to_owned()) } else { Ok(()) }
    });
    let told = Arc::new(Told::default());
    let authenticator = Authenticator::new(admin("p-1234"), Tokens::new(&sealer(), clock.clone(), MINUTE))
        .with_directory(Directory::new(store, Arc::new(sealer()), clock.clone()))
        .with_alarm(told.clone());
    let (kind, key) = MethodKind::api_key();
    let method = AuthMethod {
        name: "app".to_owned(),
        access_id: "p-app".parse().expect("an access id"),
        kind,
        description: String::new(),
        access_expires: 0,
        created: 0,
        since: 0,
    };
    let directory = authenticator.directory().expect("a directory");
    let made = directory.edit(|kept| {
        kept.methods.push(method.clone());
        Ok(())
    });
    made.await.expect("a method");
    let token = authenticator.login("p-app", &key).await.expect("a token");

    is_out.store(true, Relaxed);
    clock.advance(Duration::from_secs(3));
    for _ in 0..6 {
        assert_eq!(authenticator.login("p-app", &key).await, Err(LoginError::Unavailable));
    }
    assert!(told.times().is_empty(), "an outage is nobody's attack");
    assert_eq!(authenticator.verify(token.text.expose()), Err(TokenError::Unavailable(OutOfReach)));
    assert_eq!(authenticator.verify("made up"), Err(TokenError::Invalid));
    assert_eq!(directory.current(), Err(OutOfReach), "nobody is told that there is nobody");
    let of_admin = authenticator.login("p-1234", &SecretValue::from("canary")).await.expect("a token");
    assert!(authenticator.verify(of_admin.text.expose()).is_ok(), "the administrator needs no store");

    is_out.store(false, Relaxed);
    clock.advance(Duration::from_secs(3));
    authenticator.refresh().await;
    assert!(authenticator.verify(token.text.expose()).is_ok());
    let wrong = authenticator.login("p-app", &SecretValue::from("canary")).await;
    assert_eq!(wrong, Err(LoginError::Wrong));
}

#[tokio::test]
async fn a_token_of_an_administrator_that_was_replaced_is_invalid() {
    let token = authenticator("p-1234").login("p-1234", &SecretValue::from("canary")).await.expect("a token");
    assert_eq!(authenticator("p-5678").verify(token.text.expose()), Err(TokenError::Invalid));
}

#[tokio::test]
async fn a_token_is_void_once_the_administrators_key_or_bounds_are_others() {
    let id = || "p-1234".parse().expect("an access id");
    let with_key =
        |key: &str| AdminIdentity::new(id(), SecretValue::from(key)).map(of).expect("an authenticator");
    let of_aws = |account: &str| {
        let bounds = AwsBounds { accounts: vec![account.to_owned()], ..AwsBounds::default() };
        AdminIdentity::aws_iam(id(), bounds).map(of).expect("an authenticator")
    };
    let token = with_key("canary").login("p-1234", &SecretValue::from("canary")).await.expect("a token");
    assert!(with_key("canary").verify(token.text.expose()).is_ok());
    for other in [with_key("canary2"), of_aws("123456789012")] {
        assert_eq!(other.verify(token.text.expose()), Err(TokenError::Invalid));
    }
    let token = of_aws("123456789012").admin_token();
    assert!(of_aws("123456789012").verify(token.text.expose()).is_ok());
    assert_eq!(of_aws("123456789013").verify(token.text.expose()), Err(TokenError::Invalid));
    let bare = with_key("canary").tokens.issue(&id());
    assert_eq!(with_key("canary").verify(bare.text.expose()), Err(TokenError::Invalid));
}

#[test]
fn an_authenticator_prints_nothing_secret() {
    assert!(!format!("{:?}", authenticator("p-1234")).contains("canary"));
}

/// Of which access id it was told, and how many refusals.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn times(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics").clone()
    }
}

impl LoginAlarm for Told {
    fn refused_again(&self, access_id: &AccessId, times: u32) {
        self.0.lock().expect("nobody panics").push(format!("{access_id} {times}"));
    }
}

fn authenticator(access_id: &str) -> Authenticator {
    of(admin(access_id))
}

fn admin(access_id: &str) -> AdminIdentity {
    let access_id = access_id.parse().expect("an access id");
    AdminIdentity::new(access_id, SecretValue::from("canary")).expect("an identity")
}

fn of(admin: AdminIdentity) -> Authenticator {
    Authenticator::new(admin, Tokens::new(&sealer(), Arc::new(ManualClock::at(NOW)), MINUTE))
}

fn sealer() -> Sealer {
    Sealer::new(RootKey::from_text(&"11".repeat(32)).expect("a root key"))
}

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MINUTE: Duration = Duration::from_secs(60);
