//! The key of a service account, as Google hands it out, and what is signed with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroize as _;

use crate::backend::call::address;

/// The key of a service account.
pub(super) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    /// Where its signature is given a token for.
    pub(super) token_uri: String,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key: Option<SecretValue>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// Reads the JSON that Google hands out. An error never repeats any of it but the type.
    pub(super) fn read(json: &SecretValue) -> Result<Self, String> {
        let file: Option<File> = serde_json::from_str(json.expose()).ok();
        let file = file.ok_or("it is not the JSON of a service account's key")?;
        match file.kind.as_deref() {
            None | Some("service_account") => {}
            Some(other) => {
                let other = crate::backend::call::word(other);
                return Err(format!(
                    "it is of the type {other}, and only a service account's key (service_account) is known"
                ));
            }
        }
        let email = file.client_email.filter(|email| !email.is_empty()).ok_or("it has no client_email")?;
        let pem = file.private_key.ok_or("it has no private_key")?;
        let token_uri = file.token_uri.unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned());
        address(&token_uri).map_err(|problem| format!("its token_uri cannot be called: {problem}"))?;
        let key = rsa_key(&pem).ok_or("its private_key is no RSA key (PEM) of 2048 bits or more")?;
        Ok(Self { email, key_id: file.private_key_id, key, token_uri })
    }

    /// Who it is, until an hour from `now`, signed: what a token is given for.
    pub(super) fn assertion(&self, now: Timestamp) -> Result<SecretValue, String> {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_uri, "iat": now.secs(), "exp": now.secs() + 3600,
        });
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signing =
            self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature);
        signing.map_err(|_| "its private_key cannot sign")?;
        Ok(SecretValue::new(format!("{signed}.{}", encode(&signature))))
    }
}

fn rsa_key(pem: &SecretValue) -> Option<RsaKeyPair> {
    let mut key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).ok()?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    };
    key.zeroize();
    pair
}

/// The only scope that Secret Manager takes; what the account may do is for its roles to say.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
