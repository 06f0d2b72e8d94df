//! The administrator: an access id that may be shown, and an access key that may not.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateward_seal::SecretValue;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::AwsBounds;
use crate::aws_iam::{account_of, is_account};

/// Names who logs in: `p-` and up to 64 letters, digits, `-` or `_`. No secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessId(String);

/// Who may do everything, and how they show who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminIdentity {
    access_id: AccessId,
    proof: Proof,
}

/// How the administrator shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// With an access key.
    AccessKey(SecretValue),
    /// As somebody whom AWS knows, within these bounds.
    AwsIam(AwsBounds),
}

/// Why an identity cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not the form of an access id.
    #[error("an access id is p- and then 1 to 64 letters, digits, - or _")]
    AccessId,
    /// An empty key, with which anybody could log in.
    #[error("the access key is empty; set one, or leave it out to have one made")]
    EmptyAccessKey,
    /// Everybody whom AWS knows would be the administrator, or nobody.
    #[error(
        "with aws_iam it must be said who of AWS is the administrator: set admin_bound_arns (such as \
         arn:aws:sts::123456789012:assumed-role/ROLE/*), or admin_bound_aws_accounts, or both"
    )]
    Unbounded,
    /// Somebody else's AWS account could make an identity that fits.
    #[error(
        "each of admin_bound_arns names its account by its 12 digits (such as \
         arn:aws:sts::123456789012:assumed-role/ROLE/*), or admin_bound_aws_accounts says the account"
    )]
    AnyAccount,
    /// Not the number of an account.
    #[error("each of admin_bound_aws_accounts is an account's number, 12 digits")]
    Account,
}

impl AdminIdentity {
    /// The identity that somebody chose.
    pub fn new(access_id: AccessId, access_key: SecretValue) -> Result<Self, IdentityError> {
        if access_key.expose().trim().is_empty() {
            return Err(IdentityError::EmptyAccessKey);
        }
        Ok(Self { access_id, proof: Proof::AccessKey(access_key) })
    }

    /// A new identity that nobody can guess: 80 random bits in the id, 256 in the key.
    pub fn generate() -> Self {
        // 32 letters divide the 256 values of a byte, so that none is likelier than another.
        let letters =
            random_bytes::<RANDOM_LETTERS>().map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()]);
        let access_id = AccessId(format!("p-{}", letters.map(char::from).iter().collect::<String>()));
        Self { access_id, proof: Proof::AccessKey(Self::generate_key()) }
    }

    /// An administrator whom AWS knows, within bounds that leave no AWS account in but the named ones.
    pub fn aws_iam(access_id: AccessId, bounds: AwsBounds) -> Result<Self, IdentityError> {
        if bounds.is_empty() {
            return Err(IdentityError::Unbounded);
        }
        if !bounds.accounts.iter().all(|account| is_account(account)) {
            return Err(IdentityError::Account);
        }
        if bounds.accounts.is_empty()
            && (bounds.arns.is_empty() || bounds.arns.iter().any(|arn| account_of(arn).is_none()))
        {
            return Err(IdentityError::AnyAccount);
        }
        Ok(Self { access_id, proof: Proof::AwsIam(bounds) })
    }

    /// A new access key that nobody can guess.
    pub(crate) fn generate_key() -> SecretValue {
        SecretValue::new(STANDARD.encode(random_bytes::<ACCESS_KEY_BYTES>().as_slice()))
    }

    /// Who it is.
    pub fn access_id(&self) -> &AccessId {
        &self.access_id
    }

    /// What it logs in with, if that is a key.
    pub fn access_key(&self) -> Option<&SecretValue> {
        match &self.proof {
            Proof::AccessKey(key) => Some(key),
            Proof::AwsIam(_) => None,
        }
    }

    /// The kind of its login, as it is set.
    pub fn access_type(&self) -> &'static str {
        match &self.proof {
            Proof::AccessKey(_) => "access_key",
            Proof::AwsIam(_) => "aws_iam",
        }
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// What tokens are bound to: whoever changes the key or the bounds wants those before to be void.
    pub(crate) fn proof_text(&self) -> SecretValue {
        match &self.proof {
            Proof::AccessKey(key) => SecretValue::new(format!("access_key {}", key.expose())),
            Proof::AwsIam(AwsBounds { accounts, arns, .. }) => {
                SecretValue::new(format!("aws_iam {accounts:?} {arns:?}"))
            }
        }
    }
}

impl AccessId {
    /// A new one that nobody has.
    pub fn generate() -> Self {
        AdminIdentity::generate().access_id
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccessId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for AccessId {
    type Error = IdentityError;

    fn try_from(text: String) -> Result<Self, IdentityError> {
        let name = text.strip_prefix("p-").ok_or(IdentityError::AccessId)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > MOST_CHARACTERS || !name.bytes().all(allowed) {
            return Err(IdentityError::AccessId);
        }
        Ok(Self(text))
    }
}

impl From<AccessId> for String {
    fn from(access_id: AccessId) -> Self {
        access_id.0
    }
}

impl fmt::Display for AccessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// From the operating system, which refuses none but a broken machine.
pub(crate) fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const RANDOM_LETTERS: usize = 16;
const ACCESS_KEY_BYTES: usize = 32;
const MOST_CHARACTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_id_has_its_form_or_is_refused() {
        for accepted in ["p-1234", "p-abcDEF123456", "p-my_admin-1", &format!("p-{}", "a".repeat(64))] {
            assert_eq!(accepted.parse::<AccessId>().expect("an access id").as_str(), accepted);
        }
        for refused in ["", "p-", "1234", "P-1234", "p-a b", "p-é", "p-a\n", &format!("p-{}", "a".repeat(65))]
        {
            assert_eq!(refused.parse::<AccessId>(), Err(IdentityError::AccessId), "{refused:?}");
        }
        assert!(serde_json::from_str::<AccessId>("\"x\"").is_err());
    }

    #[test]
    fn a_made_identity_is_valid_and_unlike_any_other() {
        let [one, other] = [(); 2].map(|()| AdminIdentity::generate());
        assert_eq!(one.access_id().as_str().parse(), Ok(one.access_id().clone()));
        assert_eq!(one.access_id().as_str().len(), 2 + 16);
        assert_eq!(STANDARD.decode(one.access_key().expect("a key").expose()).expect("base64").len(), 32);
        assert_ne!(one.access_id(), other.access_id());
        assert_ne!(one.access_key(), other.access_key());
    }

    #[test]
    fn an_empty_access_key_is_refused() {
        let access_id: AccessId = "p-1234".parse().expect("an access id");
        for empty in ["", " \n"] {
            let refusal = AdminIdentity::new(access_id.clone(), SecretValue::from(empty));
            assert_eq!(refusal, Err(IdentityError::EmptyAccessKey));
        }
    }

    #[test]
    fn an_administrator_of_aws_is_bound_to_accounts_that_are_named() {
        let lists = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let made = |arns: &[&str], accounts: &[&str]| {
            let bounds = AwsBounds { arns: lists(arns), accounts: lists(accounts), ..AwsBounds::default() };
            AdminIdentity::aws_iam("p-1234".parse().expect("an access id"), bounds).map(|_| ())
        };
        let role = "arn:aws:sts::123456789012:assumed-role/admin/*";
        for (arns, accounts) in [
            (&[role][..], &[][..]),
            (&[], &["123456789012"]),
            (&["*"], &["123456789012"]),
            (&[role], &["123456789012"]),
        ] {
            assert_eq!(made(arns, accounts), Ok(()), "{arns:?} {accounts:?}");
        }
        assert_eq!(made(&[], &[]), Err(IdentityError::Unbounded));
        for account in ["", "*", "12345678901", "1234567890123", "12345678901x"] {
            assert_eq!(made(&[role], &[account]), Err(IdentityError::Account), "{account}");
        }
        let open = [
            "*",
            "arn:aws:iam::*:user/admin",
            "arn:*:user/admin",
            "arn:aws:iam::12345678901?:user/admin",
            "*123456789012:user/admin",
            "arn:aws:iam::123456789012",
        ];
        for arn in open {
            assert_eq!(made(&[arn], &[]), Err(IdentityError::AnyAccount), "{arn}");
            assert_eq!(made(&[role, arn], &[]), Err(IdentityError::AnyAccount), "{arn}");
        }
    }

    #[test]
    fn an_identity_does_not_print_its_key() {
        let access_id: AccessId = "p-1234".parse().expect("an access id");
        let identity = AdminIdentity::new(access_id, SecretValue::from("canary")).expect("an identity");
        assert!(!format!("{identity:?}").contains("canary"));
    }
}
