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
use crate::directory::{AuthMethod, Directory, OutOfReach};
use crate::login_alarm::{LoginAlarm, Refusals};
use crate::sts::{Judge, Verdict};
use crate::{AccessId, AdminIdentity, Identity, Need, Permission, Token, TokenError, Tokens, aws_iam};

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

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// One message for every reason, so that nobody learns which access ids there are.
    #[error("the access id or the access key is wrong")]
    Wrong,
    /// The store, or STS, does not answer. Nobody is to blame, and nothing is counted against the access id.
    #[error("who logs in cannot be looked up at the moment; try again")]
    Unavailable,
}

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
                Err(LoginError::Wrong) => refusals.note(access_id, self.now()),
                Err(LoginError::Unavailable) => {}
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
        match self.method(access_id)? {
            Some(method) if method.has_key(access_key) => Ok(self.tokens.issue(&method.access_id)),
            Some(_) => Err(LoginError::Wrong),
            None => {
                // What an access id that there is would have taken.
                let _ = same(access_key.expose(), "");
                Err(LoginError::Wrong)
            }
        }
    }

    async fn by_cloud_id(&self, access_id: &str, cloud_id: &SecretValue) -> Result<Token, LoginError> {
        self.refresh().await;
        let refused = |why: &str| {
            tracing::warn!(why, "a login with a cloud id was refused");
            LoginError::Wrong
        };
        let judge = self.judge.as_ref().ok_or_else(|| refused("STS is not asked here"))?;
        let directory = self.directory.as_ref().ok_or_else(|| refused("uses cannot be noted"))?;
        let signed = SignedRequest::parse(cloud_id.expose(), judge.verifier(), self.now());
        let signed = signed.map_err(|error| refused(error.0))?;
        let caller = match judge.ask(&signed).await {
            Verdict::Vouched(caller) => caller,
            Verdict::Refused => return Err(refused("STS does not vouch for it")),
            Verdict::Unreachable => return Err(LoginError::Unavailable),
        };
        let access_id = self
            .admitted(access_id, &caller)?
            .ok_or_else(|| refused("the identity is outside of the access id's bounds"))?;
        match directory.is_first_use(&signed.signature, signed.signed).await {
            Ok(true) => {
                let proof = (access_id == *self.admin.access_id()).then(|| self.admin.proof_text());
                Ok(self.tokens.issue_bound(&access_id, &aws_iam::claims(&caller), proof.as_ref()))
            }
            Ok(false) => Err(refused("it was used before")),
            Err(error) => {
                tracing::error!(%error, "uses of cloud ids cannot be noted");
                Err(LoginError::Unavailable)
            }
        }
    }

    fn admitted(&self, access_id: &str, caller: &CallerIdentity) -> Result<Option<AccessId>, OutOfReach> {
        let is_admin = access_id == self.admin.access_id().as_str();
        if let Proof::AwsIam(bounds) = self.admin.proof()
            && is_admin
        {
            return Ok(bounds.admit(caller).then(|| self.admin.access_id().clone()));
        }
        let method = self.method(access_id)?.filter(|method| method.admits(caller));
        Ok(method.map(|method| method.access_id))
    }

    /// Whose token it is. A token of somebody who may no longer log in is not valid.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let (identity, issued) = self.tokens.read(token)?;
        if identity.access_id == *self.admin.access_id() {
            // One that an access key gave that was replaced, or an identity of AWS that is let in no more, is void.
            let stands = self.tokens.is_bound_to(token, &self.admin.proof_text());
            return stands.then_some(identity).ok_or(TokenError::Invalid);
        }
        let method = self.method(identity.access_id.as_str())?.ok_or(TokenError::Invalid)?;
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
        let kept = self.directory.as_ref().and_then(|directory| directory.current().ok());
        let mut entries = self.deployed.iter().chain(kept.iter().flat_map(|kept| &kept.allowed));
        identity.access_id == *self.admin.access_id()
            || entries.any(|entry| {
                entry.permissions.iter().any(|has| has.gives(wanted)) && entry.is_about(identity)
            })
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

    fn method(&self, access_id: &str) -> Result<Option<AuthMethod>, OutOfReach> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let kept = directory.current()?;
        let method = kept.methods.iter().find(|method| method.access_id.as_str() == access_id);
        Ok(method.filter(|method| method.is_open(self.now())).cloned())
    }

    fn now(&self) -> Timestamp {
        self.tokens.clock().now()
    }
}

impl From<OutOfReach> for LoginError {
    fn from(_: OutOfReach) -> Self {
        Self::Unavailable
    }
}

/// Compares digests and not texts, so that not even the length of ours can be measured.
fn same(theirs: &str, ours: &str) -> Choice {
    let sha256 = |text: &str| -> Digest { digest(&SHA256, text.as_bytes()) };
    sha256(theirs).as_ref().ct_eq(sha256(ours).as_ref())
}

#[cfg(test)]
mod tests;
