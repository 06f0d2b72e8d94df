//! AWS Key Management Service: a data key is made, and opened again.
//!
//! What is sealed is bound to an encryption context that says what it is for, so that a data key of somebody else's
//! that the same KMS key has sealed does not open in its place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::json_service::JsonService;
use crate::service::wipe;
use crate::{Access, ErrorType, ServiceError};

/// The key management service of one region.
pub struct Kms(JsonService);

/// A data key that was just made.
pub struct DataKey {
    /// The key itself: 32 bytes.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key, sealed by KMS, in base64: what may be kept.
    pub sealed: String,
    /// The ARN of the KMS key that sealed it.
    pub kms_key: String,
}

/// Why a data key was not made, or not opened. Carries AWS's own name for the error, and nothing else of its answer.
#[derive(Debug, Error)]
pub enum KmsError {
    /// There is no such key.
    #[error("there is no such key in this region and account ({0})")]
    NotFound(ErrorType),
    /// It was sealed by another key, for something else, or altered.
    #[error(
        "what was sealed does not open with this key ({0}): another key has sealed it, or it was altered"
    )]
    WrongKey(ErrorType),
    /// The key is disabled, or waits for its deletion.
    #[error("the key cannot be used now ({0}): it is disabled, or waits for its deletion")]
    Unusable(ErrorType),
    /// The credentials may not use the key.
    #[error(
        "AWS refuses the use of the key ({0}): its policy or the role's must allow kms:GenerateDataKey and kms:Decrypt"
    )]
    Denied(ErrorType),
    /// KMS has not done it for another reason.
    #[error("KMS has not done it")]
    Failed(#[source] ServiceError),
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "Plaintext")]
    plaintext: SecretValue,
    #[serde(rename = "CiphertextBlob")]
    sealed: String,
    #[serde(rename = "KeyId")]
    kms_key: String,
}

#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "Plaintext")]
    plaintext: SecretValue,
}

impl Kms {
    /// KMS, as `access` says.
    pub fn new(access: &Access) -> Result<Self, Invalid> {
        Ok(Self(JsonService::new(access, "kms", "application/x-amz-json-1.1")?))
    }

    /// Opens a connection for the first call, while there is time.
    pub async fn warm(&self) {
        self.0.warm().await;
    }

    /// A new data key of 32 bytes, sealed by the key called `key` (an id, an ARN or an alias) for `purpose`.
    pub async fn generate_data_key(&self, key: &str, purpose: &str) -> Result<DataKey, KmsError> {
        let request = json!({ "KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context(purpose) });
        let answer = self.0.call("TrentService.GenerateDataKey", &request).await?;
        let Made { plaintext, sealed, kms_key } = read(answer)?;
        Ok(DataKey { plaintext: decode(&plaintext)?, sealed, kms_key })
    }

    /// Opens what `key` has sealed for `purpose`. KMS is told which key it must be, so that what somebody else's key has
    /// sealed does not open.
    pub async fn decrypt(
        &self,
        key: &str,
        purpose: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let request =
            json!({ "KeyId": key, "CiphertextBlob": sealed, "EncryptionContext": context(purpose) });
        let opened: Opened = read(self.0.call("TrentService.Decrypt", &request).await?)?;
        decode(&opened.plaintext)
    }
}

impl From<ServiceError> for KmsError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Denied(error) => Self::Denied(error),
            ServiceError::Refused { status, error } => match error.as_str() {
                "NotFoundException" => Self::NotFound(error),
                "IncorrectKeyException" | "InvalidCiphertextException" => Self::WrongKey(error),
                "DisabledException" | "KMSInvalidStateException" => Self::Unusable(error),
                _ => Self::Failed(ServiceError::Refused { status, error }),
            },
            error => Self::Failed(error),
        }
    }
}

fn context(purpose: &str) -> Value {
    json!({ "gateward": purpose })
}

/// Reads an answer and wipes it. What is wrong with it is not said, as that would quote it.
fn read<T: for<'de> Deserialize<'de>>(answer: Bytes) -> Result<T, KmsError> {
    let read = serde_json::from_slice(&answer).map_err(|_| KmsError::Failed(ServiceError::Garbage));
    wipe(answer);
    read
}

fn decode(text: &SecretValue) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let decoded = STANDARD.decode(text.expose()).map(Zeroizing::new);
    decoded.map_err(|_| KmsError::Failed(ServiceError::Garbage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_makes_no_sense_is_garbage_and_is_not_repeated() {
        for answer in ["", "canary", "{\"Plaintext\":[\"canary\"]}", "{}"] {
            let error = read::<Opened>(Bytes::from(answer)).map(|_| ()).unwrap_err();
            assert!(matches!(error, KmsError::Failed(ServiceError::Garbage)), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
        assert!(decode(&"canary!".into()).is_err());
    }

    #[test]
    fn errors_are_sorted_by_what_they_mean() {
        let kind =
            |name: &str| KmsError::from(ServiceError::Refused { status: 400, error: ErrorType::of(name) });
        assert!(matches!(kind("NotFoundException"), KmsError::NotFound(_)));
        assert!(matches!(kind("IncorrectKeyException"), KmsError::WrongKey(_)));
        assert!(matches!(kind("InvalidCiphertextException"), KmsError::WrongKey(_)));
        assert!(matches!(kind("DisabledException"), KmsError::Unusable(_)));
        assert!(matches!(kind("ValidationException"), KmsError::Failed(_)));
    }
}
