//! Sessions of roles in AWS: temporary credentials that end by themselves, and that nobody can unmake before.
//!
//! So a session lives as long as its lease, and a lease that is to go earlier waits, in the open, for the session's end:
//! it counts as revoked when that has come, and not before. The end stands in the credential's name.

use std::time::Duration;

use async_trait::async_trait;
use gateward_aws::sts::{RoleRequest, Session, SessionTag, Sts, StsPlace};
use gateward_aws::{Credentials, Provider};
use gateward_clock::Timestamp;
use gateward_model::AwsSettings;
use gateward_seal::SecretValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::native::{NativeParts, Work};
use super::{Capabilities, CreateError, Created, Order, Producer, RevokeAnswer, RevokeCallError};

/// Sessions of the roles of one dynamic secret.
pub(super) struct AssumeRole {
    settings: AwsSettings,
    payload: SecretValue,
    work: Work,
    parts: NativeParts,
}

/// What is kept sealed of such a dynamic secret.
#[derive(Default, Deserialize)]
struct Sealed {
    /// With the access key id of the settings; without one the gateway's own credentials are meant.
    #[serde(default)]
    secret_access_key: Option<SecretValue>,
    /// What the roles' owner wants to hear.
    #[serde(default)]
    external_id: Option<SecretValue>,
}

impl AssumeRole {
    pub(super) fn new(settings: AwsSettings, payload: SecretValue, work: Work, parts: NativeParts) -> Self {
        Self { settings, payload, work, parts }
    }

    async fn session(&self, arn: &str, name: &str, span: Duration) -> Result<Session, String> {
        let sealed: Sealed = match self.payload.expose() {
            "" => Sealed::default(),
            text => {
                serde_json::from_str(text).map_err(|_| "what is kept of its access key cannot be read")?
            }
        };
        let provider = match (&self.settings.access_key_id, sealed.secret_access_key) {
            (Some(id), Some(secret_key)) => {
                Provider::fixed(Credentials { access_key: id.clone(), secret_key, session_token: None })
            }
            _ => self.parts.aws.provider(),
        };
        let credentials = provider.get().await.map_err(|error| error.to_string())?;
        let place = StsPlace {
            region: Some(self.settings.region.clone()),
            endpoint_url: self.parts.sts_endpoint.clone(),
            legacy: false,
        };
        let sts = Sts::new(self.parts.client.clone(), &place).map_err(|error| error.to_string())?;
        let tag = |(key, value): &(String, String)| SessionTag {
            key: key.clone(),
            value: value.clone(),
            transitive: self.settings.transitive_tag_keys.contains(key),
        };
        let tags: Vec<SessionTag> = self.settings.session_tags.iter().map(tag).collect();
        let request = RoleRequest {
            arn,
            session_name: name,
            external_id: sealed.external_id.as_ref(),
            duration: Some(span),
            tags: &tags,
        };
        let session = sts.assume_role(&credentials, request, self.parts.clock.now()).await;
        session.map_err(|error| format!("{arn} cannot be assumed: {error}"))
    }

    /// The role that the caller asks for, or the first.
    fn role(&self, input: &Map<String, Value>) -> Result<&str, String> {
        let roles = &self.settings.role_arns;
        match input.get("role_arn").or_else(|| input.get("role-arn")) {
            None => roles.first().map(String::as_str).ok_or_else(|| "there is no role".to_owned()),
            Some(asked) => roles
                .iter()
                .map(String::as_str)
                .find(|arn| asked == arn)
                .ok_or_else(|| "role_arn names none of this dynamic secret's roles".to_owned()),
        }
    }
}

#[async_trait]
impl Producer for AssumeRole {
    /// A session whose answer is lost is nobody's, so there is none to be revoked whatever goes wrong.
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        let refused = |why: &str| CreateError::NotCreated(why.to_owned());
        if !SESSION_SPANS.contains(&order.ttl) {
            return Err(refused("AWS gives sessions of 15 minutes to 12 hours"));
        }
        let arn = self.role(&order.input).map_err(CreateError::NotCreated)?;
        let name = order.lease_id.to_string();
        let session = self.session(arn, &name, order.ttl);
        let session = tokio::time::timeout(self.work.timeout, session).await;
        let Session { credentials, expires } = session
            .map_err(|_elapsed| refused("AWS did not answer in time"))?
            .map_err(CreateError::NotCreated)?;
        let id = format!("sts.{}.{}", expires.secs(), credentials.access_key);
        let minutes = order.ttl.as_secs().div_ceil(60).to_string();
        let token = credentials.session_token.as_ref().map_or("", SecretValue::expose);
        let ends = expires.rfc3339();
        let told = [
            ("id", id.as_str()),
            ("type", "sts"),
            ("role_arn", arn),
            ("access_key_id", credentials.access_key.as_str()),
            ("secret_access_key", credentials.secret_key.expose()),
            ("security_token", token),
            ("ttl_in_minutes", minutes.as_str()),
            ("expiration", ends.as_str()),
        ];
        let response = told.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        Ok(Created { id, response })
    }

    /// Says of each session whether it has ended; there is no way to end one.
    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        let now = self.parts.clock.now();
        let (gone, live): (Vec<_>, Vec<_>) =
            ids.iter().cloned().partition(|id| ends_at(id).is_some_and(|end| end <= now));
        let last = live.iter().filter_map(|id| ends_at(id)).max();
        let message = last.map(|end| {
            format!(
                "a session of a role in AWS cannot be ended early; it ends by itself at {}",
                end.rfc3339()
            )
        });
        Ok(RevokeAnswer { gone, message })
    }

    /// A session has the end that it began with.
    async fn extend(&self, id: &str, expires_at: Timestamp) -> Result<(), RevokeCallError> {
        match ends_at(id) {
            // Nor a sooner one: it would be promised that what goes on working is gone.
            Some(end) if end != expires_at => Err(RevokeCallError::transient(format!(
                "a session of a role in AWS ends at {} and has no other end; ask for a new one",
                end.rfc3339()
            ))),
            _ => Ok(()),
        }
    }

    /// Assumes every role once, for as short as AWS has it.
    async fn dry_run(&self) -> Result<Capabilities, String> {
        for arn in &self.settings.role_arns {
            let session = self.session(arn, "gateward-dry-run", *SESSION_SPANS.start());
            let session = tokio::time::timeout(self.work.timeout, session).await;
            session.map_err(|_elapsed| "AWS did not answer in time".to_owned())??;
        }
        // The same order again makes a session that ends no earlier than the first: when it has, both have.
        Ok(Capabilities { request_id: true, list: false, max_batch: None })
    }
}

/// When the session called `id` ends.
fn ends_at(id: &str) -> Option<Timestamp> {
    let (end, _) = id.strip_prefix("sts.")?.split_once('.')?;
    end.parse().ok().map(Timestamp::from_secs)
}

/// How long a session may live.
const SESSION_SPANS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 60 * 60);

#[cfg(test)]
mod tests;
