//! Logging in, and who a request is from.

use gateward_seal::SecretValue;
use ring::digest::{Digest, SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

use crate::{AdminIdentity, Identity, Permission, Token, TokenError, Tokens};

/// Knows the administrator, gives tokens and takes them.
#[derive(Debug)]
pub struct Authenticator {
    admin: AdminIdentity,
    tokens: Tokens,
}

/// A login failed. There is one message for every reason, so that nobody learns which access ids there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access id or the access key is wrong")]
pub struct LoginError;

impl Authenticator {
    /// For `admin` alone.
    pub fn new(admin: AdminIdentity, tokens: Tokens) -> Self {
        Self { admin, tokens }
    }

    /// A token for whoever shows an access id and its key. A wrong id takes as long as a wrong key.
    pub fn login(&self, access_id: &str, access_key: &SecretValue) -> Result<Token, LoginError> {
        let known = same(access_id, self.admin.access_id().as_str());
        let right = same(access_key.expose(), self.admin.access_key().expose());
        if !bool::from(known & right) {
            return Err(LoginError);
        }
        Ok(self.tokens.issue(self.admin.access_id()))
    }

    /// Whose token it is. A token of somebody who may no longer log in is not valid.
    pub fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let identity = self.tokens.verify(token)?;
        if identity.access_id != *self.admin.access_id() {
            return Err(TokenError::Invalid);
        }
        Ok(identity)
    }

    /// Whether `identity` has `permission`. The administrator has all.
    pub fn permits(&self, identity: &Identity, permission: Permission) -> bool {
        match permission {
            Permission::VaultValues => identity.access_id == *self.admin.access_id(),
        }
    }

    /// A token for what the gateway itself does in the administrator's name.
    pub fn admin_token(&self) -> Token {
        self.tokens.issue(self.admin.access_id())
    }

    /// Who the administrator is.
    pub fn admin(&self) -> &AdminIdentity {
        &self.admin
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

    use gateward_clock::{ManualClock, Timestamp};
    use gateward_seal::{RootKey, Sealer};

    use super::*;

    #[test]
    fn the_right_key_gives_a_token_that_is_taken() {
        let authenticator = authenticator("p-1234");
        let token = authenticator.login("p-1234", &SecretValue::from("canary")).expect("a token");
        let identity = authenticator.verify(token.text.expose()).expect("an identity");
        assert_eq!(identity.access_id.as_str(), "p-1234");
    }

    #[test]
    fn every_failed_login_says_the_same() {
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
            let refusal = authenticator.login(access_id, &SecretValue::from(access_key));
            assert_eq!(refusal, Err(LoginError), "{access_id:?}");
        }
        assert_eq!(LoginError.to_string(), "the access id or the access key is wrong");
    }

    #[test]
    fn a_token_of_an_administrator_that_was_replaced_is_invalid() {
        let token = authenticator("p-1234").login("p-1234", &SecretValue::from("canary")).expect("a token");
        assert_eq!(authenticator("p-5678").verify(token.text.expose()), Err(TokenError::Invalid));
    }

    #[test]
    fn an_authenticator_prints_nothing_secret() {
        assert!(!format!("{:?}", authenticator("p-1234")).contains("canary"));
    }

    fn authenticator(access_id: &str) -> Authenticator {
        let access_id = access_id.parse().expect("an access id");
        let admin = AdminIdentity::new(access_id, SecretValue::from("canary")).expect("an identity");
        let sealer = Sealer::new(RootKey::from_text(&"11".repeat(32)).expect("a root key"));
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_800_000_000)));
        Authenticator::new(admin, Tokens::new(&sealer, clock, Duration::from_secs(60)))
    }
}
