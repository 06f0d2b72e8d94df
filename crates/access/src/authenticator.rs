//! Logging in, who a request is from, and what they may.

use std::sync::Arc;

use gateward_aws::sts::Identity as CallerIdentity;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use ring::digest::{Digest, SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

use crate::admin::Proof;
use crate::allowed::{AllowedAccess, SubClaims};
use crate::cloud_id::SignedRequest;
use crate::directory::{AuthMethod, Directory};
use crate::login_alarm::{LoginAlarm, Refusals};
use crate::sts::Judge;
use crate::{AdminIdentity, Identity, Need, Permission, Token, TokenError, Tokens, aws_iam};

/// Knows the administrator and whom else there is, gives tokens and takes them.
#[derive(Debug)]
pub struct Authenticator {
    admin: AdminIdentity,
    tokens: Tokens,
    deployed: Vec<AllowedAccess>,
    directory: Option<Directory>,
    judge: Option<Judge>,
    refusals: Option<Refusals>,
}

/// A login failed. There is one message for every reason, so that nobody learns which access ids there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access id or the access key is wrong")]
pub struct LoginError;

impl Authenticator {
    /// For `admin` alone.
    pub fn new(admin: AdminIdentity, tokens: Tokens) -> Self {
        Self { admin, tokens, deployed: Vec::new(), directory: None, judge: None, refusals: None }
    }

    /// The same with entries of the deployment, which nobody changes while the gateway runs.
    #[must_use]
    pub fn with_allowed(self, deployed: Vec<AllowedAccess>) -> Self {
        Self { deployed, ..self }
    }

    /// The same with what is made while the gateway runs.
    #[must_use]
    pub fn with_directory(self, directory: Directory) -> Self {
        Self { directory: Some(directory), ..self }
    }

    /// The same for those whom AWS knows.
    #[must_use]
    pub fn with_judge(self, judge: Judge) -> Self {
        Self { judge: Some(judge), ..self }
    }

    /// The same, where somebody is to hear of logins that are refused again and again.
    #[must_use]
    pub fn with_alarm(self, alarm: Arc<dyn LoginAlarm>) -> Self {
        Self { refusals: Some(Refusals::new(alarm)), ..self }
    }

    /// A token for whoever shows an access id and its key. A wrong id takes as long as a wrong key.
    pub async fn login(&self, access_id: &str, access_key: &SecretValue) -> Result<Token, LoginError> {
        let outcome = self.by_key(access_id, access_key).await;
        self.count(access_id, outcome)
    }

    /// A token for whoever AWS says that signed `cloud_id`.
    pub async fn login_with_aws(&self, access_id: &str, cloud_id: &SecretValue) -> Result<Token, LoginError> {
        let outcome = self.by_cloud_id(access_id, cloud_id).await;
        self.count(access_id, outcome)
    }

    fn count(&self, access_id: &str, outcome: Result<Token, LoginError>) -> Result<Token, LoginError> {
        if let Some(refusals) = &self.refusals {
            match &outcome {
                Ok(_) => refusals.forget(access_id),
                Err(LoginError) => refusals.note(access_id, self.now()),
            }
        }
        outcome
    }

    async fn by_key(&self, access_id: &str, access_key: &SecretValue) -> Result<Token, LoginError> {
        self.refresh().await;
        let known = same(access_id, self.admin.access_id().as_str());
        let right = match self.admin.proof() {
            Proof::AccessKey(ours) => same(access_key.expose(), ours.expose()),
            Proof::AwsIam(_) => Choice::from(0),
        };
        if bool::from(known & right) {
            return Ok(self.admin_token());
        }
        match self.method(access_id) {
            Some(method) if method.has_key(access_key) => Ok(self.tokens.issue(&method.access_id)),
            Some(_) => Err(LoginError),
            None => {
                // What an access id that there is would have taken.
                let _ = same(access_key.expose(), "");
                Err(LoginError)
            }
        }
    }

    async fn by_cloud_id(&self, access_id: &str, cloud_id: &SecretValue) -> Result<Token, LoginError> {
        self.refresh().await;
        let refused = |why: &str| {
            tracing::warn!(why, "a login with a cloud id was refused");
            LoginError
        };
        let judge = self.judge.as_ref().ok_or_else(|| refused("STS is not asked here"))?;
        let directory = self.directory.as_ref().ok_or_else(|| refused("uses cannot be noted"))?;
        let signed = SignedRequest::parse(cloud_id.expose(), judge.verifier(), self.now());
        let signed = signed.map_err(|error| refused(error.0))?;
        let caller = judge.ask(&signed).await.ok_or_else(|| refused("STS does not vouch for it"))?;
        let access_id = self
            .admitted(access_id, &caller)
            .ok_or_else(|| refused("the identity is outside of the access id's bounds"))?;
        match directory.is_first_use(&signed.signature, signed.signed).await {
            Ok(true) => {
                let proof = (access_id == *self.admin.access_id()).then(|| self.admin.proof_text());
                Ok(self.tokens.issue_bound(&access_id, &aws_iam::claims(&caller), proof.as_ref()))
            }
            Ok(false) => Err(refused("it was used before")),
            Err(error) => {
                tracing::error!(%error, "uses of cloud ids cannot be noted");
                Err(LoginError)
            }
        }
    }

    fn admitted(&self, access_id: &str, caller: &CallerIdentity) -> Option<crate::AccessId> {
        let is_admin = access_id == self.admin.access_id().as_str();
        if let Proof::AwsIam(bounds) = self.admin.proof()
            && is_admin
        {
            return bounds.admit(caller).then(|| self.admin.access_id().clone());
        }
        self.method(access_id).filter(|method| method.admits(caller)).map(|method| method.access_id)
    }

    /// Whose token it is. A token of somebody who may no longer log in is not valid.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let (identity, issued) = self.tokens.read(token)?;
        if identity.access_id == *self.admin.access_id() {
            // One that an access key gave that was replaced, or an identity of AWS that is let in no more, is void.
            let stands = self.tokens.is_bound_to(token, &self.admin.proof_text());
            return stands.then_some(identity).ok_or(TokenError::Invalid);
        }
        let method = self.method(identity.access_id.as_str()).ok_or(TokenError::Invalid)?;
        if issued.millis() < method.since {
            return Err(TokenError::Invalid);
        }
        Ok(identity)
    }

    /// Whether `identity` may do what takes `need`. The administrator may do everything; what nobody allowed is refused.
    pub fn permits(&self, identity: &Identity, need: Need) -> bool {
        if identity.access_id == *self.admin.access_id() {
            return true;
        }
        need.is_met_by(|wanted| self.has(identity, wanted))
    }

    /// Whether `identity` has `wanted`.
    pub fn has(&self, identity: &Identity, wanted: Permission) -> bool {
        let kept = self.directory.as_ref().map(Directory::current);
        let mut entries = self.deployed.iter().chain(kept.iter().flat_map(|kept| &kept.allowed));
        identity.access_id == *self.admin.access_id()
            || entries.any(|entry| {
                entry.permissions.iter().any(|has| has.gives(wanted)) && entry.is_about(identity)
            })
    }

    /// Whether the store does not say at the moment who there is: then whoever is refused may only have to try again.
    pub fn is_blind(&self) -> bool {
        self.directory.as_ref().is_some_and(Directory::is_out_of_reach)
    }

    /// Reads what was made while the gateway ran, if that may have changed.
    pub async fn refresh(&self) {
        if let Some(directory) = &self.directory {
            directory.refresh().await;
        }
    }

    /// A token for what the gateway itself does in the administrator's name.
    pub fn admin_token(&self) -> Token {
        let proof = self.admin.proof_text();
        self.tokens.issue_bound(self.admin.access_id(), &SubClaims::new(), Some(&proof))
    }

    /// Who the administrator is.
    pub fn admin(&self) -> &AdminIdentity {
        &self.admin
    }

    /// The entries of the deployment.
    pub fn deployed(&self) -> &[AllowedAccess] {
        &self.deployed
    }

    /// What is made while the gateway runs, where that is kept.
    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// Until when a token is taken, and since when.
    pub fn times(&self, token: &str) -> Result<(Timestamp, Timestamp), TokenError> {
        self.tokens.times(token)
    }

    fn method(&self, access_id: &str) -> Option<AuthMethod> {
        let kept = self.directory.as_ref()?.current();
        let method = kept.methods.iter().find(|method| method.access_id.as_str() == access_id)?;
        method.is_open(self.now()).then(|| method.clone())
    }

    fn now(&self) -> Timestamp {
        self.tokens.clock().now()
    }
}

/// Compares digests and not texts, so that not even the length of ours can be measured.
fn same(theirs: &str, ours: &str) -> Choice {
    let sha256 = |text: &str| -> Digest { digest(&SHA256, text.as_bytes()) };
    sha256(theirs).as_ref().ct_eq(sha256(ours).as_ref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use gateward_clock::ManualClock;
    use gateward_seal::{RootKey, Sealer};

    use super::*;
    use crate::AwsBounds;

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
            assert_eq!(refusal, Err(LoginError), "{access_id:?}");
        }
        assert_eq!(LoginError.to_string(), "the access id or the access key is wrong");
    }

    #[tokio::test]
    async fn logins_that_are_refused_again_and_again_are_told_of_whatever_they_show() {
        struct Told(std::sync::Mutex<Vec<String>>);
        impl LoginAlarm for Told {
            fn refused_again(&self, access_id: &crate::AccessId, times: u32) {
                self.0.lock().expect("nobody panics").push(format!("{access_id} {times}"));
            }
        }
        let told = Arc::new(Told(std::sync::Mutex::default()));
        let authenticator = authenticator("p-1234").with_alarm(told.clone());
        let wrong = SecretValue::from("wrong");
        for _ in 0..2 {
            for _ in 0..2 {
                assert!(authenticator.login("p-1234", &wrong).await.is_err());
                assert!(authenticator.login_with_aws("p-1234", &wrong).await.is_err());
            }
            authenticator.login("p-1234", &SecretValue::from("canary")).await.expect("a token");
        }
        assert!(told.0.lock().expect("nobody panics").is_empty(), "right ones came in between");
        for _ in 0..5 {
            assert!(authenticator.login("p-nobody", &wrong).await.is_err());
        }
        assert_eq!(*told.0.lock().expect("nobody panics"), ["p-nobody 5"]);
    }

    #[tokio::test]
    async fn a_token_of_an_administrator_that_was_replaced_is_invalid() {
        let token =
            authenticator("p-1234").login("p-1234", &SecretValue::from("canary")).await.expect("a token");
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

    fn authenticator(access_id: &str) -> Authenticator {
        let access_id = access_id.parse().expect("an access id");
        of(AdminIdentity::new(access_id, SecretValue::from("canary")).expect("an identity"))
    }

    fn of(admin: AdminIdentity) -> Authenticator {
        let sealer = Sealer::new(RootKey::from_text(&"11".repeat(32)).expect("a root key"));
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
        Authenticator::new(admin, Tokens::new(&sealer, clock, Duration::from_secs(60)))
    }
}
