//! AWS Security Token Service: roles are assumed here, and credentials told whose they are.

pub(crate) mod answer;

use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::{Client, FetchError, Limits};
use gateward_seal::SecretValue;
use http::StatusCode;
use thiserror::Error;
use url::form_urlencoded::Serializer;

use crate::endpoint::{check_endpoint, check_region, domain};
use crate::service::{CallError, Service, wipe};
use crate::sigv4::SignError;
use crate::{Credentials, ErrorType};

/// STS, at one of its endpoints.
pub struct Sts(Service);

/// Where STS is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StsPlace {
    /// In which region. Without one it is the global endpoint.
    pub region: Option<String>,
    /// A URL to use in place of AWS's own.
    pub endpoint_url: Option<String>,
    /// Whether the regions that are as old as the global endpoint use that one, as they did before 2025.
    pub legacy: bool,
}

/// What is asked for with a role.
#[derive(Clone, Copy, Debug)]
pub struct RoleRequest<'a> {
    /// The role's ARN.
    pub arn: &'a str,
    /// What the session is called in CloudTrail.
    pub session_name: &'a str,
    /// What the role's owner wants to hear from whom it was given to.
    pub external_id: Option<&'a SecretValue>,
    /// How long the session is to last; an hour where nothing is said.
    pub duration: Option<Duration>,
    /// What the session is tagged with, for policies to look at.
    pub tags: &'a [SessionTag],
}

/// A tag of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTag {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Whether sessions have it too that are begun from the session.
    pub transitive: bool,
}

/// Temporary credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The credentials.
    pub credentials: Credentials,
    /// When they end.
    pub expires: Timestamp,
}

/// Whose credentials they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The user's, or the assumed role's, ARN.
    pub arn: String,
    /// AWS's own id of it.
    pub user_id: String,
}

impl Identity {
    /// Reads the answer to GetCallerIdentity, for who has sent somebody else's request for it.
    pub fn read(xml: &Bytes) -> Option<Self> {
        answer::identity(&Answer(xml.clone())).ok()
    }
}

/// Why STS did not do it. Carries AWS's own name for the error, and nothing else of its answer.
#[derive(Debug, Error)]
pub enum StsError {
    /// The role may not be assumed by these credentials, or they are wrong.
    #[error("STS refuses it ({error}, status {status})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// AWS's name for it.
        error: ErrorType,
    },
    /// STS is out of order, or wants fewer calls.
    #[error("STS is out of order or overloaded ({error}, status {status})")]
    Unavailable {
        /// The status of the answer.
        status: u16,
        /// AWS's name for it.
        error: ErrorType,
    },
    /// STS could not be reached.
    #[error("STS cannot be reached")]
    Unreachable(#[source] FetchError),
    /// The answer is nothing that STS would say.
    #[error("the answer is not one of STS's (status {status})")]
    Garbage {
        /// The status of the answer.
        status: u16,
    },
    /// The request could not be signed.
    #[error("the request could not be signed")]
    Unsigned(#[source] SignError),
}

impl StsPlace {
    /// The URL, and the region that requests there are signed for.
    fn resolve(&self) -> Result<(url::Url, &str), Invalid> {
        if let Some(region) = &self.region {
            check_region(region)?;
        }
        let region = self.region.as_deref();
        if let Some(url) = &self.endpoint_url {
            return Ok((check_endpoint(url)?, region.unwrap_or(GLOBAL_REGION)));
        }
        match region {
            Some(region) if !(self.legacy && LEGACY_REGIONS.contains(&region)) => {
                Ok((check_endpoint(&format!("https://sts.{region}.{}", domain(region)))?, region))
            }
            _ => Ok((check_endpoint("https://sts.amazonaws.com")?, GLOBAL_REGION)),
        }
    }
}

impl Sts {
    /// STS at `place`.
    pub fn new(client: Client, place: &StsPlace) -> Result<Self, Invalid> {
        let (endpoint, region) = place.resolve()?;
        Ok(Self(Service::new(client, region, "sts", endpoint)?))
    }

    /// A session of a role, for whom `credentials` are.
    pub async fn assume_role(
        &self,
        credentials: &Credentials,
        role: RoleRequest<'_>,
        now: Timestamp,
    ) -> Result<Session, StsError> {
        let form = form("AssumeRole", Some(role), None);
        answer::session(&self.call(Some(credentials), form, now).await?)
    }

    /// A session of a role, for whom an identity provider's `token` names.
    pub async fn assume_role_with_web_identity(
        &self,
        role: RoleRequest<'_>,
        token: &SecretValue,
        now: Timestamp,
    ) -> Result<Session, StsError> {
        let form = form("AssumeRoleWithWebIdentity", Some(role), Some(token));
        answer::session(&self.call(None, form, now).await?)
    }

    /// Whose `credentials` are. Everybody may ask it of himself.
    pub async fn get_caller_identity(
        &self,
        credentials: &Credentials,
        now: Timestamp,
    ) -> Result<Identity, StsError> {
        let form = form("GetCallerIdentity", None, None);
        answer::identity(&self.call(Some(credentials), form, now).await?)
    }

    /// The body of a good answer. An answer that says that STS is out of order is given a second chance.
    async fn call(
        &self,
        credentials: Option<&Credentials>,
        form: Bytes,
        now: Timestamp,
    ) -> Result<Answer, StsError> {
        let mut chances = 2;
        loop {
            chances -= 1;
            let headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
            let response = self.0.post(credentials, &headers, form.clone(), LIMITS, now).await?;
            let (head, answer) = response.into_parts();
            if head.status == StatusCode::OK {
                return Ok(Answer(answer));
            }
            let error = answer::refusal(head.status, &answer);
            if chances == 0 || !matches!(error, StsError::Unavailable { .. }) {
                return Err(error);
            }
        }
    }
}

impl StsError {
    /// What an answer that is not 200 says. STS throttles with 400, so that the status alone does not tell.
    pub fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        answer::refusal(status, body)
    }
}

impl From<CallError> for StsError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unsigned(error) => Self::Unsigned(error),
            CallError::Unreachable(error) => Self::Unreachable(error),
        }
    }
}

/// An answer's body, wiped when it has been read.
pub(crate) struct Answer(pub(crate) Bytes);

impl Drop for Answer {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0));
    }
}

/// A request, as the form that STS reads.
fn form(action: &str, role: Option<RoleRequest<'_>>, token: Option<&SecretValue>) -> Bytes {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", "2011-06-15");
    if let Some(RoleRequest { arn, session_name, external_id, duration, tags }) = role {
        form.append_pair("RoleArn", arn).append_pair("RoleSessionName", session_name);
        if let Some(id) = external_id {
            form.append_pair("ExternalId", id.expose());
        }
        if let Some(duration) = duration {
            form.append_pair("DurationSeconds", &duration.as_secs().to_string());
        }
        for (number, tag) in (1..).zip(tags) {
            form.append_pair(&format!("Tags.member.{number}.Key"), &tag.key);
            form.append_pair(&format!("Tags.member.{number}.Value"), &tag.value);
        }
        for (number, tag) in (1..).zip(tags.iter().filter(|tag| tag.transitive)) {
            form.append_pair(&format!("TransitiveTagKeys.member.{number}"), &tag.key);
        }
    }
    if let Some(token) = token {
        form.append_pair("WebIdentityToken", token.expose());
    }
    Bytes::from(form.finish())
}

/// What one call may take. An answer has a few kilobytes.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(4), max_body: 64 * 1024, verify: true };

/// The region that the global endpoint's signatures name.
const GLOBAL_REGION: &str = "us-east-1";

/// The regions that use the global endpoint where the regional ones are not asked for.
const LEGACY_REGIONS: [&str; 16] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "aws-global",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

#[cfg(test)]
mod tests;
